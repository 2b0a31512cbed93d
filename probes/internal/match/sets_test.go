package match

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/indicator"
	"sandfly/probes/internal/plan"
)

// goldenSets are small sets of each of three kinds: 192.0.2.1 and 10.0.0.0/8 are among the addresses, v0.example to
// v1999.example are the domains, the third digest is listed.
func goldenSets(t *testing.T) Sets {
	t.Helper()
	data, err := os.ReadFile("../../../tests/golden/indicators.json")
	if err != nil {
		t.Fatal(err)
	}
	var lists []struct {
		Spec indicator.Spec
		Body string
	}
	if err := json.Unmarshal(data, &lists); err != nil {
		t.Fatal(err)
	}
	sets := Sets{}
	for i := range lists {
		body, err := hex.DecodeString(lists[i].Body)
		if err != nil {
			t.Fatal(err)
		}
		if sets[lists[i].Spec.Kind], err = indicator.Decode(&lists[i].Spec, body); err != nil {
			t.Fatal(err)
		}
	}
	return sets
}

const listed = "0123456789abcdef0123456789abcdef"

func inSetJSON(field, kinds string) string {
	return fmt.Sprintf(`{"field":%q,"op":"in_set","values":[%s]}`, field, kinds)
}

func compileWith(s *collect.Subject, when string, sets Sets) (*Expr, error) {
	p, err := plan.Decode([]byte(`{"schema":1,"rules":[{"id":"r","subject":"thing","fields":[],"when":` + when + `}]}`))
	if err != nil {
		return nil, err
	}
	pruned, fault := sets.Prune(p.Rules[0].When)
	if fault != nil {
		return nil, fault.In("when")
	}
	if pruned == nil {
		return nil, nil
	}
	expr, fault := NewCompiler(s).With(sets).Compile(pruned)
	if fault != nil {
		return nil, fault.In("when")
	}
	return expr, nil
}

func judge(t *testing.T, when string, sets Sets, r row) (Truth, []Hit) {
	t.Helper()
	s := subject(map[string]int{})
	expr, err := compileWith(s, when, sets)
	if err != nil {
		t.Fatal(err)
	}
	record := NewRecord(s)
	record.Reset(r)
	return expr.Eval(record), record.Hits()
}

func TestValuesOnAListMatchAndAreNamed(t *testing.T) {
	sets := goldenSets(t)
	cases := []struct {
		when  string
		value row
		truth Truth
		hits  string
	}{
		{inSetJSON("content", `"md5"`), row{"content": listed}, Yes, "[{md5 8 " + listed + "}]"},
		{inSetJSON("content", `"md5"`), row{"content": "1" + listed[1:]}, No, "[]"},
		{inSetJSON("content", `"md5"`), row{}, No, "[]"},
		{inSetJSON("content", `"md5"`), row{"content": collect.ErrNeedsRoot}, UnknownRights, "[]"},
		{inSetJSON("address", `"ip"`), row{"address": "10.9.8.7"}, Yes, "[{ip 7 10.0.0.0/8}]"},
		{inSetJSON("argv", `"ip","md5"`), row{"argv": []string{"192.0.2.1", "x", listed, "192.0.2.1"}}, Yes,
			"[{ip 5 192.0.2.1} {md5 5 " + listed + "}]"},
	}
	for _, c := range cases {
		truth, hits := judge(t, c.when, sets, c.value)
		if truth != c.truth || fmt.Sprint(hits) != c.hits {
			t.Errorf("%s of %v: %v %v, want %v %s", c.when, c.value, truth, hits, c.truth, c.hits)
		}
	}
}

func TestEveryCandidateOfAnOrIsNamedSinceTheFirstMayBeNone(t *testing.T) {
	when := `{"or":[` + inSetJSON("address", `"ip"`) + `,` + inSetJSON("content", `"md5"`) + `,` + leafJSON("pid", "exists", `,"values":[true]`) + `]}`

	truth, hits := judge(t, when, goldenSets(t), row{"address": "192.0.2.1", "content": listed, "pid": 1})

	if truth != Yes || len(hits) != 2 {
		t.Errorf("%v %v", truth, hits)
	}
}

func TestListsThatAreNotLoadedAreNotLookedUp(t *testing.T) {
	sets := goldenSets(t)
	missing, here := inSetJSON("content", `"sha1"`), inSetJSON("address", `"ip"`)
	pid := leafJSON("pid", "exists", `,"values":[true]`)
	cases := []struct {
		when  string
		never bool
		reads int // fields it names
	}{
		{missing, true, 0},
		{`{"and":[` + pid + `,` + missing + `]}`, true, 1},
		{`{"or":[` + missing + `,` + here + `]}`, false, 1},
		{`{"or":[` + missing + `,` + missing + `]}`, true, 0},
		{`{"and":[` + pid + `,{"or":[` + missing + `,` + missing + `]}]}`, true, 1},
		{inSetJSON("address", `"sha1","ip"`), false, 1},
	}
	for _, c := range cases {
		expr, err := compileWith(subject(map[string]int{}), c.when, sets)
		if err != nil {
			t.Fatal(err)
		}
		if (expr == nil) != c.never || expr != nil && len(expr.Fields) != c.reads {
			t.Errorf("%s: %+v", c.when, expr)
		}
	}
}

func TestListsAreRefusedWhereACandidateSaysNothing(t *testing.T) {
	sets := goldenSets(t)
	for _, when := range []string{
		`{"not":` + inSetJSON("address", `"ip"`) + `}`,
		`{"not":{"and":[` + inSetJSON("address", `"ip"`) + `]}}`,
		`{"field":"address","op":"in_set","values":["ip"],"all":true}`,
		`{"field":"address","op":"in_set","values":["ip"],"cased":true}`,
		`{"field":"address","op":"in_set","values":[7]}`,
		`{"field":"address","op":"in_set","values":[]}`,
		`{"field":"nosuch","op":"in_set","values":["ip"]}`,
	} {
		if _, err := compileWith(subject(map[string]int{}), when, sets); err == nil {
			t.Errorf("%s was taken", when)
		}
	}
}

func TestCandidatesOfARecordAreBoundedAndForgottenWithIt(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("v%d.example", i))
	}
	s := subject(map[string]int{})
	expr, err := compileWith(s, inSetJSON("argv", `"domain"`), goldenSets(t))
	if err != nil {
		t.Fatal(err)
	}
	record := NewRecord(s)
	record.Reset(row{"argv": names})

	expr.Eval(record)
	first := len(record.Hits())
	record.Reset(row{})

	if first != maxHits || len(record.Hits()) != 0 {
		t.Errorf("%d candidates, then %d", first, len(record.Hits()))
	}
}
