package engine

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
)

// dispatch finds the rules of a group that may match a record, at a cost that hardly grows with their number.
type dispatch struct {
	index     *match.Index
	covers    func(scope int) bool
	every     []int // all scopes
	territory *collect.Territory
	covering  []int // those marked as covering the record at hand
}

// newDispatch is made when all rules of the group are bound.
func newDispatch(g *group) *dispatch {
	d := &dispatch{index: match.NewIndex()}
	for i, r := range g.rules {
		d.index.Add(g.compiler, i, r.scope, r.node)
		r.node = nil
	}
	d.index.Build(g.subject)
	var scopes [][]collect.Scope
	for i := range g.scopes {
		d.every = append(d.every, i)
		scopes = append(scopes, g.scopes[i].scopes)
	}
	d.territory = collect.NewTerritory(scopes)
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
	for _, i := range d.covering {
		g.scopes[i].covered = false
	}
	d.covering = d.every
	value, _ := g.record.Value(g.path)
	if path, ok := value.(string); ok {
		d.covering = d.territory.Covering(path)
	}
	for _, i := range d.covering {
		g.scopes[i].covered = true
	}
	return d.covering
}
