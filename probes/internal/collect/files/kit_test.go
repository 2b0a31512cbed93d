package files

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// freely never sleeps and counts how often it was asked.
type freely struct{ asked int }

func (f *freely) Pause() error { f.asked++; return nil }

// seen is one record with all its fields, read while the collector waits, as the engine does.
type seen struct {
	values map[string]any
	errs   map[string]error
}

func (s seen) text(name string) string { v, _ := s.values[name].(string); return v }

// run collects a subject of the tree under root, with the scopes given.
func run(t *testing.T, c collect.Collector, root, subject string, scopes ...collect.Scope) ([]seen, *collect.Status) {
	t.Helper()
	var records []seen
	status := collect.NewStatus()
	env := &collect.Env{Root: root, Now: time.Unix(1_800_000_000, 0), Throttle: &freely{}, MaxValue: 1 << 20}
	emit := func(name string, rec any) error {
		records = append(records, readAll(subjectNamed(t, c, name), rec))
		return nil
	}
	want := map[string]collect.Want{subject: {Scopes: scopes, Fields: map[string]bool{}}}
	if err := c.Run(context.Background(), env, want, emit, status); err != nil {
		t.Fatalf("run: %v", err)
	}
	return records, status
}

func subjectNamed(t *testing.T, c collect.Collector, name string) *collect.Subject {
	t.Helper()
	for _, s := range c.Subjects {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("collector %s emitted subject %q", c.Name, name)
	return nil
}

func readAll(s *collect.Subject, rec any) seen {
	r := seen{map[string]any{}, map[string]error{}}
	for i, f := range s.Fields {
		v, err := s.Get(rec, i)
		if err != nil {
			r.errs[f.Name] = err
			continue
		}
		r.values[f.Name] = v
	}
	return r
}

// find gives the record whose field has the value.
func find(t *testing.T, records []seen, field, value string) seen {
	t.Helper()
	for _, r := range records {
		if r.text(field) == value {
			return r
		}
	}
	t.Fatalf("no record with %s %q among %q", field, value, column(records, field))
	return seen{}
}

// spaced writes values with a blank between them.
func spaced(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

// column gives one field of all records, sorted.
func column(records []seen, field string) []string {
	var out []string
	for _, r := range records {
		out = append(out, r.text(field))
	}
	slices.Sort(out)
	return out
}

// tree builds files under a fresh root directory: a text by path; "-> target" is a symbolic link, a path that ends in a
// slash a directory.
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

// asNobody makes the file system treat this test's thread as a user without rights; files it may not read are closed
// to it as they would be on a host. As a normal user the tree's owner has its bits taken away instead.
func asNobody(t *testing.T, root string) {
	t.Helper()
	if os.Getuid() != 0 {
		must(t, filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if info, e := os.Lstat(p); e == nil && info.Mode()&0o004 == 0 && err == nil {
				t.Cleanup(func() { _ = os.Chmod(p, 0o700) })
				return os.Chmod(p, 0)
			}
			return nil
		}))
		return
	}
	// t.TempDir is a directory inside one of the test's own that nobody else may enter.
	must(t, os.Chmod(root, 0o755))
	must(t, os.Chmod(filepath.Dir(root), 0o755))
	const nobody = 65534
	runtime.LockOSThread()
	must(t, syscall.Setfsuid(nobody))
	t.Cleanup(func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
}

func fifo(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, syscall.Mkfifo(path, 0o644))
}

// within fails the test when it takes so long that something must be waiting.
func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("still waiting after %v", limit)
	}
}

func everything(paths ...string) collect.Scope { return collect.Scope{Paths: paths, MaxDepth: -1} }
