package engine

import (
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
)

// dispatch finds the rules of a group that may match a record, at a cost that hardly grows with their number.
type dispatch struct {
	index  *match.Index
	covers func(scope int) bool
	every  []int // all scopes
	here   directory
}

// directory is what is known of the scopes for the entries of one directory: a collector that walks hands over one
// after the other.
type directory struct {
	known  bool
	path   string
	inside []int // scopes that cover every entry
	maybe  []int // scopes that have to look at the entry's name
}

// newDispatch is made when all rules of the group are bound.
func newDispatch(g *group) *dispatch {
	d := &dispatch{index: match.NewIndex()}
	for i, r := range g.rules {
		d.index.Add(g.compiler, i, r.scope, r.node)
		r.node = nil
	}
	d.index.Build(g.subject)
	for i := range g.scopes {
		d.every = append(d.every, i)
	}
	d.covers = func(scope int) bool { return scope < 0 || g.scopes[scope].covered }
	return d
}

// candidates are the rules that may match the record at hand, as places in the group.
func (g *group) candidates() []int {
	return g.dispatch.index.Candidates(g.record, g.locate(), g.dispatch.covers)
}

// locate decides which scopes cover the record at hand and gives those that do. A record whose path is not known is
// left to the conditions, so that they can say so.
func (g *group) locate() []int {
	d := g.dispatch
	if len(g.scopes) == 0 {
		return nil
	}
	value, _ := g.record.Value(g.path)
	path, ok := value.(string)
	if !ok {
		for i := range g.scopes {
			g.scopes[i].covered = true
		}
		d.here.known = false
		return d.every
	}
	end := strings.LastIndexByte(path, '/')
	if end < 0 || end == len(path)-1 {
		d.here.known = false
		return g.cover(d.every[:0:0], d.every, path)
	}
	if !d.here.known || d.here.path != path[:end] {
		g.enter(path[:end])
	}
	return g.cover(d.here.inside, d.here.maybe, path)
}

// enter sorts the scopes for the entries of a directory.
func (g *group) enter(dir string) {
	h := &g.dispatch.here
	h.known, h.path, h.inside, h.maybe = true, dir, h.inside[:0], h.maybe[:0]
	if dir == "" {
		dir = "/"
	}
	for i := range g.scopes {
		set := &g.scopes[i]
		set.covered = slices.ContainsFunc(set.scopes, func(s collect.Scope) bool { return coversEntries(s, dir) })
		switch {
		case set.covered:
			h.inside = append(h.inside, i)
		case slices.ContainsFunc(set.scopes, func(s collect.Scope) bool { return s.Descends(dir) }):
			h.maybe = append(h.maybe, i)
		}
	}
}

// coversEntries says whether the scope covers all that lies directly in the directory, whatever its name.
func coversEntries(s collect.Scope, dir string) bool {
	for _, pattern := range s.Exclude {
		if (collect.Scope{Paths: []string{pattern}, MaxDepth: -1}).Descends(dir) {
			return false
		}
	}
	paths := s.Paths
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	entry := strings.TrimRight(dir, "/") + "/x"
	return slices.ContainsFunc(paths, func(pattern string) bool {
		// A pattern that covers the directory itself leaves only the depth to decide, which is the same for all entries.
		one := collect.Scope{Paths: []string{pattern}, MaxDepth: s.MaxDepth}
		return one.Covers(dir) && one.Covers(entry)
	})
}

// cover looks at the path for those scopes that have to, and adds the ones that cover it to those that do anyway.
func (g *group) cover(inside, maybe []int, path string) []int {
	for _, i := range maybe {
		set := &g.scopes[i]
		set.covered = slices.ContainsFunc(set.scopes, func(s collect.Scope) bool { return s.Covers(path) })
		if set.covered {
			inside = append(inside, i)
		}
	}
	return inside
}
