package engine

import (
	"slices"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
	"sandfly/probes/internal/report"
)

// verdict is what the rules of a group say of one record; it is reused.
type verdict struct {
	hits   []*rule
	misses []miss
	events []*occurrence
}

// miss is a rule that could not be decided.
type miss struct {
	rule  *rule
	truth match.Truth
}

// judge asks every rule of the group that may match about the record. It is false when the thing vanished meanwhile.
func (v *verdict) judge(g *group, source any) bool {
	v.hits, v.misses, v.events = v.hits[:0], v.misses[:0], v.events[:0]
	g.record.Reset(source)
	for _, place := range g.candidates() {
		r := g.rules[place]
		if !g.dispatch.covers(r.scope) {
			continue
		}
		t := match.Yes
		if r.host != nil {
			t = r.host.Truth()
		}
		if r.when != nil && t != match.No {
			t = match.Both(t, r.when.Eval(g.record))
		}
		switch {
		case g.record.Gone():
			return false
		case t == match.Yes:
			if !r.isRepeat(g.record) {
				v.hits = append(v.hits, r)
			}
		case t.Unknown():
			v.misses = append(v.misses, miss{r, t})
		}
	}
	return !g.record.Gone()
}

// count makes the events of those hits that a correlation counts. It is false when the thing vanished meanwhile.
func (v *verdict) count(g *group, now time.Time) bool {
	for _, r := range v.hits {
		if r.feeds == nil {
			continue
		}
		o, t := r.feeds.occur(g.record, now)
		switch {
		case g.record.Gone():
			return false
		case t.Unknown():
			v.misses = append(v.misses, miss{r, t})
		case o != nil && !r.feeds.illustrate(o):
			return false
		case o != nil:
			v.events = append(v.events, o)
		}
	}
	return true
}

// describe makes the match line of the record at hand for the rules that still may send one; nil when there is none or
// the thing vanished meanwhile.
func (g *group) describe(hits []*rule) *report.Match {
	m := &report.Match{Subject: g.subject.Name}
	clear(g.wanted)
	for _, r := range hits {
		if r.tally.sent >= r.max || !r.sends() {
			continue
		}
		m.Rules = append(m.Rules, r.place)
		g.choose(r)
	}
	if len(m.Rules) == 0 {
		return nil
	}
	for _, field := range g.sorted {
		if g.wanted[field] {
			g.add(m, field)
		}
	}
	if g.record.Gone() {
		return nil
	}
	for _, r := range hits {
		if r.sends() {
			g.addHost(m, r)
		}
	}
	m.Candidates = g.hits()
	return m
}

// hits are what sets of indicators found in the record at hand.
func (g *group) hits() (found []report.Candidate) {
	for _, hit := range g.record.Hits() {
		found = append(found, report.Candidate{Kind: hit.Kind, Field: g.subject.Fields[hit.Field].Name, Value: hit.Value})
	}
	return found
}

// addHost puts the facts of the host into the line that a rule sends, each once.
func (g *group) addHost(m *report.Match, r *rule) {
	for _, field := range r.hostFields {
		name := match.HostPrefix + field
		if slices.ContainsFunc(m.Record, func(f report.Fact) bool { return f.Name == name }) {
			continue
		}
		switch value, reason := g.host.Value(field); {
		case reason != "":
			m.Unknown = append(m.Unknown, report.Gap{Name: name, Reason: reason})
		case value != nil:
			m.Record = append(m.Record, report.Fact{Name: name, Value: value})
		}
	}
}

// choose marks what a rule sends: its fields, and those its condition looked at. Costly ones that the condition did not
// need are not read just to be shown.
func (g *group) choose(r *rule) {
	for _, field := range r.fields {
		g.wanted[field] = true
	}
	if r.when == nil {
		return
	}
	for _, field := range r.when.Fields {
		if g.subject.Costs[field] < collect.Costly || g.record.WasRead(field) {
			g.wanted[field] = true
		}
	}
}

// add puts a field into the line. A field without a value is left out of the record; the identity always has all its
// fields, so that it can be compared.
func (g *group) add(m *report.Match, field int) {
	name := g.subject.Fields[field].Name
	value, reason := g.record.Value(field)
	if slices.Contains(g.subject.Identity, name) {
		m.Identity = append(m.Identity, report.Fact{Name: name, Value: value})
	}
	switch {
	case reason != "":
		m.Unknown = append(m.Unknown, report.Gap{Name: name, Reason: reason})
	case value != nil:
		m.Record = append(m.Record, report.Fact{Name: name, Value: value})
	}
}
