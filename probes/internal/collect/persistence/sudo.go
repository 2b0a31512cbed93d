package persistence

import (
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
)

// maxExpanded bounds what aliases of one list may stand for: nested ones could multiply without end.
const maxExpanded = 500

// sudoRule is a record of the subject sudo_rule.
type sudoRule struct {
	file    *sudoFile
	number  int64
	kind    string // rule, defaults, invalid
	users   []string
	command sudoCommand
	option  sudoOption
	scope   string
	raw     string
	aliases sudoAliases
}

// sudoFile is a file of the configuration.
type sudoFile struct {
	origin  *origin
	ignored bool
}

type sudoAliases map[string][]string

func sudoCollector() collect.Collector {
	return collector("sudo_rules", sudoSubject(), func(r *reader) error {
		s := &sudoReader{reader: r, seen: map[string]bool{}, aliases: sudoAliases{}}
		for _, main := range []string{"/etc/sudoers", "/usr/local/etc/sudoers"} {
			if err := s.file(main, false); err != nil {
				return err
			}
		}
		// Rules lie here also where the line that includes the directory was taken out, to be put back later.
		if err := s.directory("/etc/sudoers.d"); err != nil {
			return err
		}
		// An alias may be defined behind its use or in another file, so records wait until all is read.
		for _, rule := range s.rules {
			if err := r.emit(rule); err != nil {
				return err
			}
		}
		return nil
	})
}

type sudoReader struct {
	*reader
	seen    map[string]bool
	aliases sudoAliases
	rules   []*sudoRule
}

func (s *sudoReader) file(name string, ignored bool) error {
	if s.seen[name] {
		return nil
	}
	if s.seen[name] = true; len(s.seen) > maxIncludes {
		s.cut(name, "included files", maxIncludes)
		return nil
	}
	from := &sudoFile{origin: s.origin(name), ignored: ignored}
	return s.lines(name, true, func(number int64, line string) error { return s.statement(from, number, line) })
}

func (s *sudoReader) statement(from *sudoFile, number int64, line string) error {
	st, ok := parseSudoLine(line)
	if !ok {
		return nil
	}
	if len(s.rules) > maxLines {
		s.cut(from.origin.path, "rules", maxLines)
		return nil
	}
	rule := sudoRule{file: from, number: number, kind: st.Kind, users: st.Users, scope: st.Name, raw: strings.TrimSpace(line), aliases: s.aliases}
	switch st.Kind {
	case "include":
		return s.file(s.absolute(from, st.Name), false)
	case "includedir":
		return s.directory(s.absolute(from, st.Name))
	case "aliases":
		for name, members := range parseSudoAliases(st.Name) {
			s.aliases[name] = members
		}
	case "defaults":
		for _, option := range st.Options {
			one := rule
			one.option = option
			s.rules = append(s.rules, &one)
		}
	case "rule":
		rule.scope = ""
		for _, c := range st.Commands {
			one := rule
			one.command = c
			s.rules = append(s.rules, &one)
		}
	default:
		rule.scope = ""
		s.rules = append(s.rules, &rule)
	}
	return nil
}

func (s *sudoReader) absolute(from *sudoFile, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(path.Dir(from.origin.path), name)
}

func (s *sudoReader) directory(dir string) error {
	names, err := s.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "README" {
			continue
		}
		ignored := strings.Contains(name, ".") || strings.HasSuffix(name, "~")
		if err := s.file(path.Join(dir, name), ignored); err != nil {
			return err
		}
	}
	return nil
}

// expand replaces aliases by what they stand for, at most maxExpanded entries and eight levels deep.
func (a sudoAliases) expand(names []string) []string {
	var out []string
	var add func(names []string, negate bool, depth int)
	add = func(names []string, negate bool, depth int) {
		for _, name := range names {
			plain := strings.TrimLeft(name, "! \t")
			turned := strings.Count(name[:len(name)-len(plain)], "!")%2 == 1 != negate
			members, isAlias := a[plain]
			switch {
			case len(out) >= maxExpanded:
				return
			case isAlias && depth < 8:
				add(members, turned, depth+1)
			case turned:
				out = append(out, "!"+plain)
			default:
				out = append(out, plain)
			}
		}
	}
	add(names, false, 0)
	return out
}

func (s *sudoRule) commands() []string {
	if s.kind != "rule" {
		return nil
	}
	return s.aliases.expand([]string{s.command.Text})
}

// commandPaths are the programs allowed, without wildcards and negated ones.
func (s *sudoRule) commandPaths() []string {
	var out []string
	for _, c := range s.commands() {
		program, _ := cutWord(c)
		if strings.HasPrefix(program, "/") && !strings.ContainsAny(program, "*?[") && !slices.Contains(out, program) {
			out = append(out, strings.ReplaceAll(program, `\`, ""))
		}
	}
	return out
}

// fits gives those programs for which pick says so of what lies there.
func (s *sudoRule) fits(pick func(t target) (bool, error)) (any, error) {
	var out []string
	for _, p := range s.commandPaths() {
		if strings.HasSuffix(p, "/") {
			continue
		}
		yes, err := pick(target{s.file.origin.env, p})
		if err != nil {
			return nil, err
		}
		if yes {
			out = append(out, p)
		}
	}
	return list(out), nil
}

func (s *sudoRule) missing() (any, error) {
	return s.fits(func(t target) (bool, error) { st, err := t.stat(); return err == nil && st == nil, err })
}

func (s *sudoRule) writable() (any, error) {
	return s.fits(func(t target) (bool, error) {
		st, err := t.stat()
		return st != nil && (st.Mode&0o002 != 0 || st.UID != 0), err
	})
}

func (s *sudoRule) isRule() bool { return s.kind == "rule" }

func (s *sudoRule) whenRule(value func() any) any {
	if !s.isRule() {
		return nil
	}
	return value()
}

// runasUsers are whom the command may run as; without a list it is root, with an empty one the user itself.
func (s *sudoRule) runasUsers() []string {
	if !s.command.HasRunas {
		return []string{"root"}
	}
	return s.aliases.expand(s.command.RunasUsers)
}

func (s *sudoRule) runsAsRoot() any {
	return slices.ContainsFunc(s.runasUsers(), func(u string) bool { return u == "root" || u == "ALL" || u == "#0" })
}

func (s *sudoRule) has(tag string) any { return slices.Contains(s.command.Tags, tag) }

type sudoField = collect.Field[*sudoRule]

func sudoSubject() *collect.Subject {
	return collect.NewSubject("sudo_rule", "what sudo lets whom do, and its Defaults, with aliases expanded and includes followed",
		[]string{"path", "kind", "text", "command", "option"}, []string{"path", "line_number", "kind", "text", "users", "command"},
		concat(sudoPlaceFields(), sudoRuleFields(), sudoDefaultsFields(),
			originFields(func(s *sudoRule) *origin { return s.file.origin })))
}

func sudoPlaceFields() []sudoField {
	const source = "sudoers(5)"
	return []sudoField{
		free("path", "string", "sudoers or a file it includes, and all in sudoers.d", source, func(s *sudoRule) any { return s.file.origin.path }),
		free("line_number", "int", "line in that file, from 1", source, func(s *sudoRule) any { return s.number }),
		free("kind", "string", "rule, defaults, or invalid: a line that is neither", source, func(s *sudoRule) any { return s.kind }),
		free("text", "string", "the line, continuation lines joined", source, func(s *sudoRule) any { return text(s.raw) }),
		free("is_ignored", "bool", "sudo passes the file over because of a dot or ~ in its name", source, func(s *sudoRule) any { return s.file.ignored }),
	}
}

func sudoRuleFields() []sudoField {
	const source = "sudoers(5)"
	rule := func(name, typ, doc string, value func(s *sudoRule) any) sudoField {
		return free(name, typ, doc, source, func(s *sudoRule) any { return s.whenRule(func() any { return value(s) }) })
	}
	return []sudoField{
		rule("users", "strings", "users, %groups, #uids and +netgroups it is for; ALL is everybody", func(s *sudoRule) any { return list(s.aliases.expand(s.users)) }),
		rule("hosts", "strings", "hosts it holds on", func(s *sudoRule) any { return list(s.aliases.expand(s.command.Hosts)) }),
		rule("runas_users", "strings", "whom the command may run as", func(s *sudoRule) any { return list(s.runasUsers()) }),
		rule("runas_groups", "strings", "groups it may run with", func(s *sudoRule) any { return list(s.aliases.expand(s.command.RunasGroups)) }),
		rule("runs_as_root", "bool", "root is among them", (*sudoRule).runsAsRoot),
		rule("command", "string", "the command as written, an alias as its name", func(s *sudoRule) any { return text(s.command.Text) }),
		rule("commands", "strings", "commands with arguments that it stands for; ! in front forbids", func(s *sudoRule) any { return list(s.commands()) }),
		rule("command_paths", "strings", "programs of these, without wildcards", func(s *sudoRule) any { return list(s.commandPaths()) }),
		{Name: "commands_missing", Type: "strings", Cost: collect.Cheap, Doc: "of these, the ones that are not there", Source: "stat(2)", Get: (*sudoRule).missing},
		{Name: "commands_writable", Type: "strings", Cost: collect.Cheap, Doc: "of these, the ones that root does not own or that everybody may write to", Source: "stat(2)", Get: (*sudoRule).writable},
		rule("tags", "strings", "NOPASSWD, SETENV … that hold for it", func(s *sudoRule) any { return list(s.command.Tags) }),
		rule("is_nopasswd", "bool", "no password is asked", func(s *sudoRule) any { return s.has("NOPASSWD") }),
		rule("is_setenv", "bool", "the user may set the environment", func(s *sudoRule) any { return s.has("SETENV") }),
		rule("allows_all", "bool", "any command", func(s *sudoRule) any { return slices.Contains(s.commands(), "ALL") }),
		rule("is_everybody", "bool", "it is for all users", func(s *sudoRule) any { return slices.Contains(s.aliases.expand(s.users), "ALL") }),
		rule("is_negated", "bool", "it forbids the command", func(s *sudoRule) any { return strings.HasPrefix(s.command.Text, "!") }),
	}
}

func sudoDefaultsFields() []sudoField {
	const source = "sudoers(5)"
	return []sudoField{
		free("scope", "string", "of Defaults: @host, :user, >runas or !command that it is for", source, func(s *sudoRule) any { return text(s.scope) }),
		free("option", "string", "of Defaults: name of the setting", source, func(s *sudoRule) any { return text(s.option.Name) }),
		free("operator", "string", "of Defaults: =, += or -=", source, func(s *sudoRule) any { return text(s.option.Operator) }),
		free("value", "string", "of Defaults: its value", source, func(s *sudoRule) any { return text(s.option.Value) }),
		free("is_disabled", "bool", "of Defaults: ! stands in front of the setting", source, func(s *sudoRule) any {
			if s.kind != "defaults" {
				return nil
			}
			return s.option.Disabled
		}),
	}
}
