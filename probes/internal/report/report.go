// Package report writes what the probe found as NDJSON: header, matches, collectors, rules, footer. It mirrors the
// `Hostile` structs of scanners/contract.py and keeps the bounds of the plan.
package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Schema is the version of the report.
const Schema = 1

// Bounds of scanners/contract.py on short names and on sentences.
const (
	maxName = 255
	maxText = 4096
)

// ErrFull says that the matches have used up the report's bytes.
var ErrFull = errors.New("report_limit")

// Header is the first line.
type Header struct {
	Schema       int               `json:"schema"`
	ProbeVersion string            `json:"probe_version"`
	Arch         string            `json:"arch"`
	UID          int               `json:"uid"`
	Root         string            `json:"root"`
	StartedAt    float64           `json:"started_at"` // epoch seconds
	Host         map[string]string `json:"host"`
}

// Fact is one field of a record; a nil value is one the thing does not have.
type Fact struct {
	Name  string
	Value any
}

// Gap is a field that could not be looked at, and why.
type Gap struct{ Name, Reason string }

// Candidate is a value that a set of indicators took for one of its list.
type Candidate struct {
	Kind  string `json:"kind"`
	Field string `json:"field"`
	Value string `json:"value"`
}

// Match is one record that one or more rules matched.
type Match struct {
	Subject    string
	Rules      []int
	Identity   []Fact
	Record     []Fact
	Unknown    []Gap
	Candidates []Candidate
}

// Collector says how one subject's collection went.
type Collector struct {
	Subject string  `json:"subject"`
	State   string  `json:"state"` // ok, partial, error, skipped
	Reason  string  `json:"reason,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Records int     `json:"records"`
	WallS   float64 `json:"wall_s"`
	CPUS    float64 `json:"cpu_s"`
}

// Rule is the outcome of a rule that did not simply pass.
type Rule struct {
	Rule      int            `json:"rule"`
	State     string         `json:"state"` // alert, pass, error, skipped
	Reason    string         `json:"reason,omitempty"`
	Matched   int            `json:"matched"`
	Truncated bool           `json:"truncated,omitempty"`
	Unknown   map[string]int `json:"unknown,omitempty"`
}

// Footer is the last line; a report without it is cut short.
type Footer struct {
	Complete    bool     `json:"complete"`
	Passed      []int    `json:"passed"`
	Matches     int      `json:"matches"`
	WallS       float64  `json:"wall_s"`
	CPUS        float64  `json:"cpu_s"`
	PausedS     float64  `json:"paused_s"`
	MaxRSSBytes int64    `json:"max_rss_bytes"`
	Reason      string   `json:"reason,omitempty"`
	Removed     []string `json:"removed,omitempty"`
	Errors      []string `json:"errors,omitempty"`
}

// Writer writes a report. It is not safe for use by several goroutines.
type Writer struct {
	out     *bufio.Writer
	packer  *packer // behind out; nil where the lines go out as they are
	left    int64   // bytes that match lines may still take
	value   int
	line    []byte
	cut     []string
	matches int
}

// NewPacked is NewWriter whose lines go out in the form of gzip.
func NewPacked(out io.Writer, matchBytes int64, valueBytes int) *Writer {
	p := newPacker(out)
	w := NewWriter(p, matchBytes, valueBytes)
	w.packer = p
	return w
}

// NewWriter writes to out. Match lines may take matchBytes in all, one text valueBytes.
func NewWriter(out io.Writer, matchBytes int64, valueBytes int) *Writer {
	return &Writer{out: bufio.NewWriterSize(out, 32<<10), left: matchBytes, value: valueBytes}
}

// Matches is how many match lines were written.
func (w *Writer) Matches() int { return w.matches }

// Header writes the first line and sends it off, so that the other side knows the probe runs.
func (w *Writer) Header(h Header) error {
	h.ProbeVersion, h.Arch, h.Root = safe(h.ProbeVersion, maxName), safe(h.Arch, maxName), safe(h.Root, maxText)
	host := make(map[string]string, len(h.Host))
	for name, value := range h.Host {
		host[name] = safe(value, maxText)
	}
	h.Host = host
	if err := w.status("header", h); err != nil {
		return err
	}
	return w.flush()
}

// Match writes one record, or nothing and ErrFull when it does not fit.
func (w *Writer) Match(m *Match) error {
	w.line, w.cut = w.line[:0], w.cut[:0]
	w.line = append(w.line, `{"type":"match","subject":`...)
	w.line, _ = appendText(w.line, m.Subject, maxName)
	w.line = append(w.line, `,"rules":`...)
	w.line, _ = appendList(w.line, m.Rules, 1<<30, func(b []byte, n int) ([]byte, bool) { return appendValue(b, int64(n), 0) })
	w.facts("identity", m.Identity)
	w.cut = w.cut[:0] // identity is part of the record, which names its cut fields itself
	w.facts("record", m.Record)
	if len(w.cut) > 0 {
		w.line = append(w.line, `,"truncated":`...)
		w.line, _ = appendValue(w.line, w.cut, maxName)
	}
	w.gaps(m.Unknown)
	w.candidates(m.Candidates)
	w.line = append(w.line, '}', '\n')
	if int64(len(w.line)) > w.left {
		w.left = 0
		return ErrFull
	}
	w.left -= int64(len(w.line))
	w.matches++
	return w.send(w.line)
}

func (w *Writer) facts(name string, facts []Fact) {
	w.line = append(w.line, ',', '"')
	w.line = append(w.line, name...)
	w.line = append(w.line, `":{`...)
	for i, f := range facts {
		if i > 0 {
			w.line = append(w.line, ',')
		}
		w.line, _ = appendText(w.line, f.Name, maxName)
		w.line = append(w.line, ':')
		var cut bool
		if w.line, cut = appendValue(w.line, f.Value, w.value); cut {
			w.cut = append(w.cut, f.Name)
		}
	}
	w.line = append(w.line, '}')
}

func (w *Writer) gaps(gaps []Gap) {
	if len(gaps) == 0 {
		return
	}
	w.line = append(w.line, `,"unknown":{`...)
	for i, gap := range gaps {
		if i > 0 {
			w.line = append(w.line, ',')
		}
		w.line, _ = appendText(w.line, gap.Name, maxName)
		w.line = append(w.line, ':')
		w.line, _ = appendText(w.line, gap.Reason, maxName)
	}
	w.line = append(w.line, '}')
}

func (w *Writer) candidates(candidates []Candidate) {
	for i, c := range candidates {
		before := `,{"kind":`
		if i == 0 {
			before = `,"candidates":[{"kind":`
		}
		w.line = append(w.line, before...)
		w.line, _ = appendText(w.line, c.Kind, maxName)
		w.line = append(w.line, `,"field":`...)
		w.line, _ = appendText(w.line, c.Field, maxName)
		w.line = append(w.line, `,"value":`...)
		w.line, _ = appendText(w.line, c.Value, maxText)
		w.line = append(w.line, '}')
	}
	if len(candidates) > 0 {
		w.line = append(w.line, ']')
	}
}

// Collector writes how a subject's collection went.
func (w *Writer) Collector(c Collector) error {
	c.Reason, c.Detail = safe(c.Reason, maxName), safe(c.Detail, maxText)
	return w.status("collector", c)
}

// Rule writes the outcome of a rule.
func (w *Writer) Rule(r Rule) error {
	r.Reason = safe(r.Reason, maxName)
	return w.status("rule", r)
}

// Footer writes the last line and sends everything off.
func (w *Writer) Footer(f Footer) error {
	if f.Passed == nil {
		f.Passed = []int{}
	}
	f.Matches, f.Reason = w.matches, safe(f.Reason, maxName)
	f.Removed, f.Errors = safeAll(f.Removed), safeAll(f.Errors)
	if err := w.status("footer", f); err != nil {
		return err
	}
	return w.flush()
}

// status writes a struct as an object that starts with its type.
func (w *Writer) status(kind string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("report %s: %w", kind, err)
	}
	w.line = append(w.line[:0], `{"type":"`...)
	w.line = append(w.line, kind...)
	w.line = append(w.line, `",`...)
	w.line = append(w.line, body[1:]...)
	return w.send(append(w.line, '\n'))
}

func (w *Writer) send(line []byte) error {
	if _, err := w.out.Write(line); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (w *Writer) flush() error {
	err := w.out.Flush()
	if err == nil && w.packer != nil {
		err = w.packer.Flush()
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// safe makes text valid UTF-8 of at most max characters, escapes included.
func safe(s string, max int) string {
	quoted, _ := appendText(nil, s, max)
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return ""
	}
	text, _ = clip(text, max)
	return text
}

func safeAll(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, safe(s, maxText))
	}
	return out
}
