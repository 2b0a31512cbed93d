package match

import (
	"testing"

	"sandfly/probes/internal/plan"
)

func bound(t *testing.T, c *Compiler, when string) *Expr {
	t.Helper()
	p, err := plan.Decode([]byte(`{"schema":1,"rules":[{"id":"r","subject":"thing","fields":[],"when":` + when + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	expr, fault := c.Compile(p.Rules[0].When)
	if fault != nil {
		t.Fatal(fault)
	}
	return expr
}

func leafText(field, op, values string) string {
	return `{"field":"` + field + `","op":"` + op + `","values":[` + values + `]}`
}

func TestConditionsInTheSameWordsAreOne(t *testing.T) {
	c := NewCompiler(subject(map[string]int{}))
	a, b := leafText("name", "contains", `"a"`), leafText("pid", "gt", `5`)

	first := bound(t, c, `{"and":[`+a+`,{"not":`+b+`}]}`)

	for _, when := range []string{`{"and":[` + a + `,{"not":` + b + `}]}`, `{"and":[{"not":` + b + `},` + a + `]}`, `{"and":[{"or":[{"and":[` + a + `,{"not":` + b + `}]}]}]}`} {
		if again := bound(t, c, when); again.root != first.root {
			t.Errorf("%s is another condition", when)
		}
	}
}

func TestConditionsThatDifferInAnyPartAreNotOne(t *testing.T) {
	c := NewCompiler(subject(map[string]int{}))
	seen := map[*shared]string{}

	for _, when := range []string{
		leafText("name", "contains", `"a"`), leafText("path", "contains", `"a"`), leafText("name", "startswith", `"a"`),
		leafText("name", "contains", `"a","b"`), leafText("name", "contains", `"ab"`), leafText("name", "contains", `"a",""`),
		leafText("name", "eq", `"1"`), leafText("name", "eq", `1`), leafText("name", "eq", `1.0`), leafText("deleted", "eq", `true`), leafText("deleted", "eq", `"true"`),
		`{"field":"name","op":"contains","values":["a"],"all":true}`, `{"field":"name","op":"contains","values":["a"],"cased":true}`,
		`{"field":"name","op":"fieldref","values":["path"]}`, `{"field":"name","op":"fieldref","values":["path"],"mode":"contains"}`,
		`{"not":` + leafText("name", "contains", `"a"`) + `}`,
		`{"and":[` + leafText("name", "contains", `"a"`) + `,` + leafText("name", "contains", `"ab"`) + `]}`,
		`{"or":[` + leafText("name", "contains", `"a"`) + `,` + leafText("name", "contains", `"ab"`) + `]}`,
	} {
		expr := bound(t, c, when)
		if other, again := seen[expr.root]; again {
			t.Errorf("%s is taken for %s", when, other)
		}
		seen[expr.root] = when
	}
}

func TestSharedConditionIsDecidedOncePerRecord(t *testing.T) {
	c := NewCompiler(subject(map[string]int{}))
	asked := 0
	counted := func(when string) *Expr {
		expr := bound(t, c, when)
		expr.root.sides()[0].node.(*leaf).tests = []test{func(*scalar) bool { asked++; return true }}
		return expr
	}
	common, r := leafText("name", "contains", `"a"`), NewRecord(c.subject)
	first := counted(`{"and":[` + common + `,` + leafText("pid", "gt", `5`) + `]}`)
	second := counted(`{"and":[` + common + `,` + leafText("pid", "gt", `7`) + `]}`)

	for i := range 3 {
		r.Reset(row{"name": "a", "pid": int64(6)})
		if first.Eval(r) != Yes || second.Eval(r) != No || asked != i+1 {
			t.Fatalf("record %d: the common condition was asked %d times", i, asked)
		}
	}
}

func (s *shared) sides() []*shared { return s.node.(*andNode).branch.sides }

func TestFieldsOfASharedConditionBelongToEachThatNamesIt(t *testing.T) {
	c := NewCompiler(subject(map[string]int{}))
	when := `{"and":[` + leafText("pid", "gt", `5`) + `,{"field":"name","op":"fieldref","values":["path"]}]}`

	first, second := bound(t, c, when), bound(t, c, when)

	if len(first.Fields) != 3 || len(second.Fields) != 3 {
		t.Errorf("fields %v and %v, not those of pid, name and path", first.Fields, second.Fields)
	}
}

func TestPatternIsMadeReadyByTheFirstValueThatComesNear(t *testing.T) {
	c := NewCompiler(subject(map[string]int{}))
	expr, r := bound(t, c, leafText("name", "re", `"^evil-[0-9]+$"`)), NewRecord(c.subject)
	near := []struct {
		value string
		ready bool
		want  Truth
	}{{"good", false, No}, {"evil-x", true, No}, {"EVIL-7", true, No}, {"evil-7", true, Yes}}

	for _, n := range near {
		r.Reset(row{"name": n.value})
		if got := expr.Eval(r); got != n.want || (c.patterns["^evil-[0-9]+$"].ready != nil) != n.ready {
			t.Errorf("%s: %v, ready %v", n.value, got, c.patterns["^evil-[0-9]+$"].ready != nil)
		}
	}
}

func TestAnswersOfAnEarlierRoundOfTurnsAreForgotten(t *testing.T) {
	c := NewCompiler(subject(map[string]int{}))
	when := leafText("name", "contains", `"a"`)
	expr, r := bound(t, c, when), NewRecord(c.subject)
	bound(t, c, when)
	r.Reset(row{"name": "a"})
	if expr.Eval(r) != Yes {
		t.Fatal("no match")
	}

	r.turn = ^uint32(0)
	r.Reset(row{"name": "b"})

	if got := expr.Eval(r); got != No {
		t.Errorf("%v, as the record of the same turn four billion records ago", got)
	}
}
