// Package store goes through the package databases of a host, dpkg's, apk's and rpm's, one package at a time, and
// knows which paths belong to a package.
package store

import (
	"errors"
	"fmt"
	"io"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/apk"
	"sandfly/probes/internal/collect/packages/db"
	"sandfly/probes/internal/collect/packages/rpm"
)

// maxDatabase bounds a database file that is read in one go from beginning to end.
const maxDatabase = 256 << 20

// Package is a package of the host. It may be used until the next one is read.
type Package struct {
	db.Package
	env   *collect.Env
	info  string // of dpkg: beginning of the names of its files in the directory info
	files fileList
}

// fileList goes through the files of one package. Only those whose path keep takes are looked at any further.
type fileList func(keep func(path string) bool, use func(*File) error) error

// File is a path that a package brought.
type File struct {
	db.File
	Listed   string // path as the database has it; Path is without links of usrmerge's kind and after diversions
	Diverted bool   // dpkg-divert(1) moved it away from where the package wanted it
}

// Files calls use with every file of the package whose path keep takes, until use returns an error, which it gives
// back. What cannot be read of the lists goes to the gap function that Open was given. keep takes no more than what the
// plan looks at of packages' files, if it does.
func (p *Package) Files(keep func(path string) bool, use func(*File) error) error {
	return p.files(keep, use)
}

// Host is a host's databases with what their readers share.
type Host struct {
	env     *collect.Env
	aliases *Aliases
	gap     func(error)
	sumsGap func(error) // of digests, without which there is still a list
	passed  *passed     // what is known of files already; nil for nothing
}

// Open prepares reading. gap is told of every part that could not be read.
func Open(env *collect.Env, gap func(error)) *Host {
	return &Host{env: env, aliases: FindAliases(env), gap: gap, sumsGap: gap, passed: passedOf(env)}
}

// Each calls use with every package of every database until use returns an error, which it gives back. found tells
// that the host has a package database with anything in it.
func (h *Host) Each(use func(*Package) error) (found bool, err error) {
	counted := func(p *Package) error {
		found = true
		if err := h.env.Throttle.Pause(); err != nil {
			return err
		}
		return use(p)
	}
	for _, read := range []func(func(*Package) error) error{h.dpkg, h.apk, h.rpm} {
		if err := read(counted); err != nil {
			return found, err
		}
	}
	return found, nil
}

// stopped wraps what use answered, to tell it from an error of the database.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// guard makes an error of use known as such to outcome.
func guard[T any](use func(T) error) func(T) error {
	return func(v T) error {
		if err := use(v); err != nil {
			return stopped{err}
		}
		return nil
	}
}

// outcome gives back what use answered and books every other error as a gap. Databases that are not there are none.
func (h *Host) outcome(err error) error {
	var s stopped
	switch {
	case err == nil || content.IsAbsent(err):
		return nil
	case errors.As(err, &s):
		return s.error
	}
	h.gap(err)
	return nil
}

// stream opens a text database for reading from beginning to end.
func (h *Host) stream(name string, read func(io.Reader) error) error {
	f, err := content.Open(h.env, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Size() > maxDatabase {
		return fmt.Errorf("%s: %w", name, collect.ErrLimit)
	}
	return read(io.NewSectionReader(f, 0, maxDatabase))
}

func (h *Host) apk(use func(*Package) error) error {
	for _, name := range apk.Paths {
		err := h.stream(name, func(in io.Reader) error {
			return apk.Read(in, guard(func(s apk.Stanza) error {
				return use(&Package{Package: s.Package(), env: h.env, files: h.plain(s.Files)})
			}))
		})
		if err := h.outcome(err); err != nil {
			return err
		}
		if !content.IsAbsent(err) {
			return nil // the other place is a link to this one, or left behind
		}
	}
	return nil
}

// plain makes the list of files of a database that knows of no diversions.
func (h *Host) plain(files func(func(*db.File) error) error) fileList {
	return func(keep func(string) bool, use func(*File) error) error {
		return files(func(f *db.File) error {
			listed := f.Path
			if f.Path = h.aliases.Canonical(f.Path); !keep(f.Path) {
				return nil
			}
			return use(&File{File: *f, Listed: listed})
		})
	}
}

// rpm reads the first database that is there; the places after it are links to it or left behind.
func (h *Host) rpm(use func(*Package) error) error {
	for _, dir := range rpm.Directories {
		for _, candidate := range rpm.Files {
			err := h.rpmFile(dir+"/"+candidate.Name, candidate.Form, use)
			if err := h.outcome(err); err != nil {
				return err
			}
			if !content.IsAbsent(err) {
				return nil
			}
		}
	}
	return nil
}

func (h *Host) rpmFile(name, form string, use func(*Package) error) error {
	f, err := content.Open(h.env, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := content.StatPath(h.env, name+"-wal"); form == rpm.SQLite && err == nil && st.Size > 0 {
		h.gap(fmt.Errorf("%s: changes in its write-ahead log are not read: %w", name, collect.ErrLimit))
	}
	return rpm.Read(form, f, f.Size(), guard(func(header *rpm.Header) error {
		return use(&Package{Package: header.Package(), env: h.env, files: h.plain(header.Files)})
	}), h.gap)
}
