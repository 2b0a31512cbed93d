package persistence

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/launch"
)

// udevKey is one key="value" of a rule line, see udev(7).
type udevKey struct{ Key, Operator, Value string }

// parseUdevLine divides a rule at commas outside quotes; comments and empty lines have no keys.
func parseUdevLine(line string) []udevKey {
	rest := strings.TrimSpace(line)
	if rest == "" || rest[0] == '#' {
		return nil
	}
	var keys []udevKey
	for rest = strings.TrimLeft(rest, ", \t"); rest != "" && len(keys) < maxUdevKeys; rest = strings.TrimLeft(rest, ", \t") {
		at := strings.IndexAny(rest, "=!+-:")
		if at <= 0 {
			return keys
		}
		k := udevKey{Key: strings.TrimSpace(rest[:at])}
		end := at
		for end < len(rest) && strings.IndexByte("=!+-:", rest[end]) >= 0 {
			end++
		}
		k.Operator = rest[at:end]
		k.Value, rest = cutUdevValue(strings.TrimLeft(rest[end:], " \t"))
		keys = append(keys, k)
	}
	return keys
}

const maxUdevKeys = 200

// cutUdevValue takes a quoted value; e"…" may hold escaped quotes.
func cutUdevValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `e"`) {
		s = s[1:]
	}
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return strings.TrimSpace(value), rest
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '"' {
			i++
		} else if s[i] == '"' {
			return strings.ReplaceAll(s[1:i], `\"`, `"`), s[i+1:]
		}
	}
	return s[1:], ""
}

// runsProgram tells keys whose value is a command line.
func (k udevKey) runsProgram() bool {
	switch k.Key {
	case "RUN", "RUN{program}", "PROGRAM", "IMPORT{program}":
		return k.Value != ""
	}
	return false
}

// udevRule is a record of the subject udev_rule.
type udevRule struct {
	origin  *origin
	number  int64
	text    string
	key     udevKey
	matches []string
	scripts launch.Scripts
}

// Launches is the command; a relative program lies in udev's own directory.
func (u *udevRule) Launches() (*collect.Env, *launch.Scripts, []launch.Line, error) {
	return u.origin.env, &u.scripts, []launch.Line{{Text: u.key.Value, Dir: "/", Path: udevPrograms}}, nil
}

var udevPrograms = []string{"/usr/lib/udev", "/lib/udev"}

var udevDirectories = []string{"/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"}

func udevCollector() collect.Collector {
	return collector("udev_rules", udevSubject(), func(r *reader) error {
		seen := map[string]bool{}
		for _, dir := range udevDirectories {
			real, err := content.Resolve(r.env, dir)
			if err != nil || seen[real] {
				if err := r.miss(err); err != nil {
					return err
				}
				continue
			}
			seen[real] = true
			names, err := r.names(dir)
			if err != nil {
				return err
			}
			for _, name := range names {
				if !strings.HasSuffix(name, ".rules") {
					continue
				}
				if err := r.udevFile(path.Join(dir, name)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (r *reader) udevFile(name string) error {
	from := r.origin(name)
	return r.lines(name, true, func(number int64, line string) error {
		keys := parseUdevLine(line)
		var matches []string
		for _, k := range keys {
			if k.Operator == "==" || k.Operator == "!=" {
				matches = append(matches, k.Key+k.Operator+k.Value)
			}
		}
		for _, k := range keys {
			if k.runsProgram() {
				if err := r.emit(&udevRule{origin: from, number: number, text: strings.TrimSpace(line), key: k, matches: matches}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// program is the file that a command starts; a relative one lies in udev's own directory.
func (u *udevRule) program() target {
	command := strings.TrimSpace(u.key.Value)
	word, _ := cutWord(command)
	if strings.HasPrefix(word, "'") {
		word = strings.Trim(word, "'")
	}
	if word == "" || strings.ContainsAny(word, "$%") {
		return target{}
	}
	if !path.IsAbs(word) {
		for _, dir := range udevPrograms {
			t := target{u.origin.env, path.Join(dir, word)}
			if st, err := t.stat(); err == nil && st != nil {
				return t
			}
		}
		word = path.Join("/usr/lib/udev", word)
	}
	return target{u.origin.env, word}
}

func udevSubject() *collect.Subject {
	const source = "udev(7)"
	return collect.NewSubject("udev_rule", "programs that udev rules start when a device comes or goes",
		[]string{"path", "key", "command"}, []string{"path", "line_number", "key", "command"},
		concat([]collect.Field[*udevRule]{
			free("path", "string", "rules file", source, func(u *udevRule) any { return u.origin.path }),
			free("name", "string", "its last component", source, func(u *udevRule) any { return path.Base(u.origin.path) }),
			free("line_number", "int", "line in that file, from 1", source, func(u *udevRule) any { return u.number }),
			free("text", "string", "the whole rule, continuation lines joined", source, func(u *udevRule) any { return u.text }),
			free("key", "string", "RUN, PROGRAM or IMPORT{program}", source, func(u *udevRule) any { return u.key.Key }),
			free("operator", "string", "=, +=, := or ==", source, func(u *udevRule) any { return text(u.key.Operator) }),
			free("command", "string", "program and arguments", source, func(u *udevRule) any { return text(u.key.Value) }),
			free("matches", "strings", "conditions of the rule, as KEY==value", source, func(u *udevRule) any { return list(u.matches) }),
		}, targetFields("program", "file that starts; a relative name is looked for in udev's directory", source, (*udevRule).program), launch.Fields[*udevRule](),
			originFields(func(u *udevRule) *origin { return u.origin })))
}
