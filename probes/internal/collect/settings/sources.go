package settings

// kinds are the kinds of settings in the order they are read.
func kinds() []string {
	var names []string
	for _, s := range sources() {
		names = append(names, s.kind)
	}
	return names
}

func sources() []source {
	return []source{
		{"sshd", sshServer.read},
		{"ssh", sshClient.read},
		{"login_defs", kindOfFile{syntax: blanks, files: []string{"/etc/login.defs", "/usr/etc/login.defs"},
			wanted: builtIn("", "PASS_MAX_DAYS", "", "PASS_MIN_DAYS", "", "PASS_WARN_AGE", "", "UMASK", "", "HOME_MODE", "",
				"ENCRYPT_METHOD", "", "LOGIN_RETRIES", "", "LOG_OK_LOGINS", "", "SHA_CRYPT_MIN_ROUNDS", "")}.read},
		{"useradd", kindOfFile{syntax: equals, files: []string{"/etc/default/useradd", "/usr/etc/default/useradd"},
			wanted: builtIn("", "INACTIVE", "-1", "SHELL", "")}.read},
		{"pwquality", moduleSettings(kindOfFile{syntax: equals, files: []string{"/etc/security/pwquality.conf"},
			dropIns: []string{"/etc/security/pwquality.conf.d"}, wanted: builtIn("", "minlen", "8", "minclass", "0",
				"dcredit", "0", "ucredit", "0", "lcredit", "0", "ocredit", "0", "difok", "1", "maxrepeat", "0",
				"maxsequence", "0", "dictcheck", "1", "enforcing", "1", "enforce_for_root", "", "retry", "1")},
			"pam_pwquality.so", "pam_cracklib.so", "pam_passwdqc.so")},
		{"faillock", moduleSettings(kindOfFile{syntax: equals, files: []string{"/etc/security/faillock.conf"},
			wanted: builtIn("", "deny", "3", "unlock_time", "600", "fail_interval", "900", "even_deny_root", "", "audit", "")},
			"pam_faillock.so", "pam_tally2.so")},
		{"pwhistory", moduleSettings(kindOfFile{syntax: equals, files: []string{"/etc/security/pwhistory.conf"},
			wanted: builtIn("", "remember", "10", "enforce_for_root", "")}, "pam_pwhistory.so")},
		{"pam_stack", stacks},
		{"limits", limits},
		{"sudo", sudoDefaults},
		{"access", accessFiles},
		{"shell", shellDefaults},
		{"auditd", kindOfFile{syntax: equals, files: []string{"/etc/audit/auditd.conf"}, markers: []string{"/usr/sbin/auditd", "/sbin/auditd"},
			wanted: builtIn("", "max_log_file", "", "max_log_file_action", "", "space_left_action", "",
				"admin_space_left_action", "", "disk_full_action", "", "disk_error_action", "", "log_file", "",
				"num_logs", "", "flush", "", "local_events", "yes", "write_logs", "yes")}.read},
		{"audit_rules", auditRules},
		{"journald", systemdKind("journald", "Journal", "Storage", "auto", "Compress", "yes", "Seal", "yes",
			"ForwardToSyslog", "", "SystemMaxUse", "", "MaxRetentionSec", "0", "RateLimitBurst", "10000")},
		{"coredump", systemdKind("coredump", "Coredump", "Storage", "external", "ProcessSizeMax", "")},
		{"logind", systemdKind("logind", "Login", "KillUserProcesses", "", "StopIdleSessionSec", "", "IdleAction", "ignore")},
		{"resolved", systemdKind("resolved", "Resolve", "DNSSEC", "", "DNSOverTLS", "", "LLMNR", "yes", "MulticastDNS", "yes",
			"DNS", "", "FallbackDNS", "")},
		{"timesyncd", systemdKind("timesyncd", "Time", "NTP", "", "FallbackNTP", "")},
		{"systemd", kindOfFile{syntax: equals, files: []string{"/etc/systemd/system.conf", "/usr/lib/systemd/system.conf", "/lib/systemd/system.conf"},
			dropIns: []string{"/etc/systemd/system.conf.d", "/run/systemd/system.conf.d", "/usr/lib/systemd/system.conf.d"},
			markers: []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"},
			wanted:  builtIn("Manager", "CtrlAltDelBurstAction", "reboot-force", "DumpCore", "yes", "DefaultLimitCORE", "")}.read},
		{"rsyslog", rsyslog},
		{"chrony", kindOfFile{syntax: whole, files: []string{"/etc/chrony/chrony.conf", "/etc/chrony.conf"}, each: true,
			dropIns: []string{"/etc/chrony/conf.d", "/etc/chrony.d"}}.read},
		{"ntp", kindOfFile{syntax: whole, files: []string{"/etc/ntpsec/ntp.conf", "/etc/ntp.conf"}, each: true}.read},
		{"snmpd", snmpd},
		{"exports", kindOfFile{syntax: whole, files: []string{"/etc/exports"}, dropIns: []string{"/etc/exports.d"},
			suffix: ".exports", each: true}.read},
		{"samba", kindOfFile{syntax: equals, files: []string{"/etc/samba/smb.conf"},
			wanted: builtIn("global", "server min protocol", "SMB2_02", "map to guest", "Never", "server signing", "default",
				"ntlm auth", "ntlmv2-only", "restrict anonymous", "0")}.read},
		{"vsftpd", kindOfFile{syntax: equals, files: []string{"/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"},
			wanted: builtIn("", "anonymous_enable", "YES", "ssl_enable", "NO", "local_enable", "NO", "write_enable", "NO",
				"chroot_local_user", "NO", "anon_upload_enable", "NO")}.read},
		{"postfix", kindOfFile{syntax: equals, files: []string{"/etc/postfix/main.cf"}, skipBlank: true,
			wanted: builtIn("", "inet_interfaces", "all", "smtpd_tls_security_level", "", "disable_vrfy_command", "no",
				"mynetworks", "", "relayhost", "", "smtpd_relay_restrictions", "")}.read},
		{"redis", kindOfFile{syntax: blanks, files: []string{"/etc/redis/redis.conf", "/etc/redis.conf", "/etc/valkey/valkey.conf"},
			wanted: builtIn("", "bind", "", "protected-mode", "yes", "requirepass", "", "port", "6379",
				"enable-debug-command", "no", "enable-module-command", "no", "tls-port", "")}.read},
		{"docker", docker},
		{"apt", apt},
		{"apt_source", aptSources},
		{"dnf", kindOfFile{syntax: equals, files: []string{"/etc/dnf/dnf.conf", "/etc/yum.conf", "/etc/zypp/zypp.conf"},
			wanted: builtIn("main", "gpgcheck", "0", "localpkg_gpgcheck", "0", "repo_gpgcheck", "0", "sslverify", "1")}.read},
		{"yum_repo", kindOfFile{syntax: equals, dropIns: []string{"/etc/yum.repos.d", "/etc/zypp/repos.d"}, suffix: ".repo"}.read},
		{"apk_repository", kindOfFile{syntax: whole, files: []string{"/etc/apk/repositories"}, each: true}.read},
		{"sysctl_file", kindOfFile{syntax: equals, files: []string{"/etc/sysctl.conf"}, mainLast: true,
			dropIns: []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}}.read},
		{"fstab", fstab},
		{"mount_point", mountPoints},
		{"bootloader", bootloader},
		{"module", modulePolicy},
		{"software", software},
		{"running", running},
	}
}

// systemdKind is one of systemd's own configuration files, systemd-system.conf(5).
func systemdKind(name, section string, pairs ...string) func(r *reader) []*setting {
	k := kindOfFile{syntax: equals, wanted: builtIn(section, pairs...)}
	for _, dir := range []string{"/etc/systemd/", "/run/systemd/", "/usr/lib/systemd/", "/lib/systemd/"} {
		k.files = append(k.files, dir+name+".conf")
		k.dropIns = append(k.dropIns, dir+name+".conf.d")
		k.markers = append(k.markers, dir+"systemd-"+name)
	}
	return k.read
}
