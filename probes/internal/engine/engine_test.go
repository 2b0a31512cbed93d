//go:build go1.26

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/limits"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/report"
)

// thing is a record for tests; a field named in broken gives that error.
type thing struct {
	path   string
	size   int64
	broken map[string]error
}

func thingSubject(reads map[string]int) *collect.Subject {
	field := func(name, kind string, cost collect.Cost, get func(thing) any) collect.Field[thing] {
		return collect.Field[thing]{Name: name, Type: kind, Cost: cost, Get: func(r thing) (any, error) {
			reads[name]++
			if err := r.broken[name]; err != nil {
				return nil, err
			}
			return get(r), nil
		}}
	}
	return collect.NewSubject("file", "A thing", []string{"path"}, []string{"size"}, []collect.Field[thing]{
		field("path", "string", collect.Free, func(r thing) any { return r.path }),
		field("size", "int", collect.Cheap, func(r thing) any { return r.size }),
		field("mode", "string", collect.Cheap, func(thing) any { return nil }),
		field("content", "string", collect.Costly, func(thing) any { return "secret" }),
		field("sha256", "string", collect.Costly, func(thing) any { return "00" }),
	})
}

// bench is one engine over a fake collector.
type bench struct {
	reads   map[string]int
	guard   *limits.Guard
	limits  string
	rules   []string
	run     func(ctx context.Context, want map[string]collect.Want, emit collect.Emit, status *collect.Status) error
	out     bytes.Buffer
	bytes   int64
	root    string
	asRoot  bool
	subject func(*collect.Subject)
	sets    string // specs
	coded   []byte // their values
}

func (b *bench) uid() int {
	if b.asRoot {
		return 0
	}
	return 1000
}

func things(list ...thing) func(context.Context, map[string]collect.Want, collect.Emit, *collect.Status) error {
	return func(_ context.Context, _ map[string]collect.Want, emit collect.Emit, _ *collect.Status) error {
		for _, r := range list {
			if err := emit("file", r); err != nil {
				return err
			}
		}
		return nil
	}
}

// lines runs the bench and gives the report's lines by type.
func (b *bench) lines(t *testing.T) map[string][]map[string]any {
	t.Helper()
	b.reads = map[string]int{}
	if b.guard == nil {
		b.guard = limits.NewGuard(limits.RealMeter(), 100)
	}
	if b.bytes == 0 {
		b.bytes = 1 << 20
	}
	s := thingSubject(b.reads)
	if b.subject != nil {
		b.subject(s)
	}
	p, err := plan.Decode([]byte(`{"schema":1,"limits":{` + b.limits + `},"rules":[` + strings.Join(b.rules, ",") + `],"sets":[` + b.sets + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Load(bytes.NewReader(b.coded)); err != nil {
		t.Fatal(err)
	}
	program, err := Build(p, []*collect.Subject{s})
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{
		Program: program, Guard: b.guard, CPU: limits.CPUTime,
		Env:    &collect.Env{Root: b.root, UID: b.uid(), Throttle: b.guard},
		Report: report.NewWriter(&b.out, b.bytes, 64),
		Collectors: []collect.Collector{{Name: "things", Subjects: []*collect.Subject{s},
			Run: func(ctx context.Context, _ *collect.Env, want map[string]collect.Want, emit collect.Emit, st *collect.Status) error {
				return b.run(ctx, want, emit, st)
			}}},
	}
	e.Run(context.Background())
	passed, err := e.WriteOutcomes()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Report.Footer(report.Footer{Passed: passed}); err != nil {
		t.Fatal(err)
	}
	return byType(t, b.out.Bytes())
}

func byType(t *testing.T, data []byte) map[string][]map[string]any {
	t.Helper()
	lines := map[string][]map[string]any{}
	for line := range bytes.Lines(data) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kind := v["type"].(string)
		lines[kind] = append(lines[kind], v)
	}
	return lines
}

func ruleJSON(id, rest string) string {
	return fmt.Sprintf(`{"id":%q,"subject":"file","fields":[]%s}`, id, rest)
}

const (
	big    = `,"when":{"field":"size","op":"gt","values":[10]}`
	secret = `,"when":{"field":"content","op":"contains","values":["secret"]}`
)

func want(t *testing.T, got any, expected string) {
	t.Helper()
	if text := fmt.Sprint(got); text != expected {
		t.Errorf("got %s, want %s", text, expected)
	}
}

func TestRecordThatSeveralRulesMatchIsOneLine(t *testing.T) {
	b := bench{rules: []string{ruleJSON("a", big), ruleJSON("b", big+`,"fields":["mode","sha256"]`), ruleJSON("c", "")},
		run: things(thing{path: "/a", size: 20}, thing{path: "/b", size: 5})}

	lines := b.lines(t)

	want(t, len(lines["match"]), "2")
	want(t, lines["match"][0]["rules"], "[0 1 2]")
	want(t, lines["match"][0]["identity"], "map[path:/a]")
	want(t, lines["match"][0]["record"], "map[path:/a sha256:00 size:20]")
	want(t, lines["match"][1]["rules"], "[2]")
	want(t, lines["match"][1]["record"], "map[path:/b size:5]")
}

func TestFieldsOfTheConditionAreEvidenceUnlessCostlyAndUnneeded(t *testing.T) {
	either := `,"when":{"or":[{"field":"path","op":"eq","values":["/a"]},{"field":"content","op":"eq","values":["x"]}]}`
	b := bench{rules: []string{ruleJSON("a", either)}, run: things(thing{path: "/a"})}

	lines := b.lines(t)

	want(t, lines["match"][0]["record"], "map[path:/a size:0]")
	want(t, b.reads["content"], "0")
}

func TestRuleWithoutAMatchPasses(t *testing.T) {
	b := bench{rules: []string{ruleJSON("a", big), ruleJSON("b", "")}, run: things(thing{path: "/a"})}

	lines := b.lines(t)

	want(t, lines["footer"][0]["passed"], "[0]")
	want(t, len(lines["rule"]), "1")
	want(t, lines["rule"][0]["state"], "alert")
	want(t, lines["collector"][0]["records"], "1")
}

func TestRuleThatCouldNotBeDecidedDoesNotPass(t *testing.T) {
	cases := []struct {
		err             error
		state, reason   string
		passed, unknown string
	}{
		{collect.ErrNeedsRoot, "skipped", "needs_root", "[]", "map[needs_root:1]"},
		{fs.ErrPermission, "skipped", "needs_root", "[]", "map[needs_root:1]"},
		{errors.New("I/O"), "error", "error", "[]", "map[error:1]"},
		{collect.ErrLimit, "pass", "<nil>", "[]", "map[limit:1]"},
	}
	for _, c := range cases {
		b := bench{rules: []string{ruleJSON("a", secret)},
			run: things(thing{path: "/a", broken: map[string]error{"content": c.err}})}

		lines := b.lines(t)

		rule := lines["rule"][0]
		want(t, []any{rule["state"], rule["reason"], rule["unknown"]}, fmt.Sprintf("[%s %s %s]", c.state, c.reason, c.unknown))
		want(t, lines["footer"][0]["passed"], c.passed)
	}
}

func TestRootThatIsRefusedIsDeniedAndNotToldToBecomeRoot(t *testing.T) {
	b := bench{rules: []string{ruleJSON("a", secret)}, asRoot: true,
		run: things(thing{path: "/a", broken: map[string]error{"content": fs.ErrPermission}})}

	rule := b.lines(t)["rule"][0]

	want(t, []any{rule["state"], rule["reason"], rule["unknown"]}, "[skipped denied map[denied:1]]")
}

func TestFieldThatCouldNotBeReadIsNamedInTheMatch(t *testing.T) {
	b := bench{rules: []string{ruleJSON("a", `,"fields":["content"]`)},
		run: things(thing{path: "/a", broken: map[string]error{"content": collect.ErrNeedsRoot}})}

	lines := b.lines(t)

	want(t, lines["match"][0]["unknown"], "map[content:needs_root]")
	want(t, lines["match"][0]["record"], "map[path:/a size:0]")
}

func TestThingThatVanishedIsDroppedSilently(t *testing.T) {
	gone := map[string]error{"content": collect.ErrGone}
	b := bench{rules: []string{ruleJSON("a", `,"fields":["content"]`), ruleJSON("b", secret)},
		run: things(thing{path: "/a", broken: gone}, thing{path: "/b"})}

	lines := b.lines(t)

	want(t, len(lines["match"]), "1")
	want(t, lines["collector"][0]["records"], "1")
	want(t, lines["rule"][0]["matched"], "1")
}

func TestRuleSeesOnlyItsScope(t *testing.T) {
	b := bench{rules: []string{
		ruleJSON("a", `,"scope":{"paths":["/tmp/*"],"exclude":["/tmp/x"],"max_depth":0}`),
		ruleJSON("b", `,"scope":{"paths":["/var"]}`),
	}, run: things(thing{path: "/tmp/d/f"}, thing{path: "/tmp/x/f"}, thing{path: "/tmp/d/e/f"}, thing{path: "/var/f"})}

	lines := b.lines(t)

	want(t, len(lines["match"]), "2")
	want(t, lines["match"][0]["rules"], "[0]")
	want(t, lines["match"][1]["rules"], "[1]")
}

func TestRuleWithoutAScopeKeepsToThatOfItsSubject(t *testing.T) {
	b := bench{rules: []string{ruleJSON("a", ""), ruleJSON("b", `,"scope":{"paths":["/srv"]}`)},
		subject: func(s *collect.Subject) { s.Default = []collect.Scope{{Paths: []string{"/etc"}, MaxDepth: -1}} },
		run:     things(thing{path: "/etc/f"}, thing{path: "/srv/f"})}

	lines := b.lines(t)

	want(t, lines["match"][0]["rules"], "[0]")
	want(t, lines["match"][1]["rules"], "[1]")
}

func TestCollectorIsToldScopesAndFieldsOfAllRules(t *testing.T) {
	var got collect.Want
	b := bench{rules: []string{
		ruleJSON("a", secret+`,"scope":{"paths":["/tmp"],"max_depth":2,"cross_mounts":true}`),
		ruleJSON("b", big+`,"scope":{"paths":["/tmp"],"max_depth":2,"cross_mounts":true}`),
		ruleJSON("c", `,"scope":{"paths":["/var"]}`),
	}, run: func(_ context.Context, want map[string]collect.Want, _ collect.Emit, _ *collect.Status) error {
		got = want["file"]
		return nil
	}}

	b.lines(t)

	want(t, got.Scopes, "[{[/tmp] [] 2 true} {[/var] [] -1 false}]")
	want(t, got.Fields, "map[content:true path:true size:true]")
}

func TestMatchesBeyondTheBoundAreCountedAndNotSent(t *testing.T) {
	list := make([]thing, 5)
	for i := range list {
		list[i] = thing{path: fmt.Sprintf("/%d", i)}
	}
	b := bench{limits: `"matches_per_rule":2`, rules: []string{ruleJSON("a", ""), ruleJSON("b", `,"max_matches":3`)},
		run: things(list...)}

	lines := b.lines(t)

	want(t, len(lines["match"]), "3")
	want(t, lines["match"][2]["rules"], "[1]")
	want(t, lines["rule"][0]["matched"], "5")
	want(t, lines["rule"][0]["truncated"], "true")
}

func TestFailedCollectorMakesItsRulesFail(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{{errors.New("broken"), "[error error]"}, {collect.ErrNeedsRoot, "[skipped needs_root]"}} {
		b := bench{rules: []string{ruleJSON("a", big)},
			run: func(context.Context, map[string]collect.Want, collect.Emit, *collect.Status) error { return c.err }}

		lines := b.lines(t)

		want(t, []any{lines["rule"][0]["state"], lines["rule"][0]["reason"]}, c.want)
		want(t, []any{lines["collector"][0]["state"], lines["collector"][0]["reason"]}, c.want)
		want(t, lines["footer"][0]["passed"], "[]")
	}
}

func TestFaultInACollectorIsItsErrorAndSaysWhere(t *testing.T) {
	b := bench{rules: []string{ruleJSON("a", big)},
		run: func(context.Context, map[string]collect.Want, collect.Emit, *collect.Status) error {
			var none map[string]int
			none["x"] = 1
			return nil
		}}

	lines := b.lines(t)

	want(t, lines["rule"][0]["state"], "error")
	if detail := fmt.Sprint(lines["collector"][0]["detail"]); !strings.Contains(detail, "internal/engine/engine_test.go:") {
		t.Error(detail)
	}
}

func TestMissingPartConcernsOnlyRulesThatWouldHaveLookedThere(t *testing.T) {
	b := bench{root: "/mnt/tree", rules: []string{
		ruleJSON("a", big+`,"scope":{"paths":["/home/*/.ssh"]}`), ruleJSON("b", big+`,"scope":{"paths":["/etc"]}`),
		ruleJSON("c", big),
	}, run: func(_ context.Context, _ map[string]collect.Want, _ collect.Emit, status *collect.Status) error {
		status.Partial("file", &fs.PathError{Op: "open", Path: "/mnt/tree/home/eve", Err: fs.ErrPermission})
		status.Partial("file", fmt.Errorf("old: %w", collect.ErrGone))
		return nil
	}}

	lines := b.lines(t)

	want(t, []any{lines["rule"][0]["rule"], lines["rule"][0]["state"], lines["rule"][1]["rule"]}, "[0 skipped 2]")
	want(t, lines["footer"][0]["passed"], "[1]")
	collector := lines["collector"][0]
	want(t, []any{collector["state"], collector["reason"], collector["detail"]},
		"[partial needs_root open /home/eve: permission denied]")
}

func TestStoppedVisitLeavesNoRulePassed(t *testing.T) {
	b := bench{guard: limits.NewGuard(limits.RealMeter(), 100), rules: []string{ruleJSON("a", big), ruleJSON("b", secret)}}
	b.run = func(ctx context.Context, want map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
		if err := emit("file", thing{path: "/a", size: 20}); err != nil {
			return err
		}
		b.guard.Stop(limits.Deadline)
		return emit("file", thing{path: "/b"})
	}

	lines := b.lines(t)

	want(t, []any{lines["rule"][0]["state"], lines["rule"][1]["state"]}, "[alert alert]")
	want(t, []any{lines["collector"][0]["state"], lines["collector"][0]["reason"]}, "[partial deadline]")

	b2 := bench{guard: b.guard, rules: []string{ruleJSON("a", big)}, run: things()}
	lines = b2.lines(t)
	want(t, []any{lines["rule"][0]["state"], lines["rule"][0]["reason"]}, "[error deadline]")
	want(t, []any{lines["collector"][0]["state"], lines["collector"][0]["reason"]}, "[skipped deadline]")
}

func TestFullReportStopsTheVisitAndStillSaysSo(t *testing.T) {
	b := bench{bytes: 200, rules: []string{ruleJSON("a", ""), ruleJSON("b", big)},
		run: things(thing{path: "/a"}, thing{path: "/b"}, thing{path: "/c"}, thing{path: "/d"})}

	lines := b.lines(t)

	want(t, b.guard.Reason(), "report_limit")
	want(t, []any{lines["rule"][0]["truncated"], lines["rule"][1]["state"], lines["rule"][1]["reason"]}, "[true error report_limit]")
	want(t, len(lines["footer"]), "1")
}

func TestCollectorThatHangsIsLeftBehind(t *testing.T) {
	b := bench{guard: limits.NewGuard(limits.RealMeter(), 100), rules: []string{ruleJSON("a", big)}}
	release := make(chan struct{})
	defer close(release)
	b.run = func(context.Context, map[string]collect.Want, collect.Emit, *collect.Status) error {
		b.guard.Stop(limits.Deadline)
		<-release
		return nil
	}
	started := time.Now()

	lines := b.lines(t)

	want(t, lines["rule"][0]["reason"], "deadline")
	if took := time.Since(started); took > grace+2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestPlanForAnotherProbeIsRefusedAndSaysWhere(t *testing.T) {
	cases := map[string]string{
		`{"id":"r","subject":"nope","fields":[]}`:                                         `rules[0] (r): subject: this probe has no "nope"`,
		ruleJSON("r", `,"fields":["path","nope"]`):                                        `rules[0] (r): fields[1]: subject file has no field "nope"`,
		ruleJSON("r", `,"when":{"and":[{"not":{"field":"size","op":"~","values":[1]}}]}`): `rules[0] (r): when.and[0].not: unknown op "~"`,
		`{"id":"r","subject":"bare","fields":[],"scope":{"paths":["/tmp"]}}`:              `rules[0] (r): scope: subject bare has no path`,
	}
	bare := collect.NewSubject("bare", "", nil, nil, []collect.Field[thing]{})
	for rule, expected := range cases {
		p, err := plan.Decode([]byte(`{"schema":1,"rules":[` + rule + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Build(p, []*collect.Subject{thingSubject(map[string]int{}), bare})
		want(t, err, expected)
	}
}

func TestRecordsWithoutAMatchCostNoMemory(t *testing.T) {
	s := thingSubject(map[string]int{})
	p, err := plan.Decode([]byte(`{"schema":1,"rules":[` + ruleJSON("a", big+`,"scope":{"paths":["/usr/*/bin","/tmp"]}`) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	program, err := Build(p, []*collect.Subject{s})
	if err != nil {
		t.Fatal(err)
	}
	var v verdict
	var source any = thing{path: "/usr/local/bin/x", size: 3}

	// Two: the path and the size in the any that a getter returns.
	if n := testing.AllocsPerRun(100, func() { v.judge(program.groups["file"], source) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
