package persistence

import (
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/launch"
)

// initScript is a record of the subject init_script.
type initScript struct {
	origin   *origin
	kind     string // script, link, rc_local, inittab
	number   int64
	runlevel string
	link     rcLink
	target   string
	command  string
	entry    inittabLine
	enabled  []string // runlevels with a link that starts the script
	scripts  launch.Scripts
}

// Launches is the command of a line, else the script itself, links followed.
func (s *initScript) Launches() (*collect.Env, *launch.Scripts, []launch.Line, error) {
	line := launch.Line{Text: s.command, Dir: "/", Home: "/root"}
	if s.kind == "script" || s.kind == "link" {
		line.Text = launch.Quote(s.origin.path)
	}
	return s.origin.env, &s.scripts, []launch.Line{line}, nil
}

// rcLink is the name of a link in rc?.d: S20ssh starts ssh as the twentieth.
type rcLink struct {
	Action string // start, stop
	Order  int64
	Name   string
}

// parseRCLink reads the name of a link of System V init.
func parseRCLink(name string) (l rcLink, ok bool) {
	if len(name) < 4 || name[0] != 'S' && name[0] != 'K' {
		return rcLink{}, false
	}
	order, err := strconv.ParseUint(name[1:3], 10, 8)
	if err != nil {
		return rcLink{}, false
	}
	action := "start"
	if name[0] == 'K' {
		action = "stop"
	}
	return rcLink{action, int64(order), name[3:]}, true
}

// inittabLine is one line of inittab(5).
type inittabLine struct{ ID, Runlevels, Action, Process string }

func parseInittabLine(line string) (l inittabLine, ok bool) {
	line = strings.TrimSpace(line)
	parts := strings.SplitN(line, ":", 4)
	if line == "" || line[0] == '#' || len(parts) != 4 {
		return inittabLine{}, false
	}
	return inittabLine{parts[0], parts[1], parts[2], strings.TrimSpace(parts[3])}, true
}

var (
	initDirectories = []string{"/etc/init.d", "/etc/rc.d/init.d", "/etc/local.d", "/etc/rc.d", "/usr/local/etc/rc.d"}
	rcLocalFiles    = []string{"/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/boot.local", "/etc/init.d/after.local", "/etc/rc.d/rc.sysinit", "/etc/rc.firsttime"}
)

func initCollector() collect.Collector {
	return collector("init_scripts", initSubject(), func(r *reader) error {
		i := &initReader{reader: r, seen: map[string]bool{}, started: map[string][]string{}}
		for _, step := range []func() error{i.links, i.scripts, i.rcLocal, i.inittab} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

type initReader struct {
	*reader
	seen    map[string]bool     // by resolved path: /etc/init.d is often a link to /etc/rc.d/init.d
	started map[string][]string // resolved path of a script → runlevels it starts in
}

func (i *initReader) isNew(name string) bool {
	real, err := content.Resolve(i.env, name)
	if err != nil {
		real = name
	}
	if i.seen[real] {
		return false
	}
	i.seen[real] = true
	return true
}

func (i *initReader) links() error {
	for _, base := range []string{"/etc", "/etc/rc.d"} {
		for _, level := range strings.Split("S 0 1 2 3 4 5 6", " ") {
			dir := path.Join(base, "rc"+level+".d")
			names, err := i.names(dir)
			if err != nil {
				return err
			}
			if len(names) == 0 || !i.isNew(dir) {
				continue
			}
			for _, name := range names {
				if err := i.rcEntry(dir, name, level); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (i *initReader) rcEntry(dir, name, level string) error {
	link, ok := parseRCLink(name)
	if !ok {
		return nil
	}
	file := path.Join(dir, name)
	rec := &initScript{origin: i.origin(file), kind: "link", runlevel: level, link: link}
	if to, err := content.Readlink(i.env, file); err == nil {
		rec.target = to
		if !path.IsAbs(to) {
			rec.target = path.Join(dir, to)
		}
	}
	if real, err := content.Resolve(i.env, file); err == nil && link.Action == "start" {
		i.started[real] = append(i.started[real], level)
	}
	return i.emit(rec)
}

func (i *initReader) scripts() error {
	for _, dir := range initDirectories {
		names, err := i.names(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			file := path.Join(dir, name)
			st, err := content.StatPath(i.env, file)
			if err != nil || !st.IsRegular() || name == "README" || name == "rc.local" || !i.isNew(file) {
				if err := i.miss(err); err != nil {
					return err
				}
				continue
			}
			real, _ := content.Resolve(i.env, file)
			if err := i.emit(&initScript{origin: i.origin(file), kind: "script", enabled: i.started[real]}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *initReader) rcLocal() error {
	done := map[string]bool{}
	for _, file := range rcLocalFiles {
		real, err := content.Resolve(i.env, file)
		if err != nil || done[real] {
			continue
		}
		done[real] = true
		from := i.origin(file)
		err = i.lines(file, true, func(number int64, line string) error {
			if isIdle(line) {
				return nil
			}
			return i.emit(&initScript{origin: from, kind: "rc_local", number: number, command: strings.TrimSpace(line)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *initReader) inittab() error {
	from := i.origin("/etc/inittab")
	return i.lines(from.path, false, func(number int64, line string) error {
		entry, ok := parseInittabLine(line)
		if !ok {
			return nil
		}
		return i.emit(&initScript{origin: from, kind: "inittab", number: number, command: entry.Process, entry: entry, runlevel: entry.Runlevels})
	})
}

// content is the text of a script.
func (s *initScript) content() (any, error) {
	if s.kind != "script" {
		return nil, nil
	}
	f, err := content.Open(s.origin.env, s.origin.path)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, isText, err := f.Text(content.MaxTextBytes)
	if err != nil || !isText {
		return nil, err
	}
	return data, nil
}

// hasLSBHeader tells a script with the comment block that distributions' scripts have.
func (s *initScript) hasLSBHeader() (any, error) {
	data, err := s.content()
	if err != nil || s.kind != "script" {
		return nil, err
	}
	body, _ := data.(string)
	return strings.Contains(body, "### BEGIN INIT INFO") || strings.Contains(body, "# chkconfig:") || strings.HasPrefix(body, "#!/sbin/openrc-run"), nil
}

func (s *initScript) magic() (any, error) {
	if s.kind != "script" {
		return nil, nil
	}
	f, err := content.Open(s.origin.env, s.origin.path)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	magic, err := f.Magic()
	if err != nil {
		return nil, err
	}
	return magic, nil
}

type initField = collect.Field[*initScript]

func initSubject() *collect.Subject {
	const source = "init(8), inittab(5)"
	whenLink := func(value func(s *initScript) any) func(s *initScript) any {
		return func(s *initScript) any {
			if s.kind != "link" {
				return nil
			}
			return value(s)
		}
	}
	return collect.NewSubject("init_script", "scripts of System V init and its like, links of the runlevels, lines of rc.local and inittab",
		[]string{"path", "kind", "command"}, []string{"path", "kind", "line_number", "command"},
		concat([]initField{
			free("path", "string", "script, link, rc.local or inittab", source, func(s *initScript) any { return s.origin.path }),
			free("name", "string", "its last component", source, func(s *initScript) any { return path.Base(s.origin.path) }),
			free("kind", "string", "script, link (of a runlevel), rc_local (a line) or inittab (a line)", source, func(s *initScript) any { return s.kind }),
			free("line_number", "int", "line of rc.local or inittab, from 1", source, func(s *initScript) any { return positive(s.number) }),
			free("command", "string", "line of rc.local that does something, or the process of an inittab line", source, func(s *initScript) any { return text(s.command) }),
			free("runlevel", "string", "runlevel of a link, runlevels of an inittab line", source, func(s *initScript) any { return text(s.runlevel) }),
			free("action", "string", "of a link start or stop; of an inittab line respawn, once, wait …", source, func(s *initScript) any {
				return text(s.link.Action + s.entry.Action)
			}),
			free("order", "int", "of a link: its place among the others", source, whenLink(func(s *initScript) any { return s.link.Order })),
			free("service", "string", "of a link: name behind the number; of inittab: id of the line", source, func(s *initScript) any { return text(s.link.Name + s.entry.ID) }),
			free("start_runlevels", "strings", "of a script: runlevels with a link that starts it", source, func(s *initScript) any { return list(s.enabled) }),
			{Name: "magic", Type: "string", Cost: collect.Costly, Doc: "of a script: class of its content, as file.magic", Source: "content", Get: (*initScript).magic},
			{Name: "has_header", Type: "bool", Cost: collect.Costly, Doc: "of a script: it has the comment block of LSB, chkconfig or OpenRC", Source: "content", Get: (*initScript).hasLSBHeader},
			{Name: "content", Type: "string", Cost: collect.Costly, Doc: "of a script: the first 64 KiB when they are text", Source: "content", Get: (*initScript).content},
		}, launch.Fields[*initScript](), targetFields("target", "of a link: where it leads", "readlink(2)", func(s *initScript) target { return target{s.origin.env, s.target} }),
			originFields(func(s *initScript) *origin { return s.origin })))
}
