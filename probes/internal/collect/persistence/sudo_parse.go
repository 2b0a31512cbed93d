package persistence

import (
	"slices"
	"strings"
)

// sudoStatement is one logical line of a sudoers file, see sudoers(5). Which fields are set depends on Kind.
type sudoStatement struct {
	Kind     string // include, includedir, alias, defaults, rule, invalid
	Name     string // path of an include, name of an alias, scope of Defaults
	Members  []string
	Options  []sudoOption
	Users    []string
	Commands []sudoCommand
}

// sudoOption is one setting of a Defaults line.
type sudoOption struct {
	Name, Operator, Value string
	Disabled              bool
}

// sudoCommand is one command of a rule with what applies to it: hosts, run-as lists and tags carry over from the left.
type sudoCommand struct {
	Hosts                   []string
	RunasUsers, RunasGroups []string
	Tags                    []string
	Text                    string
	HasRunas                bool
}

const maxSudoCommands = 2000 // of one rule

// sudoTags are the words that a colon may follow without beginning another host list.
var sudoTags = map[string]bool{
	"EXEC": true, "NOEXEC": true, "FOLLOW": true, "NOFOLLOW": true, "LOG_INPUT": true, "NOLOG_INPUT": true,
	"LOG_OUTPUT": true, "NOLOG_OUTPUT": true, "MAIL": true, "NOMAIL": true, "INTERCEPT": true, "NOINTERCEPT": true,
	"PASSWD": true, "NOPASSWD": true, "SETENV": true, "NOSETENV": true,
	"sha224": true, "sha256": true, "sha384": true, "sha512": true,
}

// parseSudoLine reads one logical line; ok is false for comments and empty lines.
func parseSudoLine(line string) (s sudoStatement, ok bool) {
	line = strings.TrimSpace(line)
	word, rest := cutWord(line)
	switch word {
	case "#include", "@include":
		return sudoStatement{Kind: "include", Name: unquote(rest)}, rest != ""
	case "#includedir", "@includedir":
		return sudoStatement{Kind: "includedir", Name: unquote(rest)}, rest != ""
	}
	if line = strings.TrimSpace(cutSudoComment(line)); line == "" {
		return sudoStatement{}, false
	}
	word, rest = cutWord(line)
	switch {
	case word == "User_Alias" || word == "Runas_Alias" || word == "Host_Alias" || word == "Cmnd_Alias" || word == "Cmd_Alias":
		return sudoStatement{Kind: "aliases", Name: rest}, true
	case strings.HasPrefix(word, "Defaults") && isDefaults(word):
		return parseSudoDefaults(line), true
	}
	return parseSudoRule(line), true
}

func isDefaults(word string) bool {
	return len(word) == len("Defaults") || strings.ContainsRune("@:>!", rune(word[len("Defaults")]))
}

// cutSudoComment drops what follows a # that is neither quoted nor the start of a numeric id.
func cutSudoComment(line string) string {
	end := scanSudo(line, func(i int) bool {
		isID := i+1 < len(line) && (line[i+1] >= '0' && line[i+1] <= '9' || line[i+1] == '-') && (i == 0 || strings.ContainsRune(" \t,(%!:", rune(line[i-1])))
		return line[i] != '#' || isID
	})
	return line[:end]
}

// scanSudo calls at for every byte outside quotes, parentheses and escapes. It stops where at returns false and gives
// that place, or the length.
func scanSudo(s string, at func(i int) bool) int {
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0 && !at(i):
			return i
		}
	}
	return len(s)
}

// splitSudo divides at a separator outside quotes, parentheses and escapes; elements are trimmed, empty ones left out.
func splitSudo(s string, separator byte) []string {
	var out []string
	for {
		end := scanSudo(s, func(i int) bool { return s[i] != separator })
		if part := strings.TrimSpace(s[:end]); part != "" && len(out) < maxSudoCommands {
			out = append(out, part)
		}
		if end >= len(s) {
			return out
		}
		s = s[end+1:]
	}
}

// parseSudoAliases reads what follows User_Alias and its like: NAME = a, b : NAME2 = c.
func parseSudoAliases(text string) map[string][]string {
	aliases := map[string][]string{}
	for _, part := range splitSudoGroups(text) {
		if name, members, found := strings.Cut(part, "="); found {
			aliases[strings.TrimSpace(name)] = splitSudo(members, ',')
		}
	}
	return aliases
}

// parseSudoDefaults reads Defaults, Defaults@host, Defaults:user, Defaults>runas and Defaults!command.
func parseSudoDefaults(line string) sudoStatement {
	scope, rest := cutWord(line)
	s := sudoStatement{Kind: "defaults", Name: strings.TrimPrefix(scope, "Defaults")}
	for _, part := range splitSudo(rest, ',') {
		o := sudoOption{}
		for strings.HasPrefix(part, "!") {
			o.Disabled = !o.Disabled
			part = strings.TrimSpace(part[1:])
		}
		if at := strings.Index(part, "="); at > 0 {
			o.Value, o.Operator = unquote(strings.TrimSpace(part[at+1:])), "="
			if strings.ContainsRune("+-", rune(part[at-1])) {
				at--
				o.Operator = part[at:at+1] + "="
			}
			part = part[:at]
		}
		if o.Name = strings.TrimSpace(part); o.Name != "" {
			s.Options = append(s.Options, o)
		}
	}
	return s
}

// parseSudoRule reads "users hosts = (runas) TAG: command, command : hosts = …".
func parseSudoRule(line string) sudoStatement {
	invalid := sudoStatement{Kind: "invalid", Name: line}
	equals := scanSudo(line, func(i int) bool { return line[i] != '=' })
	if equals == len(line) {
		return invalid
	}
	users, hosts, ok := cutUsers(line[:equals])
	if !ok {
		return invalid
	}
	s := sudoStatement{Kind: "rule", Users: splitSudo(users, ',')}
	for i, part := range splitSudoGroups(line[equals+1:]) {
		if i > 0 {
			at := scanSudo(part, func(i int) bool { return part[i] != '=' })
			if at == len(part) {
				return invalid
			}
			hosts, part = part[:at], part[at+1:]
		}
		s.Commands = append(s.Commands, parseSudoCommands(splitSudo(hosts, ','), part)...)
	}
	if len(s.Users) == 0 || len(s.Commands) == 0 {
		return invalid
	}
	return s
}

// cutUsers divides "a, b hosts" at the first blank that no comma is beside.
func cutUsers(left string) (users, hosts string, ok bool) {
	left = strings.TrimSpace(left)
	at := scanSudo(left, func(i int) bool {
		if left[i] != ' ' && left[i] != '\t' {
			return true
		}
		before, after := strings.TrimRight(left[:i], " \t"), strings.TrimLeft(left[i:], " \t")
		return strings.HasSuffix(before, ",") || strings.HasPrefix(after, ",") || strings.HasSuffix(before, "!")
	})
	return left[:at], strings.TrimSpace(left[at:]), at < len(left) && strings.TrimSpace(left[at:]) != ""
}

// splitSudoGroups divides at colons that do not belong to a tag or a digest.
func splitSudoGroups(s string) []string {
	var out []string
	start := 0
	scanSudo(s, func(i int) bool {
		if s[i] == ':' && !endsInTag(s[start:i]) {
			out = append(out, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
		return len(out) < maxSudoCommands
	})
	return append(out, strings.TrimSpace(s[start:]))
}

func endsInTag(s string) bool {
	s = strings.TrimRight(s, " \t")
	word := s[strings.LastIndexAny(s, " \t:,=()")+1:]
	return sudoTags[word]
}

// parseSudoCommands reads one command list.
func parseSudoCommands(hosts []string, list string) []sudoCommand {
	var out []sudoCommand
	carried := sudoCommand{Hosts: hosts}
	for _, part := range splitSudo(list, ',') {
		c := carried
		c.Tags = slices.Clone(carried.Tags)
		if strings.HasPrefix(part, "(") {
			if end := strings.IndexByte(part, ')'); end > 0 {
				c.HasRunas = true
				users, groups, _ := strings.Cut(part[1:end], ":")
				c.RunasUsers, c.RunasGroups = splitSudo(users, ','), splitSudo(groups, ',')
				part = strings.TrimSpace(part[end+1:])
			}
		}
		c.Tags, part = cutTags(c.Tags, part)
		carried = c
		c.Text = part
		if part != "" {
			out = append(out, c)
		}
	}
	return out
}

// cutTags takes tags and options (CWD=/x, TIMEOUT=5m) off the front; a tag undoes its opposite.
func cutTags(tags []string, part string) ([]string, string) {
	for {
		part = strings.TrimSpace(part)
		end := strings.IndexAny(part, ":= \t")
		if end <= 0 {
			return tags, part
		}
		word, rest := part[:end], strings.TrimLeft(part[end:], " \t")
		switch {
		case strings.HasPrefix(rest, ":") && strings.HasPrefix(word, "sha"):
			_, part = cutWord(rest[1:])
		case strings.HasPrefix(rest, ":") && sudoTags[word]:
			tags = withTag(tags, word)
			part = rest[1:]
		case strings.HasPrefix(rest, "=") && isUpper(word):
			_, part = cutWord(rest[1:])
		default:
			return tags, part
		}
	}
}

// withTag adds a tag and drops its opposite, so that PASSWD after NOPASSWD counts.
func withTag(tags []string, tag string) []string {
	opposite := "NO" + tag
	if plain, ok := strings.CutPrefix(tag, "NO"); ok {
		opposite = plain
	}
	tags = slices.DeleteFunc(tags, func(t string) bool { return t == opposite || t == tag })
	return append(tags, tag)
}

func isUpper(word string) bool {
	return strings.IndexFunc(word, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '_' }) < 0
}

// cutWord divides at the first blank.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t")
	if at := strings.IndexAny(s, " \t"); at >= 0 {
		return s[:at], strings.TrimSpace(s[at:])
	}
	return s, ""
}

// unquote takes one pair of quotes off.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
