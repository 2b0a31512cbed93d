package persistence

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// freely never sleeps.
type freely struct{}

func (freely) Pause() error { return nil }

// seen is one record with all its fields, read while the collector waits, as the engine does.
type seen struct {
	values map[string]any
	errs   map[string]error
}

func (s seen) text(name string) string { v, _ := s.values[name].(string); return v }

// show writes fields with a bar between them; <nil> is a field without a value.
func (s seen) show(fields ...string) string {
	var out []string
	for _, f := range fields {
		out = append(out, fmt.Sprint(s.values[f]))
	}
	return strings.Join(out, "|")
}

// run collects the tree under root.
func run(t *testing.T, c collect.Collector, root string) ([]seen, *collect.Status) {
	t.Helper()
	var records []seen
	status := collect.NewStatus()
	env := &collect.Env{Root: root, Now: time.Unix(1_800_000_000, 0), Throttle: freely{}, MaxValue: 1 << 20}
	subject := c.Subjects[0]
	emit := func(name string, rec any) error {
		if name != subject.Name {
			t.Errorf("emitted subject %q", name)
		}
		records = append(records, readAll(subject, rec))
		return nil
	}
	if err := c.Run(context.Background(), env, map[string]collect.Want{subject.Name: {}}, emit, status); err != nil {
		t.Fatalf("run: %v", err)
	}
	return records, status
}

func readAll(s *collect.Subject, rec any) seen {
	r := seen{map[string]any{}, map[string]error{}}
	for i, f := range s.Fields {
		v, err := s.Get(rec, i)
		if err != nil {
			r.errs[f.Name] = err
			continue
		}
		if v != nil && !slices.Contains(types[f.Type], fmt.Sprintf("%T", v)) {
			r.errs[f.Name] = fmt.Errorf("%T for a field of type %s", v, f.Type)
		}
		r.values[f.Name] = v
	}
	return r
}

var types = map[string][]string{
	"string": {"string"}, "int": {"int64"}, "bool": {"bool"}, "strings": {"[]string"}, "ints": {"[]int64"}, "float": {"float64"},
}

// find gives the first record whose field has the value.
func find(t *testing.T, records []seen, field, value string) seen {
	t.Helper()
	for _, r := range records {
		if r.text(field) == value {
			for name, err := range r.errs {
				t.Errorf("%s: %v", name, err)
			}
			return r
		}
	}
	t.Fatalf("no record with %s %q among %q", field, value, column(records, field))
	return seen{}
}

// column gives one field of all records, in order.
func column(records []seen, field string) []string {
	var out []string
	for _, r := range records {
		out = append(out, r.text(field))
	}
	return out
}

// tree builds files under a fresh root directory: a text by path; "-> target" is a symbolic link, "|" a FIFO, a path
// that ends in a slash a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		target, isLink := strings.CutPrefix(text, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(file, 0o755))
		case isLink:
			must(t, os.Symlink(target, file))
		case text == "|":
			must(t, syscall.Mkfifo(file, 0o644))
		default:
			must(t, os.WriteFile(file, []byte(text), 0o644))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within fails the test when it takes so long that something must be waiting.
func within(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting")
	}
}

// limited fails the test unless the subject was cut short by a bound.
func limited(t *testing.T, status *collect.Status, subject string) {
	t.Helper()
	if parts := status.Parts[subject]; len(parts) == 0 || collect.Reason(parts[0]) != "limit" {
		t.Errorf("parts %v", parts)
	}
}

func equal(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
