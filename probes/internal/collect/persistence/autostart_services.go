package persistence

import (
	"encoding/json"
	"strings"
)

// servicePlaces are settings of services and programs that start other programs.
var servicePlaces = []startPlace{
	{"/etc", "aliases", "mail_pipe", parseMailPipes},
	{"/etc/mail", "aliases", "mail_pipe", parseMailPipes},
	{"/etc/postfix", "aliases", "mail_pipe", parseMailPipes},
	{"/etc", "logrotate.conf", "logrotate", parseLogrotate},
	{"/etc/logrotate.d", "*", "logrotate", parseLogrotate},
	{"/etc/xinetd.d", "*", "inetd", parseXinetd},
	{"/etc", "inetd.conf", "inetd", parseInetd},
	{"/etc/incron.d", "*", "incron", parseIncron},
	{"/var/spool/incron", "*", "incron", parseIncron},
	{"/etc/acpi/events", "*", "acpi", func(d string) []hook { return parseSettings(d, "action") }},
	{"/etc", "rsyslog.conf", "rsyslog", parseRsyslog},
	{"/etc/rsyslog.d", "*.conf", "rsyslog", parseRsyslog},
	{"/etc/snmp", "snmpd.conf", "snmp", parseSnmp},
	{"/etc/snmp/snmpd.conf.d", "*.conf", "snmp", parseSnmp},
	{"/etc/ssh", "sshd_config", "sshd_config", parseSshdConfig},
	{"/etc/ssh/sshd_config.d", "*.conf", "sshd_config", parseSshdConfig},
	{"/usr/etc/ssh", "sshd_config", "sshd_config", parseSshdConfig},
	{"/etc/ssh", "ssh_config", "ssh_config", parseSshConfig},
	{"/etc/ssh/ssh_config.d", "*.conf", "ssh_config", parseSshConfig},
	{"/etc", "tmux.conf", "tmux", parseTmux},
	{"/etc", "screenrc", "screen", parseScreen},
	{"/etc/openvpn", "*.conf", "vpn", parseOpenVPN},
	{"/etc/openvpn/*", "*.conf", "vpn", parseOpenVPN},
	{"/etc/wireguard", "*.conf", "vpn", func(d string) []hook { return parseSettings(d, "PreUp", "PostUp", "PreDown", "PostDown") }},
	{"/etc/gdm*/*", "Default", "display_manager", nil},
	{"/usr/share/sddm/scripts", "X*", "display_manager", nil},
	{"/etc/lightdm", "lightdm.conf", "display_manager", parseLightdm},
	{"/etc/lightdm/lightdm.conf.d", "*.conf", "display_manager", parseLightdm},
	{"/etc/pm/*.d", "*", "pm_hook", nil},
	{"/etc/initcpio/*", "*", "initcpio", nil},
	{"/var/lib/cloud/scripts/*", "*", "cloud_init", nil},
	{"/etc/containers/oci/hooks.d", "*.json", "oci_hook", parseOCIHook},
	{"/usr/share/containers/oci/hooks.d", "*.json", "oci_hook", parseOCIHook},
}

// programPlaces are settings in a home of programs that start other programs.
var programPlaces = []startPlace{
	{".", ".forward", "mail_pipe", parseMailPipes},
	{".ssh", "config", "ssh_config", parseSshConfig},
	{".", ".tmux.conf", "tmux", parseTmux},
	{".config/tmux", "tmux.conf", "tmux", parseTmux},
	{".", ".screenrc", "screen", parseScreen},
	{".", ".vimrc", "vim", parseVim},
	{".vim", "vimrc", "vim", parseVim},
	{".config/nvim", "init.vim", "vim", parseVim},
}

// hooks gathers what the lines of a file make run; the rest of a file beyond maxHooks is left out.
func hooks(data string, joined bool, find func(line string) (name, command string)) []hook {
	var out []hook
	for number, line := range logicalLines(data, joined) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if name, command := find(line); command != "" && len(out) < maxHooks {
			out = append(out, hook{name, command, number})
		}
	}
	return out
}

// parseMailPipes finds the programs of aliases(5) and .forward: what stands behind | in an address.
func parseMailPipes(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		before, command, found := strings.Cut(line, "|")
		if !found {
			return "", ""
		}
		if strings.HasSuffix(strings.TrimSpace(before), `"`) {
			command, _, _ = strings.Cut(command, `"`)
		}
		name, _, _ := strings.Cut(before, ":")
		return strings.Trim(name, `", `+"\t"), strings.TrimSpace(command)
	})
}

// parseLogrotate finds the lines of scripts of logrotate(8), as prerotate … endscript, and its compress command.
func parseLogrotate(data string) []hook {
	script := ""
	return hooks(data, false, func(line string) (string, string) {
		word, rest := cutWord(line)
		switch {
		case script != "" && line == "endscript":
			script = ""
		case script != "":
			return script, line
		case line == "prerotate" || line == "postrotate" || line == "firstaction" || line == "lastaction" || line == "preremove":
			script = line
		case word == "compresscmd" || word == "uncompresscmd":
			return word, rest
		}
		return "", ""
	})
}

// parseXinetd reads a service of xinetd.conf(5).
func parseXinetd(data string) []hook {
	keys := map[string]string{}
	for _, h := range parseSettings(data, "server", "server_args", "disable") {
		keys[h.Name] = h.Command
	}
	if keys["server"] == "" {
		return nil
	}
	found := hook{Name: "server", Command: strings.TrimSpace(keys["server"] + " " + keys["server_args"])}
	if keys["disable"] == "yes" {
		found.Number = disabledLine
	}
	return []hook{found}
}

// parseInetd reads lines of inetd.conf(5): service, socket, protocol, flags, user, server and its arguments.
func parseInetd(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[5] != "internal" {
			return fields[0], strings.Join(fields[5:], " ")
		}
		return "", ""
	})
}

// parseIncron reads lines of incrontab(5): path, events, command.
func parseIncron(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		watched, rest := cutWord(line)
		_, command := cutWord(rest)
		return watched, command
	})
}

// parseSettings finds the named settings of a file of NAME=value lines.
func parseSettings(data string, names ...string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		key, value, _ := strings.Cut(line, "=")
		for _, name := range names {
			if strings.EqualFold(strings.TrimSpace(key), name) {
				return name, unquote(strings.TrimSpace(value))
			}
		}
		return "", ""
	})
}

// parseLightdm finds the scripts of lightdm.conf.
func parseLightdm(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		key, value, _ := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !strings.HasSuffix(key, "-script") && key != "greeter-wrapper" && key != "session-wrapper" {
			return "", ""
		}
		return key, strings.TrimSpace(value)
	})
}

// parseRsyslog finds programs that messages are handed to: binary="…" of omprog, and ^program of a selector.
func parseRsyslog(data string) []hook {
	return hooks(data, true, func(line string) (string, string) {
		if _, rest, found := strings.Cut(line, `binary="`); found {
			command, _, _ := strings.Cut(rest, `"`)
			return "omprog", command
		}
		if selector, rest, found := strings.Cut(line, "^/"); found && strings.HasSuffix(strings.ReplaceAll(selector, "\t", " "), " ") {
			command, _, _ := strings.Cut(rest, ";")
			return "shell", "/" + command
		}
		return "", ""
	})
}

// parseSnmp finds the commands of snmpd.conf(5): extend [OID] NAME PROGRAM …, exec, sh and pass OID PROGRAM.
func parseSnmp(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		word, rest := cutWord(line)
		switch word {
		case "extend", "extend-sh", "exec", "sh":
			if strings.HasPrefix(rest, ".") {
				_, rest = cutWord(rest)
			}
			fallthrough
		case "pass", "pass_persist":
			name, command := cutWord(rest)
			return word + " " + name, command
		}
		return "", ""
	})
}

// keyword divides a line of the configuration of ssh: a word without case, then blanks or =.
func keyword(line string) (string, string) {
	at := strings.IndexAny(line, " \t=")
	if at < 0 {
		return "", ""
	}
	return strings.ToLower(line[:at]), strings.TrimLeft(line[at:], " \t=")
}

// parseSshdConfig finds the commands that sshd_config(5) makes sshd run.
func parseSshdConfig(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		word, value := keyword(line)
		switch word {
		case "subsystem":
			name, command := cutWord(value)
			return word + " " + name, unquote(command)
		case "authorizedkeyscommand", "authorizedprincipalscommand", "forcecommand":
			if value != "none" {
				return word, unquote(value)
			}
		}
		return "", ""
	})
}

// parseSshConfig finds the commands that ssh_config(5) makes a client run.
func parseSshConfig(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		word, value := keyword(line)
		switch word {
		case "proxycommand", "localcommand", "knownhostscommand":
			if value != "none" {
				return word, unquote(value)
			}
		case "match":
			if _, command, found := strings.Cut(value, "exec "); found {
				return "match exec", unquote(strings.TrimSpace(command))
			}
		}
		return "", ""
	})
}

// parseTmux finds what tmux(1) runs when it starts or redraws: run-shell, if-shell, hooks, default-command, #(…).
func parseTmux(data string) []hook {
	return hooks(data, true, func(line string) (string, string) {
		word, rest := cutWord(line)
		switch word {
		case "run-shell", "run", "if-shell", "if", "set-hook", "new-session", "new", "new-window", "neww", "respawn-pane", "respawn-window":
			return word, rest
		case "set", "set-option":
			if strings.Contains(rest, "default-command") || strings.Contains(rest, "default-shell") {
				return "default-command", rest
			}
		}
		if _, inside, found := strings.Cut(line, "#("); found {
			command, _, _ := strings.Cut(inside, ")")
			return word, command
		}
		return "", ""
	})
}

// parseScreen finds what screen(1) starts by itself.
func parseScreen(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		switch word, rest := cutWord(line); word {
		case "exec", "screen", "shell", "backtick":
			return word, rest
		}
		return "", ""
	})
}

// parseVim finds lines that make vim run a program: system(…), job_start(…) and !command.
func parseVim(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		word, _ := cutWord(line)
		if line[0] != '"' && (strings.Contains(line, "system(") || strings.Contains(line, "job_start(") || strings.Contains(line, "jobstart(") ||
			strings.HasPrefix(line, "!") || strings.Contains(line, " !") || strings.Contains(line, ":!")) {
			return word, line
		}
		return "", ""
	})
}

// parseOpenVPN finds the scripts of openvpn(8).
func parseOpenVPN(data string) []hook {
	return hooks(data, false, func(line string) (string, string) {
		switch word, rest := cutWord(line); word {
		case "up", "down", "route-up", "route-pre-down", "ipchange", "client-connect", "client-disconnect", "learn-address",
			"auth-user-pass-verify", "tls-verify", "tls-crypt-v2-verify":
			return word, unquote(rest)
		}
		return "", ""
	})
}

// parseOCIHook reads a hook of oci-hooks(5), of version 1.0.0 or of the form before it.
func parseOCIHook(data string) []hook {
	var file struct {
		Hook json.RawMessage `json:"hook"`
	}
	if json.Unmarshal([]byte(data), &file) != nil {
		return nil
	}
	var one struct {
		Path string   `json:"path"`
		Args []string `json:"args"`
	}
	if json.Unmarshal(file.Hook, &one.Path) != nil && json.Unmarshal(file.Hook, &one) != nil || one.Path == "" {
		return nil
	}
	command := []string{one.Path}
	for i, argument := range one.Args {
		if i > 0 && i < maxHooks {
			command = append(command, argument)
		}
	}
	return []hook{{"hook", strings.Join(command, " "), 0}}
}
