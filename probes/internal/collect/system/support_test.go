package system

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// unthrottled never sleeps and never stops the visit.
type unthrottled struct{}

func (unthrottled) Pause() error { return nil }

var now = time.Unix(1_800_000_000, 0)

func environment(root string) *collect.Env {
	return &collect.Env{Root: root, Now: now, UID: os.Getuid(), Throttle: unthrottled{}, MaxValue: 4096}
}

// record is what the tests look at: one thing with its subject.
type record struct {
	t       *testing.T
	subject *collect.Subject
	rec     any
}

// get reads a field and fails the test when it is unknown.
func (r record) get(field string) any {
	r.t.Helper()
	v, err := r.try(field)
	if err != nil {
		r.t.Fatalf("%s: %v", field, err)
	}
	return v
}

func (r record) try(field string) (any, error) {
	r.t.Helper()
	i := r.subject.Index(field)
	if i < 0 {
		r.t.Fatalf("%s has no field %s", r.subject.Name, field)
	}
	return r.subject.Get(r.rec, i)
}

// expect compares fields by their printed form, in which an absent value is <nil>.
func (r record) expect(want map[string]any) {
	r.t.Helper()
	for _, field := range slices.Sorted(maps.Keys(want)) {
		if got := r.get(field); fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want[field], want[field]) {
			r.t.Errorf("%s: got %T %v, want %T %v", field, got, got, want[field], want[field])
		}
	}
}

// collectAll runs the collector of a subject and calls use with each record while it is valid.
func collectAll(t *testing.T, env *collect.Env, subject string, use func(r record)) *collect.Status {
	t.Helper()
	status := collect.NewStatus()
	for _, c := range Collectors() {
		for _, s := range c.Subjects {
			if s.Name != subject {
				continue
			}
			fields := map[string]bool{}
			for _, f := range s.Fields {
				fields[f.Name] = true
			}
			want := map[string]collect.Want{subject: {Fields: fields}}
			err := c.Run(context.Background(), env, want, func(_ string, rec any) error {
				use(record{t, s, rec})
				return nil
			}, status)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return status
}

// with runs a subject and calls use for the one record whose field has the value.
func with(t *testing.T, env *collect.Env, subject, field string, value any, use func(r record)) {
	t.Helper()
	found := 0
	collectAll(t, env, subject, func(r record) {
		if r.get(field) == value {
			found++
			use(r)
		}
	})
	if found != 1 {
		t.Errorf("%d records of %s have %s %v", found, subject, field, value)
	}
}

// fixture is a Linux tree below a temporary directory.
type fixture struct {
	t    *testing.T
	root string
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t, t.TempDir()}
	f.write("/proc/stat", "cpu 1\ncpu0 1\ncpu1 1\nbtime 1700000000\n")
	f.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33::/:/usr/sbin/nologin\n")
	return f
}

func (f *fixture) env() *collect.Env { return environment(f.root) }

func (f *fixture) write(path, text string) {
	f.t.Helper()
	full := filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) link(path, target string) {
	f.t.Helper()
	full := filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		f.t.Fatal(err)
	}
}

// facts are what differs between the processes of a fixture.
type facts struct {
	pid, parent int
	name, exe   string
	argv        []string
	flags       int
	uid         int
	status      string            // further lines
	fds         map[string]string // number → target
	netns       string
	environ     []string
	maps        string
	cgroup      string
}

// process adds a process; one without exe is left without that link.
func (f *fixture) process(p facts) {
	f.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.pid)
	f.write(dir+"stat", fmt.Sprintf("%d (%s) S %d %d %d 34817 0 %d 0 0 0 0 150 50 0 0 20 5 3 0 2500 4096 1",
		p.pid, p.name, p.parent, p.pid, p.pid, p.flags))
	f.write(dir+"status", fmt.Sprintf("Name:\t%s\nUid:\t%d\t0\t0\t0\nGid:\t%d\t0\t0\t0\nCapEff:\t0000000000002000\n%s",
		p.name, p.uid, p.uid, p.status))
	f.write(dir+"cmdline", strings.Join(append(p.argv, ""), "\x00"))
	f.write(dir+"environ", strings.Join(append(p.environ, ""), "\x00"))
	f.write(dir+"maps", p.maps)
	f.write(dir+"cgroup", p.cgroup)
	f.write(dir+"fd/.keep", "")
	f.link(dir+"cwd", "/srv/app")
	f.link(dir+"root", "/")
	if p.exe != "" {
		f.link(dir+"exe", p.exe)
	}
	if p.netns != "" {
		f.link(dir+"ns/net", p.netns)
	}
	for number, target := range p.fds {
		f.link(dir+"fd/"+number, target)
	}
}

func isGone(err error) bool { return errors.Is(err, collect.ErrGone) }

func TestEveryFieldIsDescribed(t *testing.T) {
	for _, c := range Collectors() {
		for _, s := range c.Subjects {
			seen := map[string]bool{}
			for _, field := range s.Fields {
				if field.Doc == "" || field.Source == "" || seen[field.Name] {
					t.Errorf("%s.%s: doc %q, source %q, twice %v", s.Name, field.Name, field.Doc, field.Source, seen[field.Name])
				}
				seen[field.Name] = true
			}
			for _, name := range slices.Concat(s.Identity, s.Evidence) {
				if !seen[name] {
					t.Errorf("%s has no field %s", s.Name, name)
				}
			}
		}
	}
}

// TestEveryValueHasItsType reads every field of every record of this machine.
func TestEveryValueHasItsType(t *testing.T) {
	types := map[string]string{"string": "string", "int": "int64", "float": "float64", "bool": "bool", "strings": "[]string",
		"ints": "[]int64"}
	for _, subject := range []string{"process", "socket", "kernel_module", "mount", "host"} {
		collectAll(t, environment("/"), subject, func(r record) {
			for _, field := range r.subject.Fields {
				v, err := r.try(field.Name)
				if err == nil && v != nil && fmt.Sprintf("%T", v) != types[field.Type] {
					t.Errorf("%s.%s is a %T, not %s", subject, field.Name, v, field.Type)
				}
				if subject == "process" && err != nil && collect.Reason(err) == "error" {
					t.Errorf("%s.%s: %v", subject, field.Name, err)
				}
			}
		})
	}
}
