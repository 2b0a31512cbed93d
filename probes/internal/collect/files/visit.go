// Package files collects what lies in a host's file systems: files, directories, users, groups, authorized keys, cron
// jobs and systemd units. It reads only, follows links only inside the root directory, and enters no file system that
// could hang.
package files

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/containers"
	"sandfly/probes/internal/collect/content"
)

// Collectors are the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{
		walkCollector(), accountsCollector(), keysCollector(), cronCollector(), unitsCollector(),
	}
}

// visit is what the records of one run share; parts that cost something are read on first use.
type visit struct {
	env      *collect.Env
	accounts func() *accounts.Accounts
	mounts   func() mountTable
	opened   func() (map[fileID][]string, error)
	places   func() (containers.Places, error)
}

func newVisit(env *collect.Env) *visit {
	return &visit{
		env:      env,
		accounts: sync.OnceValue(func() *accounts.Accounts { return accounts.Load(env) }),
		mounts:   sync.OnceValue(func() mountTable { return readMounts(env) }),
		opened:   sync.OnceValues(func() (map[fileID][]string, error) { return readOpenFiles(env) }),
		places:   sync.OnceValues(func() (containers.Places, error) { return containers.ReadPlaces(env) }),
	}
}

// homeOf is a user's home directory, "" for one that passwd does not have.
func (v *visit) homeOf(username string) string {
	for _, u := range v.accounts().Users {
		if u.Name == username {
			return u.Home
		}
	}
	return ""
}

// origin is the file that a record was read from.
type origin struct {
	v    *visit
	path string
	st   *content.Stat
	err  error
}

// stat looks at the file itself, behind links, once.
func (o *origin) stat() (*content.Stat, error) {
	if o.st == nil && o.err == nil {
		o.st, o.err = content.StatPath(o.v.env, o.path)
	}
	return o.st, lookError(o.err)
}

// isLink tells whether the path itself is a symbolic link.
func (o *origin) isLink() (any, error) {
	st, err := content.Lstat(o.v.env, o.path)
	if err != nil {
		return nil, lookError(err)
	}
	return st.Type() == syscall.S_IFLNK, nil
}

// isImmutable gives the immutable attribute, or nil where the file system has none.
func (o *origin) isImmutable() (any, error) {
	st, err := o.stat()
	if err != nil {
		return nil, err
	}
	if st.HasAttributes || !st.IsRegular() {
		return st.Immutable, nil
	}
	f, err := content.Open(o.v.env, o.path)
	if err != nil {
		return nil, lookError(err)
	}
	defer f.Close()
	immutable, _, known, err := content.Flags(f.FD())
	if err != nil || !known {
		return nil, err
	}
	return immutable, nil
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
				// What is no regular file (a unit masked by a link to /dev/null) was not read either.
				if err != nil || st == nil || !st.IsRegular() {
					return nil, err
				}
				return value(st), nil
			}}
	}
	return []collect.Field[R]{
		of("file_mode", "string", "octal text", "permission bits of the file, links followed",
			func(st *content.Stat) any { return st.Octal() }),
		of("file_uid", "int", "", "owner of the file, links followed", func(st *content.Stat) any { return st.UID }),
		of("file_gid", "int", "", "group of the file, links followed", func(st *content.Stat) any { return st.GID }),
		of("file_mtime", "int", "epoch seconds", "last change of the file's content",
			func(st *content.Stat) any { return st.Mtime }),
		{Name: "file_ctime_age_s", Type: "int", Unit: "seconds", Cost: collect.Cheap, Doc: "time since the last change of the file's content, owner, bits or name",
			Source: "stat(2) of path", Get: func(r R) (any, error) {
				st, err := get(r).behind()
				if err != nil || st == nil || !st.IsRegular() {
					return nil, err
				}
				return get(r).v.env.Now.Unix() - st.Ctime, nil
			}},
	}
}

// free is a field that the record already holds.
func free[R any](name, typ, doc, source string, get func(R) any) collect.Field[R] {
	return collect.Field[R]{Name: name, Type: typ, Cost: collect.Free, Doc: doc, Source: source,
		Get: func(r R) (any, error) { return get(r), nil }}
}

// text is a string's value: nil when it is empty, since an empty field of a file says that there is none.
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

// lookError turns "it is no longer there" into collect.ErrGone and leaves every other error as it is.
func lookError(err error) error {
	if err != nil && (content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) || errors.Is(err, syscall.ESTALE)) {
		return collect.ErrGone
	}
	return err
}

// isAbsent tells that there is nothing to read at a place, which is no failure.
func isAbsent(err error) bool { return content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) }

// exists tells whether a path leads to something; the error says that it could not be found out.
func exists(env *collect.Env, name string) (bool, error) {
	_, err := content.StatPath(env, name)
	if err == nil {
		return true, nil
	}
	if content.IsAbsent(err) || errors.Is(err, fs.ErrInvalid) {
		return false, nil
	}
	return false, err
}

// extension is what follows the last dot of a name, without the dot; a dot in front makes a hidden name, no extension.
func extension(name string) string {
	return strings.TrimPrefix(path.Ext(strings.TrimLeft(name, ".")), ".")
}
