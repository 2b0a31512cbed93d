package kernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact/facttest"
)

const mounts = "20 1 0:20 / /sys/kernel/tracing rw - tracefs tracefs rw\n" +
	"21 1 0:21 / /sys/kernel/debug rw - debugfs debugfs rw\n" +
	"22 1 0:22 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw\n" +
	"23 1 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
	"24 1 0:24 / /sys/fs/bpf rw - bpf bpf rw\n"

func kernelTree(t *testing.T) *facttest.Tree {
	f := facttest.NewTree(t)
	f.Write("/proc/self/mountinfo", mounts)
	f.Write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/vda quiet console=tty0 console=ttyS0 dyndbg=\"file a b\"\n")
	f.Write("/proc/sys/kernel/tainted", "4096\n")
	f.Write("/proc/sys/kernel/randomize_va_space", "0\n")
	f.Write("/proc/sys/net/ipv4/ip_forward", "1\n")
	f.Write("/sys/kernel/security/lsm", "lockdown,capability,yama\n")
	f.Write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
	f.Write("/sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: Clear CPU buffers attempted, no microcode\n")
	f.Write("/sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n")
	f.Write("/proc/sys/fs/binfmt_misc/status", "enabled\n")
	f.Write("/proc/sys/fs/binfmt_misc/odd", "enabled\ninterpreter /tmp/.x/run\nflags: OC\noffset 0\nmagic 7f454c46\n")
	f.Write("/sys/kernel/tracing/kprobe_events", "p:kprobes/hide __x64_sys_getdents64\n")
	f.Write("/sys/kernel/tracing/set_ftrace_filter", "#### all functions enabled ####\n")
	f.Write("/sys/kernel/debug/kprobes/list", "ffffffff81 k sys_kill+0x0 [FTRACE]\n")
	f.Write("/sys/fs/cgroup/memory/release_agent", "/tmp/escape\n")
	f.Write("/sys/kernel/livepatch/fix/enabled", "1\n")
	return f
}

// expect looks for the one record of that kind and name.
func expect(t *testing.T, env *collect.Env, kind, name string, want map[string]any) {
	t.Helper()
	found := 0
	status := facttest.Collect(t, Collectors(), env, "kernel", func(r facttest.Record) {
		if r.Get("kind") == kind && r.Get("name") == name {
			found++
			r.Expect(want)
		}
	})
	if found != 1 || len(status.Failed)+len(status.Parts) > 0 {
		t.Errorf("%d records of %s %s, %v", found, kind, name, status)
	}
}

func TestEveryKindOfSettingIsARecord(t *testing.T) {
	env := kernelTree(t).Env()
	for _, c := range []struct {
		kind, name string
		want       map[string]any
	}{
		{"sysctl", "kernel.randomize_va_space", map[string]any{"value": "0", "number": int64(0),
			"path": "/proc/sys/kernel/randomize_va_space", "interpreter": nil, "count": nil}},
		{"sysctl", "net.ipv4.ip_forward", map[string]any{"number": int64(1)}},
		{"cmdline", "console", map[string]any{"value": "ttyS0", "entries": []string{"tty0", "ttyS0"}}},
		{"cmdline", "quiet", map[string]any{"value": nil}},
		{"cmdline", "dyndbg", map[string]any{"value": "file a b"}},
		{"taint", "O", map[string]any{"meaning": "module built outside the kernel's tree was loaded"}},
		{"lsm", "yama", map[string]any{"value": "active"}},
		{"lockdown", "lockdown", map[string]any{"value": "integrity"}},
		{"cpu_vulnerability", "mds", map[string]any{"is_vulnerable": true}},
		{"cpu_vulnerability", "l1tf", map[string]any{"is_vulnerable": false, "value": "Not affected"}},
		{"binfmt", "odd", map[string]any{"interpreter": "/tmp/.x/run", "flags": []string{"C", "O"}, "magic": "7f454c46",
			"has_credentials_flag": true, "is_enabled": true, "offset": int64(0), "extension": nil}},
		{"ftrace", "kprobe_events", map[string]any{"count": int64(1),
			"entries": []string{"p:kprobes/hide __x64_sys_getdents64"}}},
		{"ftrace", "set_ftrace_filter", map[string]any{"count": int64(0), "entries": []string{}, "value": nil}},
		{"ftrace", "kprobes", map[string]any{"count": int64(1)}},
		{"release_agent", "/sys/fs/cgroup/memory", map[string]any{"value": "/tmp/escape"}},
		{"livepatch", "fix", map[string]any{"number": int64(1)}},
	} {
		t.Run(c.kind+" "+c.name, func(t *testing.T) { expect(t, env, c.kind, c.name, c.want) })
	}
}

func TestWhatIsNotMountedIsNotWalkedInto(t *testing.T) {
	f := kernelTree(t)
	f.Write("/proc/self/mountinfo", "")

	facttest.Collect(t, Collectors(), f.Env(), "kernel", func(r facttest.Record) {
		if kind := r.Get("kind"); kind == "ftrace" || kind == "binfmt" || kind == "release_agent" {
			t.Error("a look would have mounted it:", kind, r.Get("path"))
		}
	})
}

func TestWithoutSettingsTheSubjectFails(t *testing.T) {
	status := facttest.Collect(t, Collectors(), facttest.NewTree(t).Env(), "kernel", func(r facttest.Record) { t.Error(r) })

	if status.Failed["kernel"] == nil {
		t.Error("a host without /proc/sys is not a host without settings")
	}
}

func TestSettingThatCannotBeReadIsUnknown(t *testing.T) {
	f := kernelTree(t)
	f.Write("/proc/sys/kernel/kptr_restrict/x", "") // root reads every file, but a directory is none

	facttest.Collect(t, Collectors(), f.Env(), "kernel", func(r facttest.Record) {
		if r.Get("name") != "kernel.kptr_restrict" {
			return
		}
		if v, err := r.Try("value"); err == nil {
			t.Error(v)
		}
	})
}

func TestThisKernelIsReadWithoutAFault(t *testing.T) {
	names := map[string]bool{}
	status := facttest.Collect(t, Collectors(), facttest.Env("/"), "kernel", func(r facttest.Record) {
		r.Typed()
		key := fmt.Sprint(r.Get("kind"), " ", r.Get("name"))
		if names[key] {
			t.Error("twice:", key)
		}
		names[key] = true
	})

	if len(status.Failed) > 0 || !names["sysctl kernel.randomize_va_space"] {
		t.Error(status, len(names))
	}
}

func TestFieldsAreDescribed(t *testing.T) { facttest.Described(t, Collectors()) }

func TestSettingsAreNamedOnce(t *testing.T) {
	sorted := slices.Sorted(slices.Values(settings))
	if len(slices.Compact(sorted)) != len(settings) || len(settings) < 150 {
		t.Errorf("%d names", len(settings))
	}
}

func FuzzHandler(f *testing.F) {
	f.Add("enabled\ninterpreter /usr/bin/qemu\nflags: F\noffset 0\nmagic 7f45\nmask ffff\n")
	f.Add("offset 99999999999999999999\nflags:\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		if h := parseHandler(text); len(h.interpreter) > len(text) {
			t.Error(h)
		}
	})
}

func FuzzBootOptions(f *testing.F) {
	f.Add(`a=1 b="x y" "c d" =`)
	f.Add("\"")
	f.Fuzz(func(t *testing.T, line string) {
		for _, option := range splitOptions(line) {
			if option == "" || strings.Contains(option, `"`) {
				t.Errorf("%q of %q", option, line)
			}
		}
	})
}
