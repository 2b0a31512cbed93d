package engine

import (
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

func offline(t *testing.T, rules, records string) ([]Answer, error) {
	t.Helper()
	input := `{"plan":{"schema":1,"rules":[` + rules + `]},"records":[` + records + `]}`
	return Offline([]byte(input), []*collect.Subject{thingSubject(map[string]int{})})
}

func TestRecordedFactsGoThroughTheSameRules(t *testing.T) {
	answers, err := offline(t,
		ruleJSON("a", big)+","+ruleJSON("b", secret)+","+ruleJSON("c", `,"scope":{"paths":["/tmp"]}`),
		`{"subject":"file","record":{"path":"/tmp/a","size":20}},
		 {"subject":"file","record":{"path":"/var/b","size":null,"content":{"$unknown":"needs_root"}}},
		 {"subject":"file","record":{}}`)

	if err != nil {
		t.Fatal(err)
	}
	want(t, answers[0], "{[0 2] map[]}")
	want(t, answers[1], "{[] map[1:needs_root]}")
	want(t, answers[2], "{[2] map[]}")
}

func TestBadRecordedFactsAreRefusedAndSayWhere(t *testing.T) {
	cases := map[string]string{
		`{"subject":"nope","record":{}}`:                                  `records[0].subject: this probe has no "nope"`,
		`{"subject":"file","record":{"nope":1}}`:                          `records[0].record.nope: subject file has no such field`,
		`{"subject":"file","record":{"size":"20"}}`:                       `records[0].record.size: 20 is no int`,
		`{"subject":"file","record":{"size":1.5}}`:                        `records[0].record.size: strconv`,
		`{"subject":"file","record":{"path":["a"]}}`:                      `records[0].record.path: a list is no string`,
		`{"subject":"file","record":{"path":{"$unknown":"because"}}}`:     `records[0].record.path: an object must be`,
		`{"subject":"file","record":{"path":{"$unknown":"error","x":1}}}`: `records[0].record.path: an object must be`,
		`{"subject":"file","record":{},"extra":1}`:                        `json: unknown field "extra"`,
	}
	for record, expected := range cases {
		if _, err := offline(t, "", record); err == nil || !strings.HasPrefix(err.Error(), expected) {
			t.Errorf("%s: %v", record, err)
		}
	}
}
