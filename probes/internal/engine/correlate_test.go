package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/limits"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/report"
)

// logSubject is a subject whose records have a moment.
func logSubject() *collect.Subject {
	get := func(name string) collect.Field[facts] {
		kind := "string"
		if name == "time" || name == "size" {
			kind = "int"
		}
		return collect.Field[facts]{Name: name, Type: kind, Cost: collect.Free, Get: func(r facts) (any, error) {
			if err, ok := r[name].(error); ok {
				return nil, err
			}
			return r[name], nil
		}}
	}
	return collect.NewSubject("log_line", "A line", []string{"text"}, nil,
		[]collect.Field[facts]{get("text"), get("time"), get("user"), get("size")})
}

func hostOf() *collect.Subject {
	return collect.NewSubject("host", "The host", []string{"hostname"}, nil, []collect.Field[facts]{
		{Name: "hostname", Type: "string", Cost: collect.Free, Get: func(r facts) (any, error) { return r["hostname"], nil }},
		{Name: "os_id", Type: "string", Cost: collect.Free, Get: func(r facts) (any, error) { return r["os_id"], nil }},
	})
}

// correlationRule is a plan's rule over lines; parts are texts that a line must have.
func correlationRule(id, spec string, parts ...string) string {
	var list []string
	for i, text := range parts {
		list = append(list, fmt.Sprintf(`{"name":"p%d","subject":"log_line","when":{"field":"text","op":"contains","values":[%q]},`+
			`"fields":["text"],"time":"time","group_by":["user"],"values":["size"]}`, i, text))
	}
	return fmt.Sprintf(`{"id":%q,"subject":"log_line","fields":["text"],"correlation":{"group_by":["user"],"parts":[%s],%s}}`,
		id, strings.Join(list, ","), spec)
}

// line is a record at a moment, by a user, with a number.
func line(text string, at int, user string, size int) string {
	return fmt.Sprintf(`{"subject":"log_line","record":{"text":%q,"time":%d,"user":%q,"size":%d}}`, text, at, user, size)
}

func visits(t *testing.T, rules string, visits ...string) []Answer {
	t.Helper()
	input := fmt.Sprintf(`{"plan":{"schema":1,"rules":[%s]},"visits":[%s]}`, rules, strings.Join(visits, ","))
	answers, err := Offline([]byte(input), []*collect.Subject{thingSubject(map[string]int{}), logSubject(), hostOf()})
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func visitOf(records ...string) string {
	return fmt.Sprintf(`{"records":[%s]}`, strings.Join(records, ","))
}

func TestCorrelationsLookAtTheRecordsOfAVisitTogether(t *testing.T) {
	count := func(op string, n int) string {
		return fmt.Sprintf(`"timespan_s":60,"op":%q,"count":%d`, op, n)
	}
	cases := []struct {
		name, spec string
		parts      []string
		records    []string
		alerts     bool
	}{
		{"three within the span", `"type":"event_count",` + count("gte", 3), []string{"fail"},
			[]string{line("fail", 160, "a", 0), line("fail", 100, "a", 0), line("fail", 130, "a", 0)}, true},
		{"three, but not within the span", `"type":"event_count",` + count("gte", 3), []string{"fail"},
			[]string{line("fail", 100, "a", 0), line("fail", 130, "a", 0), line("fail", 161, "a", 0)}, false},
		{"three of different users", `"type":"event_count",` + count("gte", 3), []string{"fail"},
			[]string{line("fail", 100, "a", 0), line("fail", 100, "b", 0), line("fail", 100, "c", 0)}, false},
		{"exactly", `"type":"event_count",` + count("eq", 2), []string{"fail"},
			[]string{line("fail", 100, "a", 0), line("fail", 100, "a", 0)}, true},
		{"different values", `"type":"value_count",` + count("gt", 1), []string{"x"},
			[]string{line("x", 1, "a", 7), line("x", 2, "a", 8), line("x", 3, "a", 8)}, true},
		{"the same value", `"type":"value_count",` + count("gt", 1), []string{"x"},
			[]string{line("x", 1, "a", 7), line("x", 2, "a", 7)}, false},
		{"sum", `"type":"value_sum",` + count("gte", 100), []string{"x"},
			[]string{line("x", 1, "a", 60), line("x", 2, "a", 40)}, true},
		{"sum beyond the span", `"type":"value_sum",` + count("gte", 100), []string{"x"},
			[]string{line("x", 1, "a", 60), line("x", 99, "a", 40)}, false},
		{"average", `"type":"value_avg",` + count("lt", 3), []string{"x"},
			[]string{line("x", 1, "a", 1), line("x", 2, "a", 4)}, true},
		{"median", `"type":"value_median",` + count("eq", 3), []string{"x"},
			[]string{line("x", 1, "a", 1), line("x", 2, "a", 90), line("x", 3, "a", 4), line("x", 4, "a", 2)}, true},
		{"percentile", `"type":"value_percentile","percentile":90,` + count("gte", 90), []string{"x"},
			[]string{line("x", 1, "a", 1), line("x", 2, "a", 90), line("x", 3, "a", 4)}, true},
		{"percentile below", `"type":"value_percentile","percentile":50,` + count("gte", 90), []string{"x"},
			[]string{line("x", 1, "a", 1), line("x", 2, "a", 90), line("x", 3, "a", 4)}, false},
		{"all parts", `"type":"temporal",` + count("gte", 2), []string{"one", "two"},
			[]string{line("two", 1, "a", 0), line("one", 2, "a", 0)}, true},
		{"one part twice", `"type":"temporal",` + count("gte", 2), []string{"one", "two"},
			[]string{line("one", 1, "a", 0), line("one", 2, "a", 0)}, false},
		{"in order", `"type":"temporal_ordered",` + count("gte", 2), []string{"one", "two"},
			[]string{line("two", 90, "a", 0), line("one", 50, "a", 0)}, true},
		{"out of order", `"type":"temporal_ordered",` + count("gte", 2), []string{"one", "two"},
			[]string{line("two", 1, "a", 0), line("one", 2, "a", 0)}, false},
		{"in order, too slowly", `"type":"temporal_ordered",` + count("gte", 2), []string{"one", "two"},
			[]string{line("one", 1, "a", 0), line("two", 62, "a", 0)}, false},
		{"one without the other", `"type":"temporal","timespan_s":60,"presence":{"and":[{"part":0},{"not":{"part":1}}]}`,
			[]string{"one", "two"}, []string{line("one", 1, "a", 0)}, true},
		{"one with the other", `"type":"temporal","timespan_s":60,"presence":{"and":[{"part":0},{"not":{"part":1}}]}`,
			[]string{"one", "two"}, []string{line("one", 1, "a", 0), line("two", 1, "a", 0)}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			answer := visits(t, correlationRule("c", c.spec, c.parts...), visitOf(c.records...))[0]

			if alerts := len(answer.Rules) == 1; alerts != c.alerts || len(answer.Unknown) > 0 {
				t.Errorf("alerts %v, unknown %v", alerts, answer.Unknown)
			}
		})
	}
}

func TestRecordWithoutWhatItIsPlacedByIsNotCounted(t *testing.T) {
	rule := correlationRule("c", `"type":"event_count","timespan_s":60,"op":"gte","count":2`, "fail")
	nobody := `{"subject":"log_line","record":{"text":"fail","time":1,"size":0}}`
	hidden := `{"subject":"log_line","record":{"text":"fail","time":{"$unknown":"needs_root"},"user":"a","size":0}}`

	answers := visits(t, rule, visitOf(nobody, nobody), visitOf(hidden, hidden))

	want(t, answers[0], `{[] map[]}`)
	want(t, answers[1], `{[] map[0:needs_root]}`)
}

func TestCorrelationOfCorrelationsCountsTheirAlerts(t *testing.T) {
	inner := correlationRule("c", `"type":"event_count","timespan_s":10,"op":"gte","count":2`, "fail")
	inner = inner[strings.Index(inner, `"correlation":`) : len(inner)-1]
	other := `{"name":"ok","subject":"log_line","when":{"field":"text","op":"eq","values":["ok"]},"fields":[],"time":"time","group_by":["user"]}`
	rule := fmt.Sprintf(`{"id":"c","subject":"log_line","fields":[],"correlation":{"type":"temporal_ordered","group_by":["user"],`+
		`"timespan_s":60,"op":"gte","count":2,"parts":[{"name":"many","group_by":["user"],%s},%s]}}`, inner, other)

	answers := visits(t, rule,
		visitOf(line("fail", 1, "a", 0), line("fail", 2, "a", 0), line("ok", 30, "a", 0)),
		visitOf(line("fail", 1, "a", 0), line("ok", 30, "a", 0)),
		visitOf(line("fail", 1, "a", 0), line("fail", 2, "b", 0), line("ok", 30, "a", 0)))

	want(t, answers, `[{[0] map[]} {[] map[]} {[] map[]}]`)
}

func TestAlertOfACorrelationHasItsGroupAsIdentityAndAnExampleAsEvidence(t *testing.T) {
	b := bench{rules: []string{`{"id":"c","subject":"file","fields":[],"correlation":{"type":"event_count","timespan_s":60,"op":"gte",` +
		`"count":2,"group_by":["bytes"],"parts":[{"name":"p","subject":"file","fields":["path"],"group_by":["size"]}]}}`}}
	b.run = things(thing{path: "/a", size: 5}, thing{path: "/b", size: 5}, thing{path: "/c", size: 6})

	lines := b.lines(t)

	want(t, lines["match"][0]["identity"], `map[bytes:5]`)
	record := lines["match"][0]["record"].(map[string]any)
	want(t, []any{record["path"], record["bytes"], record["correlation.count"]}, `[/a 5 2]`)
	want(t, lines["rule"], `[map[matched:1 rule:0 state:alert type:rule]]`)
}

func TestCorrelationThatMoreRecordsCouldRefuteIsSilentWhenSomeAreMissing(t *testing.T) {
	for op, expected := range map[string]string{"gte": "alert", "lte": "error"} {
		b := bench{rules: []string{fmt.Sprintf(`{"id":"c","subject":"file","fields":[],"correlation":{"type":"event_count",`+
			`"timespan_s":60,"op":%q,"count":1,"parts":[{"name":"p","subject":"file","fields":[]}]}}`, op)}}
		b.run = func(_ context.Context, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			status.Partial("file", errors.New("broken"))
			return emit("file", thing{path: "/a"})
		}

		want(t, b.lines(t)["rule"][0]["state"], expected)
	}
}

func TestFloodOfRecordsIsBoundedAndStillAlerts(t *testing.T) {
	rule := correlationRule("c", `"type":"event_count","timespan_s":60,"op":"gte","count":50`, "fail")
	quiet := correlationRule("d", `"type":"event_count","timespan_s":60,"op":"gte","count":50`, "other")
	records := make([]string, 0, maxEvents+60)
	for i := range maxEvents + 60 {
		records = append(records, line("fail", i/100, "a", 0))
	}
	many := make([]string, 0, maxBuckets+1)
	for i := range maxBuckets + 1 {
		many = append(many, line("other", 1, fmt.Sprint(i), 0))
	}

	answers := visits(t, rule+","+quiet, visitOf(records...), visitOf(many...))

	want(t, answers, `[{[0] map[]} {[] map[1:limit]}]`)
}

func TestAbsenceIsAnAlertOnlyWhenEverythingWasLookedAt(t *testing.T) {
	rule := ruleJSON("a", `,"absent":true,"when":{"field":"path","op":"eq","values":["/wanted"]}`)
	cases := []struct {
		name     string
		run      func(context.Context, map[string]collect.Want, collect.Emit, *collect.Status) error
		expected string
	}{
		{"not there", things(thing{path: "/other"}), "alert"},
		{"there", things(thing{path: "/wanted"}), "pass"},
		{"could not look", func(_ context.Context, _ map[string]collect.Want, _ collect.Emit, s *collect.Status) error {
			s.Fail("file", collect.ErrNeedsRoot)
			return nil
		}, "skipped"},
		{"one could not be read", things(thing{path: "/x", broken: map[string]error{"path": collect.ErrLimit}}), "error"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := bench{rules: []string{rule}, run: c.run}

			lines := b.lines(t)

			state := "pass"
			if len(lines["rule"]) > 0 {
				state = lines["rule"][0]["state"].(string)
			}
			if state != c.expected || (state == "alert") != (len(lines["match"]) == 1) {
				t.Errorf("%s, matches %v", state, lines["match"])
			}
			if state == "alert" {
				want(t, lines["match"][0]["identity"], `map[path:<nil>]`)
			}
		})
	}
}

func TestRulesForOtherHostsAreSkipped(t *testing.T) {
	rule := ruleJSON("a", `,"host":{"field":"os_id","op":"eq","values":["debian"]}`)
	on := func(host string) string {
		return fmt.Sprintf(`{"host":%s,"records":[{"subject":"file","record":{"path":"/a"}}]}`, host)
	}

	answers := visits(t, rule, on(`{"os_id":"debian"}`), on(`{"os_id":"alpine"}`), on("null"),
		on(`{"os_id":{"$unknown":"error"}}`))

	want(t, answers, `[{[0] map[]} {[] map[]} {[0] map[]} {[] map[0:error]}]`)
}

func TestConditionsJoinFactsOfTheHost(t *testing.T) {
	rules := ruleJSON("a", `,"when":{"and":[{"field":"path","op":"startswith","values":["/a"]},{"field":"host.os_id","op":"eq","values":["debian"]}]}`) +
		"," + ruleJSON("b", `,"when":{"field":"path","op":"fieldref","mode":"contains","values":["host.hostname"]}`)
	on := func(host string) string {
		return fmt.Sprintf(`{"host":%s,"records":[{"subject":"file","record":{"path":"/a/web1"}}]}`, host)
	}

	answers := visits(t, rules, on(`{"os_id":"debian","hostname":"web1"}`), on(`{"os_id":"alpine","hostname":"web2"}`), on("null"))

	want(t, answers, `[{[0 1] map[]} {[] map[]} {[] map[0:error 1:error]}]`)
}

func TestFactsOfTheHostGoHomeWithTheRulesThatNameThem(t *testing.T) {
	p, err := plan.Decode([]byte(`{"schema":1,"rules":[` +
		`{"id":"a","subject":"file","fields":["host.os_id"]},` +
		`{"id":"b","subject":"file","fields":["host.hostname"],"absent":true,"when":{"field":"path","op":"eq","values":["/b"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	file, host := thingSubject(map[string]int{}), hostOf()
	program, err := Build(p, []*collect.Subject{file, host})
	if err != nil {
		t.Fatal(err)
	}
	collector := func(s *collect.Subject, record any) collect.Collector {
		return collect.Collector{Name: s.Name, Subjects: []*collect.Subject{s},
			Run: func(_ context.Context, _ *collect.Env, _ map[string]collect.Want, emit collect.Emit, _ *collect.Status) error {
				return emit(s.Name, record)
			}}
	}
	var out bytes.Buffer
	e := &Engine{
		Program: program, Guard: limits.NewGuard(limits.RealMeter(), 100), CPU: limits.CPUTime,
		Env: &collect.Env{}, Report: report.NewWriter(&out, 1<<20, 64),
		// The host comes last here, and is read first all the same.
		Collectors: []collect.Collector{
			collector(file, thing{path: "/a"}), collector(host, facts{"hostname": "web1", "os_id": "debian"}),
		},
	}

	e.Run(context.Background())
	if _, err := e.WriteOutcomes(); err != nil {
		t.Fatal(err)
	}
	if err := e.Report.Footer(report.Footer{}); err != nil {
		t.Fatal(err)
	}

	lines := byType(t, out.Bytes())["match"]
	want(t, lines[0]["record"], "map[host.os_id:debian path:/a size:0]")
	want(t, lines[1]["record"], "map[host.hostname:web1]")
}

func TestWhatNoLiveHostRemembersIsSkippedAndNeverAnAlert(t *testing.T) {
	unknown := `{"field":"","op":"unknown","values":["not_kept"]}`
	rules := ruleJSON("a", `,"when":{"and":[{"field":"path","op":"eq","values":["/a"]},`+unknown+`]}`) + "," +
		ruleJSON("b", `,"when":{"and":[{"field":"path","op":"eq","values":["/a"]},{"not":`+unknown+`}]}`) + "," +
		ruleJSON("c", `,"when":{"and":[{"field":"path","op":"eq","values":["/b"]},`+unknown+`]}`)

	answers := visits(t, rules, visitOf(`{"subject":"file","record":{"path":"/a"}}`))

	want(t, answers, `[{[] map[0:not_kept 1:not_kept]}]`)
}
