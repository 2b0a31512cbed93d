package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

const golden = "../../../tests/golden/report.ndjson"

func sample() *Match {
	return &Match{
		Subject: "process", Rules: []int{0, 3},
		Identity: []Fact{{"path", "/tmp/\xff\"x\\"}, {"uid", int64(0)}, {"name", nil}},
		Record: []Fact{
			{"argv", []string{"sh", "-c", "a\nb\x00"}}, {"cmdline", strings.Repeat("ä", 100)}, {"cpu_time", 1.5},
			{"exe_deleted", true}, {"path", "/tmp/\xff\"x\\"}, {"ports", []int64{22, 443}}, {"uid", int64(0)},
		},
		Unknown:    []Gap{{"environ", "needs_root"}},
		Candidates: []Candidate{{"path", "path", "/tmp/\xff\"x\\"}, {"domain", "cmdline", "evil.example"}},
	}
}

func writeSample(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, 1<<20, 128)
	errs := []error{
		w.Header(Header{
			Schema: 1, ProbeVersion: "0.1.0", Arch: "amd64", UID: 1000, Root: "/", StartedAt: 1700000000.25,
			Host: map[string]string{"hostname": "web-\xf0", "kernel": "6.1.0"},
		}),
		w.Match(sample()),
		w.Collector(Collector{Subject: "process", State: "ok", Records: 120, WallS: 0.25, CPUS: 0.125}),
		w.Collector(Collector{Subject: "file", State: "partial", Reason: "needs_root", Detail: "open /root: denied"}),
		w.Rule(Rule{Rule: 0, State: "alert", Matched: 1}),
		w.Rule(Rule{Rule: 2, State: "skipped", Reason: "needs_root", Unknown: map[string]int{"needs_root": 7}}),
		w.Rule(Rule{Rule: 3, State: "alert", Matched: 2, Truncated: true}),
		w.Footer(Footer{
			Complete: true, Passed: []int{1}, WallS: 0.5, CPUS: 0.25, PausedS: 0.1, MaxRSSBytes: 12 << 20,
			Removed: []string{"/dev/shm/.sf-1/p", "/dev/shm/.sf-1"}, Errors: []string{"ioprio: not permitted"},
		}),
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReportIsTheGoldenOneThatPythonReads(t *testing.T) {
	got := writeSample(t)
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)

	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("differs from %s (go test ./internal/report -update writes it): %v\n%s", golden, err, got)
	}
}

func TestFooterAlwaysListsThePassed(t *testing.T) {
	var out bytes.Buffer

	if err := NewWriter(&out, 0, 64).Footer(Footer{}); err != nil || !strings.Contains(out.String(), `"passed":[]`) {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestMatchThatDoesNotFitIsLeftOutAndTheFooterStillWritten(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, 100, 64)

	err := w.Match(sample())

	if !errors.Is(err, ErrFull) {
		t.Errorf("error %v", err)
	}
	if err := w.Footer(Footer{Reason: "report_limit"}); err != nil || !strings.HasPrefix(out.String(), `{"type":"footer"`) {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestNothingFollowsAMatchThatDidNotFit(t *testing.T) {
	w := NewWriter(&bytes.Buffer{}, 500, 64)
	small := &Match{Subject: "host"}
	big := &Match{Subject: "host", Record: []Fact{{"a", strings.Repeat("x", 64)}, {"l", make([]int64, 500)}}}

	first, second, third := w.Match(small), w.Match(big), w.Match(small)

	if first != nil || !errors.Is(second, ErrFull) || !errors.Is(third, ErrFull) {
		t.Error(first, second, third)
	}
}

func TestLongListIsCutAndSaysSo(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, 1<<20, 64)
	list := make([]string, 1000)

	err := errors.Join(w.Match(&Match{Subject: "group", Record: []Fact{{"members", list}}}), w.Footer(Footer{}))

	if err != nil || out.Len() > 2000 || !strings.Contains(out.String(), `"truncated":["members"]`) {
		t.Errorf("%v: %d bytes", err, out.Len())
	}
}

func TestBrokenPipeIsAnError(t *testing.T) {
	w := NewWriter(closed{}, 1<<20, 64)

	if err := w.Header(Header{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }

// FuzzText: whatever bytes a host has, the line is one line of valid JSON that holds the same characters.
func FuzzText(f *testing.F) {
	f.Add("plain", 64)
	f.Add("\xff\x00\n\"\\\u2028é", 5)
	f.Add("\xed\xa0\x80\x7f", 64)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 0 || max > 1<<16 {
			return
		}
		line, cut := appendText(nil, s, max)
		var back string
		if err := json.Unmarshal(line, &back); err != nil || bytes.ContainsAny(line, "\n\r") || !utf8.Valid(line) {
			t.Fatalf("%q: %v", line, err)
		}
		if !cut && utf8.ValidString(s) && back != strings.ReplaceAll(s, "\x00", `\x00`) {
			t.Errorf("%q became %q", s, back)
		}
		if cut != (len(s) > max) {
			t.Errorf("cut %v at %d of %d", cut, max, len(s))
		}
	})
}
