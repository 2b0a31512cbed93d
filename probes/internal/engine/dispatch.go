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
	way    []directory
	lost   directory  // of a path that is not written as the kernel does
	here   *directory // nil: what is covered does not follow from it
}

// directory is what is known of the scopes for the entries of one directory. Collectors hand over paths that have the
// most of their way in common with the one before, so all directories down to the last one are kept.
type directory struct {
	path   string // "" for the root
	live   []int  // scopes that may cover anything below
	inside []int  // those that cover every entry
	maybe  []int  // those that have to look at the entry's name
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
		d.here = nil
		return d.every
	}
	end := strings.LastIndexByte(path, '/')
	if end < 0 || end == len(path)-1 {
		d.here = nil
		return g.cover(d.every[:0:0], d.every, path)
	}
	if d.here == nil || d.here.path != path[:end] {
		g.enter(path[:end])
	}
	return g.cover(d.here.inside, d.here.maybe, path)
}

// enter turns to the entries of a directory.
func (g *group) enter(dir string) {
	d := g.dispatch
	if d.here == nil {
		for i := range g.scopes {
			g.scopes[i].covered = false
		}
	} else {
		for _, i := range slices.Concat(d.here.inside, d.here.maybe) {
			g.scopes[i].covered = false
		}
	}
	d.here = g.goTo(dir)
	for _, i := range d.here.inside {
		g.scopes[i].covered = true
	}
}

// goTo gives a directory, from the last one above it that is known on: what no scope reaches stays so further down.
func (g *group) goTo(dir string) *directory {
	d := g.dispatch
	if dir != "" && (dir[0] != '/' || dir[len(dir)-1] == '/' || strings.Contains(dir, "//")) {
		d.lost = g.sort(d.lost, dir, d.every)
		return &d.lost
	}
	for len(d.way) > 0 && !isAt(dir, d.way[len(d.way)-1].path) {
		d.way = d.way[:len(d.way)-1]
	}
	if len(d.way) == 0 {
		d.push("", d.every, g)
	}
	for top := &d.way[len(d.way)-1]; top.path != dir; top = &d.way[len(d.way)-1] {
		end := len(top.path) + 1
		if next := strings.IndexByte(dir[end:], '/'); next >= 0 {
			end += next
		} else {
			end = len(dir)
		}
		d.push(dir[:end], top.live, g)
	}
	return &d.way[len(d.way)-1]
}

// isAt says whether a path is that of the directory or of something in it.
func isAt(path, dir string) bool {
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// push goes one step down; what was kept there before gives its memory.
func (d *dispatch) push(dir string, live []int, g *group) {
	var old directory
	if len(d.way) < cap(d.way) {
		old = d.way[:len(d.way)+1][len(d.way)]
	}
	d.way = append(d.way, g.sort(old, dir, live))
}

// sort looks at those scopes that may cover something in a directory.
func (g *group) sort(into directory, dir string, live []int) directory {
	h := directory{dir, into.live[:0], into.inside[:0], into.maybe[:0]}
	if dir == "" {
		dir = "/"
	}
	for _, i := range live {
		set := &g.scopes[i]
		descends := slices.ContainsFunc(set.scopes, func(s collect.Scope) bool { return s.Descends(dir) })
		switch {
		case !descends:
			continue
		case slices.ContainsFunc(set.scopes, func(s collect.Scope) bool { return coversEntries(s, dir) }):
			h.inside = append(h.inside, i)
		default:
			h.maybe = append(h.maybe, i)
		}
		h.live = append(h.live, i)
	}
	return h
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
