// Package settings collects how the host's services and its own accounts, logins, logs, boot and packages are set up: what
// their configuration files say, and for well-known settings what holds when no file says anything.
package settings

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/glob"
)

// Bounds of one file, of all files of a source and of one directory; real ones are far below.
const (
	maxFileBytes = 1 << 20
	maxFiles     = 1000
	maxLines     = 20_000
	maxEntries   = 10_000
	maxDepth     = 16
)

// Collectors returns the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{{Name: "setting", Subjects: []*collect.Subject{subject}, Run: run}}
}

// setting is one setting of one kind. What could not be read makes its value unknown, or, where it is not known which
// settings there are, a setting whose name is unknown: rules on other kinds are not touched by that.
type setting struct {
	env                 *collect.Env
	kind, section, name string
	item                string // tells lines of one name apart, where each counts
	value               string
	hasValue, isSet     bool
	values              []string
	path                string
	line                int64
	valueErr, nameErr   error
	number              *int64
}

// source makes the settings of one kind.
type source struct {
	kind string
	read func(r *reader) []*setting
}

func run(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, _ *collect.Status) error {
	for _, s := range sources() {
		r := &reader{env: env, kind: s.kind}
		found := s.read(r)
		if r.stop == nil && len(r.misses) > 0 {
			found = append(found, r.unknown()...)
		}
		for _, one := range found {
			if err := errors.Join(ctx.Err(), r.stop, env.Throttle.Pause()); err != nil {
				return err
			}
			if err := emit("setting", one); err != nil {
				return err
			}
		}
		if r.stop != nil {
			return r.stop
		}
	}
	return nil
}

// reader reads the files of one source and remembers what it could not read.
type reader struct {
	env    *collect.Env
	kind   string
	files  int
	misses []miss
	stop   error // the visit must end
}

type miss struct {
	path string
	err  error
}

// text is a whole file; ok is false when there is none, or when it could not be read, which is a miss.
func (r *reader) text(name string) (text string, ok bool) {
	if r.stop = errors.Join(r.stop, r.env.Throttle.Pause()); r.stop != nil {
		return "", false
	}
	if r.files++; r.files > maxFiles {
		r.miss(name, collect.ErrLimit)
		return "", false
	}
	data, err := content.ReadFile(r.env, name, maxFileBytes)
	if err != nil {
		r.miss(name, err)
		return "", false
	}
	return string(data), true
}

func (r *reader) miss(name string, err error) {
	if content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) {
		return
	}
	if len(r.misses) < 100 {
		r.misses = append(r.misses, miss{name, err})
	}
}

// missed is why the settings of a source are not fully known; nil when they are.
func (r *reader) missed() error {
	if len(r.misses) == 0 {
		return nil
	}
	return r.misses[0].err
}

// unknown are records of the files that could not be read: nobody knows what they set.
func (r *reader) unknown() []*setting {
	var found []*setting
	for _, m := range r.misses {
		found = append(found, &setting{env: r.env, kind: r.kind, path: m.path, nameErr: m.err, valueErr: m.err})
	}
	return found
}

// names are the entries of a directory that are no directories, sorted.
func (r *reader) names(dir string) []string {
	if r.stop = errors.Join(r.stop, r.env.Throttle.Pause()); r.stop != nil {
		return nil
	}
	entries, err := content.ReadDir(r.env, dir, maxEntries)
	if err != nil {
		r.miss(dir, err)
	}
	var names []string
	for _, e := range entries {
		if e.Type != content.TypeDir {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return names
}

// matching are the files that a pattern with wildcards in its last component fits, sorted.
func (r *reader) matching(pattern string) []string {
	at := strings.LastIndexByte(pattern, '/')
	dir, last := pattern[:at], pattern[at+1:]
	if !glob.HasWildcard(last) {
		return []string{pattern}
	}
	var found []string
	for _, name := range r.names(dir) {
		if glob.Match(last, name) && (name[0] != '.' || last[0] == '.') {
			found = append(found, dir+"/"+name)
		}
	}
	return found
}

func (r *reader) exists(path string) bool {
	_, err := content.StatPath(r.env, path)
	if err != nil {
		r.miss(path, err)
	}
	return err == nil
}

// first gives the first path that exists, "" for none.
func (r *reader) first(paths ...string) string {
	for _, path := range paths {
		if r.exists(path) {
			return path
		}
	}
	return ""
}

func (r *reader) setting(name, value string) *setting {
	s := &setting{env: r.env, kind: r.kind, name: name}
	return s.give(value)
}

// give sets the value; secrets are not kept.
func (s *setting) give(value string) *setting {
	s.value, s.hasValue, s.isSet = redact(s.name, value), true, true
	s.number = parseNumber(s.kind, s.value)
	return s
}

// origin says in words where the value comes from.
func (s *setting) origin() string {
	switch {
	case s.path == "":
		return "built in"
	case s.line == 0:
		return s.path
	}
	return s.path + " line " + strconv.FormatInt(s.line, 10)
}

// secretNames are parts of names whose values are secrets in some file that is read here.
var secretNames = []string{"password", "passwd", "requirepass", "masterauth", "secret", "community", "bindpw", "createuser", "token"}

// redact hides a secret. The two community strings that everybody knows are none.
func redact(name, value string) string {
	name = strings.ToLower(name)
	for _, part := range secretNames {
		if !strings.Contains(name, part) {
			continue
		}
		first, rest, _ := strings.Cut(value, " ")
		if part == "community" && (first == "public" || first == "private") {
			return value
		}
		if part == "community" && rest != "" {
			return "*** " + rest
		}
		if isWord(value) {
			return value
		}
		return "***"
	}
	return value
}

// isWord tells values that switch something; settings such as passwordauthentication or passwd_tries are no secrets.
func isWord(value string) bool {
	if _, err := strconv.Atoi(value); err == nil && len(value) < 4 {
		return true
	}
	return slices.Contains([]string{"", "yes", "no", "true", "false", "on", "off", "none", "never", "always"}, strings.ToLower(value))
}

// parseNumber reads decimal numbers, of ssh also the times of sshd_config(5), as 1h30m, in seconds.
func parseNumber(kind, value string) *int64 {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return &n
	}
	if kind != "sshd" && kind != "ssh" || value == "" || len(value) > 20 {
		return nil
	}
	var total, part int64
	digits := false
	for _, c := range strings.ToLower(value) {
		if c >= '0' && c <= '9' {
			part, digits = part*10+int64(c-'0'), true
			continue
		}
		unit, known := map[rune]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[c]
		if !known || !digits || part > 1<<31 {
			return nil
		}
		total, part, digits = total+part*unit, 0, false
	}
	if digits {
		total += part
	}
	return &total
}

const (
	fromFiles = "files of the kind"
	fromStat  = "stat(2) of path"
)

// known makes a getter of a field that is free but may be unknown.
func known(name string, k fact.Kind, doc string, err func(*setting) error, get func(*setting) any) collect.Field[*setting] {
	return collect.Field[*setting]{Name: name, Type: k.Name, Unit: k.Unit, Cost: collect.Free, Doc: doc, Source: fromFiles,
		Get: func(s *setting) (any, error) {
			if err := err(s); err != nil {
				return nil, err
			}
			return get(s), nil
		}}
}

func ofFile(name string, k fact.Kind, doc string, get func(*content.Stat) any) collect.Field[*setting] {
	return fact.Cheap(name, k, doc, fromStat, func(s *setting) (any, error) {
		if s.path == "" {
			return nil, nil
		}
		st, err := content.StatPath(s.env, s.path)
		if content.IsAbsent(err) || errors.Is(err, fs.ErrInvalid) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return get(st), nil
	})
}

var subject = collect.NewSubject("setting",
	"How services and the system are set up: one record for each setting that holds, from their configuration files, and "+
		"for well-known settings also when no file sets them. Values of secrets are ***.",
	[]string{"kind", "section", "name", "item"}, []string{"kind", "section", "name", "value", "path", "line_number"},
	[]collect.Field[*setting]{
		fact.Free("kind", fact.Text, "whose setting: "+strings.Join(kinds(), ", "), fromFiles,
			func(s *setting) any { return s.kind }),
		known("section", fact.Text, "block it stands in: [section], Match or Host line of ssh, domain of limits; none for none",
			func(s *setting) error { return s.nameErr }, func(s *setting) any { return fact.String(s.section) }),
		known("name", fact.Text, "name of the setting; of ssh in lower case, and access_is_limited: sshd names users or groups that it lets in or not",
			func(s *setting) error { return s.nameErr }, func(s *setting) any { return fact.String(s.name) }),
		known("item", fact.Text, "the line itself, of kinds where each line counts and not the last",
			func(s *setting) error { return s.nameErr }, func(s *setting) any { return fact.String(s.item) }),
		known("value", fact.Text, "value that holds: as set, else what is built in; none where neither is known",
			func(s *setting) error { return s.valueErr }, func(s *setting) any {
				if !s.hasValue {
					return nil
				}
				return s.value
			}),
		known("values", fact.Texts, "all values, of settings that add up; lines of a stack of PAM; programs found",
			func(s *setting) error { return s.valueErr }, func(s *setting) any { return fact.Strings(s.values) }),
		known("number", fact.Int, "the value when it is a decimal number; times of ssh in seconds",
			func(s *setting) error { return s.valueErr }, func(s *setting) any { return fact.Pointer(s.number) }),
		known("is_set", fact.Bool, "a file sets it; of software, running and mount_point: there is one",
			func(s *setting) error { return s.valueErr }, func(s *setting) any { return s.isSet }),
		fact.Free("path", fact.Text, "file that sets it; none for what is built in", fromFiles,
			func(s *setting) any { return fact.String(s.path) }),
		fact.Free("line_number", fact.Int, "line in that file, from 1", fromFiles, func(s *setting) any {
			if s.line == 0 {
				return nil
			}
			return s.line
		}),
		known("origin", fact.Text, "the same in words: file and line, or built in",
			func(s *setting) error { return s.nameErr }, func(s *setting) any { return s.origin() }),
		ofFile("file_mode", fact.Octal, "permission bits of that file, links followed", func(st *content.Stat) any { return st.Octal() }),
		ofFile("file_uid", fact.Int, "owner of that file", func(st *content.Stat) any { return int64(st.UID) }),
		ofFile("file_gid", fact.Int, "group of that file", func(st *content.Stat) any { return int64(st.GID) }),
		ofFile("file_mtime", fact.Epoch, "last change of that file's content", func(st *content.Stat) any { return st.Mtime }),
	})
