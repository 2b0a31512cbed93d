package persistence

import (
	"path"
	"slices"
	"strings"
	"sync"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

// pamLine is one line of a PAM service file, see pam.conf(5).
type pamLine struct {
	Service, Type, Control, Module string
	Arguments                      []string
	Silent                         bool // a dash in front: a missing module is not logged
	Include                        string
	Valid                          bool
}

var pamTypes = map[string]bool{"auth": true, "account": true, "password": true, "session": true}

// parsePAMLine reads one logical line; withService says that the line begins with a service, as in pam.conf. ok is
// false for comments and empty lines.
func parsePAMLine(line string, withService bool) (p pamLine, ok bool) {
	line, _, _ = strings.Cut(line, "#")
	if line = strings.TrimSpace(line); line == "" {
		return pamLine{}, false
	}
	if withService {
		p.Service, line = cutWord(line)
	}
	word, rest := cutWord(line)
	if word == "@include" {
		p.Include, p.Control, p.Valid = rest, "@include", rest != ""
		return p, true
	}
	p.Type, p.Silent = strings.CutPrefix(word, "-")
	p.Type = strings.ToLower(p.Type)
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			end = len(rest) - 1
		}
		p.Control, rest = rest[:end+1], strings.TrimSpace(rest[end+1:])
	} else {
		p.Control, rest = cutWord(rest)
	}
	p.Module, rest = cutWord(rest)
	p.Arguments = splitPAMArguments(rest)
	if p.Control == "include" || p.Control == "substack" {
		p.Include = p.Module
	}
	p.Valid = pamTypes[p.Type] && p.Control != "" && p.Module != ""
	return p, true
}

// splitPAMArguments divides at blanks; [ ] hold an argument with blanks together.
func splitPAMArguments(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if strings.HasPrefix(s, "[") {
			inside, rest, _ := strings.Cut(s[1:], "]")
			out, s = append(out, inside), rest
			continue
		}
		var word string
		word, s = cutWord(s)
		out = append(out, word)
	}
	return out
}

// command is what pam_exec or pam_script runs: the first argument that is no option, and what follows.
func (p *pamLine) command() string {
	if !strings.HasSuffix(p.Module, "pam_exec.so") {
		return ""
	}
	at := slices.IndexFunc(p.Arguments, func(a string) bool { return strings.HasPrefix(a, "/") })
	if at < 0 {
		return ""
	}
	return strings.Join(p.Arguments[at:], " ")
}

// pamRule is a record of the subject pam_rule.
type pamRule struct {
	origin  *origin
	number  int64
	line    pamLine
	modules func() (map[string]string, error)
}

func pamCollector() collect.Collector {
	return collector("pam_rules", pamSubject(), func(r *reader) error {
		p := &pamReader{reader: r}
		p.modules = sync.OnceValues(p.findModules)
		if err := p.file("/etc/pam.conf", ""); err != nil {
			return err
		}
		for _, dir := range []string{"/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"} {
			names, err := r.names(dir)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := p.file(path.Join(dir, name), name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

type pamReader struct {
	*reader
	modules func() (map[string]string, error)
}

func (p *pamReader) file(name, service string) error {
	from := p.origin(name)
	return p.lines(name, true, func(number int64, line string) error {
		parsed, ok := parsePAMLine(line, service == "")
		if !ok {
			return nil
		}
		if service != "" {
			parsed.Service = service
		}
		return p.emit(&pamRule{origin: from, number: number, line: parsed, modules: p.modules})
	})
}

// findModules maps module names to the files in the directories that libpam of some distribution searches.
func (p *pamReader) findModules() (map[string]string, error) {
	dirs := []string{"/lib/security", "/usr/lib/security", "/lib64/security", "/usr/lib64/security", "/usr/local/lib/security"}
	for _, lib := range []string{"/usr/lib", "/lib"} {
		names, err := p.directories(lib)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.Contains(name, "-linux-") {
				dirs = append(dirs, path.Join(lib, name, "security"))
			}
		}
	}
	found := map[string]string{}
	for _, dir := range dirs {
		entries, err := content.ReadDir(p.env, dir, maxEntries)
		if err != nil && !isAbsent(err) {
			return nil, err
		}
		for _, e := range entries {
			if _, seen := found[e.Name]; !seen {
				found[e.Name] = path.Join(dir, e.Name)
			}
		}
	}
	return found, nil
}

// modulePath is where the module lies: as written, or as found; "" when nothing of that name is found.
func (p *pamRule) modulePath() (string, error) {
	if path.IsAbs(p.line.Module) {
		return path.Clean(p.line.Module), nil
	}
	if p.line.Module == "" || p.line.Include != "" {
		return "", nil
	}
	found, err := p.modules()
	return found[path.Base(p.line.Module)], err
}

func (p *pamRule) moduleStat() (*content.Stat, error) {
	name, err := p.modulePath()
	if err != nil {
		return nil, err
	}
	return target{p.origin.env, name}.stat()
}

func (p *pamRule) moduleExists() (any, error) {
	if p.line.Module == "" || p.line.Include != "" {
		return nil, nil
	}
	st, err := p.moduleStat()
	return st != nil, err
}

// inModuleDirectory tells whether a module lies where distributions put them.
func (p *pamRule) inModuleDirectory() any {
	if !path.IsAbs(p.line.Module) {
		return nil
	}
	dir := path.Dir(path.Clean(p.line.Module))
	inLib := strings.HasPrefix(dir, "/lib") || strings.HasPrefix(dir, "/usr/lib")
	return inLib && path.Base(dir) == "security"
}

type pamField = collect.Field[*pamRule]

func pamSubject() *collect.Subject {
	return collect.NewSubject("pam_rule", "lines of /etc/pam.d and pam.conf: who may sign in and what runs then",
		[]string{"path", "type", "control", "module", "arguments_text"}, []string{"path", "line_number", "service", "type", "control", "module", "arguments"},
		concat(pamLineFields(), pamModuleFields(), originFields(func(p *pamRule) *origin { return p.origin })))
}

func pamLineFields() []pamField {
	const source = "pam.conf(5)"
	return []pamField{
		free("path", "string", "service file or pam.conf", source, func(p *pamRule) any { return p.origin.path }),
		free("line_number", "int", "line in that file, from 1", source, func(p *pamRule) any { return p.number }),
		free("service", "string", "service that asks: sshd, sudo, login …; a common file has its own name", source, func(p *pamRule) any { return text(p.line.Service) }),
		free("type", "string", "auth, account, password or session", source, func(p *pamRule) any { return text(p.line.Type) }),
		free("control", "string", "required, sufficient, include, @include or [value=action …]", source, func(p *pamRule) any { return text(p.line.Control) }),
		free("module", "string", "module as written; of an include, the file", source, func(p *pamRule) any { return text(p.line.Module) }),
		free("arguments", "strings", "arguments of the module", source, func(p *pamRule) any { return list(p.line.Arguments) }),
		free("arguments_text", "string", "the same as one text", source, func(p *pamRule) any { return text(strings.Join(p.line.Arguments, " ")) }),
		free("include", "string", "service file that the line brings in", source, func(p *pamRule) any { return text(p.line.Include) }),
		free("is_silent", "bool", "a missing module is not logged (- in front of the type)", source, func(p *pamRule) any { return p.line.Silent }),
		free("is_valid", "bool", "libpam would take the line", source, func(p *pamRule) any { return p.line.Valid }),
		free("command", "string", "program and arguments that pam_exec runs", source, func(p *pamRule) any { return text(p.line.command()) }),
	}
}

func pamModuleFields() []pamField {
	stat := func(name, typ, unit, doc string, value func(*content.Stat) any) pamField {
		return pamField{Name: name, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: "stat(2)", Get: func(p *pamRule) (any, error) {
			st, err := p.moduleStat()
			if err != nil || st == nil {
				return nil, err
			}
			return value(st), nil
		}}
	}
	return []pamField{
		{Name: "module_path", Type: "string", Cost: collect.Cheap, Doc: "file of the module; none when it is not found", Source: "directories of libpam",
			Get: func(p *pamRule) (any, error) { name, err := p.modulePath(); return text(name), err }},
		{Name: "module_exists", Type: "bool", Cost: collect.Cheap, Doc: "the module is there; none for includes", Source: "stat(2)", Get: (*pamRule).moduleExists},
		free("in_module_directory", "bool", "an absolute module lies in a security directory of /lib or /usr/lib; none for a name", "pam.conf(5)", (*pamRule).inModuleDirectory),
		stat("module_mode", "string", "octal text", "permission bits of the module", func(st *content.Stat) any { return st.Octal() }),
		stat("module_uid", "int", "", "owner of the module", func(st *content.Stat) any { return st.UID }),
		stat("module_size", "int", "bytes", "length of the module", func(st *content.Stat) any { return st.Size }),
		stat("module_mtime", "int", "epoch seconds", "last change of the module's content", func(st *content.Stat) any { return st.Mtime }),
		{Name: "program_writable", Type: "bool", Cost: collect.Cheap, Doc: "root does not own what pam_exec runs, or everybody may write to it", Source: "stat(2)",
			Get: func(p *pamRule) (any, error) {
				program, _ := cutWord(p.line.command())
				st, err := target{p.origin.env, program}.stat()
				if err != nil || st == nil {
					return nil, err
				}
				return st.Mode&0o002 != 0 || st.UID != 0, nil
			}},
	}
}
