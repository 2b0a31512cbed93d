package settings

import (
	"encoding/json"
	"regexp"
	"strings"

	"sandfly/probes/internal/seq"
)

// limits are limits.conf(5): section is whom a limit is for, the name is its type and item, as "hard core".
func limits(r *reader) []*setting {
	k := kindOfFile{files: []string{"/etc/security/limits.conf"}, dropIns: []string{"/etc/security/limits.d"}, syntax: limitLine}
	lines, exists := k.lines(r)
	if !exists && len(r.misses) == 0 {
		return nil
	}
	return r.last(lines, []wanted{{"*", "hard core", ""}})
}

func limitLine(text string, use func(line)) {
	eachLine(text, "#", func(number int64, text string) {
		words := strings.Fields(text)
		if len(words) < 4 {
			return
		}
		types := []string{words[1]}
		if words[1] == "-" {
			types = []string{"soft", "hard"}
		}
		for _, kind := range types {
			use(line{number: number, section: words[0], name: kind + " " + words[2], value: words[3], text: text})
		}
	})
}

// sudoDefaults are Defaults of sudoers(5) that hold for everybody; "!" in front of one is the value "no".
func sudoDefaults(r *reader) []*setting {
	main := r.first("/etc/sudoers")
	if main == "" && len(r.misses) == 0 {
		return nil
	}
	var lines []line
	for _, file := range append([]string{"/etc/sudoers"}, r.matching("/etc/sudoers.d/*")...) {
		if strings.ContainsAny(file[len("/etc/sudoers"):], "~") || strings.Contains(file[strings.LastIndexByte(file, '/'):], ".") {
			continue // sudo passes these over
		}
		text, _ := r.text(file)
		eachLine(text, "#", func(number int64, text string) {
			rest, ok := strings.CutPrefix(text, "Defaults")
			if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' {
				return
			}
			for _, option := range splitQuoted(rest) {
				option, off := strings.CutPrefix(option, "!")
				name, value, given := strings.Cut(option, "=")
				if value = unquote(value); off {
					value = "no"
				} else if !given {
					value = "yes"
				}
				lines = append(lines, line{path: file, number: number, name: strings.TrimRight(name, " +-"), value: value})
			}
		})
	}
	return r.last(lines, builtIn("", "use_pty", "", "logfile", "", "log_output", "no", "timestamp_timeout", "", "env_reset", "yes",
		"requiretty", "no", "secure_path", "", "passwd_tries", "3", "authenticate", "yes", "targetpw", "no", "rootpw", "no", "runaspw", "no"))
}

// splitQuoted divides at commas that are not in quotes.
func splitQuoted(text string) []string {
	var parts []string
	quoted, start := false, 0
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts, start = append(parts, strings.TrimSpace(text[start:i])), i+1
		}
	}
	return append(parts, strings.TrimSpace(text[start:]))
}

// accessFiles are the lists of users that cron and at let in, and the banners; the value of a list are its users.
func accessFiles(r *reader) []*setting {
	var found []*setting
	for _, list := range []struct {
		markers []string
		files   []string
	}{
		{[]string{"/etc/crontab", "/usr/sbin/cron", "/usr/sbin/crond"}, []string{"/etc/cron.allow", "/etc/cron.deny"}},
		{[]string{"/usr/bin/at"}, []string{"/etc/at.allow", "/etc/at.deny"}},
		{[]string{"/usr/sbin/in.ftpd", "/usr/sbin/vsftpd", "/usr/sbin/proftpd"}, []string{"/etc/ftpusers"}},
		{[]string{"/etc"}, []string{"/etc/hosts.equiv", "/etc/shosts.equiv", "/etc/issue", "/etc/issue.net", "/etc/motd", "/etc/nologin"}},
	} {
		if r.first(list.markers...) == "" {
			continue
		}
		for _, file := range list.files {
			name := file[len("/etc/"):]
			s := r.unset(wanted{"", name, ""})
			if r.exists(file) {
				text, ok := r.text(file)
				s.give(strings.Join(strings.Fields(text), " "))
				s.path, s.isSet = file, ok
			}
			s.valueErr = r.missed()
			found = append(found, s)
		}
	}
	return found
}

// shellLine is a line of a start-up script that sets the mask for new files or the time after which a shell ends.
var shellLine = regexp.MustCompile(`(?:^|[;&\s])(?:(umask)\s+(0?[0-7]{3})\b|(?:readonly\s+|export\s+|typeset\s+-\w+\s+|declare\s+-\w+\s+)*(TMOUT)=(\d+))`)

// shellDefaults are what start-up files of all users set, the last value of each.
func shellDefaults(r *reader) []*setting {
	k := kindOfFile{dropIns: []string{"/etc/profile.d"}, suffix: ".sh", syntax: shellSettings}
	var lines []line
	for _, file := range []string{"/etc/profile", "/etc/bash.bashrc", "/etc/bashrc"} {
		main := kindOfFile{files: []string{file}, syntax: shellSettings}
		added, _ := main.lines(r)
		lines = append(lines, added...)
	}
	added, _ := k.lines(r)
	return r.last(append(lines, added...), builtIn("", "umask", "", "TMOUT", ""))
}

func shellSettings(text string, use func(line)) {
	eachLine(text, "#", func(number int64, text string) {
		m := shellLine.FindStringSubmatch(text)
		if m != nil {
			use(line{number: number, name: m[1] + m[3], value: m[2] + m[4], text: text})
		}
	})
}

// auditRules is one setting with all lines that auditctl(8) loads at boot.
func auditRules(r *reader) []*setting {
	if r.first("/usr/sbin/auditctl", "/sbin/auditctl", "/etc/audit/audit.rules", "/etc/audit/rules.d") == "" && len(r.misses) == 0 {
		return nil
	}
	k := kindOfFile{syntax: whole, files: []string{"/etc/audit/audit.rules"}}
	lines, _ := k.lines(r)
	if len(lines) == 0 {
		k = kindOfFile{syntax: whole, dropIns: []string{"/etc/audit/rules.d"}, suffix: ".rules"}
		lines, _ = k.lines(r)
	}
	s := &setting{env: r.env, kind: r.kind, name: "rules", values: []string{}, isSet: len(lines) > 0, valueErr: r.missed()}
	for _, l := range lines {
		s.values, s.path = append(s.values, l.text), l.path
	}
	return []*setting{s}
}

var (
	forwardLine   = regexp.MustCompile(`^[^#$]*\s@@?\[?[\w.:-]+|omfwd|omrelp`)
	listenLine    = regexp.MustCompile(`(?i)(imudp|imtcp|UDPServerRun|InputTCPServerRun|imrelp)`)
	fileModeLine  = regexp.MustCompile(`(?i)FileCreateMode[\s="]+(0?[0-7]{3})`)
	privDropLines = regexp.MustCompile(`(?i)PrivDropToUser[\s="]+([\w-]+)`)
)

// rsyslog are the facts of rsyslog.conf(5) that matter for the safety of logs.
func rsyslog(r *reader) []*setting {
	k := kindOfFile{syntax: whole, files: []string{"/etc/rsyslog.conf"}, dropIns: []string{"/etc/rsyslog.d"}}
	all, exists := k.lines(r)
	if !exists && len(r.misses) == 0 {
		return nil
	}
	var lines []line
	for _, l := range all {
		add := func(name, value string) {
			lines = append(lines, line{path: l.path, number: l.number, name: name, value: value})
		}
		if m := fileModeLine.FindStringSubmatch(l.text); m != nil {
			add("FileCreateMode", m[1])
		}
		if m := privDropLines.FindStringSubmatch(l.text); m != nil {
			add("PrivDropToUser", m[1])
		}
		if forwardLine.MatchString(l.text) {
			add("forward", l.text)
		}
		if listenLine.MatchString(l.text) {
			add("listen", l.text)
		}
	}
	return r.last(lines, builtIn("", "FileCreateMode", "0644", "forward", "", "listen", ""))
}

// snmpd are the lines of snmpd.conf(5); names of communities that are no common knowledge are hidden.
func snmpd(r *reader) []*setting {
	k := kindOfFile{files: []string{"/etc/snmp/snmpd.conf"}, dropIns: []string{"/etc/snmp/snmpd.conf.d"}, each: true,
		syntax: func(text string, use func(line)) {
			whole(text, func(l line) {
				switch strings.ToLower(l.name) {
				case "com2sec", "com2sec6":
					words := strings.Fields(l.value)
					if last := len(words) - 1; last >= 0 && words[last] != "public" && words[last] != "private" {
						words[last] = "***"
					}
					l.value = strings.Join(words, " ")
					l.text = l.name + " " + l.value
				case "trapsess", "proxy", "trap2sink", "trapsink", "informsink", "usmuser":
					l.value, l.text = "***", l.name+" ***"
				}
				use(l)
			})
		}}
	return k.read(r)
}

// docker are the settings of daemon.json; what is a list has its entries in values.
func docker(r *reader) []*setting {
	const file = "/etc/docker/daemon.json"
	want := builtIn("", "icc", "true", "userns-remap", "", "live-restore", "false", "no-new-privileges", "false",
		"log-driver", "json-file", "insecure-registries", "", "userland-proxy", "true", "experimental", "false", "hosts", "",
		"tlsverify", "false", "log-level", "info", "iptables", "true", "selinux-enabled", "false")
	text, ok := r.text(file)
	if !ok && len(r.misses) == 0 && r.first("/usr/bin/dockerd", "/usr/local/bin/dockerd", "/usr/sbin/dockerd") == "" {
		return nil
	}
	parsed := map[string]any{}
	if ok && strings.TrimSpace(text) != "" {
		if err := json.Unmarshal([]byte(text), &parsed); err != nil {
			r.miss(file, err)
		}
	}
	var found []*setting
	for _, name := range sortedKeys(parsed) {
		s := r.setting(name, jsonText(parsed[name]))
		if list, isList := parsed[name].([]any); isList {
			for _, entry := range list {
				s.values = append(s.values, jsonText(entry))
			}
		}
		s.path = file
		found = append(found, s)
	}
	for _, w := range want {
		if _, set := parsed[w.name]; !set {
			s := r.unset(w)
			s.valueErr = r.missed()
			found = append(found, s)
		}
	}
	return found
}

func jsonText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

// apt are the settings of apt.conf(5), with the names of their blocks in front, as APT::Periodic::Unattended-Upgrade.
func apt(r *reader) []*setting {
	return kindOfFile{syntax: aptSyntax, files: []string{"/etc/apt/apt.conf"}, dropIns: []string{"/etc/apt/apt.conf.d"}, suffix: "",
		mainLast: true, markers: []string{"/usr/bin/apt-get"}, anyName: true,
		wanted: builtIn("", "APT::Get::AllowUnauthenticated", "false", "Acquire::AllowInsecureRepositories", "false",
			"Acquire::AllowWeakRepositories", "false", "Acquire::AllowDowngradeToInsecureRepositories", "false",
			"APT::Periodic::Unattended-Upgrade", "0", "APT::Periodic::Update-Package-Lists", "0")}.read(r)
}

var aptToken = regexp.MustCompile(`"[^"]*"|[{};]|[^\s\v"{};]+`)

func aptSyntax(text string, use func(line)) {
	var blocks []string
	var name, value string
	eachLine(text, "#", func(number int64, text string) {
		if strings.HasPrefix(text, "//") {
			return
		}
		for _, token := range aptToken.FindAllString(text, 1000) {
			switch {
			case token == "{" && len(blocks) < maxDepth:
				blocks, name = append(blocks, name), ""
			case token == "}":
				if len(blocks) > 0 {
					blocks = blocks[:len(blocks)-1]
				}
				name, value = "", ""
			case token == ";":
				if name != "" {
					full := strings.Join(append(append([]string{}, blocks...), name), "::")
					use(line{number: number, name: full, value: value, text: text})
				}
				name, value = "", ""
			case name == "" && token[0] != '"':
				name = token
			default:
				value = unquote(token)
			}
		}
	})
}

// aptSources are the places that apt gets packages from, sources.list(5): the value is where, the item the whole entry.
func aptSources(r *reader) []*setting {
	var found []*setting
	add := func(file, item, value string, number int64) {
		s := r.setting("source", value)
		s.item, s.path, s.line = item, file, number
		found = append(found, s)
	}
	for _, file := range append([]string{"/etc/apt/sources.list"}, r.matching("/etc/apt/sources.list.d/*.list")...) {
		text, _ := r.text(file)
		eachLine(text, "#", func(number int64, text string) {
			for _, word := range strings.Fields(text) {
				if strings.Contains(word, ":/") {
					add(file, hideLogin(text), hideLogin(word), number)
					return
				}
			}
		})
	}
	for _, file := range r.matching("/etc/apt/sources.list.d/*.sources") {
		text, _ := r.text(file)
		for stanza := range seq.Split(text, "\n\n") {
			var parts []string
			uris, enabled := "", true
			eachLine(stanza, "#", func(_ int64, text string) {
				key, value, isKey := strings.Cut(text, ":")
				switch key = strings.ToLower(key); {
				case key == "uris" && isKey:
					uris = strings.TrimSpace(value)
				case key == "enabled" && isKey:
					enabled = strings.TrimSpace(value) != "no"
				}
				if isKey && !strings.HasPrefix(text, "-----") && len(key) < 40 && !strings.Contains(key, " ") {
					parts = append(parts, text)
				}
			})
			if uris != "" && enabled {
				add(file, hideLogin(strings.Join(parts, "; ")), hideLogin(uris), 0)
			}
		}
	}
	return found
}

var (
	loginInAddress  = regexp.MustCompile(`(://[^\s:/@]+:)[^\s@/]+@`)
	passwordOption  = regexp.MustCompile(`(?i)\b(pass(?:word|wd)?\d?=)[^,\s]+`)
	grubPassword    = regexp.MustCompile(`^\s*(?:password|password_pbkdf2)\s+\S+\s+\S`)
	grubSuperusers  = regexp.MustCompile(`^\s*set\s+superusers=["']?([^"'\s]*)`)
	grubUserSetting = regexp.MustCompile(`^GRUB2_PASSWORD=grub`)
)

func hideLogin(text string) string { return loginInAddress.ReplaceAllString(text, "${1}***@") }

// fstab are the mounts of fstab(5): the name is where, the section what, the value type and options.
func fstab(r *reader) []*setting {
	text, ok := r.text("/etc/fstab")
	if !ok {
		return nil
	}
	var found []*setting
	eachLine(text, "#", func(number int64, text string) {
		words := strings.Fields(text)
		if len(words) < 3 {
			return
		}
		options := ""
		if len(words) > 3 {
			options = passwordOption.ReplaceAllString(words[3], "${1}***")
		}
		s := r.setting(words[1], words[2]+" "+options)
		s.section, s.path, s.line, s.values = words[0], "/etc/fstab", number, strings.Split(options, ",")
		found = append(found, s)
	})
	return found
}
