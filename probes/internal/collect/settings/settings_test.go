package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect/fact/facttest"
)

// read collects a tree and gives each record by "kind section name", or "kind name item" where lines count.
func read(t *testing.T, files map[string]string) map[string]facttest.Record {
	t.Helper()
	tree := facttest.NewTree(t)
	for path, text := range files {
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			tree.Link(path, target)
		} else {
			tree.Write(path, text)
		}
	}
	return collectTree(t, tree)
}

func collectTree(t *testing.T, tree *facttest.Tree) map[string]facttest.Record {
	t.Helper()
	found := map[string]facttest.Record{}
	facttest.Collect(t, Collectors(), tree.Env(), "setting", func(r facttest.Record) {
		s := r.Rec.(*setting)
		key := strings.Join(slices.DeleteFunc([]string{s.kind, s.section, s.name, s.item}, func(part string) bool { return part == "" }), " ")
		if _, twice := found[key]; twice {
			t.Errorf("two records for %q", key)
		}
		found[key] = r
	})
	return found
}

// expect compares values of records, as "value from path:line"; "-" is no value, "built in" no path.
func expect(t *testing.T, found map[string]facttest.Record, want map[string]string) {
	t.Helper()
	for key, text := range want {
		r, ok := found[key]
		if !ok {
			t.Errorf("no record for %q", key)
			continue
		}
		value := "-"
		if v := r.Get("value"); v != nil {
			value = v.(string)
		}
		from := " built in"
		if path := r.Get("path"); path != nil {
			from = fmt.Sprintf(" from %s:%v", path, r.Get("line_number"))
		}
		if got := value + from; got != text {
			t.Errorf("%s: got %q, want %q", key, got, text)
		}
	}
}

func TestTheFirstValueOfASettingOfSshdHoldsAlsoThroughIncludes(t *testing.T) {
	found := read(t, map[string]string{
		"/etc/ssh/sshd_config": "# c\nInclude sshd_config.d/*.conf\nPermitRootLogin no\nport=2200\nPort 2201\nLoginGraceTime 1h30m\n" +
			"ChallengeResponseAuthentication no\nMatch User backup Address 192.0.2.1\n  PermitRootLogin yes\n  X11Forwarding yes\nMatch all\nMaxAuthTries 3\n",
		"/etc/ssh/sshd_config.d/10-a.conf": "PermitRootLogin yes # for a day\nMatch Group sftp\nForceCommand internal-sftp\n",
		"/etc/ssh/sshd_config.d/skip.txt":  "Banner /etc/issue\n",
	})

	expect(t, found, map[string]string{
		"sshd permitrootlogin": "yes from /etc/ssh/sshd_config.d/10-a.conf:1",
		"sshd match User backup Address 192.0.2.1 permitrootlogin": "yes from /etc/ssh/sshd_config:9",
		"sshd match Group sftp forcecommand":                       "internal-sftp from /etc/ssh/sshd_config.d/10-a.conf:3",
		"sshd kbdinteractiveauthentication":                        "no from /etc/ssh/sshd_config:7",
		"sshd maxauthtries":                                        "3 from /etc/ssh/sshd_config:12",
		"sshd x11forwarding":                                       "no built in",
		"sshd banner":                                              "none built in",
		"sshd access_is_limited":                                   "no built in",
		"sshd ciphers":                                             "- built in",
	})
	found["sshd port"].Expect(map[string]any{"value": "2200 2201", "values": []string{"2200", "2201"}, "is_set": true, "number": nil})
	found["sshd logingracetime"].Expect(map[string]any{"number": int64(5400), "is_set": true})
	found["sshd maxsessions"].Expect(map[string]any{"number": int64(10), "is_set": false, "file_mode": nil, "origin": "built in"})
	found["sshd maxauthtries"].Expect(map[string]any{"origin": "/etc/ssh/sshd_config line 12"})
	found["sshd permitrootlogin"].Expect(map[string]any{"file_mode": "0644"})
}

func TestWithoutAnSshServerThereAreNoSettingsOfOne(t *testing.T) {
	for key := range read(t, map[string]string{"/etc/passwd": ""}) {
		if strings.HasPrefix(key, "sshd") {
			t.Errorf("%s", key)
		}
	}
	expect(t, read(t, map[string]string{"/usr/sbin/sshd": ""}), map[string]string{"sshd usepam": "no built in"})
}

func TestSshdLimitsAccessWhenItNamesUsersOrGroups(t *testing.T) {
	for text, want := range map[string]string{"AllowGroups ops\n": "yes", "DenyUsers x\n": "yes", "UsePAM yes\n": "no", "Match User x\nAllowUsers x\n": "no"} {
		expect(t, read(t, map[string]string{"/etc/ssh/sshd_config": text}), map[string]string{"sshd access_is_limited": want + " built in"})
	}
}

func TestWhatFollowsAnUnreadableIncludeIsUnknown(t *testing.T) {
	tree := facttest.NewTree(t)
	tree.Write("/etc/ssh/sshd_config", "UsePAM yes\nInclude extra.conf\nPermitRootLogin no\n")
	tree.Write("/etc/ssh/extra.conf", strings.Repeat("#", maxFileBytes+1))

	found := collectTree(t, tree)

	expect(t, found, map[string]string{"sshd usepam": "yes from /etc/ssh/sshd_config:1"})
	for _, key := range []string{"sshd permitrootlogin", "sshd maxauthtries"} {
		if v, err := found[key].Try("value"); err == nil {
			t.Errorf("%s is known: %v", key, v)
		}
	}
	unknown := found["sshd"]
	if _, err := unknown.Try("name"); err == nil {
		t.Error("the settings of the unreadable file have a name")
	}
	unknown.Expect(map[string]any{"kind": "sshd", "path": "/etc/ssh/extra.conf"})
}

func TestDropInsComeAfterTheFileByNameAndTheFirstDirectoryWins(t *testing.T) {
	found := read(t, map[string]string{
		"/etc/systemd/journald.conf":                  "[Journal]\nStorage=volatile\n#Seal=no\n",
		"/etc/systemd/journald.conf.d/50-b.conf":      "[Journal]\nStorage=persistent\n",
		"/usr/lib/systemd/journald.conf.d/50-b.conf":  "[Journal]\nStorage=none\n",
		"/usr/lib/systemd/journald.conf.d/10-a.conf":  "[Journal]\nCompress=no\n",
		"/etc/sysctl.conf":                            "kernel.kptr_restrict = 2\n",
		"/usr/lib/sysctl.d/50-default.conf":           "kernel.kptr_restrict=1\n-net.ipv4.ip_forward = 0\n",
		"/etc/security/limits.d/core.conf":            "* - core 0\n@dev soft nofile 10\n",
		"/etc/systemd/journald.conf.d/ignored.backup": "[Journal]\nSeal=no\n",
	})

	expect(t, found, map[string]string{
		"journald Journal Storage":         "persistent from /etc/systemd/journald.conf.d/50-b.conf:2",
		"journald Journal Compress":        "no from /usr/lib/systemd/journald.conf.d/10-a.conf:2",
		"journald Journal Seal":            "yes built in",
		"sysctl_file kernel.kptr_restrict": "2 from /etc/sysctl.conf:1",
		"limits * hard core":               "0 from /etc/security/limits.d/core.conf:1",
		"limits @dev soft nofile":          "10 from /etc/security/limits.d/core.conf:2",
	})
}

func TestStacksOfPAMHaveTheirIncludesPutIn(t *testing.T) {
	found := read(t, map[string]string{
		"/etc/pam.d/sshd":             "@include common-auth\nauth\t[success=1 default=ignore] /lib/security/pam_x.so a=b\naccount include system\n-session optional pam_systemd.so\n",
		"/etc/pam.d/common-auth":      "auth required pam_faillock.so \\\n  preauth deny=4\n",
		"/etc/pam.d/system":           "account required pam_unix.so\npassword required pam_unix.so\n",
		"/etc/pam.d/su":               "@include su\n",
		"/etc/security/faillock.conf": "deny = 3\nsilent\nunlock_time = 0\n",
	})

	found["pam_stack sshd"].Expect(map[string]any{"values": []string{"auth required pam_faillock.so preauth deny=4",
		"auth [success=1 default=ignore] pam_x.so a=b", "account required pam_unix.so", "session optional pam_systemd.so"}})
	expect(t, found, map[string]string{"faillock unlock_time": "0 from /etc/security/faillock.conf:3"})
	found["faillock deny"].Expect(map[string]any{"value": "4", "path": "/etc/pam.d/sshd"})
	if _, err := found["pam_stack su"].Try("values"); err == nil {
		t.Error("a stack that includes itself is known")
	}
}

func TestTheFileOfAModuleThatNoStackUsesHoldsForNobody(t *testing.T) {
	files := map[string]string{"/etc/security/faillock.conf": "deny = 3\n", "/etc/pam.d/sshd": "auth required pam_unix.so\n"}
	if _, ok := read(t, files)["faillock deny"]; ok {
		t.Error("a module that is not used has settings")
	}
	files["/etc/pam.d/sshd"] += "auth required pam_faillock.so preauth\n"
	expect(t, read(t, files), map[string]string{"faillock deny": "3 from /etc/security/faillock.conf:1", "faillock unlock_time": "600 built in"})
}

func TestSecretsAreHidden(t *testing.T) {
	found := read(t, map[string]string{
		"/etc/snmp/snmpd.conf":  "rocommunity public default\nrwcommunity s3cret 10.0.0.0/8\ncom2sec local localhost hush\ncreateUser me SHA longpass AES\nagentaddress udp:161\ntrapsess -c other host\n",
		"/etc/redis.conf":       "requirepass \"hunter2\"\nbind 127.0.0.1\n",
		"/etc/fstab":            "//server/share /mnt cifs user=a,password=hunter3 0 0\n",
		"/etc/apt/sources.list": "deb [trusted=yes] https://me:hunter4@deb.example.org/x stable main\n",
	})

	var all strings.Builder
	for _, r := range found {
		for _, field := range []string{"value", "values", "item"} {
			v, err := r.Try(field)
			fmt.Fprintln(&all, v, err)
		}
	}
	for _, secret := range []string{"s3cret", "hush", "longpass", "other", "hunter"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	for _, shown := range []string{"public default", "*** 10.0.0.0/8", "local localhost ***", "https://me:***@deb.example.org/x"} {
		if !strings.Contains(all.String(), shown) {
			t.Errorf("%s is not shown in:\n%s", shown, all.String())
		}
	}
	found["redis requirepass"].Expect(map[string]any{"value": "***", "is_set": true})
}

func TestListsOfSettingsAreTakenApart(t *testing.T) {
	found := read(t, map[string]string{
		"/etc/sudoers":                      "Defaults env_reset, secure_path=\"/a:/b,c\"\nDefaults:ann !authenticate\nDefaults !use_pty\n#includedir x\n",
		"/etc/sudoers.d/log":                "Defaults logfile=/var/log/sudo.log\n",
		"/etc/sudoers.d/log.bak":            "Defaults rootpw\n",
		"/etc/docker/daemon.json":           `{"icc": false, "insecure-registries": ["a:5000", "b"], "log-opts": {"max-size": "1m"}}`,
		"/etc/apt/apt.conf.d/20auto":        "APT::Periodic::Unattended-Upgrade \"1\";\n// no\nAcquire { AllowInsecureRepositories \"true\"; http { Proxy \"x\"; }; };\n",
		"/usr/bin/apt-get":                  "",
		"/etc/audit/rules.d/a.rules":        "-w /etc/passwd -p wa -k identity\n# c\n-e 2\n",
		"/etc/rsyslog.conf":                 "$FileCreateMode 0640\n*.* @@log.example.org:514\n",
		"/etc/rsyslog.d/in.conf":            "module(load=\"imudp\")\n",
		"/etc/profile":                      "if x; then umask 022; fi\n",
		"/etc/profile.d/t.sh":               "readonly TMOUT=600 ; export TMOUT\n  umask 027\n",
		"/etc/exports":                      "/srv *(rw,no_root_squash)\n",
		"/etc/yum.repos.d/x.repo":           "[x]\ngpgcheck=0\n[y]\ngpgcheck = 1\n",
		"/etc/apt/sources.list.d/d.sources": "Types: deb\nURIs: https://a.example.org\nTrusted: yes\n\nEnabled: no\nURIs: https://b.example.org\n",
		"/etc/crontab":                      "",
		"/etc/cron.allow":                   "root\nann\n",
		"/boot/grub/grub.cfg":               "set superusers=\"boss\"\npassword_pbkdf2 boss grub.pbkdf2.sha512.10000.AB\n",
	})

	expect(t, found, map[string]string{
		"sudo env_reset":                         "yes from /etc/sudoers:1",
		"sudo secure_path":                       "/a:/b,c from /etc/sudoers:1",
		"sudo use_pty":                           "no from /etc/sudoers:3",
		"sudo logfile":                           "/var/log/sudo.log from /etc/sudoers.d/log:1",
		"sudo rootpw":                            "no built in",
		"sudo authenticate":                      "yes built in",
		"docker icc":                             "false from /etc/docker/daemon.json:<nil>",
		"docker live-restore":                    "false built in",
		"apt APT::Periodic::Unattended-Upgrade":  "1 from /etc/apt/apt.conf.d/20auto:1",
		"apt Acquire::AllowInsecureRepositories": "true from /etc/apt/apt.conf.d/20auto:3",
		"apt Acquire::http::Proxy":               "x from /etc/apt/apt.conf.d/20auto:3",
		"apt APT::Get::AllowUnauthenticated":     "false built in",
		"rsyslog FileCreateMode":                 "0640 from /etc/rsyslog.conf:1",
		"rsyslog forward":                        "*.* @@log.example.org:514 from /etc/rsyslog.conf:2",
		"rsyslog listen":                         "module(load=\"imudp\") from /etc/rsyslog.d/in.conf:1",
		"shell umask":                            "027 from /etc/profile.d/t.sh:2",
		"shell TMOUT":                            "600 from /etc/profile.d/t.sh:1",
		"yum_repo x gpgcheck":                    "0 from /etc/yum.repos.d/x.repo:2",
		"yum_repo y gpgcheck":                    "1 from /etc/yum.repos.d/x.repo:4",
		"access cron.allow":                      "root ann from /etc/cron.allow:<nil>",
		"access cron.deny":                       "- built in",
		"bootloader superusers":                  "boss from /boot/grub/grub.cfg:1",
		"bootloader password_is_asked":           "yes from /boot/grub/grub.cfg:2",
	})
	found["docker insecure-registries"].Expect(map[string]any{"values": []string{"a:5000", "b"}})
	found["audit_rules rules"].Expect(map[string]any{"values": []string{"-w /etc/passwd -p wa -k identity", "-e 2"}})
	if _, ok := found["exports /srv /srv *(rw,no_root_squash)"]; !ok {
		t.Error("no line of exports")
	}
	if _, ok := found["apt_source source Types: deb; URIs: https://a.example.org; Trusted: yes"]; !ok {
		t.Errorf("no source of apt")
	}
	for key := range found {
		if strings.Contains(key, "b.example.org") {
			t.Errorf("a source that is switched off: %s", key)
		}
	}
}

func TestModulesAreLoadedAvailableDisabledOrAbsent(t *testing.T) {
	files := map[string]string{
		"/proc/sys/kernel/osrelease":         "6.1.0\n",
		"/proc/modules":                      "sctp 1 0 - Live 0x0\n",
		"/lib/modules/6.1.0/modules.dep":     "kernel/a/cramfs.ko.xz:\nkernel/a/udf.ko: kernel/b.ko\nkernel/n/sctp.ko:\nkernel/n/dccp.ko:\nkernel/u/usb-storage.ko:\n",
		"/lib/modules/6.1.0/modules.builtin": "kernel/a/squashfs.ko\n",
		"/etc/modprobe.d/x.conf":             "install udf /bin/false\nblacklist usb_storage\ninstall dccp /sbin/modprobe --ignore-install dccp\ninstall sctp /bin/true\n",
	}
	found := read(t, files)

	expect(t, found, map[string]string{
		"module cramfs": "available built in", "module udf": "disabled built in", "module usb-storage": "blacklisted built in",
		"module dccp": "available built in", "module sctp": "loaded built in", "module squashfs": "builtin built in", "module hfs": "absent built in",
	})

	delete(files, "/lib/modules/6.1.0/modules.dep")
	delete(files, "/lib/modules/6.1.0/modules.builtin")
	if v, err := read(t, files)["module cramfs"].Try("value"); err == nil {
		t.Errorf("without the directory of modules the state is known: %v", v)
	}
}

func TestSoftwareMountsAndProcessesAreToldWhereTheyAreMissing(t *testing.T) {
	found := read(t, map[string]string{
		"/usr/sbin/chronyd": "", "/proc/self/mountinfo": "22 1 0:20 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1k\n",
		"/proc/7/stat": "7 (chronyd) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n",
	})

	found["software time_synchronization"].Expect(map[string]any{"is_set": true, "values": []string{"/usr/sbin/chronyd"}})
	found["software audit"].Expect(map[string]any{"is_set": false, "values": []string{}})
	found["running time_synchronization"].Expect(map[string]any{"is_set": true, "values": []string{"chronyd"}})
	found["running audit"].Expect(map[string]any{"is_set": false})
	found["mount_point /tmp"].Expect(map[string]any{"is_set": true, "value": "tmpfs", "values": []string{"rw", "nosuid", "rw", "size=1k"}})
	found["mount_point /home"].Expect(map[string]any{"is_set": false, "value": nil})
}

func TestAConfigurationThatEndsNowhereIsBounded(t *testing.T) {
	tree := facttest.NewTree(t)
	tree.Write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config\nUsePAM yes\n")
	tree.Write("/etc/login.defs", strings.Repeat("A b\n", maxLines+10)+"UMASK 077\n")
	tree.Write("/etc/docker/daemon.json", "{not json")
	big := filepath.Join(tree.Root, "etc/sudoers")
	if err := os.WriteFile(big, make([]byte, maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}

	found := collectTree(t, tree)

	if _, err := found["docker icc"].Try("value"); err == nil {
		t.Error("a broken daemon.json tells what holds")
	}
	if _, err := found["sudo use_pty"].Try("value"); err == nil {
		t.Error("a file above the bound tells what holds")
	}
}

// FuzzSyntaxes holds the parsers to: no panic, names without blanks around them, and at most one setting a token.
func FuzzSyntaxes(f *testing.F) {
	for _, s := range []string{"a = b # c", "[s]\na=\"x\"", "A { B \"c\"; };", "* - core 0", "umask 027", "\xff\x00=", "[", "}};"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []syntax{blanks, equals, whole, limitLine, shellSettings, aptSyntax} {
			count := 0
			parse(text, func(l line) {
				if count++; strings.Trim(l.name, " \t\n\v\f\r") != l.name {
					t.Errorf("%q", l.name)
				}
			})
			if count > len(text)+1 {
				t.Errorf("%d settings of %d bytes", count, len(text))
			}
		}
		pamWords(text)
		splitQuoted(text)
		parseNumber("sshd", text)
	})
}
