package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// now is the time of the visit in tests: 2027-01-15 08:00:00 UTC.
var now = time.Unix(1_800_000_000, 0)

// freely never sleeps and counts how often it was asked.
type freely struct{ asked int }

func (f *freely) Pause() error { f.asked++; return nil }

// seen is one record with all its fields, read while the collector waits, as the engine does.
type seen struct {
	values map[string]any
	errs   map[string]error
}

func (s seen) text(name string) string { v, _ := s.values[name].(string); return v }

// run collects the subject of a collector in the tree under root.
func run(t *testing.T, c collect.Collector, root string) ([]seen, *collect.Status) {
	t.Helper()
	var records []seen
	status := collect.NewStatus()
	env := &collect.Env{Root: root, Now: now, Throttle: &freely{}, MaxValue: 4096}
	subject := c.Subjects[0]
	emit := func(name string, rec any) error {
		if name != subject.Name {
			t.Fatalf("collector %s emitted subject %q", c.Name, name)
		}
		records = append(records, readAll(subject, rec))
		return nil
	}
	want := map[string]collect.Want{subject.Name: {Fields: map[string]bool{}}}
	if err := c.Run(context.Background(), env, want, emit, status); err != nil {
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
		r.values[f.Name] = v
	}
	return r
}

// column gives one field of all records in their order.
func column(records []seen, field string) []any {
	var out []any
	for _, r := range records {
		out = append(out, r.values[field])
	}
	return out
}

// expect compares fields of one record.
func expect(t *testing.T, r seen, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if got := r.values[name]; got != value || r.errs[name] != nil {
			t.Errorf("%s is %v (%T) %v, not %v", name, got, got, r.errs[name], value)
		}
	}
}

// tree builds files under a fresh root directory; their mtime is the time of the visit.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o644))
		must(t, os.Chtimes(file, now, now))
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// xzed packs with xz(1).
func xzed(t *testing.T, text string, arguments ...string) string {
	t.Helper()
	command := exec.Command("xz", append([]string{"-c"}, arguments...)...)
	command.Stdin = strings.NewReader(text)
	out, err := command.Output()
	must(t, err)
	return string(out)
}

// utmpRecord is one record as 64-bit x86 writes it.
func utmpRecord(typ int, pid int, line, user, host string, when int64, address ...byte) string {
	b := make([]byte, 384)
	binary.LittleEndian.PutUint16(b, uint16(typ))
	binary.LittleEndian.PutUint32(b[4:], uint32(pid))
	copy(b[8:40], line)
	copy(b[44:76], user)
	copy(b[76:332], host)
	binary.LittleEndian.PutUint32(b[340:], uint32(when))
	copy(b[348:], address)
	return string(b)
}

// lastlogRecords builds a lastlog of 292-byte records with one user.
func lastlogRecords(uid int, when int64, line, host string) string {
	b := make([]byte, 292*(uid+1))
	at := b[292*uid:]
	binary.NativeEndian.PutUint32(at, uint32(when))
	copy(at[4:36], line)
	copy(at[36:], host)
	return string(b)
}
