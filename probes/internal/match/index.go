package match

import (
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
)

// Index tells for a record which of many rules can match it, so that the others need not be asked. A rule is left out
// only when the record has a value, or has none, that settles it: what could not be looked at leaves it in.
type Index struct {
	tables []*table
	open   map[int][]int32 // scope → rules without a guard
	guards []guardedRule   // until Build
	marked []uint32        // by rule: turn in which it became a candidate
	turn   uint32
	found  []int
	take   func(rules []int32)
}

type guardedRule struct {
	rule, scope int
	guard       guard
}

// table holds the guards on one field.
type table struct {
	field  int
	scopes []int // where its rules look; nil for a field that is free, which is read for every record
	all    []int32
	exact  map[string][]int32
	parts  *grams
}

// NewIndex returns an empty Index.
func NewIndex() *Index {
	x := &Index{open: map[int][]int32{}}
	x.take = x.mark
	return x
}

// Add takes a rule with the place of its scope; when is nil for one that matches every record. Rules are numbered from 0.
func (x *Index) Add(c *Compiler, rule, scope int, when *plan.Node) {
	var g guard
	if when != nil {
		g = c.guardOf(when)
	}
	if g == nil {
		x.open[scope] = append(x.open[scope], int32(rule))
	} else {
		x.guards = append(x.guards, guardedRule{rule, scope, g})
	}
	x.marked = append(x.marked, 0)
}

// Build makes the tables; call it once, when all rules are in.
func (x *Index) Build(s *collect.Subject) {
	byField := make([]map[atomKey][]int32, len(s.Fields))
	scopes := make([]map[int]bool, len(s.Fields))
	for _, g := range x.guards {
		for _, a := range g.guard {
			if byField[a.field] == nil {
				byField[a.field], scopes[a.field] = map[atomKey][]int32{}, map[int]bool{}
			}
			key := atomKey{a.text, a.place}
			if rules := byField[a.field][key]; len(rules) == 0 || rules[len(rules)-1] != int32(g.rule) {
				byField[a.field][key] = append(rules, int32(g.rule))
			}
			scopes[a.field][g.scope] = true
		}
	}
	for field, atoms := range byField {
		if atoms == nil {
			continue
		}
		t := newTable(field, atoms)
		if s.Costs[field] > collect.Free {
			for scope := range scopes[field] {
				t.scopes = append(t.scopes, scope)
			}
		}
		x.tables = append(x.tables, t)
	}
	x.guards = nil
}

type atomKey struct {
	text  string
	place place
}

func newTable(field int, atoms map[atomKey][]int32) *table {
	t := &table{field: field, exact: map[string][]int32{}}
	var needles []needle
	for key, rules := range atoms {
		t.all = append(t.all, rules...)
		if key.place == whole {
			t.exact[key.text] = rules
		} else {
			needles = append(needles, needle{text: key.text, place: key.place, rules: rules})
		}
	}
	t.parts = newGrams(needles)
	slices.Sort(t.all)
	t.all = slices.Compact(t.all)
	return t
}

// Candidates are the rules that may match the record, in order. active lists the scopes that cover it or may, covers
// says so of one; -1 is that of rules without a scope. The result is good until the next call.
func (x *Index) Candidates(r *Record, active []int, covers func(scope int) bool) []int {
	x.found = x.found[:0]
	if x.turn++; x.turn == 0 {
		clear(x.marked)
		x.turn = 1
	}
	x.take(x.open[-1])
	for _, scope := range active {
		x.take(x.open[scope])
	}
	for _, t := range x.tables {
		if t.scopes == nil || slices.ContainsFunc(t.scopes, covers) {
			t.ask(r, x.take)
		}
	}
	slices.Sort(x.found)
	return x.found
}

func (x *Index) mark(rules []int32) {
	for _, rule := range rules {
		if x.marked[rule] != x.turn {
			x.marked[rule] = x.turn
			x.found = append(x.found, int(rule))
		}
	}
}

func (t *table) ask(r *Record, take func([]int32)) {
	s := r.read(t.field)
	if s.truth.Unknown() {
		take(t.all)
		return
	}
	for i := range s.values {
		value := s.values[i].str(true)
		if rules, ok := t.exact[value]; ok {
			take(rules)
		}
		t.parts.find(value, take)
	}
}
