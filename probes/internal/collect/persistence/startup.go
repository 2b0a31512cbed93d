package persistence

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
)

// startupRecord is a record of the subject shell_startup.
type startupRecord struct {
	file   *startupFile
	number int64
	text   string
	line   startupLine
	stock  bool
}

// startupFile is a start-up file and what reads it when.
type startupFile struct {
	origin       *origin
	shell, event string
	scope        string // system, user, skel
	home         home
}

// startupName is a file by its name, or a directory of such files when it ends in a slash.
type startupName struct{ name, shell, event string }

var systemStartup = []startupName{
	{"/etc/profile", "sh", "login"}, {"/etc/profile.d/", "sh", "login"}, {"/usr/etc/profile.d/", "sh", "login"},
	{"/etc/bash.bashrc", "bash", "interactive"}, {"/etc/bashrc", "bash", "interactive"}, {"/etc/bash/bashrc", "bash", "interactive"},
	{"/etc/bash/bashrc.d/", "bash", "interactive"}, {"/etc/bash.bash_logout", "bash", "logout"},
	{"/etc/bash_completion.d/", "bash", "interactive"},
	{"/etc/zshenv", "zsh", "environment"}, {"/etc/zprofile", "zsh", "login"}, {"/etc/zshrc", "zsh", "interactive"},
	{"/etc/zlogin", "zsh", "login"}, {"/etc/zlogout", "zsh", "logout"}, {"/etc/zsh/zshenv", "zsh", "environment"},
	{"/etc/zsh/zprofile", "zsh", "login"}, {"/etc/zsh/zshrc", "zsh", "interactive"}, {"/etc/zsh/zlogin", "zsh", "login"},
	{"/etc/zsh/zlogout", "zsh", "logout"}, {"/etc/fish/config.fish", "fish", "interactive"}, {"/etc/fish/conf.d/", "fish", "interactive"},
	{"/etc/csh.cshrc", "csh", "interactive"}, {"/etc/csh.login", "csh", "login"}, {"/etc/csh.logout", "csh", "logout"},
	{"/etc/ksh.kshrc", "ksh", "interactive"}, {"/etc/mkshrc", "ksh", "interactive"},
	{"/etc/environment", "environment", "environment"}, {"/etc/environment.d/", "environment", "environment"},
	{"/etc/security/pam_env.conf", "environment", "environment"},
	{"/etc/ssh/sshrc", "ssh", "login"}, {"/etc/X11/Xsession.d/", "x11", "session"}, {"/etc/X11/xinit/xinitrc", "x11", "session"},
	{"/etc/X11/xinit/xinitrc.d/", "x11", "session"}, {"/etc/X11/Xreset.d/", "x11", "logout"},
}

var userStartup = []startupName{
	{".profile", "sh", "login"}, {".bashrc", "bash", "interactive"}, {".bash_profile", "bash", "login"},
	{".bash_login", "bash", "login"}, {".bash_logout", "bash", "logout"}, {".bash_aliases", "bash", "interactive"}, {".bashrc.d/", "bash", "interactive"},
	{".zshenv", "zsh", "environment"}, {".zprofile", "zsh", "login"}, {".zshrc", "zsh", "interactive"}, {".zlogin", "zsh", "login"},
	{".zlogout", "zsh", "logout"}, {".kshrc", "ksh", "interactive"}, {".mkshrc", "ksh", "interactive"}, {".shrc", "sh", "interactive"},
	{".cshrc", "csh", "interactive"}, {".tcshrc", "csh", "interactive"}, {".login", "csh", "login"}, {".logout", "csh", "logout"},
	{".config/fish/config.fish", "fish", "interactive"}, {".config/fish/conf.d/", "fish", "interactive"},
	{".xinitrc", "x11", "session"}, {".xsession", "x11", "session"}, {".xsessionrc", "x11", "session"}, {".xprofile", "x11", "session"},
	{".ssh/rc", "ssh", "login"}, {".ssh/environment", "environment", "environment"},
	{".pam_environment", "environment", "environment"}, {".config/environment.d/", "environment", "environment"},
}

func startupCollector() collect.Collector {
	return collector("shell_startup", startupSubject(), func(r *reader) error {
		s := &startupReader{reader: r, skel: map[string]map[string]bool{}}
		if err := s.all("", systemStartup, startupFile{scope: "system"}); err != nil {
			return err
		}
		if err := s.all("/etc/skel/", userStartup, startupFile{scope: "skel"}); err != nil {
			return err
		}
		homes, err := r.homes()
		if err != nil {
			return err
		}
		for _, h := range homes {
			if err := s.all(strings.TrimSuffix(h.path, "/")+"/", userStartup, startupFile{scope: "user", home: h}); err != nil {
				return err
			}
		}
		return nil
	})
}

type startupReader struct {
	*reader
	skel map[string]map[string]bool // name below /etc/skel → its lines
}

func (s *startupReader) all(base string, names []startupName, like startupFile) error {
	for _, n := range names {
		like.shell, like.event = n.shell, n.event
		if !strings.HasSuffix(n.name, "/") {
			if err := s.file(base, n.name, like); err != nil {
				return err
			}
			continue
		}
		inside, err := s.names(base + n.name)
		if err != nil {
			return err
		}
		for _, name := range inside {
			if err := s.file(base, n.name+name, like); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *startupReader) file(base, name string, like startupFile) error {
	like.origin = s.origin(base + name)
	from := &like
	return s.lines(from.origin.path, true, func(number int64, line string) error {
		if isIdle(line) {
			return nil
		}
		rec := &startupRecord{file: from, number: number, text: strings.TrimSpace(line)}
		if like.scope == "skel" {
			s.remember(name, rec.text)
		}
		rec.stock = like.scope == "skel" || s.skel[name][rec.text]
		rec.line = parseStartupLine(rec.text)
		return s.emit(rec)
	})
}

func (s *startupReader) remember(name, line string) {
	if s.skel[name] == nil {
		s.skel[name] = map[string]bool{}
	}
	s.skel[name][line] = true
}

// isForeign tells a user's file that neither the user nor root owns.
func (s *startupRecord) isForeign() (any, error) {
	if s.file.scope != "user" || !s.file.home.known {
		return nil, nil
	}
	st, err := s.file.origin.stat()
	if err != nil {
		return nil, err
	}
	return st.UID != 0 && st.UID != s.file.home.uid, nil
}

// shownValue keeps the value of a variable whose name is that of a secret on the host.
func (s *startupRecord) shownValue() string {
	if s.line.Variable == "" || s.line.Value == "" {
		return s.line.Value
	}
	if fact.IsSecret(s.line.Variable) {
		return fact.Redact(s.line.Value)
	}
	_, shown, _ := strings.Cut(fact.Redacted([]string{"=" + s.line.Value})[0], "=")
	return shown
}

// shownText is the line without that value. Where quotes stand within the value, nothing but the name stays.
func (s *startupRecord) shownText() string {
	shown := s.shownValue()
	if shown == s.line.Value {
		return s.text
	}
	if !strings.Contains(s.text, s.line.Value) {
		return s.line.Variable + "=" + shown
	}
	return strings.ReplaceAll(s.text, s.line.Value, shown)
}

type startupField = collect.Field[*startupRecord]

func startupSubject() *collect.Subject {
	const source = "bash(1), zsh(1), fish(1), tcsh(1), sshd(8), environment(5)"
	return collect.NewSubject("shell_startup", "lines that do something in the files that shells, sshd and desktop sessions read when they start or end",
		[]string{"path", "text"}, []string{"path", "line_number", "username", "text"},
		concat([]startupField{
			free("path", "string", "start-up file", source, func(s *startupRecord) any { return s.file.origin.path }),
			free("name", "string", "its last component", source, func(s *startupRecord) any { return path.Base(s.file.origin.path) }),
			free("line_number", "int", "line in that file, from 1", source, func(s *startupRecord) any { return s.number }),
			free("text", "string", "the line, continuation lines joined, a secret that it sets as [redacted LENGTH]; comments and lines of structure only have no record", source, func(s *startupRecord) any { return text(s.shownText()) }),
			free("scope", "string", "system, user, or skel: copied into new homes", source, func(s *startupRecord) any { return s.file.scope }),
			free("username", "string", "whose home it is in", "/etc/passwd", func(s *startupRecord) any { return text(s.file.home.username) }),
			free("uid", "int", "uid of that user; none for a stray home", "/etc/passwd", func(s *startupRecord) any {
				if !s.file.home.known {
					return nil
				}
				return s.file.home.uid
			}),
			free("shell", "string", "what reads it: sh, bash, zsh, fish, csh, ksh, ssh, x11, or environment for NAME=value files", source, func(s *startupRecord) any { return s.file.shell }),
			free("event", "string", "when: login, interactive, logout, session or environment", source, func(s *startupRecord) any { return s.file.event }),
			free("is_stock", "bool", "the same line is in the file of that name in /etc/skel", "/etc/skel", func(s *startupRecord) any { return s.stock }),
			free("variable", "string", "variable that the line sets", source, func(s *startupRecord) any { return text(s.line.Variable) }),
			free("value", "string", "value of the variable or alias, quotes taken off, nothing expanded; [redacted LENGTH] where the name is that of a secret", source, func(s *startupRecord) any { return text(s.shownValue()) }),
			free("alias", "string", "command that the line makes an alias", source, func(s *startupRecord) any { return text(s.line.Alias) }),
			free("function", "string", "function that begins on the line", source, func(s *startupRecord) any { return text(s.line.Function) }),
			free("sourced", "string", "file that is read into the shell, as written", source, func(s *startupRecord) any { return text(s.line.Sourced) }),
			{Name: "is_foreign_owner", Type: "bool", Cost: collect.Cheap, Doc: "the file in a home belongs neither to its user nor to root", Source: "stat(2)", Get: (*startupRecord).isForeign},
		}, originFields(func(s *startupRecord) *origin { return s.file.origin })))
}
