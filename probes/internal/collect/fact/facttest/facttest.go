// Package facttest is what the tests of collectors share: a Linux tree below a temporary directory, and the records that
// a collector makes of it.
package facttest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// Unthrottled never sleeps and never stops the visit.
type Unthrottled struct{}

// Pause does nothing.
func (Unthrottled) Pause() error { return nil }

// Env is an environment over a root directory.
func Env(root string) *collect.Env {
	return &collect.Env{Root: root, Now: time.Unix(1_800_000_000, 0), UID: os.Getuid(), Throttle: Unthrottled{},
		MaxValue: 4096}
}

// Tree is a Linux tree below a temporary directory.
type Tree struct {
	T    *testing.T
	Root string
}

// NewTree makes an empty one.
func NewTree(t *testing.T) *Tree { return &Tree{t, t.TempDir()} }

// Env is the environment over the tree.
func (f *Tree) Env() *collect.Env { return Env(f.Root) }

// Write makes a file with its directories.
func (f *Tree) Write(path, text string) {
	f.T.Helper()
	full := f.parent(path)
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		f.T.Fatal(err)
	}
}

// Link makes a symbolic link.
func (f *Tree) Link(path, target string) {
	f.T.Helper()
	if err := os.Symlink(target, f.parent(path)); err != nil {
		f.T.Fatal(err)
	}
}

func (f *Tree) parent(path string) string {
	f.T.Helper()
	full := filepath.Join(f.Root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.T.Fatal(err)
	}
	return full
}

// Record is one thing with its subject.
type Record struct {
	T       *testing.T
	Subject *collect.Subject
	Rec     any
}

// Try reads a field with its error.
func (r Record) Try(field string) (any, error) {
	r.T.Helper()
	i := r.Subject.Index(field)
	if i < 0 {
		r.T.Fatalf("%s has no field %s", r.Subject.Name, field)
	}
	return r.Subject.Get(r.Rec, i)
}

// Get reads a field and fails the test when it is unknown.
func (r Record) Get(field string) any {
	r.T.Helper()
	v, err := r.Try(field)
	if err != nil {
		r.T.Fatalf("%s: %v", field, err)
	}
	return v
}

// Expect compares fields by type and printed form.
func (r Record) Expect(want map[string]any) {
	r.T.Helper()
	for _, field := range slices.Sorted(maps.Keys(want)) {
		if got := r.Get(field); fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want[field], want[field]) {
			r.T.Errorf("%s: got %T %v, want %T %v", field, got, got, want[field], want[field])
		}
	}
}

// Collect runs the collector of a subject, asking for the fields named or else for all, and calls use with each record
// while it is valid.
func Collect(
	t *testing.T, collectors []collect.Collector, env *collect.Env, subject string, use func(r Record), fields ...string,
) *collect.Status {
	t.Helper()
	status := collect.NewStatus()
	for _, c := range collectors {
		for _, s := range c.Subjects {
			if s.Name != subject {
				continue
			}
			want := map[string]collect.Want{subject: {Fields: asked(s, fields)}}
			err := c.Run(context.Background(), env, want, func(name string, rec any) error {
				if name == subject {
					use(Record{t, s, rec})
				}
				return nil
			}, status)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return status
}

func asked(s *collect.Subject, fields []string) map[string]bool {
	wanted := map[string]bool{}
	for _, name := range fields {
		wanted[name] = true
	}
	if len(fields) == 0 {
		for _, f := range s.Fields {
			wanted[f.Name] = true
		}
	}
	return wanted
}

// Described checks that every field of every subject says what it is, and that identity and evidence name fields.
func Described(t *testing.T, collectors []collect.Collector) {
	t.Helper()
	for _, c := range collectors {
		for _, s := range c.Subjects {
			seen := map[string]bool{}
			for _, f := range s.Fields {
				if f.Doc == "" || f.Source == "" || seen[f.Name] {
					t.Errorf("%s.%s: doc %q, source %q, twice %v", s.Name, f.Name, f.Doc, f.Source, seen[f.Name])
				}
				seen[f.Name] = true
			}
			for _, name := range slices.Concat(s.Identity, s.Evidence) {
				if !seen[name] {
					t.Errorf("%s has no field %s", s.Name, name)
				}
			}
		}
	}
}

// Typed reads every field of a record and checks the type of its value.
func (r Record) Typed() {
	r.T.Helper()
	types := map[string]string{"string": "string", "int": "int64", "float": "float64", "bool": "bool",
		"strings": "[]string", "ints": "[]int64"}
	for _, f := range r.Subject.Fields {
		v, err := r.Try(f.Name)
		if err == nil && v != nil && fmt.Sprintf("%T", v) != types[f.Type] {
			r.T.Errorf("%s.%s is a %T, not %s", r.Subject.Name, f.Name, v, f.Type)
		}
		if err != nil && collect.Reason(err) == "error" {
			r.T.Errorf("%s.%s: %v", r.Subject.Name, f.Name, err)
		}
	}
}
