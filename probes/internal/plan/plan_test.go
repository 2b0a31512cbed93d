package plan

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

const goldenPlan = "../../../tests/golden/plan.json"

func withWhen(when string) string {
	return `{"schema":1,"rules":[{"id":"r","subject":"process","fields":[],"when":` + when + `}]}`
}

func withWords(words string) string {
	return `{"schema":1,"passwords":{"words":["` + words + `"]},"rules":[]}`
}

func nested(depth int) string {
	return strings.Repeat(`{"not":`, depth) + `{"field":"pid","op":"null"}` + strings.Repeat("}", depth)
}

func TestPlanThatPythonEncodedIsUnderstood(t *testing.T) {
	data, err := os.ReadFile(goldenPlan)
	if err != nil {
		t.Fatal(err)
	}

	p, err := Decode(data)

	if err != nil {
		t.Fatal(err)
	}
	if len(p.Rules) != 5 || p.Limits.CPUPercent != 25 || p.Limits.DeadlineS != 120 || p.Limits.ValueBytes != 128 {
		t.Errorf("rules %d, limits %+v", len(p.Rules), p.Limits)
	}
	if s := p.Sets; len(s) != 1 || s[0].Kind != "ip" || s[0].SizeBytes != 10 || len(s[0].Prefixes4) != 2 {
		t.Errorf("sets %+v", s)
	}
	if p.Passwords.CPUS != 7 || len(p.Passwords.Words) != 1 || p.Passwords.Words[0] != "Zürich 1" {
		t.Errorf("passwords %+v", p.Passwords)
	}
	if r := p.Rules[1]; r.Scope == nil || *r.Scope.MaxDepth != 4 || !r.Scope.CrossMounts || *r.MaxMatches != 7 {
		t.Errorf("rule %+v", r)
	}
	c := p.Rules[3].Correlation
	if c == nil || p.Rules[3].Host == nil || *c.Presence.And[1].Not.Part != 1 || c.Parts[1].Correlation.Count != 2.5 {
		t.Errorf("correlation %+v", c)
	}
	if !p.Rules[4].Absent {
		t.Errorf("rule %+v", p.Rules[4])
	}
}

func TestCorrelationsThatMeanNothingAreRefusedAndSayWhere(t *testing.T) {
	good := `{"type":"event_count","timespan_s":1,"op":"gte","count":1,"parts":[{"name":"a","subject":"x"}]}`
	cases := map[string][2]string{
		"type":               {`"event_count"`, `"events"`},
		"op":                 {`"gte"`, `"about"`},
		"timespan_s":         {`"timespan_s":1`, `"timespan_s":0`},
		"parts":              {`[{"name":"a","subject":"x"}]`, `[]`},
		"parts[0].values":    {`"event_count"`, `"value_sum"`},
		"parts[0].subject":   {`"subject":"x"`, `"subject":""`},
		"parts[0].group_by":  {`"subject":"x"`, `"subject":"x","group_by":["u"]`},
		"presence":           {`"op":"gte"`, `"presence":{"part":0}`},
		"presence.part":      {`"event_count","timespan_s":1,"op":"gte"`, `"temporal","timespan_s":1,"presence":{"part":1}`},
		"presence.and":       {`"event_count","timespan_s":1,"op":"gte"`, `"temporal","timespan_s":1,"presence":{}`},
		"percentile":         {`"event_count"`, `"value_percentile","percentile":101`},
		"parts[0].correlati": {`"subject":"x"`, `"subject":"x","correlation":{}`},
	}
	rule := func(correlation string) []byte {
		return []byte(`{"schema":1,"rules":[{"id":"r","subject":"x","fields":[],"correlation":` + correlation + `}]}`)
	}
	if _, err := Decode(rule(good)); err != nil {
		t.Fatal(err)
	}
	for at, change := range cases {
		_, err := Decode(rule(strings.Replace(good, change[0], change[1], 1)))
		if err == nil || !strings.Contains(err.Error(), "correlation."+at) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestLimitsLeftOutHaveTheirDefaults(t *testing.T) {
	p, err := Decode([]byte(`{"schema":1,"limits":{"nice":5},"rules":[]}`))

	if err != nil {
		t.Fatal(err)
	}
	want := DefaultLimits()
	want.Nice = 5
	if p.Limits != want {
		t.Errorf("limits %+v", p.Limits)
	}
	if p.Passwords.CPUS != 20 || p.Passwords.Words != nil {
		t.Errorf("passwords %+v", p.Passwords)
	}
}

func TestBrokenPlansAreRefusedAndSayWhere(t *testing.T) {
	cases := []struct{ name, plan, want string }{
		{"nothing", ``, "plan: empty"},
		{"cut short", `{"schema":1`, "plan: empty or cut short"},
		{"no JSON", `{"schema":1,]`, "plan: byte 13"},
		{"text behind it", `{"schema":1,"rules":[]} x`, "text behind the document at byte"},
		{"other schema", `{"schema":2,"rules":[]}`, "schema: this probe reads 1, not 2"},
		{"no rules", `{"schema":1}`, "rules: missing"},
		{"unknown field", `{"schema":1,"rules":[],"exec":"x"}`, `unknown field "exec"`},
		{"unknown field of a rule", `{"schema":1,"rules":[{"id":"r","run":1}]}`, `unknown field "run"`},
		{"bad type", `{"schema":1,"rules":[{"id":7}]}`, "id cannot hold a JSON number"},
		{"not UTF-8", "{\"schema\":1,\"rules\":[{\"id\":\"\xff\"}]}", "not UTF-8"},
		{"no subject", `{"schema":1,"rules":[{"id":"r","fields":[]}]}`, "rules[0] (r): subject"},
		{"limit out of bounds", `{"schema":1,"limits":{"cpu_percent":0},"rules":[]}`, "limits.cpu_percent: 0 is not in 1…100"},
		{"memory out of bounds", `{"schema":1,"limits":{"memory_bytes":5},"rules":[]}`, "limits.memory_bytes"},
		{"seconds out of bounds", `{"schema":1,"passwords":{"cpu_s":3601},"rules":[]}`, "passwords.cpu_s: 3601 is not in 0…3600"},
		{"empty word", `{"schema":1,"passwords":{"words":["a",""]},"rules":[]}`, "passwords.words[1]: empty"},
		{"long word", withWords(strings.Repeat("a", 129)), "passwords.words[0]: empty, longer"},
		{"word with NUL", withWords(`a\u0000b`), "passwords.words[0]: empty, longer"},
		{"too many words", withWords(strings.Repeat(`a","`, MaxWords) + "a"), "passwords.words: more than"},
		{"no matches", `{"schema":1,"rules":[{"id":"r","subject":"p","fields":[],"max_matches":0}]}`, "max_matches"},
		{"relative scope", `{"schema":1,"rules":[{"id":"r","subject":"file","fields":[],"scope":{"paths":["tmp"]}}]}`, "scope.paths[0]"},
		{"scope that climbs", `{"schema":1,"rules":[{"id":"r","subject":"file","fields":[],"scope":{"paths":["/tmp/.."]}}]}`, "scope.paths[0]"},
		{"negative depth", `{"schema":1,"rules":[{"id":"r","subject":"file","fields":[],"scope":{"max_depth":-1}}]}`, "scope.max_depth"},
		{"two kinds of node", withWhen(`{"and":[{"field":"a","op":"null"}],"not":{"field":"a","op":"null"}}`), "when: exactly one of"},
		{"no kind of node", withWhen(`{}`), "when: exactly one of"},
		{"null node", withWhen(`{"or":[null]}`), "when.or[0]: null"},
		{"empty and", withWhen(`{"and":[]}`), "when.and: empty"},
		{"op without field", withWhen(`{"not":{"field":"a","op":"null"},"op":"eq"}`), "when: op, values"},
		{"value that is a list", withWhen(`{"or":[{"field":"a","op":"eq","values":[[]]}]}`), "when.or[0].values[0]: neither"},
		{"value that is null", withWhen(`{"field":"a","op":"eq","values":["x",null]}`), "when.values[1]: neither"},
		{"too deep", withWhen(nested(MaxDepth)), "deeper than 64"},
	}
	for _, c := range cases {
		if _, err := Decode([]byte(c.plan)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q lacks %q", c.name, err, c.want)
		}
	}
}

func TestDepthJustInBoundsIsTaken(t *testing.T) {
	if _, err := Decode([]byte(withWhen(nested(MaxDepth - 1)))); err != nil {
		t.Error(err)
	}
}

func TestTooManyRulesAreRefused(t *testing.T) {
	rules := strings.Repeat(`{"id":"r","subject":"p","fields":[]},`, MaxRules) + `{"id":"r","subject":"p","fields":[]}`

	_, err := Decode([]byte(`{"schema":1,"rules":[` + rules + `]}`))

	if err == nil || !strings.Contains(err.Error(), "more than 20000") {
		t.Errorf("error %v", err)
	}
}

func TestTooLongPlanIsRefusedWhileReading(t *testing.T) {
	_, err := ReadLine(bufio.NewReader(strings.NewReader(strings.Repeat(" ", 2000))), 1000)

	if err == nil || !strings.Contains(err.Error(), "longer than 1000") {
		t.Errorf("error %v", err)
	}
}

func packedPlan(t *testing.T, document string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(document))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPackedPlanIsReadLikeAPlainOne(t *testing.T) {
	whole := packedPlan(t, `{"schema":1,"rules":[{"id":"r","subject":"p","fields":[]}]}`)

	for _, end := range []string{"", "\n", "\nnext"} {
		for _, in := range []io.Reader{strings.NewReader(whole + end), iotest.OneByteReader(strings.NewReader(whole + end))} {
			if p, err := Read(in); err != nil || len(p.Rules) != 1 || p.Rules[0].ID != "r" {
				t.Errorf("%+v, %v", p, err)
			}
		}
	}
}

func TestWhatFollowsAPackedPlanIsLeftToTheSets(t *testing.T) {
	buffered := bufio.NewReader(strings.NewReader(packedPlan(t, "document") + "\n\nsets"))

	document, err := readDocument(buffered)
	rest, _ := io.ReadAll(buffered)

	if err != nil || string(document) != "document" || string(rest) != "\nsets" {
		t.Errorf("%q, %q, %v", document, rest, err)
	}
}

func TestPackedPlanThatIsCutChangedOrEndlessIsRefused(t *testing.T) {
	whole := packedPlan(t, `{"schema":1,"rules":[]}`)

	for _, bad := range []string{
		whole[:len(whole)/2], whole[:20] + "AAA" + whole[23:], packed, whole + whole, whole + "x",
		packedPlan(t, strings.Repeat(" ", MaxBytes+1)),
	} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40q… was taken", bad)
		}
	}
}

func TestPlanEndsAtTheFirstNewline(t *testing.T) {
	p, err := Read(strings.NewReader("{\"schema\":1,\"rules\":[]}\nnext"))

	if err != nil || len(p.Rules) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestErrorOfTheStreamIsKept(t *testing.T) {
	broken := errors.New("broken")

	_, err := Read(failing{broken})

	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzDecode: any bytes give a plan within bounds or an error, and nothing else.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":1,"rules":[]}`))
	f.Add([]byte(withWhen(`{"and":[{"field":"a","op":"eq","values":[1,"x",true]},{"not":{"field":"b","op":"null"}}]}`)))
	f.Add([]byte(withWhen(nested(3))))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if (p == nil) == (err == nil) {
			t.Fatal("neither a plan nor an error, or both")
		}
		if p != nil && p.check() != nil {
			t.Fatal(fmt.Errorf("out of bounds: %w", p.check()))
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte(`{"schema":1,"rules":[]}`))
	f.Add([]byte(packed))
	f.Add([]byte(packed + "\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		document, err := readDocument(bufio.NewReader(bytes.NewReader(data)))
		if err == nil && len(document) > MaxBytes {
			t.Fatal("longer than a plan may be")
		}
		line, _, found := bytes.Cut(data, []byte("\n"))
		if found {
			line = data[:len(line)+1]
		}
		if !bytes.HasPrefix(data, []byte(packed)) && (err != nil || !bytes.Equal(document, line)) {
			t.Fatal("a plain line was changed")
		}
	})
}

func withSets(sets string) string { return `{"schema":1,"rules":[],"sets":[` + sets + `]}` }

func setJSON(kind string, count int) string {
	return fmt.Sprintf(`{"kind":%q,"count":%d,"bits":8,"size_bytes":%d,"digest":""}`, kind, count, count)
}

func TestSetsAreKeptToAQuarterOfTheMemory(t *testing.T) {
	cases := []struct{ sets, want string }{
		{setJSON("ip", 1<<20) + "," + setJSON("md5", 3<<20), ""},
		{setJSON("ip", 1<<20) + "," + setJSON("md5", 3<<20+1), "sets[1]: together they take more than a quarter"},
		{setJSON("ip", 5) + "," + setJSON("ip", 6), "sets[1].kind: a second set of ip"},
		{setJSON("colour", 5), `sets[0].kind: this probe knows no "colour"`},
	}
	for _, c := range cases {
		_, err := Decode([]byte(withSets(c.sets)))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.sets, err)
		}
	}
}

func TestSetsThatDoNotFollowThePlanAreMissed(t *testing.T) {
	_, err := Read(strings.NewReader(withSets(setJSON("ip", 5)) + "\nabc"))

	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "sets[0]") {
		t.Errorf("error %v", err)
	}
}

func TestNoErrorOfAPlanHoldsAPassword(t *testing.T) {
	canary := strings.Repeat("Canary", 30)

	if _, err := Decode([]byte(withWords(canary))); err == nil || strings.Contains(err.Error(), "Canary") {
		t.Errorf("%v", err)
	}
}
