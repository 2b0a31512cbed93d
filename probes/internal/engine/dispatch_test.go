package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
	"sandfly/probes/internal/plan"
)

// loose is a record for random rules: values or errors by field name.
type loose map[string]any

var looseFields = []struct {
	name, kind string
	cost       collect.Cost
}{
	{"path", "string", collect.Free}, {"name", "string", collect.Free}, {"hidden", "bool", collect.Free},
	{"size", "int", collect.Free}, {"load", "float", collect.Free}, {"tags", "strings", collect.Free},
	{"text", "string", collect.Cheap}, {"ports", "ints", collect.Cheap}, {"hash", "string", collect.Costly},
}

func looseSubject() *collect.Subject {
	var fields []collect.Field[loose]
	for _, f := range looseFields {
		fields = append(fields, collect.Field[loose]{Name: f.name, Type: f.kind, Cost: f.cost, Get: func(r loose) (any, error) {
			if err, ok := r[f.name].(error); ok {
				return nil, err
			}
			return r[f.name], nil
		}})
	}
	return collect.NewSubject("loose", "", nil, nil, fields)
}

// dice makes rules and records whose texts meet often: few letters, in both cases, and the runes whose case is odd. Part
// of the conditions come from earlier rules.
type dice struct {
	*rand.Rand
	said *[4][]map[string]any // by depth
}

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 1)), &[4][]map[string]any{}} }

func (d dice) pick(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) text() string {
	out := ""
	for range d.IntN(6) {
		out += d.pick("a", "b", "s", "S", "ſ", "k", "K", "\u212a", "İ", "é", "É", "/", "ab", "Abc", "tmp", "\ufffd", "1", "*", ".")
	}
	return out
}

func (d dice) path() string {
	if d.IntN(2) == 0 {
		deep := ""
		for range 1 + d.IntN(5) {
			deep += d.pick("/tmp", "/a", "/b", "/home", "/abc")
		}
		return deep
	}
	return d.pick("/", "/tmp", "/tmp/a", "/tmp/Abc", "/tmp/a/b", "/tmp/a/s", "/etc/tmp", "/etc/abc/tmp", "/a//b", "/a/b/", "a", "a/b", "",
		"/home/k/abc", "/home/s/abc")
}

func (d dice) reason() error {
	return []error{collect.ErrNeedsRoot, collect.ErrLimit, collect.ErrNotEntered, errors.New("odd"), collect.ErrGone}[d.IntN(5)]
}

func (d dice) value(kind string) any {
	switch d.IntN(12) {
	case 0:
		return d.reason()
	case 1, 2:
		return nil
	}
	switch kind {
	case "bool":
		return d.IntN(2) == 0
	case "int":
		return int64(d.IntN(12))
	case "float":
		return float64(d.IntN(6)) / 2
	case "strings":
		return []string{d.text(), d.text()}[:d.IntN(3)]
	case "ints":
		return []int64{int64(d.IntN(12)), 1}[:d.IntN(3)]
	}
	return d.text() + d.pick("", "", "\xe2\x84", "\xff")
}

func (d dice) record() loose {
	r := loose{}
	for _, f := range looseFields {
		if value := d.value(f.kind); value != nil {
			r[f.name] = value
		}
	}
	if d.IntN(8) > 0 {
		r["path"] = d.path()
	}
	return r
}

func (d dice) node(depth int) map[string]any {
	said := &d.said[depth]
	if len(*said) == 0 || d.IntN(3) > 0 {
		*said = append(*said, d.fresh(depth))
		return (*said)[len(*said)-1]
	}
	return (*said)[d.IntN(len(*said))]
}

func (d dice) fresh(depth int) map[string]any {
	if depth > 0 && d.IntN(3) > 0 {
		word := d.pick("and", "or", "not", "and")
		if word == "not" {
			return map[string]any{"not": d.node(depth - 1)}
		}
		var sides []any
		for range 1 + d.IntN(3) {
			sides = append(sides, d.node(depth-1))
		}
		return map[string]any{word: sides}
	}
	return d.leaf()
}

func (d dice) leaf() map[string]any {
	field := looseFields[d.IntN(len(looseFields))].name
	n := map[string]any{
		"field": field, "all": d.IntN(3) == 0, "cased": d.IntN(3) == 0,
		"op": d.pick("eq", "glob", "contains", "startswith", "endswith", "re", "gt", "exists", "null", "keyword", "fieldref", "cidr"),
	}
	var values []any
	for range 1 + d.IntN(6) {
		values = append(values, d.operand(n["op"].(string)))
	}
	switch n["op"] {
	case "null":
		values = nil
	case "exists":
		values = []any{d.IntN(2) == 0}
	case "keyword":
		n["field"] = ""
	}
	n["values"] = values
	return n
}

func (d dice) operand(op string) any {
	switch op {
	case "re":
		return d.pick("a", "(?i)s", "(?i)abs", "(ab|tmp)+", "[ab]c", "a{2,}b", "^/tmp/", "(?i)k$", "(?i)ab|é", "\ufffd", "(?i)\ufffdab", ".*", "(ab)?",
			"ABC", "a.c|bcs")
	case "gt":
		return d.IntN(10)
	case "fieldref":
		return looseFields[d.IntN(len(looseFields))].name
	case "cidr":
		return "10.0.0.0/8"
	case "eq":
		return []any{d.text(), d.path(), d.IntN(12), d.IntN(2) == 0, 1.5, "7", "true", 5.0}[d.IntN(8)]
	case "glob", "keyword":
		return d.pick("*", "", "?", `\*`) + d.text() + d.pick("*", "", "?b")
	}
	return d.text()
}

func (d dice) rule(i int) map[string]any {
	r := map[string]any{"id": fmt.Sprint(i), "subject": "loose", "fields": []string{}}
	if d.IntN(12) > 0 {
		r["when"] = d.node(3)
	}
	if d.IntN(2) == 0 {
		scope := map[string]any{"paths": []string{d.pick("/", "/tmp", "/tmp/*", "/tmp/?", "/home/*/abc", "/etc", "/a/b", "/*/b", "/a/*/*/b", "/tmp/a/b/abc"), d.pick("/tmp/a", "/a", "/none")}}
		if d.IntN(2) == 0 {
			scope["max_depth"] = d.IntN(4)
		}
		if d.IntN(2) == 0 {
			scope["exclude"] = []string{d.pick("/tmp/a", "/tmp/?", "/tmp/a/b", "/etc/abc", "/home/k", "/*/*/b", "/a")}
		}
		r["scope"] = scope
	}
	return r
}

func (d dice) plan(t *testing.T, rules int) *plan.Plan {
	t.Helper()
	list := make([]any, rules)
	for i := range list {
		list[i] = d.rule(i)
	}
	data, err := json.Marshal(map[string]any{"schema": 1, "rules": list})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(data)
	if err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return p
}

// plainly asks every rule about the record, one by one and each for itself; vanished is what any of them saw.
func plainly(t *testing.T, p *plan.Plan, s *collect.Subject, source loose) (answers []match.Truth, vanished bool) {
	t.Helper()
	for _, r := range p.Rules {
		record := match.NewRecord(s)
		record.Reset(source)
		path, known := source["path"].(string)
		if r.Scope != nil && known && !scopeOf(r.Scope).Covers(path) {
			answers = append(answers, match.No)
			continue
		}
		answer := match.Yes
		if r.When != nil {
			expr, fault := match.Compile(s, r.When)
			if fault != nil {
				t.Fatal(fault)
			}
			answer = expr.Eval(record)
		}
		answers = append(answers, answer)
		vanished = vanished || record.Gone()
	}
	return answers, vanished
}

func compareWithPlain(t *testing.T, seed uint64, rules, records int) {
	d := newDice(seed)
	s := looseSubject()
	p := d.plan(t, rules)
	program, err := Build(p, []*collect.Subject{s})
	if err != nil {
		t.Fatal(err)
	}
	for range records {
		source := d.record()
		want, vanished := plainly(t, p, s, source)
		var v verdict
		if here := v.judge(program.groups["loose"], source); vanished || !here {
			continue // then the record is dropped, and whoever read nothing that vanished did not notice
		}
		got := make([]match.Truth, rules)
		for _, hit := range v.hits {
			got[hit.place] = match.Yes
		}
		for _, missed := range v.misses {
			got[missed.rule.place] = missed.truth
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: record %q: %v, one by one %v", seed, source, got, want)
		}
	}
}

func TestRulesThatAreDispatchedAnswerAsWhenEachIsAsked(t *testing.T) {
	for seed := range uint64(150) {
		compareWithPlain(t, seed, 1+int(seed%60), 40)
	}
}

// FuzzDispatch: for any rules and records the dispatched ones answer as when each is asked.
func FuzzDispatch(f *testing.F) {
	f.Add(uint64(1), byte(5))
	f.Fuzz(func(t *testing.T, seed uint64, rules byte) { compareWithPlain(t, seed, 1+int(rules), 20) })
}
