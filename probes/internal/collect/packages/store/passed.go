package store

import (
	"strings"

	"sandfly/probes/internal/collect"
)

// maxPassed bounds the files that are remembered: some 300 bytes each.
const maxPassed = 20_000

// passed remembers what the index saw of the files that the plan looks at, so that the lists of dpkg are read once in a
// visit and not twice. Packages that are not in it are read again.
type passed struct {
	wanted *collect.Territory // nil for a plan that does not look at packages' files
	of     map[string]*list   // by the beginning of the names of a package's files in the directory info
	count  int
}

// list is the files of one package that the plan looks at.
type list struct {
	in        *passed
	info      string // "" for a package whose files are not remembered
	files     []*File
	isPartial bool // something is missing
}

func newPassed(env *collect.Env) *passed {
	d := &passed{of: map[string]*list{}}
	if want, ok := env.Wanted["package_file"]; ok {
		d.wanted = collect.NewTerritory([][]collect.Scope{want.Scopes})
	}
	return d
}

// passedOf is what the index of this visit remembers; nil as long as there is no index.
func passedOf(env *collect.Env) *passed {
	kept.Lock()
	defer kept.Unlock()
	if kept.env != env {
		return nil
	}
	return kept.index.passed
}

// listed gives the files of a package that the plan looks at; nil when they are not remembered.
func (d *passed) listed(p *Package) *list {
	if d == nil {
		return nil
	}
	return d.of[p.info]
}

func (d *passed) begin(p *Package) *list {
	l := &list{in: d}
	if d.wanted != nil && p.IsInstalled() {
		l.info = p.info
	}
	return l
}

// wants tells whether a file is to be remembered.
func (l *list) wants(name string) bool {
	if l.info == "" || l.isPartial || !l.in.wanted.Covers(name) {
		return false
	}
	l.isPartial = l.in.count+len(l.files) >= maxPassed
	return !l.isPartial
}

// add takes a file over; its texts are parts of whole lists, which must not be kept for them.
func (l *list) add(f *File) error {
	taken := *f
	taken.Path, taken.Listed, taken.Digest = strings.Clone(f.Path), strings.Clone(f.Listed), strings.Clone(f.Digest)
	l.files = append(l.files, &taken)
	return nil
}

// end remembers the list when it is whole.
func (l *list) end() {
	if l.info != "" && !l.isPartial {
		l.in.of[strings.Clone(l.info)] = l
		l.in.count += len(l.files)
	}
}

func (l *list) each(keep func(string) bool, use func(*File) error) error {
	for _, f := range l.files {
		if !keep(f.Path) {
			continue
		}
		if err := use(f); err != nil {
			return err
		}
	}
	return nil
}
