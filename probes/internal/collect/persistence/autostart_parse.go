package persistence

import (
	"strings"
	"unicode"

	"sandfly/probes/internal/seq"
)

// hook is a command that a configuration file makes something run, with the name of the setting.
type hook struct {
	Name, Command string
	Number        int64
}

const maxHooks = 2000 // of one file

// parseDesktop reads the [Desktop Entry] group of a .desktop or D-Bus service file.
func parseDesktop(data string, groups ...string) map[string]string {
	keys := map[string]string{}
	inside := false
	for line := range seq.Split(data, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = false
			for _, g := range groups {
				inside = inside || line == "["+g+"]"
			}
			continue
		}
		if name, value, found := strings.Cut(line, "="); found && inside && line[0] != '#' {
			if name = strings.TrimSpace(name); keys[name] == "" && len(keys) < maxHooks {
				keys[name] = strings.TrimSpace(value)
			}
		}
	}
	return keys
}

// parseAptHooks finds the Invoke and Install-Pkgs settings of apt.conf(5), written with :: or in nested braces.
func parseAptHooks(data string) []hook {
	var out []hook
	var scopes []string
	name := ""
	for _, token := range aptTokens(data) {
		switch token.text {
		case "{":
			scopes = append(scopes, name)
			name = ""
		case "}":
			if len(scopes) > 0 {
				scopes = scopes[:len(scopes)-1]
			}
			name = ""
		case ";":
			name = ""
		default:
			if !token.quoted {
				name = token.text
				continue
			}
			full := strings.Trim(strings.Join(append(scopes[:len(scopes):len(scopes)], name), "::"), ":")
			if isAptHook(full) && token.text != "" && len(out) < maxHooks {
				out = append(out, hook{full, token.text, token.number})
			}
		}
	}
	return out
}

func isAptHook(name string) bool {
	lower := strings.ToLower(name)
	return strings.Contains(lower, "-invoke") || strings.Contains(lower, "install-pkgs") || strings.HasSuffix(lower, "proxy-auto-detect") ||
		strings.HasSuffix(lower, "proxyautodetect") || strings.HasPrefix(lower, "dir::bin::")
}

type aptToken struct {
	text   string
	quoted bool
	number int64
}

// aptTokens divides apt.conf into words, quoted texts and { } ;. Comments are //, # and /* */.
func aptTokens(data string) []aptToken {
	var out []aptToken
	number := int64(1)
	for i := 0; i < len(data) && len(out) < 10*maxHooks; {
		c := data[i]
		switch {
		case c == '\n':
			number++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(data[i:], "//") || c == '#':
			for i < len(data) && data[i] != '\n' {
				i++
			}
		case strings.HasPrefix(data[i:], "/*"):
			end := strings.Index(data[i:], "*/")
			if end < 0 {
				return out
			}
			number += int64(strings.Count(data[i:i+end], "\n"))
			i += end + 2
		case c == '{' || c == '}' || c == ';':
			out = append(out, aptToken{string(c), false, number})
			i++
		case c == '"':
			end := i + 1
			for end < len(data) && data[end] != '"' {
				if data[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end, len(data))
			out = append(out, aptToken{strings.ReplaceAll(data[i+1:end], `\"`, `"`), true, number})
			number += int64(strings.Count(data[i:end], "\n"))
			i = end + 1
		default:
			end := i
			for end < len(data) && !strings.ContainsRune(" \t\r\n{};\"", rune(data[end])) {
				end++
			}
			out = append(out, aptToken{data[i:end], false, number})
			i = end
		}
	}
	return out
}

// gitCommands are settings of git whose value is a command, or a directory of hooks.
var gitCommands = map[string]bool{
	"core.hookspath": true, "core.fsmonitor": true, "core.sshcommand": true, "core.editor": true, "core.pager": true, "core.askpass": true,
	"core.gitproxy": true, "sequence.editor": true, "diff.external": true, "gpg.program": true, "credential.helper": true,
	"core.alternaterefscommand": true, "uploadpack.packobjectshook": true, "interactive.difffilter": true,
}

// parseGitConfig finds settings that make git run something: hooksPath, fsmonitor, sshCommand, filters, aliases with !.
func parseGitConfig(data string) []hook {
	var out []hook
	section := ""
	for number, line := range logicalLines(data, true) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section, line, _ = strings.Cut(line[1:], "]")
			section = strings.ToLower(strings.ReplaceAll(section, `"`, ""))
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
		}
		key, value, _ := strings.Cut(line, "=")
		name, value := section+"."+strings.ToLower(strings.TrimSpace(key)), unquote(strings.TrimSpace(value))
		if isGitCommand(name, value) && len(out) < maxHooks {
			out = append(out, hook{strings.ReplaceAll(name, " ", "."), value, number})
		}
	}
	return out
}

func isGitCommand(name, value string) bool {
	kind, rest, _ := strings.Cut(name, " ")
	last := rest[strings.LastIndexByte(rest, '.')+1:]
	switch {
	case value == "" || value == "true" || value == "false":
		return false
	case kind == "filter":
		return last == "clean" || last == "smudge" || last == "process"
	case kind == "diff" || kind == "merge" || kind == "difftool" || kind == "mergetool":
		return last == "command" || last == "textconv" || last == "driver" || last == "cmd"
	case kind == "credential":
		return last == "helper"
	case strings.HasPrefix(name, "alias."):
		return strings.HasPrefix(value, "!")
	}
	return gitCommands[name]
}

// parseDpkgHooks finds pre-invoke and post-invoke of dpkg.cfg, written with = or a blank.
func parseDpkgHooks(data string) []hook {
	var out []hook
	for number, line := range logicalLines(data, false) {
		line = strings.TrimLeft(strings.TrimSpace(line), "-")
		at := strings.IndexAny(line, "= \t")
		if at < 0 {
			continue
		}
		name, value := line[:at], line[at+1:]
		if (strings.HasSuffix(name, "-invoke") || name == "status-logger") && len(out) < maxHooks {
			out = append(out, hook{name, unquote(strings.TrimSpace(value)), number})
		}
	}
	return out
}

// parseActions reads lines whose last of so many parts between colons is a command: three of dnf's
// post-transaction-actions, five of libdnf5's actions.
func parseActions(data string, parts int) []hook {
	var out []hook
	for number, line := range logicalLines(data, false) {
		line = strings.TrimSpace(line)
		fields := strings.SplitN(line, ":", parts)
		if line == "" || line[0] == '#' || len(fields) < parts || len(out) >= maxHooks {
			continue
		}
		out = append(out, hook{strings.Join(fields[:parts-1], ":"), strings.TrimSpace(fields[parts-1]), number})
	}
	return out
}

// parseModprobe finds install and remove lines of modprobe.d(5), whose rest is a command.
func parseModprobe(data string) []hook {
	var out []hook
	for number, line := range logicalLines(data, true) {
		word, rest := cutWord(strings.TrimSpace(line))
		if word == "install" || word == "remove" {
			module, command := cutWord(rest)
			if command != "" && len(out) < maxHooks {
				out = append(out, hook{word + " " + module, command, number})
			}
		}
	}
	return out
}

// parsePth gives the lines of a .pth file that Python executes: those that begin with import and a blank.
func parsePth(data string) []hook {
	var out []hook
	for number, line := range logicalLines(data, false) {
		if (strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t")) && len(out) < maxHooks {
			out = append(out, hook{"import", strings.TrimSpace(line), number})
		}
	}
	return out
}

// parseInterfaces finds the commands of interfaces(5): up, down, pre-up, post-down and their like.
func parseInterfaces(data string) []hook {
	var out []hook
	for number, line := range logicalLines(data, true) {
		word, rest := cutWord(strings.TrimSpace(line))
		switch word {
		case "up", "down", "pre-up", "post-up", "pre-down", "post-down", "wpa-action", "script":
			if rest != "" && len(out) < maxHooks {
				out = append(out, hook{word, rest, number})
			}
		}
	}
	return out
}

// parseGrubDefaults finds the kernel command lines of /etc/default/grub.
func parseGrubDefaults(data string) []hook {
	var out []hook
	for number, line := range logicalLines(data, true) {
		l := parseStartupLine(line)
		if strings.HasPrefix(l.Variable, "GRUB_CMDLINE") && len(out) < maxHooks {
			out = append(out, hook{l.Variable, strings.TrimSpace(l.Value), number})
		}
	}
	return out
}

// parsePlainLines gives each line that is no comment: module names, commands of a hook file.
func parsePlainLines(data string) []hook {
	var out []hook
	for number, line := range logicalLines(data, false) {
		if line = strings.TrimSpace(line); line != "" && !strings.ContainsRune("#;", rune(line[0])) && len(out) < maxHooks {
			out = append(out, hook{"", line, number})
		}
	}
	return out
}

// isBlank tells text without anything to see.
func isBlank(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return !unicode.IsSpace(c) }) < 0
}
