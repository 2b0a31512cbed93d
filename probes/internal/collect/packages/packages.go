// Package packages collects what the package managers of a host know: the packages that are installed, and the files
// that they brought, compared with what lies on the disk. Databases are read one package at a time; a digest is
// calculated only when a rule still asks for it after everything cheaper.
package packages

import (
	"context"
	"io/fs"
	"strings"
	"sync"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/files"
	"sandfly/probes/internal/collect/packages/db"
	"sandfly/probes/internal/collect/packages/store"
)

// Collectors are the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{
		{Name: "package", Subjects: []*collect.Subject{packageSubject(), fileSubject()}, Run: run},
	}
}

// visit is what the records of one run share.
type visit struct {
	env       *collect.Env
	accounts  func() *accounts.Accounts
	onNetwork func(name string) bool
	prelinked func() bool // prelink(8) may have changed programs
}

func newVisit(env *collect.Env) *visit {
	return &visit{
		env:       env,
		accounts:  sync.OnceValue(func() *accounts.Accounts { return accounts.Load(env) }),
		onNetwork: files.NetworkMounts(env),
		prelinked: sync.OnceValue(func() bool {
			owned, err := store.Owned(env, "/usr/sbin/prelink")
			return owned && err == nil
		}),
	}
}

// pkg is the record of the subject package.
type pkg struct {
	*store.Package
	now int64
}

// collection is one run over the databases.
type collection struct {
	*visit
	emit    collect.Emit
	status  *collect.Status
	entered map[string]bool // directories on network file systems that were booked
}

func run(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
	c := &collection{visit: newVisit(env), emit: emit, status: status, entered: map[string]bool{}}
	_, wantsPackages := want["package"]
	filesWant, wantsFiles := want["package_file"]
	wanted := collect.NewTerritory([][]collect.Scope{filesWant.Scopes})
	host := store.Open(env, func(err error) {
		for subject := range want {
			status.Partial(subject, err)
		}
	})
	_, err := host.Each(func(p *store.Package) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if wantsPackages && p.Status != "not-installed" {
			if err := emit("package", &pkg{p, c.env.Now.Unix()}); err != nil {
				return err
			}
		}
		if !wantsFiles || !p.IsInstalled() {
			return nil
		}
		return p.Files(wanted.Covers, func(f *store.File) error { return c.file(p, f) })
	})
	return err
}

// file emits one path of a package.
func (c *collection) file(p *store.Package, listed *store.File) error {
	f := &file{v: c.visit, of: p, File: *listed}
	if dir := directoryOf(f.Path); c.onNetwork(dir) {
		f.blocked = collect.ErrNotEntered
		if !c.entered[dir] && len(c.entered) < collect.MaxParts {
			c.entered[dir] = true
			c.status.Partial("package_file", &fs.PathError{Op: "enter", Path: dir, Err: collect.ErrNotEntered})
		}
	}
	if err := c.env.Throttle.Pause(); err != nil {
		return err
	}
	if f.isDirectory() {
		return nil
	}
	return c.emit("package_file", f)
}

// directoryOf is path.Dir of a path that is clean already.
func directoryOf(name string) string { return name[:max(1, strings.LastIndexByte(name, '/'))] }

// isDirectory tells a directory that a list without types names among its files. One that cannot be looked at is taken
// for a file: whoever asks for its fields is told why.
func (f *file) isDirectory() bool {
	if f.Type != "" {
		return f.Type == db.Directory
	}
	st, err := f.stat()
	return err == nil && st != nil && st.IsDir()
}
