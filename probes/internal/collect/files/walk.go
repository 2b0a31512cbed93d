package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

// maxDepth bounds the directories held open at once; deeper trees are named in the status.
const maxDepth = 200

// notEntered is the reason of a mount point whose file system may not answer, or holds no files.
func notEntered(name string) error {
	return &fs.PathError{Op: "enter", Path: name, Err: collect.ErrNotEntered}
}

func walkCollector() collect.Collector {
	file, directory := fileSubject(), directorySubject()
	return collect.Collector{
		Name: "files", Subjects: []*collect.Subject{file, directory},
		Run: func(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			w := &walker{ctx: ctx, v: newVisit(crossingEnv(env, want)), want: want, emit: emit, status: status}
			return w.run()
		},
	}
}

// crossingEnv lets the walk look at file systems that may not answer when a rule asks for them; the walk itself keeps
// the other rules away.
func crossingEnv(env *collect.Env, want map[string]collect.Want) *collect.Env {
	for _, w := range want {
		if slices.ContainsFunc(w.Scopes, func(s collect.Scope) bool { return s.CrossMounts }) {
			anywhere := *env
			anywhere.Anywhere = true
			return &anywhere
		}
	}
	return env
}

// walker goes through all scopes of both subjects in one pass.
type walker struct {
	ctx         context.Context
	v           *visit
	want        map[string]collect.Want
	emit        collect.Emit
	status      *collect.Status
	depth       int
	hashes      map[string][]string           // digests wanted, by subject
	territories map[string]*collect.Territory // what any rule wants, by subject
}

// place is a directory that the walk stands in.
type place struct {
	path   string // as seen from the root directory
	real   string // the same with links resolved; differs only below a followed root
	dir    *content.Dir
	dev    uint64
	rules  []rule
	whole  map[string]bool // subjects of which every entry here is covered
	counts counts
}

func (w *walker) run() error {
	var rules []rule
	w.hashes = map[string][]string{}
	w.territories = map[string]*collect.Territory{}
	for subject, want := range w.want {
		w.hashes[subject] = content.WantedDigests(want.Fields, "")
		scopes := want.Scopes
		if len(scopes) == 0 {
			scopes = defaultScopes
		}
		w.territories[subject] = collect.NewTerritory([][]collect.Scope{scopes})
		for _, s := range scopes {
			rules = append(rules, newRule(subject, s))
		}
	}
	for _, root := range roots(rules) {
		if err := w.root(root, rules); err != nil {
			return err
		}
	}
	return nil
}

// root starts a walk at a literal path, which may as well be a file, a link or nothing.
func (w *walker) root(name string, rules []rule) error {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return !r.Descends(name) && !r.Covers(name) })
	n := &node{v: w.v, dir: path.Dir(name), realDir: path.Dir(name), name: path.Base(name)}
	if name == "/" {
		n.name = ""
	}
	// The parent's own links are resolved, so that the mount table knows the place.
	if real, err := content.Resolve(w.v.env, n.dir); err == nil {
		n.realDir = real
	}
	outside := &place{path: n.dir, real: n.realDir, rules: rules, whole: map[string]bool{}}
	if w.isBarred(join(n.realDir, n.name), rules) {
		return w.lost(rules, notEntered(name))
	}
	st, err := content.Lstat(w.v.env, name)
	if err != nil {
		return w.lost(rules, lookError(err))
	}
	n.kind = uint8(st.Type() >> 12)
	return w.visit(outside, n)
}

// isBarred tells a path on a file system that is not entered, by the mount table.
func (w *walker) isBarred(real string, rules []rule) bool {
	_, kind, ok := w.v.mounts().at(real)
	return ok && (isKernelType(kind) || isNetworkType(kind) && !slices.ContainsFunc(rules, func(r rule) bool { return r.CrossMounts }))
}

// visit handles one path: emits it, and before that what lies in it, so that a directory's record knows its counts.
func (w *walker) visit(at *place, n *node) error {
	switch {
	case n.kind == content.TypeDir:
		if err := w.directory(at, n); err != nil {
			return err
		}
		return w.record("directory", at, n)
	case n.kind == content.TypeLink:
		if err := w.link(at, n); err != nil {
			return err
		}
	}
	return w.record("file", at, n)
}

// record emits a node for those rules whose scope covers it.
func (w *walker) record(subject string, at *place, n *node) error {
	defer n.release()
	if _, wanted := w.want[subject]; !wanted {
		return nil
	}
	if !at.whole[subject] {
		// Most names that no rule wants fall at the first look, which takes all rules at once.
		name := n.path()
		if !w.territories[subject].Covers(name) ||
			!slices.ContainsFunc(at.rules, func(r rule) bool { return r.subject == subject && r.Covers(name) }) {
			return nil
		}
	}
	n.hashes = w.hashes[subject]
	return w.emit(subject, n)
}

// directory goes into a directory when a rule is interested in what lies in it.
func (w *walker) directory(at *place, n *node) error {
	name, real := n.path(), join(n.realDir, n.name)
	rules := descending(at.rules, name)
	if kind, isMount := w.v.mounts()[real]; isMount {
		entered := crossing(rules, kind)
		if len(entered) == 0 && mayHang(kind) {
			n.blocked = notEntered(name)
		}
		if err := w.refused(rules, entered, name); err != nil {
			return err
		}
		rules = entered
	}
	if len(rules) == 0 {
		return nil
	}
	if w.depth >= maxDepth {
		return w.lost(rules, fmt.Errorf("%s: deeper than %d: %w", name, maxDepth, collect.ErrLimit))
	}
	dir, err := n.openDir()
	if err != nil {
		return w.lost(rules, located(name, err))
	}
	defer dir.Close()
	inside := &place{path: name, real: real, dir: dir, rules: rules}
	if err := w.enter(at, inside); err != nil {
		return w.lost(rules, err)
	}
	if len(inside.rules) == 0 {
		n.blocked = notEntered(name)
		return nil
	}
	complete, err := w.entries(inside)
	if complete {
		n.counted = &inside.counts
	}
	return err
}

// refused records the rules that named this very place and may not go into it, since its file system may not answer.
func (w *walker) refused(before, after []rule, dir string) error {
	if len(before) == len(after) {
		return nil
	}
	named := slices.DeleteFunc(slices.Clone(before), func(r rule) bool { return !r.names(dir) || r.CrossMounts })
	return w.lost(named, notEntered(dir))
}

// enter compares devices: a file system that the mount table does not name (mounted meanwhile, or another root
// directory than the machine's) is recognised by its device and magic.
func (w *walker) enter(from, into *place) error {
	st, err := into.dir.Stat()
	if err != nil {
		return err
	}
	into.dev = st.Dev
	if from.dir == nil || from.dev != into.dev {
		magic := fileSystem(into.dir.FD())
		switch {
		case isKernelMagic(magic):
			into.rules = nil
		case isNetworkMagic(magic):
			into.rules = slices.DeleteFunc(into.rules, func(r rule) bool { return !r.CrossMounts })
		}
	}
	into.whole = wholes(into.rules, into.path)
	return nil
}

// entries visits everything in a directory; complete is false when some of it could not be read.
func (w *walker) entries(at *place) (complete bool, err error) {
	w.depth++
	defer func() { w.depth-- }()
	for {
		if err := w.ctx.Err(); err != nil {
			return false, err
		}
		batch, err := at.dir.Next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			if isOurs(err) {
				return false, w.lost(at.rules, fmt.Errorf("%s: %w", at.path, err))
			}
			return false, err
		}
		for _, e := range batch {
			if err := w.entry(at, e); err != nil {
				return false, err
			}
		}
	}
}

// located names the whole path, where an error of a step relative to its parent has the last name only.
func located(name string, err error) error {
	if cause := lookError(err); errors.Is(cause, collect.ErrGone) {
		return cause
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}

// isOurs tells an error of the file system from one that ends the visit.
func isOurs(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}

func (w *walker) entry(at *place, e content.Entry) error {
	n := &node{v: w.v, parent: at.dir, dir: at.path, realDir: at.real, name: e.Name, kind: e.Type}
	if n.kind == content.TypeUnknown {
		st, err := n.stat()
		if errors.Is(err, collect.ErrGone) {
			return nil
		}
		if err != nil {
			return w.lost(at.rules, fmt.Errorf("%s: %w", n.path(), err))
		}
		n.kind = uint8(st.Type() >> 12)
	}
	at.counts.entries++
	if n.kind == content.TypeDir {
		at.counts.directories++
	}
	return w.visit(at, n)
}

// link follows a symbolic link that stands where a scope was written out literally (/bin, /lib, /var/run): whoever
// names it means what lies behind. Only links that root made count, and never one that a wildcard fits.
func (w *walker) link(at *place, n *node) error {
	name := n.path()
	var rules []rule
	for _, r := range at.rules {
		if r.writes(name) && r.Descends(name) {
			rules = append(rules, r)
		}
	}
	if len(rules) == 0 {
		return nil
	}
	st, err := n.stat()
	if err != nil || st.UID != 0 {
		return nil //nolint:nilerr // the record of the link itself tells
	}
	real, err := content.Resolve(w.v.env, name)
	if err != nil {
		return nil //nolint:nilerr // a broken link leads to nothing
	}
	rules = slices.DeleteFunc(rules, func(r rule) bool {
		return slices.ContainsFunc(r.family, func(s collect.Scope) bool { return s.Descends(real) })
	})
	if len(rules) == 0 || w.isBarred(real, rules) {
		return nil
	}
	return w.behind(name, real, rules)
}

// behind walks the directory that a followed link leads to, under the link's own path.
func (w *walker) behind(name, real string, rules []rule) error {
	dir, err := content.OpenDir(w.v.env, real)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return w.lost(rules, lookError(err))
	}
	defer dir.Close()
	inside := &place{path: name, real: real, dir: dir, rules: rules}
	if err := w.enter(&place{}, inside); err != nil {
		return w.lost(rules, err)
	}
	_, err = w.entries(inside)
	return err
}

// lost records for the subjects concerned that something could not be looked at; what has vanished does not matter.
func (w *walker) lost(rules []rule, err error) error {
	if errors.Is(err, collect.ErrGone) {
		return nil
	}
	if !isOurs(err) && !errors.Is(err, collect.ErrLimit) && !errors.Is(err, collect.ErrNotEntered) {
		return err
	}
	for _, subject := range []string{"file", "directory"} {
		if slices.ContainsFunc(rules, func(r rule) bool { return r.subject == subject }) {
			w.status.Partial(subject, err)
		}
	}
	return nil
}

// endOfDir turns the end of a directory into no error.
func endOfDir(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
