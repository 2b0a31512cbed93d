package persistence

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

// origin is the file that a record was read from.
type origin struct {
	env  *collect.Env
	path string
	st   *content.Stat
	err  error
}

func (r *reader) origin(name string) *origin { return &origin{env: r.env, path: name} }

// stat looks at the file itself, behind links, once.
func (o *origin) stat() (*content.Stat, error) {
	if o.st == nil && o.err == nil {
		o.st, o.err = content.StatPath(o.env, o.path)
	}
	if o.err != nil && (content.IsAbsent(o.err) || errors.Is(o.err, syscall.ESTALE)) {
		return nil, collect.ErrGone
	}
	return o.st, o.err
}

// isLink tells whether the path itself is a symbolic link.
func (o *origin) isLink() (any, error) {
	st, err := content.Lstat(o.env, o.path)
	if err != nil {
		return nil, err
	}
	return st.Type() == syscall.S_IFLNK, nil
}

// behind is stat, but nil for a link that leads nowhere: its record stays, only the file behind it has no facts.
func (o *origin) behind() (*content.Stat, error) {
	st, err := o.stat()
	if errors.Is(err, collect.ErrGone) {
		if isLink, linkErr := o.isLink(); linkErr == nil && isLink == true {
			return nil, nil
		}
	}
	return st, err
}

// originFields are the fields that records read from a file have in common.
func originFields[R any](get func(R) *origin) []collect.Field[R] {
	of := func(name, typ, unit, doc string, value func(*content.Stat) any) collect.Field[R] {
		return collect.Field[R]{Name: name, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: "stat(2) of path",
			Get: func(r R) (any, error) {
				st, err := get(r).behind()
				if err != nil || st == nil {
					return nil, err
				}
				return value(st), nil
			}}
	}
	return []collect.Field[R]{
		of("file_mode", "string", "octal text", "permission bits of the file, links followed", func(st *content.Stat) any { return st.Octal() }),
		of("file_uid", "int", "", "owner of the file, links followed", func(st *content.Stat) any { return st.UID }),
		of("file_gid", "int", "", "group of the file, links followed", func(st *content.Stat) any { return st.GID }),
		of("file_size", "int", "bytes", "length of the file", func(st *content.Stat) any { return st.Size }),
		of("file_mtime", "int", "epoch seconds", "last change of the file's content", func(st *content.Stat) any { return st.Mtime }),
		of("file_ctime", "int", "epoch seconds", "last change of content, owner, bits or name", func(st *content.Stat) any { return st.Ctime }),
		{Name: "file_ctime_age_s", Type: "int", Unit: "seconds", Cost: collect.Cheap, Doc: "time since the last change of content, owner, bits or name",
			Source: "stat(2) of path", Get: func(r R) (any, error) {
				st, err := get(r).behind()
				if err != nil || st == nil {
					return nil, err
				}
				return get(r).env.Now.Unix() - st.Ctime, nil
			}},
		{Name: "file_is_symlink", Type: "bool", Cost: collect.Cheap, Doc: "the path is a symbolic link", Source: "lstat(2)",
			Get: func(r R) (any, error) { return get(r).isLink() }},
	}
}

// target is a file that a record names: the program it runs, the library or module it loads. "" when it names none.
type target struct {
	env  *collect.Env
	path string
}

// stat gives nil when the record names no file, or there is none.
func (t target) stat() (*content.Stat, error) {
	if t.path == "" {
		return nil, nil
	}
	st, err := content.StatPath(t.env, t.path)
	if content.IsAbsent(err) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.ENAMETOOLONG) {
		return nil, nil
	}
	return st, err
}

// targetFields are <name>, <name>_exists, <name>_mode, <name>_uid and <name>_mtime of the file that a record names.
func targetFields[R any](name, doc, source string, get func(R) target) []collect.Field[R] {
	of := func(suffix, typ, unit, doc string, value func(*content.Stat) any) collect.Field[R] {
		return collect.Field[R]{Name: name + suffix, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: "stat(2)",
			Get: func(r R) (any, error) {
				st, err := get(r).stat()
				if err != nil || st == nil {
					return nil, err
				}
				return value(st), nil
			}}
	}
	return []collect.Field[R]{
		free(name, "string", doc, source, func(r R) any { return text(get(r).path) }),
		{Name: name + "_exists", Type: "bool", Cost: collect.Cheap, Doc: "that file is there", Source: "stat(2)",
			Get: func(r R) (any, error) {
				t := get(r)
				if t.path == "" {
					return nil, nil
				}
				st, err := t.stat()
				return st != nil, err
			}},
		of("_mode", "string", "octal text", "its permission bits, links followed", func(st *content.Stat) any { return st.Octal() }),
		of("_uid", "int", "", "its owner, links followed", func(st *content.Stat) any { return st.UID }),
		of("_mtime", "int", "epoch seconds", "last change of its content", func(st *content.Stat) any { return st.Mtime }),
	}
}

// free is a field that the record already holds.
func free[R any](name, typ, doc, source string, get func(R) any) collect.Field[R] {
	return collect.Field[R]{Name: name, Type: typ, Cost: collect.Free, Doc: doc, Source: source,
		Get: func(r R) (any, error) { return get(r), nil }}
}

// timed is a free field that holds epoch seconds; nil when 0.
func timed[R any](name, doc, source string, get func(R) int64) collect.Field[R] {
	return collect.Field[R]{Name: name, Type: "int", Unit: "epoch seconds", Cost: collect.Free, Doc: doc, Source: source,
		Get: func(r R) (any, error) { return positive(get(r)), nil }}
}

func concat[F any](groups ...[]F) []F {
	var all []F
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// text is a string's value: nil when it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// list is a list's value: nil when it has no elements.
func list(s []string) any {
	if len(s) == 0 {
		return nil
	}
	return s
}

// positive is a number's value: nil for 0, which stands for "none".
func positive(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// firstProgram is the program that a command line starts, when it is named by an absolute path; wrappers that start
// what follows them are passed over.
func firstProgram(command string) string {
	for _, word := range strings.Fields(command) {
		word = strings.Trim(word, `"'`)
		switch {
		case strings.HasPrefix(word, "-"), strings.Contains(word, "=") && !strings.HasPrefix(word, "/"):
		case strings.HasPrefix(word, "/"):
			if !wrappers[word[strings.LastIndexByte(word, '/')+1:]] {
				return strings.TrimRight(word, ";&|)")
			}
		case !wrappers[word]:
			return ""
		}
	}
	return ""
}

// wrappers start the program that their arguments name.
var wrappers = map[string]bool{
	"env": true, "nohup": true, "nice": true, "ionice": true, "setsid": true, "sudo": true, "exec": true, "sh": true,
	"bash": true, "dash": true, "timeout": true, "command": true, ".": true, "source": true, "stdbuf": true,
}
