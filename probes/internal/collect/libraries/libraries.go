// Package libraries collects the files that running processes have mapped as code beside their own program, and what
// made the loader take those that a program did not ask for.
package libraries

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// Collectors returns the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{{Name: "library", Subjects: []*collect.Subject{subject}, Run: run}}
}

// Bounds of what is kept.
const (
	maxLibraries = 20000
	maxProcesses = 16 // named for one library
	maxPreload   = 64 << 10
)

// library is one file with all processes that have it mapped.
type library struct {
	*visit
	path      string // without the mark of deleted ones
	deleted   bool
	inode     uint64
	mapped    bool
	count     int64
	pids      []int64
	names     []string
	injected  []string // LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH, ld.so.preload
	foreign   bool     // the first process sees another tree than the host
	hasMounts bool     // foreign is known
	stat      fact.Lazy[*content.Stat]
	digests   content.Digested
}

// key tells libraries apart.
type key struct {
	path    string
	deleted bool
	foreign bool
}

// visit is what the records share.
type visit struct {
	env       *collect.Env
	fs        procfs.FS
	hashes    []string // digests that the plan may ask for
	preloads  []string // of /etc/ld.so.preload
	preloadIn error    // why they could not be read
	environs  error    // why the variables of some processes could not be read
	hostMount uint64   // mount namespace of process 1; 0 when it cannot be read
	found     map[key]*library
	order     []key
}

func run(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	v := &visit{env: env, fs: fact.Tree(env), hashes: content.WantedDigests(want["library"].Fields, ""), found: map[key]*library{}}
	pids, err := v.fs.ReadPIDs()
	if err != nil {
		status.Fail("library", err)
		return nil
	}
	v.readPreloads()
	v.hostMount, _ = v.fs.ReadNamespace("1", "mnt") // foreign is unknown then
	withVariables := want["library"].Fields["injected_by"]
	for _, pid := range pids {
		if err := errors.Join(ctx.Err(), env.Throttle.Pause()); err != nil {
			return err
		}
		if pid == env.OwnPID {
			continue
		}
		if err := v.readProcess(pid, withVariables); err != nil && !procfs.IsAbsent(err) {
			status.Partial("library", fmt.Errorf("process %d: %w", pid, err))
		}
	}
	for _, k := range v.order {
		if err := emit("library", v.found[k]); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) readPreloads() {
	data, err := content.ReadFile(v.env, "/etc/ld.so.preload", maxPreload)
	if content.IsAbsent(err) {
		return
	}
	if v.preloadIn = err; err == nil {
		v.preloads = parsePreload(string(data))
	}
}

// parsePreload reads /etc/ld.so.preload: names between white space or colons; # begins a remark.
func parsePreload(text string) []string {
	var names []string
	for line := range seq.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, splitNames(line)...)
	}
	return names
}

// splitNames cuts a list as ld.so(8) does: at blanks and colons.
func splitNames(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ':' || r == '\t' || r == '\n' || r == '\r' })
}

// process is what is looked at of one.
type process struct {
	pid       int64
	dir, name string
	foreign   bool
	loader    loader
}

// loader is what a process's variables told the loader.
type loader struct{ preload, audit, paths []string }

func parseLoader(environ []string) loader {
	var l loader
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "LD_PRELOAD":
			l.preload = splitNames(value)
		case "LD_AUDIT":
			l.audit = splitNames(value)
		case "LD_LIBRARY_PATH":
			l.paths = strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ';' })
		}
	}
	return l
}

// reasons are the ways by which the loader was told of a library.
func (l loader) reasons(preloads []string, file string) []string {
	var reasons []string
	names := func(list []string) bool {
		return slices.ContainsFunc(list, func(name string) bool { return name == file || name == path.Base(file) })
	}
	if names(preloads) {
		reasons = append(reasons, "ld.so.preload")
	}
	if names(l.preload) {
		reasons = append(reasons, "LD_PRELOAD")
	}
	if names(l.audit) {
		reasons = append(reasons, "LD_AUDIT")
	}
	if slices.ContainsFunc(l.paths, func(dir string) bool { return path.Clean(dir) == path.Dir(file) }) {
		reasons = append(reasons, "LD_LIBRARY_PATH")
	}
	return reasons
}

func (v *visit) readProcess(pid int, withVariables bool) error {
	p := process{pid: int64(pid), dir: strconv.Itoa(pid)}
	stat, err := v.fs.ReadStat(p.dir)
	if err != nil {
		return err
	}
	if stat.IsKernelThread() || stat.IsExiting() {
		return nil
	}
	p.name = stat.Comm
	program, err := v.fs.ReadLink(p.dir, "exe")
	if err != nil {
		return err
	}
	if own, err := v.fs.ReadNamespace(p.dir, "mnt"); err == nil {
		p.foreign = v.hostMount != 0 && own != v.hostMount
	}
	if withVariables {
		environ, err := v.fs.ReadEnviron(p.dir)
		if err != nil && !procfs.IsAbsent(err) {
			v.environs = err
		}
		p.loader = parseLoader(environ)
	}
	seen := map[string]bool{program: true}
	err = v.fs.ReadMaps(p.dir, func(m procfs.Map) {
		if strings.HasPrefix(m.Path, "/") && !seen[m.Path] {
			seen[m.Path] = true
			v.add(&p, m)
		}
	})
	v.addUnmapped(&p, seen)
	return err
}

// isNoFile leaves out what has a path in the kernel's words but is no file that code comes from.
func isNoFile(name string) bool {
	return strings.HasPrefix(name, "/SYSV") || strings.HasPrefix(name, "/dev/") && !strings.HasPrefix(name, "/dev/shm/") ||
		strings.HasPrefix(name, "/anon_hugepage") || strings.HasPrefix(name, "/[aio]")
}

func (v *visit) add(p *process, m procfs.Map) {
	file, deleted := procfs.TrimDeleted(m.Path)
	if isNoFile(file) {
		return
	}
	l := v.library(p, key{file, deleted, p.foreign})
	if l == nil {
		return
	}
	l.mapped, l.inode = true, m.Inode
	l.hold(p, p.loader.reasons(v.preloads, file))
}

// library gives the record of a key, made when it is new; nil when there are too many.
func (v *visit) library(p *process, k key) *library {
	l := v.found[k]
	if l == nil && len(v.order) < maxLibraries {
		l = &library{visit: v, path: k.path, deleted: k.deleted, foreign: p.foreign, hasMounts: v.hostMount != 0}
		v.found[k] = l
		v.order = append(v.order, k)
	}
	return l
}

func (l *library) hold(p *process, reasons []string) {
	l.count++
	if len(l.pids) < maxProcesses {
		l.pids = append(l.pids, p.pid)
	}
	if len(l.names) < maxProcesses && !slices.Contains(l.names, p.name) {
		l.names = append(l.names, p.name)
	}
	for _, reason := range reasons {
		if !slices.Contains(l.injected, reason) {
			l.injected = append(l.injected, reason)
		}
	}
}

// addUnmapped takes the libraries that variables name and that are not mapped: never loaded, or hidden since.
func (v *visit) addUnmapped(p *process, seen map[string]bool) {
	for _, file := range slices.Concat(p.loader.preload, p.loader.audit) {
		if !strings.HasPrefix(file, "/") || seen[file] || seen[file+" (deleted)"] {
			continue
		}
		seen[file] = true
		if l := v.library(p, key{path.Clean(file), false, p.foreign}); l != nil {
			l.hold(p, p.loader.reasons(nil, file))
		}
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
