package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/engine"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/report"
	"sandfly/probes/internal/seq"
)

// unguarded lets everything run to its end.
type unguarded struct{}

func (unguarded) Pause() error             { return nil }
func (unguarded) Stop(string)              {}
func (unguarded) Reason() string           { return "" }
func (unguarded) Stopped() <-chan struct{} { return nil }

// everything is a plan that asks for every field of every subject.
func everything(t testing.TB) (*plan.Plan, *engine.Program) {
	t.Helper()
	type rule map[string]any
	var rules []rule
	for _, s := range subjects() {
		var fields []string
		for _, f := range s.Fields {
			fields = append(fields, f.Name)
		}
		r := rule{"id": s.Name, "subject": s.Name, "fields": fields}
		if s.Index("path") >= 0 {
			r["scope"] = rule{"paths": []string{"/"}}
		}
		rules = append(rules, r)
	}
	data, err := json.Marshal(map[string]any{"schema": 1, "rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	program, err := engine.Build(p, subjects())
	if err != nil {
		t.Fatal(err)
	}
	return p, program
}

// scan is what the probe reports of a tree, with every field read.
func scan(t testing.TB, root string) []byte {
	t.Helper()
	p, program := everything(t)
	var out bytes.Buffer
	e := &engine.Engine{
		Program: program, Collectors: collectors(), Guard: unguarded{}, CPU: func() time.Duration { return 0 },
		Env: &collect.Env{
			Root: root, Now: time.Unix(1_800_000_000, 0), Throttle: unguarded{}, MaxValue: maxValue, OwnPID: 4242,
		},
		Report: report.NewWriter(&out, 64<<20, p.Limits.ValueBytes),
	}
	e.Run(context.Background())
	passed, err := e.WriteOutcomes()
	if err == nil {
		err = e.Report.Footer(report.Footer{Complete: true, Passed: passed})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The files that collectors of every kind read; a fuzzed one takes the place of any of them.
var readable = []string{
	"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d/x", "/etc/crontab", "/etc/cron.d/x",
	"/etc/anacrontab", "/var/spool/cron/crontabs/root", "/var/spool/cron/atjobs/a0000101b2c3d4", "/etc/systemd/system/x.service",
	"/etc/systemd/system/x.timer", "/etc/pam.d/sshd", "/etc/pam.conf", "/etc/ssh/sshd_config", "/root/.ssh/authorized_keys",
	"/root/.ssh/known_hosts", "/root/.ssh/id_x", "/root/.bash_history", "/root/.zsh_history", "/root/.bashrc", "/etc/profile",
	"/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/udev/rules.d/x.rules", "/etc/xdg/autostart/x.desktop",
	"/etc/apt/apt.conf.d/x", "/root/.gitconfig", "/etc/modprobe.d/x.conf", "/etc/modules", "/etc/inittab", "/etc/init.d/x",
	"/etc/rc.local", "/etc/inetd.conf", "/etc/xinetd.d/x", "/etc/logrotate.d/x", "/etc/aliases", "/etc/os-release",
	"/etc/machine-id", "/etc/localtime", "/etc/fstab", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf",
	"/var/log/auth.log", "/var/log/auth.log.2.gz", "/var/log/syslog", "/var/log/syslog.1.bz2", "/var/log/messages.zst",
	"/var/log/audit/audit.log", "/var/log/nginx/access.log", "/var/log/cron", "/var/log/wtmp", "/var/log/btmp.1",
	"/var/log/lastlog", "/run/utmp", "/var/lib/lastlog/lastlog2.db", "/var/lib/wtmpdb/wtmp.db",
	"/var/log/journal/0123456789abcdef0123456789abcdef/system.journal", "/var/lib/dpkg/status",
	"/var/lib/dpkg/info/x.list", "/var/lib/dpkg/info/x.md5sums", "/var/lib/dpkg/diversions", "/var/lib/dpkg/statoverride",
	"/lib/apk/db/installed", "/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db", "/var/lib/rpm/rpmdb.sqlite",
	"/var/www/html/x.php", "/usr/lib/python3/dist-packages/x.pth", "/tmp/.x", "/boot/grub/grub.cfg",
	"/var/lib/docker/containers/" + container64 + "/config.v2.json", "/var/lib/docker/containers/" + container64 + "/hostconfig.json",
	"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + container64 + "/config.json", "/var/lib/lxc/x/config",
	"/etc/systemd/nspawn/x.nspawn", "/var/lib/containers/storage/overlay-containers/containers.json",
	"/proc/1/stat", "/proc/1/status", "/proc/1/maps", "/proc/1/cmdline", "/proc/1/environ", "/proc/1/cgroup",
	"/proc/1/mountinfo", "/proc/1/limits", "/proc/1/io", "/proc/1/fdinfo/3", "/proc/1/net/tcp", "/proc/1/net/unix", "/proc/1/loginuid",
	"/proc/self/mountinfo", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/raw", "/proc/net/icmp",
	"/proc/net/packet", "/proc/net/netlink", "/proc/net/unix", "/proc/net/sctp/eps", "/proc/net/sctp/assocs",
	"/proc/net/route", "/proc/net/fib_trie", "/proc/net/if_inet6", "/proc/net/dev", "/proc/modules", "/proc/kallsyms",
	"/proc/cmdline", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/cpuinfo", "/proc/version",
	"/proc/sys/kernel/tainted", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/core_pattern",
	"/proc/sys/fs/binfmt_misc/x", "/proc/vmallocinfo", "/proc/filesystems", "/proc/swaps", "/proc/locks",
	"/sys/module/x/taint", "/sys/module/x/parameters/p", "/sys/module/x/sections/.text", "/sys/kernel/security/lsm",
	"/sys/kernel/security/lockdown", "/sys/kernel/debug/kprobes/list", "/sys/kernel/tracing/enabled_functions",
}

const container64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// around is what must be there for others to be read at all.
var around = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "/etc/group": "root:x:0:\n",
	"/proc/1/stat": "1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 2 3 4 18446744073709551615 1 1 0 0 0 0 " +
		"0 0 0 0 0 0 17 0 0 0 0 0 0\n",
	"/proc/1/status":       "Name:\tinit\nState:\tS (sleeping)\nPid:\t1\nPPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n",
	"/proc/stat":           "cpu  1\nbtime 1790000000\n",
	"/var/lib/dpkg/status": "Package: x\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n",
}

// FuzzTree lets one file of a host be anything, while every collector reads every field: no collector may fail by a fault of
// its own, and each line must be strictly valid.
func FuzzTree(f *testing.F) {
	for i := range readable {
		f.Add(byte(i), []byte("x:y 1\n"))
		f.Add(byte(i), []byte{0, 255, '\n', 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	root := f.TempDir()
	write := func(t testing.TB, name string, data []byte) {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range around {
		write(f, name, []byte(text))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		name := readable[int(which)%len(readable)]
		write(t, name, data)
		out := scan(t, root)
		if before, had := around[name]; had {
			write(t, name, []byte(before))
		} else if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		checkReport(t, name, out)
	})
}

func checkReport(t *testing.T, name string, out []byte) {
	t.Helper()
	if bytes.Contains(out, []byte("fault in collector")) {
		t.Errorf("%s: %s", name, out[max(0, bytes.Index(out, []byte("fault in collector"))-200):])
	}
	if !utf8.Valid(out) || !bytes.HasSuffix(out, []byte("\n")) {
		t.Errorf("%s: not UTF-8 or cut", name)
	}
	for line := range seq.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("%s: not JSON: %q", name, line)
		}
	}
}
