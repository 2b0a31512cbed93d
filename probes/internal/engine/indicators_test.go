package engine

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

const onList = `,"when":{"field":"path","op":"in_set","values":["domain"]}`

// domains is the golden set of v0.example to v1999.example: its spec and its values.
func domains(t *testing.T) (spec string, coded []byte) {
	t.Helper()
	data, err := os.ReadFile("../../../tests/golden/indicators.json")
	if err != nil {
		t.Fatal(err)
	}
	var lists []struct {
		Spec json.RawMessage
		Body string
	}
	if err := json.Unmarshal(data, &lists); err != nil {
		t.Fatal(err)
	}
	if coded, err = hex.DecodeString(lists[2].Body); err != nil {
		t.Fatal(err)
	}
	return string(lists[2].Spec), coded
}

func TestCandidatesGoHomeWithTheMatch(t *testing.T) {
	b := &bench{rules: []string{ruleJSON("a", onList)}, run: things(thing{path: "/www/x.v7.example"}, thing{path: "/www"})}
	b.sets, b.coded = domains(t)

	lines := b.lines(t)

	if len(lines["match"]) != 1 {
		t.Fatalf("matches %v", lines["match"])
	}
	want(t, lines["match"][0]["candidates"], "[map[field:path kind:domain value:v7.example]]")
}

func offlineWithDomains(t *testing.T, spoil func([]byte) []byte) ([]Answer, error) {
	t.Helper()
	spec, coded := domains(t)
	input, err := json.Marshal(map[string]any{
		"plan":    json.RawMessage(fmt.Sprintf(`{"schema":1,"rules":[%s],"sets":[%s]}`, ruleJSON("a", onList), spec)),
		"sets":    [][]byte{spoil(coded)},
		"records": []map[string]any{{"subject": "file", "record": map[string]string{"path": "/www/v7.example"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return Offline(input, []*collect.Subject{thingSubject(map[string]int{})})
}

func TestRecordedFactsAreLookedUpInSets(t *testing.T) {
	answers, err := offlineWithDomains(t, func(b []byte) []byte { return b })

	if err != nil {
		t.Fatal(err)
	}
	want(t, answers, "[{[0] map[]}]")
}

func TestSetsThatAreCutShortOrChangedAreRefused(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"unexpected EOF": func(b []byte) []byte { return b[:len(b)-1] },
		"digest":         func(b []byte) []byte { b[7] ^= 1; return b },
	} {
		if _, err := offlineWithDomains(t, spoil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRuleWhoseListIsNotLoadedIsSkippedAndCollectsNothing(t *testing.T) {
	b := &bench{rules: []string{ruleJSON("a", onList)}, run: things(thing{path: "/v7.example"})}

	lines := b.lines(t)

	if len(lines["rule"]) != 1 || lines["rule"][0]["state"] != "skipped" || lines["rule"][0]["reason"] != "no_indicators" {
		t.Errorf("rules %v", lines["rule"])
	}
	if len(b.reads) != 0 || len(lines["collector"]) != 0 || len(lines["match"]) != 0 {
		t.Errorf("collectors %v, matches %v", lines["collector"], lines["match"])
	}
}

func TestOneCandidateIsToldOfInSoManyRecordsAndDoesNotHideAnother(t *testing.T) {
	var list []thing
	for i := range 3 * maxRepeats {
		list = append(list, thing{path: fmt.Sprintf("/log/%d/v7.example", i)})
	}
	list = append(list, thing{path: "/log/v8.example"}, thing{path: "/log/v7.example/v9.example"})
	b := &bench{rules: []string{ruleJSON("a", onList), ruleJSON("b", `,"when":{"field":"path","op":"startswith","values":["/log"]}`)}}
	b.run, b.bytes = things(list...), 1<<20
	b.sets, b.coded = domains(t)

	lines := b.lines(t)

	told, seen := map[string]int{}, 0
	for _, m := range lines["match"] {
		seen++
		if rules := m["rules"].([]any); rules[0] != 0.0 {
			continue
		}
		for _, c := range m["candidates"].([]any) {
			told[c.(map[string]any)["value"].(string)]++
		}
	}
	if told["v7.example"] != maxRepeats+1 || told["v8.example"] != 1 || told["v9.example"] != 1 {
		t.Errorf("told of %v", told)
	}
	if seen != len(list) {
		t.Errorf("the rule without a list has %d of %d records", seen, len(list))
	}
}
