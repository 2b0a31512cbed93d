package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
)

// ownMounts are directories that hardening guides want on file systems of their own.
var ownMounts = []string{"/tmp", "/var", "/var/tmp", "/var/log", "/var/log/audit", "/home", "/dev/shm", "/boot"}

// mountPoints tells which of these directories are on a file system of their own; the value is its type.
func mountPoints(r *reader) []*setting {
	mounts, err := fact.Tree(r.env).ReadMounts("self")
	var found []*setting
	for _, path := range ownMounts {
		s := r.unset(wanted{"", path, ""})
		s.valueErr = err
		for _, m := range mounts {
			if m.Path == path {
				s.give(m.Type)
				s.values = append(slices.Clone(m.Options), m.SuperOptions...)
			}
		}
		found = append(found, s)
	}
	return found
}

// bootloader are the facts of GRUB's configuration that decide who may change how the host starts.
func bootloader(r *reader) []*setting {
	files := []string{"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/user.cfg", "/boot/grub2/user.cfg"}
	files = append(files, "/boot/grub/custom.cfg", "/boot/grub2/custom.cfg")
	var lines []line
	exists := false
	for _, file := range files {
		text, ok := r.text(file)
		exists = exists || ok
		eachLine(text, "#", func(number int64, text string) {
			if grubPassword.MatchString(text) || grubUserSetting.MatchString(text) {
				lines = append(lines, line{path: file, number: number, name: "password_is_asked", value: "yes"})
			}
			if m := grubSuperusers.FindStringSubmatch(text); m != nil && m[1] != "" {
				lines = append(lines, line{path: file, number: number, name: "superusers", value: m[1]})
			}
		})
	}
	if !exists && len(r.misses) == 0 {
		return nil
	}
	return r.last(lines, builtIn("", "password_is_asked", "", "superusers", ""))
}

// rareModules are modules that few hosts need and that users can have loaded by mounting, plugging in or opening a socket.
var rareModules = []string{
	"cramfs", "freevxfs", "jffs2", "hfs", "hfsplus", "squashfs", "udf", "minix", "qnx4", "ufs", "sysv", "gfs2", "ksmbd",
	"usb-storage", "uas", "firewire-core", "firewire-ohci", "thunderbolt", "bluetooth", "pcspkr", "floppy",
	"dccp", "sctp", "rds", "tipc", "can", "atm", "ax25", "netrom", "rose", "x25", "appletalk", "ipx", "decnet", "llc2",
	"ieee802154", "phonet", "n_hdlc", "nfc", "vivid", "vsock",
}

var modprobeLine = regexp.MustCompile(`^\s*(install|blacklist)\s+([\w-]+)\s*(\S*)`)

// modulePolicy says of each of these whether it is loaded, builtin, available, blacklisted (only by hand), disabled
// (not even so), or absent: the kernel has no such module.
func modulePolicy(r *reader) []*setting {
	root := fact.Tree(r.env)
	release, err := root.ReadText("/proc/sys/kernel/osrelease")
	if err != nil || strings.Contains(release, "/") {
		return nil
	}
	rules := map[string]string{}
	k := kindOfFile{dropIns: []string{"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"}, syntax: whole}
	lines, _ := k.lines(r)
	for _, l := range lines {
		m := modprobeLine.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		name := strings.ReplaceAll(m[2], "-", "_")
		switch ends := strings.HasSuffix(m[3], "/false") || strings.HasSuffix(m[3], "/true"); {
		case m[1] == "install" && ends:
			rules[name] = "disabled"
		case m[1] == "blacklist" && rules[name] == "":
			rules[name] = "blacklisted"
		}
	}
	state, known := moduleStates(r, root, release)
	var found []*setting
	for _, name := range rareModules {
		s := r.unset(wanted{"", name, ""})
		kernelName := strings.ReplaceAll(name, "-", "_")
		switch has := state[kernelName]; {
		case !known && has == "":
			s.valueErr = fmt.Errorf("modules of kernel %s are not to be seen", release)
		case has == "":
			s.give("absent")
		case has == "available" && rules[kernelName] != "":
			s.give(rules[kernelName])
		default:
			s.give(has)
		}
		if s.valueErr == nil {
			s.valueErr = r.missed()
		}
		found = append(found, s)
	}
	return found
}

// maxModuleBytes bounds modules.dep: a kernel with all modules has 700 KB.
const maxModuleBytes = 16 << 20

// moduleStates are loaded, builtin or available; known is false where the kernel's directory of modules is missing
// though the kernel takes modules.
func moduleStates(r *reader, root procfs.FS, release string) (state map[string]string, known bool) {
	state = map[string]string{}
	for file, word := range map[string]string{"modules.dep": "available", "modules.builtin": "builtin"} {
		data, err := content.ReadFile(r.env, "/lib/modules/"+release+"/"+file, maxModuleBytes)
		if err != nil {
			continue
		}
		known = true
		for name := range procfs.ModuleFiles(data) {
			if word == "builtin" || state[name] == "" {
				state[name] = word
			}
		}
	}
	modules, err := root.ReadModules()
	if err != nil && procfs.IsAbsent(err) {
		return state, true // a kernel without modules has what it has
	}
	for _, m := range modules {
		state[m.Name] = "loaded"
	}
	return state, known
}

// group is a task of which hosts need one program.
type group struct {
	name     string
	programs []string // files
	names    []string // names of their processes, at most 15 bytes
}

var groups = []group{
	{"time_synchronization", []string{"/usr/sbin/chronyd", "/usr/sbin/ntpd", "/usr/sbin/ntpsec", "/lib/systemd/systemd-timesyncd", "/usr/lib/systemd/systemd-timesyncd", "/usr/sbin/openntpd"},
		[]string{"chronyd", "ntpd", "ntpsec", "systemd-timesyn", "openntpd"}},
	{"audit", []string{"/usr/sbin/auditd", "/sbin/auditd"}, []string{"auditd"}},
	{"log", []string{"/usr/sbin/rsyslogd", "/usr/sbin/syslog-ng", "/sbin/syslogd", "/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald"},
		[]string{"rsyslogd", "syslog-ng", "syslogd", "systemd-journal", "metalog"}},
	{"cron", []string{"/usr/sbin/cron", "/usr/sbin/crond", "/usr/sbin/fcron"}, []string{"cron", "crond", "fcron"}},
	{"integrity", []string{"/usr/bin/aide", "/usr/sbin/aide", "/usr/sbin/tripwire", "/usr/sbin/samhain", "/var/ossec/bin/wazuh-control", "/usr/bin/debsums", "/usr/bin/osqueryd"},
		[]string{"samhain", "wazuh-syscheckd", "ossec-syscheckd", "osqueryd"}},
	{"intrusion_prevention", []string{"/usr/bin/fail2ban-server", "/usr/bin/crowdsec", "/usr/sbin/sshguard"}, []string{"fail2ban-server", "crowdsec", "sshguard"}},
	{"firewall", []string{"/usr/sbin/ufw", "/usr/sbin/firewalld", "/usr/sbin/nft", "/usr/sbin/iptables", "/sbin/iptables"}, []string{"firewalld"}},
	{"automount", []string{"/usr/sbin/automount"}, []string{"automount"}},
	{"avahi", []string{"/usr/sbin/avahi-daemon"}, []string{"avahi-daemon"}},
	{"printing", []string{"/usr/sbin/cupsd"}, []string{"cupsd", "cups-browsed"}},
	{"portmapper", []string{"/sbin/rpcbind", "/usr/sbin/rpcbind", "/usr/bin/rpcbind"}, []string{"rpcbind"}},
	{"superserver", []string{"/usr/sbin/xinetd", "/usr/sbin/inetd"}, []string{"xinetd", "inetd", "openbsd-inetd"}},
	{"desktop", []string{"/usr/bin/Xorg", "/usr/lib/xorg/Xorg", "/usr/bin/gnome-shell", "/usr/bin/kwin_wayland"}, []string{"Xorg", "gnome-shell", "kwin_wayland", "Xwayland"}},
	{"prelink", []string{"/usr/sbin/prelink"}, nil},
	{"sudo", []string{"/usr/bin/sudo", "/usr/bin/doas"}, nil},
	{"log_rotation", []string{"/usr/sbin/logrotate"}, nil},
	{"updates", []string{"/usr/bin/unattended-upgrade", "/usr/bin/dnf-automatic", "/usr/sbin/yum-cron", "/usr/libexec/dnf-automatic"}, []string{"unattended-upgr", "packagekitd"}},
}

// software tells which programs for a task are there.
func software(r *reader) []*setting {
	var found []*setting
	for _, g := range groups {
		s := r.unset(wanted{"", g.name, ""})
		s.values = []string{}
		for _, program := range g.programs {
			if r.exists(program) {
				s.values = append(s.values, program)
			}
		}
		s.isSet, s.valueErr = len(s.values) > 0, r.missed()
		found = append(found, s)
	}
	return found
}

// running tells which of them run; kernel threads are none of them.
func running(r *reader) []*setting {
	root := fact.Tree(r.env)
	pids, err := root.ReadPIDs()
	names := map[string]bool{}
	for _, pid := range pids {
		// A process that ends meanwhile is none that runs.
		if stat, statErr := root.ReadStat(fmt.Sprint(pid)); statErr == nil && !stat.IsKernelThread() && !stat.IsExiting() {
			names[stat.Comm] = true
		}
	}
	if !root.IsLive() && len(pids) == 0 {
		return nil
	}
	var found []*setting
	for _, g := range groups {
		if g.names == nil {
			continue
		}
		s := r.unset(wanted{"", g.name, ""})
		s.values, s.valueErr = []string{}, err
		for _, name := range g.names {
			if names[name] {
				s.values = append(s.values, name)
			}
		}
		s.isSet = len(s.values) > 0
		found = append(found, s)
	}
	return found
}
