package launch

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/collect/packages/store"
)

// maxScripts bounds the scripts that are told of one record.
const maxScripts = 8

// programDirs is where a program without a slash is looked for.
var programDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// Scripts are the scripts that one record runs, looked for when a field first asks.
type Scripts struct {
	looked bool
	files  []file
	err    error
}

// file is a script on the disk.
type file struct {
	path string
	st   *content.Stat
}

// find looks at the files behind the lines once.
func (s *Scripts) find(env *collect.Env, lines []Line) ([]file, error) {
	if s.looked {
		return s.files, s.err
	}
	s.looked = true
	for _, line := range lines {
		for _, c := range Candidates(line) {
			found, err := look(env, c, line.Path)
			if err != nil {
				s.files, s.err = nil, err
				return nil, err
			}
			if found.st == nil || slices.ContainsFunc(s.files, func(f file) bool { return f.path == found.path }) {
				continue
			}
			if s.files = append(s.files, found); len(s.files) == maxScripts {
				return s.files, nil
			}
		}
	}
	return s.files, nil
}

// look gives the script that a candidate is, without st when it is none.
func look(env *collect.Env, c Candidate, dirs []string) (file, error) {
	names := []string{c.Path}
	if !strings.HasPrefix(c.Path, "/") {
		if dirs == nil {
			dirs = programDirs
		}
		names = nil
		for _, dir := range dirs {
			names = append(names, dir+"/"+c.Path)
		}
	}
	for _, name := range names {
		k := knownOf(env, name)
		if k.err != nil || k.st == nil {
			if k.err != nil {
				return file{}, k.err
			}
			continue
		}
		if c.Given && k.isText || k.isScript && k.st.Mode&0o111 != 0 {
			return file{name, k.st}, nil
		}
		break
	}
	return file{}, nil
}

// known is what was found at a path; the programs of units and jobs are few and named often.
type known struct {
	st       *content.Stat // nil when no regular file is there
	isScript bool          // it begins with #!
	isText   bool
	err      error
}

// maxKnown bounds the paths that are remembered.
const maxKnown = 4096

// seen are the paths of the visit; a process makes one visit.
var seen struct {
	sync.Mutex
	env   *collect.Env
	paths map[string]known
}

func knownOf(env *collect.Env, name string) known {
	seen.Lock()
	defer seen.Unlock()
	if seen.env != env {
		seen.env, seen.paths = env, map[string]known{}
	}
	k, ok := seen.paths[name]
	if !ok {
		if k = examine(env, name); len(seen.paths) < maxKnown {
			seen.paths[strings.Clone(name)] = k
		}
	}
	return k
}

func examine(env *collect.Env, name string) (k known) {
	st, err := content.StatPath(env, name)
	if isNothing(err) || err == nil && !st.IsRegular() {
		return known{}
	}
	if err != nil {
		return known{err: err}
	}
	f, err := content.Open(env, name)
	if isNothing(err) {
		return known{}
	}
	if err != nil {
		return known{err: err}
	}
	defer f.Close()
	head, err := f.Head(content.HeadBytes)
	return known{st: st, isScript: bytes.HasPrefix(head, []byte("#!")), isText: content.IsText(head), err: err}
}

// isNothing tells that no file is at a path; a name that no file can have is none.
func isNothing(err error) bool {
	return content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) || errors.Is(err, fs.ErrInvalid) ||
		errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.ESTALE)
}

// text is the beginning of a script; "" for one that is gone or no text any more.
func (f file) text(env *collect.Env) (string, error) {
	opened, err := content.Open(env, f.path)
	if isNothing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer opened.Close()
	text, _, err := opened.Text(content.MaxTextBytes)
	return text, err
}

// isOpenToAll tells that others may write to the script, or exchange it in its directory.
func (f file) isOpenToAll(env *collect.Env) (bool, error) {
	if f.st.Mode&0o002 != 0 {
		return true, nil
	}
	dir, err := content.StatPath(env, f.path[:max(1, strings.LastIndexByte(f.path, '/'))])
	if isNothing(err) {
		return false, nil
	}
	return err == nil && dir.Mode&(0o002|syscall.S_ISVTX) == 0o002, err
}

// isForeign tells that no package brought the script; false on a host without a package database.
func (f file) isForeign(env *collect.Env) (bool, error) {
	owned, err := store.OwnedField(env, f.path)
	if err != nil || owned != false {
		return false, err
	}
	real, err := content.Resolve(env, f.path)
	if isNothing(err) || err == nil && real == f.path {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	owned, err = store.OwnedField(env, real)
	return owned == false, err
}

// Source is a record whose command lines run scripts.
type Source interface {
	// Launches gives the lines, and where what is found behind them is kept.
	Launches() (*collect.Env, *Scripts, []Line, error)
}

// scriptFields are what a record tells of its scripts, one after the other.
var scriptFields = []struct {
	name   string
	kind   fact.Kind
	cost   collect.Cost
	doc    string
	source string
	of     func(*collect.Env, file) (any, error)
}{
	{"path", fact.Texts, collect.Cheap, "scripts that it runs, at most 8: files that begin with #!, or that an interpreter is given", "command lines, stat(2)",
		func(_ *collect.Env, f file) (any, error) { return f.path, nil }},
	{"mode", fact.Kind{Name: "strings", Unit: "octal text"}, collect.Cheap, "permission bits of each, links followed", "stat(2)",
		func(_ *collect.Env, f file) (any, error) { return f.st.Octal(), nil }},
	{"uid", fact.Ints, collect.Cheap, "owner of each", "stat(2)",
		func(_ *collect.Env, f file) (any, error) { return f.st.UID, nil }},
	{"mtime", fact.Kind{Name: "ints", Unit: "epoch seconds"}, collect.Cheap, "last change of the content of each", "stat(2)",
		func(_ *collect.Env, f file) (any, error) { return f.st.Mtime, nil }},
	{"ctime_age_s", fact.Kind{Name: "ints", Unit: "seconds"}, collect.Cheap, "time since the last change of content, owner, bits or name of each", "stat(2)",
		func(env *collect.Env, f file) (any, error) { return env.Now.Unix() - f.st.Ctime, nil }},
	{"world_writable", fact.Texts, collect.Cheap, "of these, by path, the ones that others may write to, or replace in their directory", "stat(2)",
		pathIf(file.isOpenToAll)},
	{"unpackaged", fact.Texts, collect.Cheap, "of these, by path, the ones that no installed package brought; none on a host without a package database",
		"databases of dpkg, rpm and apk", pathIf(file.isForeign)},
	{"content", fact.Texts, collect.Costly, "text of each, its first 64 KiB", "content",
		func(env *collect.Env, f file) (any, error) {
			text, err := f.text(env)
			return fact.String(text), err
		}},
}

// Fields are the facts of the scripts that a record runs: lists with one element a script, absent where it runs none.
func Fields[R Source]() []collect.Field[R] {
	var fields []collect.Field[R]
	for _, f := range scriptFields {
		fields = append(fields, collect.Field[R]{
			Name: "script." + f.name, Type: f.kind.Name, Unit: f.kind.Unit, Cost: f.cost, Doc: f.doc, Source: f.source,
			Get: func(r R) (any, error) { return gather(r, f.of) },
		})
	}
	return fields
}

// pathIf gives the path of a script for which the test holds, else none.
func pathIf(test func(file, *collect.Env) (bool, error)) func(*collect.Env, file) (any, error) {
	return func(env *collect.Env, f file) (any, error) {
		if holds, err := test(f, env); err != nil || !holds {
			return nil, err
		}
		return f.path, nil
	}
}

func gather(r Source, of func(*collect.Env, file) (any, error)) (any, error) {
	env, scripts, lines, err := r.Launches()
	if err != nil {
		return nil, err
	}
	files, err := scripts.find(env, lines)
	if err != nil {
		return nil, err
	}
	var texts []string
	var numbers []int64
	for _, f := range files {
		v, err := of(env, f)
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case int64:
			numbers = append(numbers, v)
		}
	}
	if numbers != nil {
		return numbers, nil
	}
	if texts == nil {
		return nil, nil
	}
	return texts, nil
}
