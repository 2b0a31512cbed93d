// Package logs collects what a host has written down about itself: logins of utmp, wtmp, btmp, lastlog and their
// successors in SQLite, the lines of its logs and journals, and the state of the files that hold them.
package logs

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
	decompress "sandfly/probes/internal/collect/logs/unpack"
)

// Collectors are the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{loginCollector(), fileCollector(), lineCollector()}
}

// visit is what the records of one run share; parts that cost something are read on first use.
type visit struct {
	env      *collect.Env
	accounts func() *accounts.Accounts
	users    func() map[string]*accounts.User
}

// age is the time since a moment by the host's own clock; none for none.
func age(v *visit, moment int64) any {
	if moment == 0 {
		return nil
	}
	return v.env.Now.Unix() - moment
}

func newVisit(env *collect.Env) *visit {
	v := &visit{env: env, accounts: sync.OnceValue(func() *accounts.Accounts { return accounts.Load(env) })}
	v.users = sync.OnceValue(func() map[string]*accounts.User {
		byName := map[string]*accounts.User{}
		list := v.accounts().Users
		for i := range list {
			if byName[list[i].Name] == nil {
				byName[list[i].Name] = &list[i]
			}
		}
		return byName
	})
	return v
}

// user finds a local user; nil when there is none of that name, an error when passwd could not be read.
func (v *visit) user(name string) (*accounts.User, error) {
	if u := v.users()[name]; u != nil {
		return u, nil
	}
	return nil, v.accounts().PasswdErr
}

// isAbsent tells that there is nothing to read at a place, which is no failure.
func isAbsent(err error) bool { return content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) }

// isOurs tells an error that concerns one file, and not the end of the visit.
func isOurs(err error) bool {
	var path *fs.PathError
	var errno syscall.Errno
	return errors.As(err, &path) || errors.As(err, &errno) || errors.Is(err, collect.ErrLimit) || errors.Is(err, errFile)
}

// errFile marks what is wrong with the content of one file.
var errFile = errors.New("not readable")

// at names the file that an error is about, so that only rules that look there are concerned.
func at(path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: "read", Path: path, Err: err}
}

const (
	maxUnpacked = 64 << 20 // taken out of one compressed file while it is read
	maxHeld     = 16 << 20 // of one that has to lie in memory as a whole, packed or not
	maxBack     = 8 << 20  // how far back an .xz file may repeat itself: the dictionary of xz -6, its default
)

// compressions are the endings of rotated logs. Those of .lz4 are not read, which is said.
var compressions = []string{".gz", ".bz2", ".xz", ".zst", ".lz4"}

// compression splits the ending of a compressed file off its name.
func compression(name string) (plain, ending string) {
	for _, c := range compressions {
		if plain, ok := strings.CutSuffix(name, c); ok {
			return plain, c
		}
	}
	return name, ""
}

// unpack gives the content of a compressed file from its beginning.
func unpack(f *content.File, ending string) (io.Reader, error) {
	packed := io.NewSectionReader(f, 0, f.Size())
	switch ending {
	case ".gz":
		r, err := gzip.NewReader(packed)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errFile, err)
		}
		return r, nil
	case ".bz2":
		return bzip2.NewReader(packed), nil
	case ".xz":
		return decompress.XZ(packed, maxBack), nil
	case ".zst":
		data, err := f.All(maxHeld)
		if err == nil {
			data, err = decompress.Zstd(data, maxHeld)
		}
		if errors.Is(err, decompress.ErrMalformed) {
			err = fmt.Errorf("%w: %w", errFile, err)
		}
		return bytes.NewReader(data), err
	}
	return nil, fmt.Errorf("compressed as %s: %w", ending, collect.ErrLimit)
}

// free is a field that the record already holds.
func free[R any](name, typ, unit, doc, source string, get func(R) any) collect.Field[R] {
	return field(collect.Free, name, typ, unit, doc, source, get)
}

func field[R any](cost collect.Cost, name, typ, unit, doc, source string, get func(R) any) collect.Field[R] {
	return collect.Field[R]{Name: name, Type: typ, Unit: unit, Cost: cost, Doc: doc, Source: source,
		Get: func(r R) (any, error) { return get(r), nil }}
}

// text is a string's value: nil when it is empty, since an empty field of a log says that there is none.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// number is nil for 0, which stands for a number that is not there.
func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func cut(s string, limit int) string {
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
