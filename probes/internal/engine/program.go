// Package engine runs a plan: each wanted collector once, every rule of a subject on each of its records, one match
// line for a record that any rule matched, and at the end what became of every collector and rule.
package engine

import (
	"fmt"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/seq"
)

// Program is a plan bound to the subjects of this probe.
type Program struct {
	rules  []*rule // by place in the plan
	groups map[string]*group
	order  []*group // as the plan names them first

	subjects map[string]*collect.Subject
	host     *match.Host // nil where this probe has no subject host
	budget   *budget
	sets     match.Sets
}

// hostSubject is what conditions on the host look at.
const hostSubject = "host"

// group is the rules of one subject.
type group struct {
	subject  *collect.Subject
	rules    []*rule
	compiler *match.Compiler // until all rules are bound
	host     *match.Host     // nil where this probe has no subject host
	record   *match.Record
	path     int // place of the field `path`, -1 where the subject has none
	sorted   []int
	scopes   []scopeSet
	byKey    map[string]int
	wanted   []bool // by field: scratch of the match at hand
	want     collect.Want
	dispatch *dispatch
}

// scopeSet is the scopes of one or more rules; covered is for the record at hand.
type scopeSet struct {
	scopes  []collect.Scope
	covered bool
}

// rule is one rule bound to its subject.
type rule struct {
	place  int
	group  *group
	when   *match.Expr // nil: every record
	scope  int         // place in group.scopes, -1: no scope
	fields []int       // sent with every match: identity, evidence, those the rule asks for
	max    int
	idle   string // why it looks at nothing, "" for one that does
	lists  map[listKey]bool
	tally  tally

	node        *plan.Node      // what `when` was made of, until all rules are bound
	host        *match.HostTest // nil: on every host
	absent      bool            // alerts when nothing matched
	feeds       *part           // its matches are counted by a correlation and not sent
	correlation *correlation
	hostFields  []string // facts of the host that are sent with every match, named without a prefix
}

// sends says whether the rule's matches are lines of the report.
func (r *rule) sends() bool { return r.feeds == nil && !r.absent }

// noIndicators is why a rule is idle whose lists are not loaded: it asks for nothing that is there.
const noIndicators = "no_indicators"

// tally is what happened to a rule.
type tally struct {
	matched int
	sent    int
	unknown map[string]int
	told    map[match.Hit]int // records by candidate
}

// Build binds a plan. Errors say where: unknown subject, field or operator, bad value, scope without a path.
func Build(p *plan.Plan, subjects []*collect.Subject) (*Program, error) {
	known := make(map[string]*collect.Subject, len(subjects))
	for _, s := range subjects {
		known[s.Name] = s
	}
	program := &Program{groups: map[string]*group{}, subjects: known, budget: newBudget(), sets: p.Loaded}
	if host := known[hostSubject]; host != nil {
		program.host = match.NewHost(host)
	}
	rules := &binder{defaultMax: p.Limits.MatchesPerRule}
	for i := range p.Rules {
		r, err := program.bindRule(i, &p.Rules[i], rules)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Where(i), err)
		}
		program.rules = append(program.rules, r)
	}
	program.wantHost()
	for _, g := range program.order {
		g.dispatch = newDispatch(g)
		g.compiler = nil
	}
	return program, nil
}

// binder binds rules to the groups of their subjects.
type binder struct{ defaultMax int }

func (b *binder) bind(p *Program, place int, spec *plan.Rule) (*rule, error) {
	subject := p.subjects[spec.Subject]
	if subject == nil {
		return nil, fmt.Errorf("subject: this probe has no %q", spec.Subject)
	}
	return p.group(subject).bind(place, spec, b.defaultMax)
}

// bindRule binds a rule of the plan: alone, or with all parts of its correlation.
func (p *Program) bindRule(place int, spec *plan.Rule, rules *binder) (*rule, error) {
	test, err := p.hostTest(spec.Host)
	if err != nil {
		return nil, err
	}
	if spec.Correlation == nil {
		spec, err := p.prune(spec)
		if err != nil {
			return nil, err
		}
		if spec == nil {
			return &rule{place: place, host: test, idle: noIndicators}, nil
		}
		r, err := rules.bind(p, place, spec)
		if err != nil {
			return nil, err
		}
		r.host, r.absent = test, spec.Absent
		return r, nil
	}
	subject := p.subjects[spec.Subject]
	if subject == nil {
		return nil, fmt.Errorf("subject: this probe has no %q", spec.Subject)
	}
	r := &rule{place: place, group: p.group(subject), scope: -1, max: rules.defaultMax, host: test}
	if spec.MaxMatches != nil {
		r.max = *spec.MaxMatches
	}
	if r.correlation, err = p.bindCorrelation(r, spec.Correlation, rules); err != nil {
		return nil, fmt.Errorf("correlation.%w", err)
	}
	return r, nil
}

// prune takes out of a rule what asks for lists that are not loaded; nil when nothing is left to ask.
func (p *Program) prune(spec *plan.Rule) (*plan.Rule, error) {
	if spec.When == nil {
		return spec, nil
	}
	when, fault := p.sets.Prune(spec.When)
	if fault != nil {
		return nil, fault.In("when")
	}
	if when == nil {
		return nil, nil
	}
	pruned := *spec
	pruned.When = when
	return &pruned, nil
}

func (p *Program) hostTest(n *plan.Node) (*match.HostTest, error) {
	if n == nil {
		return nil, nil
	}
	if p.host == nil {
		return nil, fmt.Errorf("host: this probe has no subject %q", hostSubject)
	}
	test, fault := p.host.Compile(n)
	if fault != nil {
		return nil, fault.In("host")
	}
	return test, nil
}

// wantHost has the host's record collected when a condition looks at it.
func (p *Program) wantHost() {
	if p.host == nil {
		return
	}
	names := p.host.Wanted()
	if len(names) == 0 {
		p.host = nil
		return
	}
	g := p.group(p.subjects[hostSubject])
	for _, name := range names {
		g.want.Fields[name] = true
	}
}

// Wants says whether any rule needs the subject.
func (p *Program) Wants(subject string) bool { return p.groups[subject] != nil }

func (p *Program) group(s *collect.Subject) *group {
	if g := p.groups[s.Name]; g != nil {
		return g
	}
	g := &group{
		subject: s, compiler: match.NewCompiler(s).On(p.host).With(p.sets), host: p.host, record: match.NewRecord(s),
		path: s.Index("path"), sorted: sortedFields(s),
		byKey: map[string]int{}, wanted: make([]bool, len(s.Fields)),
		want: collect.Want{Fields: map[string]bool{}},
	}
	p.groups[s.Name] = g
	p.order = append(p.order, g)
	return g
}

// sortedFields are the places of the fields in the order of their names, in which they are sent.
func sortedFields(s *collect.Subject) []int {
	places := make([]int, len(s.Fields))
	for i := range places {
		places[i] = i
	}
	seq.SortFunc(places, func(a, b int) int { return strings.Compare(s.Fields[a].Name, s.Fields[b].Name) })
	return places
}

func (g *group) bind(place int, spec *plan.Rule, defaultMax int) (*rule, error) {
	r := &rule{place: place, group: g, scope: -1, max: defaultMax, node: spec.When}
	if spec.MaxMatches != nil {
		r.max = *spec.MaxMatches
	}
	if spec.When != nil {
		expr, fault := g.compiler.Compile(spec.When)
		if fault != nil {
			return nil, fault.In("when")
		}
		r.when, r.lists = expr, listsOf(g, spec.When)
	}
	if err := g.bindScope(r, spec.Scope); err != nil {
		return nil, err
	}
	if err := g.bindFields(r, spec.Fields); err != nil {
		return nil, err
	}
	g.rules = append(g.rules, r)
	return r, nil
}

func (g *group) bindFields(r *rule, names []string) error {
	for i, name := range names {
		if g.subject.Index(name) >= 0 {
			continue
		}
		if err := g.bindHostField(r, name); err != nil {
			return fmt.Errorf("fields[%d]: %w", i, err)
		}
	}
	for _, name := range slices.Concat(g.subject.Identity, g.subject.Evidence, names) {
		if field := g.subject.Index(name); field >= 0 && !slices.Contains(r.fields, field) {
			r.fields = append(r.fields, field)
			g.want.Fields[name] = true
		}
	}
	if r.when != nil {
		for _, field := range r.when.Fields {
			g.want.Fields[g.subject.Fields[field].Name] = true
		}
	}
	return nil
}

// bindHostField has a fact of the host sent with the rule's matches.
func (g *group) bindHostField(r *rule, name string) error {
	rest, is := strings.CutPrefix(name, match.HostPrefix)
	if !is || g.host == nil {
		return fmt.Errorf("subject %s has no field %q", g.subject.Name, name)
	}
	if fault := g.host.Want(rest); fault != nil {
		return fmt.Errorf("%s", fault.Problem)
	}
	r.hostFields = append(r.hostFields, rest)
	return nil
}

// bindScope gives a rule its own scope, or that of the subject: what a rule sees must not depend on what other rules
// of the plan make the collector walk.
func (g *group) bindScope(r *rule, spec *plan.Scope) error {
	scopes := g.subject.Default
	if spec != nil && (len(spec.Paths) > 0 || len(scopes) == 0) {
		scopes = []collect.Scope{scopeOf(spec)}
	} else if spec != nil {
		scopes = narrowed(scopes, spec)
	}
	if len(scopes) == 0 {
		return nil
	}
	if g.path < 0 {
		return fmt.Errorf("scope: subject %s has no path", g.subject.Name)
	}
	key := fmt.Sprintf("%#v", scopes)
	at, seen := g.byKey[key]
	if !seen {
		at = len(g.scopes)
		g.byKey[key] = at
		g.scopes = append(g.scopes, scopeSet{scopes: scopes})
		g.want.Scopes = append(g.want.Scopes, scopes...)
	}
	r.scope = at
	return nil
}

func scopeOf(spec *plan.Scope) collect.Scope {
	s := collect.Scope{Paths: spec.Paths, Exclude: spec.Exclude, MaxDepth: -1, CrossMounts: spec.CrossMounts}
	if spec.MaxDepth != nil {
		s.MaxDepth = *spec.MaxDepth
	}
	return s
}

// narrowed is the subject's own scope with the bounds of a rule that names no paths.
func narrowed(defaults []collect.Scope, spec *plan.Scope) []collect.Scope {
	own := scopeOf(spec)
	var scopes []collect.Scope
	for _, s := range defaults {
		s.Exclude = slices.Concat(s.Exclude, own.Exclude)
		s.CrossMounts = s.CrossMounts || own.CrossMounts
		if own.MaxDepth >= 0 && (s.MaxDepth < 0 || own.MaxDepth < s.MaxDepth) {
			s.MaxDepth = own.MaxDepth
		}
		scopes = append(scopes, s)
	}
	return scopes
}
