package collect

import (
	"sandfly/probes/internal/glob"
)

// Territory finds those of many sets of scopes that cover a path, at a cost that hardly grows with their number: the
// patterns stand in a tree by their components, and a path is looked up once. It is not safe for several goroutines.
type Territory struct {
	root  *district
	names []string // scratch: the components of the path at hand
	turn  uint32
	seen  []uint32 // by set: the turn it was last found in
	found []int
}

// district is a component of the patterns, with what the patterns go on with.
type district struct {
	named    map[string]*district
	patterns []patterned
	ends     []claim
}

// patterned is a component that holds wildcards.
type patterned struct {
	pattern string
	*district
}

// claim is a pattern that ends here.
type claim struct {
	set      int
	maxDepth int
	exclude  []string
}

// NewTerritory takes the sets by their places; a set covers what any of its scopes covers.
func NewTerritory(sets [][]Scope) *Territory {
	t := &Territory{root: &district{}, seen: make([]uint32, len(sets))}
	for set, scopes := range sets {
		for _, s := range scopes {
			paths := s.Paths
			if len(paths) == 0 {
				paths = []string{everything}
			}
			for _, pattern := range paths {
				end := t.root.at(pattern)
				end.ends = append(end.ends, claim{set, s.MaxDepth, s.Exclude})
			}
		}
	}
	return t
}

// at gives the district where a pattern ends.
func (d *district) at(pattern string) *district {
	for {
		var name string
		if name, pattern = cut(pattern); name == "" {
			return d
		}
		d = d.next(name)
	}
}

func (d *district) next(name string) *district {
	if !glob.HasWildcard(name) {
		name = glob.Unescape(name)
		if d.named == nil {
			d.named = map[string]*district{}
		}
		if d.named[name] == nil {
			d.named[name] = &district{}
		}
		return d.named[name]
	}
	for _, p := range d.patterns {
		if p.pattern == name {
			return p.district
		}
	}
	d.patterns = append(d.patterns, patterned{name, &district{}})
	return d.patterns[len(d.patterns)-1].district
}

// Covering gives the sets that cover the path, each once and in no order, as Scope.Covers has it. The slice is good
// until the next path.
func (t *Territory) Covering(path string) []int {
	t.names, t.found = t.names[:0], t.found[:0]
	if t.turn++; t.turn == 0 {
		clear(t.seen)
		t.turn = 1
	}
	for rest := path; ; {
		var name string
		if name, rest = cut(rest); name == "" {
			break
		}
		t.names = append(t.names, name)
	}
	t.look(t.root, 0, path)
	return t.found
}

// Covers says whether any set covers the path.
func (t *Territory) Covers(path string) bool { return len(t.Covering(path)) > 0 }

// look finds what ends at a district that the first components of the path lead to, and further on.
func (t *Territory) look(d *district, passed int, path string) {
	left := len(t.names) - passed
	for i := range d.ends {
		c := &d.ends[i]
		if t.seen[c.set] == t.turn || c.maxDepth >= 0 && left-1 > c.maxDepth || (Scope{Exclude: c.exclude}).Excludes(path) {
			continue
		}
		t.seen[c.set] = t.turn
		t.found = append(t.found, c.set)
	}
	if left == 0 {
		return
	}
	if next := d.named[t.names[passed]]; next != nil {
		t.look(next, passed+1, path)
	}
	for _, p := range d.patterns {
		if glob.Match(p.pattern, t.names[passed]) {
			t.look(p.district, passed+1, path)
		}
	}
}
