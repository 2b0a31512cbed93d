package persistence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/files"
	"sandfly/probes/internal/seq"
)

// Bounds of one text file and one directory. Real ones are far below; what is above is said to be cut.
const (
	maxFileBytes = 1 << 20
	maxLines     = 20_000
	maxEntries   = 20_000
	maxHomes     = 20_000
)

// reader is one run of one collector. Its methods give an error only when the visit must stop; what could not be read
// is booked as partial.
type reader struct {
	ctx       context.Context
	env       *collect.Env
	subject   string
	out       collect.Emit
	status    *collect.Status
	accounts  func() *accounts.Accounts
	onNetwork func(path string) bool
}

func newReader(ctx context.Context, env *collect.Env, subject string) *reader {
	return &reader{
		ctx: ctx, env: env, subject: subject, onNetwork: files.NetworkMounts(env),
		accounts: sync.OnceValue(func() *accounts.Accounts { return accounts.Load(env) }),
	}
}

func (r *reader) emit(record any) error { return r.out(r.subject, record) }

// miss books what could not be looked at; absence is no miss, and an error that does not come from the host (the
// throttle's) is handed back.
func (r *reader) miss(err error) error {
	var errno syscall.Errno
	switch {
	case err == nil || isAbsent(err):
		return nil
	case errors.As(err, &errno), errors.Is(err, collect.ErrLimit), errors.Is(err, collect.ErrNotEntered), errors.Is(err, fs.ErrInvalid):
		r.status.Partial(r.subject, err)
		return nil
	}
	return err
}

// cut books that a bound ended the reading of a place.
func (r *reader) cut(name, what string, limit int) {
	r.status.Partial(r.subject, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("more than %d %s: %w", limit, what, collect.ErrLimit)})
}

// text reads a whole text file; ok is false when there is none or it could not be read.
func (r *reader) text(name string) (data string, ok bool, err error) {
	if err := errors.Join(r.ctx.Err(), r.env.Throttle.Pause()); err != nil {
		return "", false, err
	}
	raw, err := content.ReadFile(r.env, name, maxFileBytes)
	if err != nil {
		return "", false, r.miss(err)
	}
	return string(raw), true, nil
}

// lines calls use for every line of a file, continuation lines joined, with the number of its first.
func (r *reader) lines(name string, join bool, use func(number int64, line string) error) error {
	data, ok, err := r.text(name)
	if err != nil || !ok {
		return err
	}
	for number, line := range logicalLines(data, join) {
		if number > maxLines {
			r.cut(name, "lines", maxLines)
			return nil
		}
		if err := use(number, line); err != nil {
			return err
		}
	}
	return nil
}

// logicalLines gives each line with its number; with join, a backslash at its end joins it with the next.
func logicalLines(data string, join bool) func(yield func(int64, string) bool) {
	return func(yield func(int64, string) bool) {
		number, first := int64(0), int64(0)
		var held strings.Builder
		for line := range seq.Split(data, "\n") {
			number++
			line = strings.TrimSuffix(line, "\r")
			if first == 0 {
				first = number
			}
			if cutLine, more := strings.CutSuffix(line, `\`); join && more && !strings.HasSuffix(cutLine, `\`) {
				held.WriteString(cutLine)
				continue
			}
			held.WriteString(line)
			if !yield(first, held.String()) {
				return
			}
			held.Reset()
			first = 0
		}
		if first != 0 {
			yield(first, held.String())
		}
	}
}

// names gives the entries of a directory that are no directories, sorted.
func (r *reader) names(dir string) ([]string, error) {
	entries, err := r.entries(dir)
	var out []string
	for _, e := range entries {
		if e.Type != content.TypeDir {
			out = append(out, e.Name)
		}
	}
	return out, err
}

// directories gives the directories in a directory, sorted; links are not followed.
func (r *reader) directories(dir string) ([]string, error) {
	entries, err := r.entries(dir)
	var out []string
	for _, e := range entries {
		if e.Type == content.TypeDir || e.Type == content.TypeUnknown {
			out = append(out, e.Name)
		}
	}
	return out, err
}

func (r *reader) entries(dir string) ([]content.Entry, error) {
	if err := errors.Join(r.ctx.Err(), r.env.Throttle.Pause()); err != nil {
		return nil, err
	}
	entries, err := content.ReadDir(r.env, dir, maxEntries)
	if err != nil {
		err = r.miss(err)
	}
	return entries, err
}

// home is a home directory and whose it is; no name when nobody of passwd has it.
type home struct {
	path     string
	username string
	uid      int64
	known    bool // passwd has the user
}

// homes are the home directories of passwd, root's and those in /home without a user, each once. One on a network
// file system is booked as not entered.
func (r *reader) homes() ([]home, error) {
	a := r.accounts()
	if err := r.miss(a.PasswdErr); err != nil {
		return nil, err
	}
	var all []home
	seen := map[string]bool{"/": true, "/nonexistent": true, "/dev/null": true}
	add := func(h home) {
		if h.path = path.Clean("/" + h.path); seen[h.path] || len(all) >= maxHomes {
			return
		}
		seen[h.path] = true
		if r.onNetwork(h.path) {
			r.status.Partial(r.subject, &fs.PathError{Op: "enter", Path: h.path, Err: collect.ErrNotEntered})
			return
		}
		if st, err := content.StatPath(r.env, h.path); err == nil && st.IsDir() {
			all = append(all, h)
		}
	}
	for _, u := range a.Users {
		add(home{u.Home, u.Name, u.UID, true})
	}
	add(home{path: "/root", username: "root"})
	if r.onNetwork("/home") {
		return all, nil
	}
	stray, err := r.directories("/home")
	for _, name := range stray {
		place := "/home/" + name
		add(home{path: place, username: name})
		// Users of a directory service have no line in passwd; winbind puts them into /home/DOMAIN/USER.
		if r.isHome(place) || r.onNetwork(place) {
			continue
		}
		below, failed := r.directories(place)
		if failed != nil && !isAbsent(failed) {
			err = errors.Join(err, failed)
		}
		for _, user := range below {
			if inner := place + "/" + user; r.isHome(inner) {
				add(home{path: inner, username: user})
			}
		}
	}
	return all, err
}

// isHome tells whether a directory has what homes have.
func (r *reader) isHome(dir string) bool {
	for _, name := range []string{".ssh", ".profile", ".bashrc", ".bash_history"} {
		if _, err := content.StatPath(r.env, dir+"/"+name); err == nil {
			return true
		}
	}
	return false
}

// isAbsent tells that there is nothing to read at a place, which is no failure.
func isAbsent(err error) bool { return content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) }
