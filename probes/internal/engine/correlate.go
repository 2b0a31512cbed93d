package engine

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"sandfly/probes/internal/match"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/report"
	"sandfly/probes/internal/seq"
)

// What all correlations of a plan may keep in memory together: about 10 MB, reached only by a host that is under attack
// or tries to fill it. Beyond it a correlation says `limit`, unless it has alerted by then.
const (
	maxEvents  = 200_000
	maxBuckets = 20_000
	maxSamples = 500
	maxKey     = 512  // bytes of one value that records are grouped by
	maxSample  = 4096 // bytes of one value of a record that is kept as an example
	maxSorted  = 5_000
)

// event is one record that a part of a correlation matched.
type event struct {
	at    int64 // epoch seconds
	value float64
	hash  uint64 // of the values that are counted
	part  int
}

// bucket is the events that have the same values to group by.
type bucket struct {
	keys    []any
	events  []event
	samples []*report.Match // by part: its first record
	fired   *window         // once it is sure to alert its events are no longer kept
}

// correlation is a rule over several records.
type correlation struct {
	spec    *plan.Correlation
	rule    *rule // the one of the plan
	parts   []*part
	buckets map[string]*bucket
	order   []*bucket
	budget  *budget
	full    bool
}

// part is one of the rules that feed a correlation, or a correlation that does.
type part struct {
	of      *correlation
	place   int
	rule    *rule
	nested  *correlation
	time    int // field, -1: the moment of the visit
	group   []int
	values  []int
	sampled map[uint64]bool // of the collecting goroutine
}

// budget is shared by all correlations; samples is of the collecting goroutine.
type budget struct{ events, buckets, samples int }

func newBudget() *budget { return &budget{maxEvents, maxBuckets, maxSamples} }

// occurrence is an event on its way to its correlation.
type occurrence struct {
	part   *part
	event  event
	keys   []any
	sample *report.Match
}

// bindCorrelation binds the parts of a correlation, each to the group of its subject.
func (p *Program) bindCorrelation(r *rule, spec *plan.Correlation, rules *binder) (*correlation, error) {
	c := &correlation{spec: spec, rule: r, buckets: map[string]*bucket{}, budget: p.budget}
	for i := range spec.Parts {
		one := &spec.Parts[i]
		made := &part{of: c, place: i, time: -1, sampled: map[uint64]bool{}}
		c.parts = append(c.parts, made)
		if err := p.bindPart(made, r, one, rules); err != nil {
			return nil, fmt.Errorf("parts[%d].%w", i, err)
		}
	}
	return c, nil
}

func (p *Program) bindPart(made *part, r *rule, spec *plan.Part, rules *binder) (err error) {
	if spec.Correlation != nil {
		if made.nested, err = p.bindCorrelation(r, spec.Correlation, rules); err != nil {
			return fmt.Errorf("correlation.%w", err)
		}
		for _, name := range spec.GroupBy {
			place := slices.Index(spec.Correlation.GroupBy, name)
			if place < 0 {
				return fmt.Errorf("group_by: the correlation below is not grouped by %q", name)
			}
			made.group = append(made.group, place)
		}
		return nil
	}
	fields := slices.Concat(spec.Fields, spec.GroupBy, spec.Values)
	if spec.Time != "" {
		fields = append(fields, spec.Time)
	}
	bound, err := rules.bind(p, r.place, &plan.Rule{Subject: spec.Subject, When: spec.When, Scope: spec.Scope, Fields: fields})
	if err != nil {
		return err
	}
	bound.feeds, bound.host, made.rule = made, r.host, bound
	subject := bound.group.subject
	for _, name := range fields[len(spec.Fields):] {
		if subject.Index(name) < 0 {
			return fmt.Errorf("group_by: subject %s has no field %q", spec.Subject, name)
		}
	}
	for _, name := range spec.GroupBy {
		made.group = append(made.group, subject.Index(name))
	}
	for _, name := range spec.Values {
		made.values = append(made.values, subject.Index(name))
	}
	if spec.Time != "" {
		made.time = subject.Index(spec.Time)
	}
	return nil
}

// occur makes the event of the record at hand. It is nil when the record has no value for a field it is placed by; the
// truth says so when one could not be looked at.
func (p *part) occur(r *match.Record, now time.Time) (*occurrence, match.Truth) {
	o := &occurrence{part: p, event: event{at: now.Unix(), part: p.place}}
	why := match.Yes
	read := func(field int) any {
		value, truth := r.Look(field)
		if truth != match.Yes {
			why = max(why, truth)
			if truth == match.No && !why.Unknown() {
				why = match.No
			}
		}
		return value
	}
	if p.time >= 0 {
		o.event.at = int64(number(read(p.time)))
	}
	for _, field := range p.group {
		o.keys = append(o.keys, clipped(read(field), maxKey))
	}
	var h maphash.Hash
	h.SetSeed(hashSeed)
	for _, field := range p.values {
		value := read(field)
		o.event.value = number(value)
		h.WriteString(fmt.Sprint(value))
		h.WriteByte(0)
	}
	o.event.hash = h.Sum64()
	if why != match.Yes {
		return nil, why
	}
	return o, match.Yes
}

var hashSeed = maphash.MakeSeed()

func number(value any) float64 {
	switch v := value.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

func clipped(value any, most int) any {
	if s, ok := value.(string); ok && len(s) > most {
		return s[:most]
	}
	return value
}

func keyOf(keys []any) string {
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, "%v\x00", key)
	}
	return b.String()
}

// illustrate keeps the record at hand as the example of its bucket, when it is the first there. False: it vanished.
func (p *part) illustrate(o *occurrence) bool {
	h := maphash.String(hashSeed, keyOf(o.keys))
	if p.of.budget.samples == 0 || p.sampled[h] {
		return true
	}
	p.of.budget.samples--
	p.sampled[h] = true
	g := p.rule.group
	m := &report.Match{Subject: g.subject.Name}
	clear(g.wanted)
	g.choose(p.rule)
	for _, field := range g.sorted {
		if g.wanted[field] {
			g.add(m, field)
		}
	}
	for i := range m.Record {
		m.Record[i].Value = clipped(m.Record[i].Value, maxSample)
	}
	o.sample = m
	return !g.record.Gone()
}

// take puts an event into its bucket.
func (c *correlation) take(o *occurrence) {
	key := keyOf(o.keys)
	b := c.buckets[key]
	if b == nil {
		if c.budget.buckets == 0 {
			c.full = true
			return
		}
		c.budget.buckets--
		b = &bucket{keys: o.keys, samples: make([]*report.Match, len(c.parts))}
		c.buckets[key] = b
		c.order = append(c.order, b)
	}
	if o.sample != nil && b.samples[o.part.place] == nil {
		b.samples[o.part.place] = o.sample
	}
	if b.fired != nil {
		return
	}
	if c.budget.events == 0 && !c.full {
		c.relieve()
	}
	if b.fired != nil {
		return
	}
	if c.budget.events == 0 || c.sorts() && len(b.events) >= maxSorted {
		c.full = true
		return
	}
	c.budget.events--
	b.events = append(b.events, o.event)
}

// relieve lets go of the events of buckets that are sure to alert, whatever else comes.
func (c *correlation) relieve() {
	if !c.onlyGrows() {
		return
	}
	for _, b := range c.order {
		if windows := c.windows(b.events); len(windows) > 0 {
			b.fired = &windows[len(windows)-1]
			c.budget.events += len(b.events)
			b.events = nil
		}
	}
}

func (c *correlation) sorts() bool {
	return c.spec.Type == "value_percentile" || c.spec.Type == "value_median"
}

// onlyGrows says that more records can only make the condition truer, so that it may alert on part of them.
func (c *correlation) onlyGrows() bool {
	for _, p := range c.parts {
		if p.nested != nil && !p.nested.onlyGrows() {
			return false
		}
	}
	switch c.spec.Type {
	case "temporal", "event_count", "value_count":
		if c.spec.Presence != nil {
			return !c.spec.Presence.HasNot()
		}
		return c.spec.Op == "gt" || c.spec.Op == "gte"
	}
	return c.spec.Type == "temporal_ordered"
}

// firing is a bucket whose condition holds in a window.
type firing struct {
	bucket  *bucket
	windows []window
}

// conclude decides all buckets, in the order in which they came up.
func (c *correlation) conclude() []firing {
	for _, p := range c.parts {
		if p.nested == nil {
			continue
		}
		for _, f := range p.nested.conclude() {
			c.takeNested(p, f)
		}
		c.full = c.full || p.nested.full
	}
	var found []firing
	for _, b := range c.order {
		windows := c.windows(b.events)
		if b.fired != nil {
			windows = []window{*b.fired}
		}
		if len(windows) > 0 {
			found = append(found, firing{b, windows})
		}
	}
	return found
}

// takeNested makes each alert of the correlation below an event, at the end of its window. Windows that overlap are one.
func (c *correlation) takeNested(p *part, f firing) {
	keys := make([]any, 0, len(p.group))
	for _, place := range p.group {
		keys = append(keys, f.bucket.keys[place])
	}
	var sample *report.Match
	if at := slices.IndexFunc(f.bucket.samples, func(m *report.Match) bool { return m != nil }); at >= 0 {
		sample = f.bucket.samples[at]
	}
	for i, w := range f.windows {
		if i > 0 && w.first <= f.windows[i-1].last {
			continue
		}
		c.take(&occurrence{part: p, event: event{at: w.last, part: p.place}, keys: keys, sample: sample})
	}
}

// describe makes the match line of a bucket: its group is the identity, an example and what was counted the evidence.
func (c *correlation) describe(f firing) *report.Match {
	m := &report.Match{Subject: c.rule.group.subject.Name, Rules: []int{c.rule.place}}
	w := f.windows[len(f.windows)-1]
	facts := []report.Fact{
		{Name: "correlation.count", Value: int64(w.count)},
		{Name: "correlation.value", Value: w.value},
		{Name: "correlation.first_time", Value: w.first},
		{Name: "correlation.last_time", Value: w.last},
	}
	for i, name := range c.spec.GroupBy {
		facts = append(facts, report.Fact{Name: name, Value: f.bucket.keys[i]})
		m.Identity = append(m.Identity, facts[len(facts)-1])
	}
	var examples []string
	own := false
	for i, sample := range f.bucket.samples {
		switch {
		case sample == nil:
		case !own && sample.Subject == m.Subject:
			own = true
			for _, fact := range sample.Record {
				if !slices.ContainsFunc(facts, func(other report.Fact) bool { return other.Name == fact.Name }) {
					facts = append(facts, fact)
				}
			}
			m.Unknown = sample.Unknown
		default:
			examples = append(examples, example(c.spec.Parts[i].Name, sample))
		}
	}
	if len(examples) > 0 {
		facts = append(facts, report.Fact{Name: "correlation.examples", Value: examples})
	}
	seq.SortFunc(facts, func(a, b report.Fact) int { return cmp.Compare(a.Name, b.Name) })
	m.Record = facts
	return m
}

// example is the first record of another part in one line.
func example(name string, sample *report.Match) string {
	parts := []string{name + ":"}
	for _, fact := range sample.Record {
		parts = append(parts, fmt.Sprintf("%s=%v", fact.Name, fact.Value))
	}
	return strings.Join(parts, " ")
}
