package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/logs/utmp"
	"sandfly/probes/internal/sqlite"
)

const maxLogEntries = 20_000 // in one directory

// accounting is one file that says who was on.
type accounting struct {
	path string
	kind string // utmp, wtmp, btmp, lastlog, lastlog2 or wtmpdb
}

// accountingFiles are those with a fixed place. utmp is found at most once, whichever way /var/run leads.
var accountingFiles = []accounting{
	{"/run/utmp", "utmp"}, {"/var/run/utmp", "utmp"}, {"/var/log/lastlog", "lastlog"},
	{"/var/lib/lastlog/lastlog2.db", "lastlog2"}, {"/var/lib/wtmpdb/wtmp.db", "wtmpdb"}, {"/var/log/wtmp.db", "wtmpdb"},
}

// findAccounting lists the files that are there: those with a fixed place, then wtmp and btmp with what was rotated.
func findAccounting(env *collect.Env, partial func(error)) []accounting {
	var out []accounting
	seen := map[string]bool{}
	add := func(a accounting) {
		real, err := content.Resolve(env, a.path)
		if isAbsent(err) || err == nil && seen[real] {
			return
		}
		seen[real] = true
		out = append(out, a)
	}
	for _, a := range accountingFiles {
		add(a)
	}
	entries, err := content.ReadDir(env, "/var/log", maxLogEntries)
	if err != nil && !isAbsent(err) {
		partial(at("/var/log", err))
	}
	for _, e := range entries {
		for _, kind := range []string{"wtmp", "btmp"} {
			if e.Name == kind || isRotated(e.Name, kind) {
				add(accounting{path.Join("/var/log", e.Name), kind})
			}
		}
	}
	return out
}

// isRotated tells a name that logrotate makes from a log's: with a number or a date behind it, and a compression.
func isRotated(name, log string) bool {
	rest, ok := strings.CutPrefix(name, log)
	rest, _ = compression(rest)
	return ok && len(rest) > 1 && (rest[0] == '.' || rest[0] == '-') && strings.Trim(rest[1:], "0123456789-") == ""
}

// errEnough ends a reading early; it is no failure.
var errEnough = errors.New("enough")

// records are those of utmp, wtmp or btmp.
type records struct {
	layout utmp.Layout
	size   int64 // bytes
	read   io.ReaderAt
	close  func() error
}

func openRecords(env *collect.Env, a accounting) (*records, error) {
	f, err := content.Open(env, a.path)
	if err != nil {
		return nil, err
	}
	r := &records{size: f.Size(), read: f, close: f.Close}
	if _, ending := compression(a.path); ending != "" {
		data, err := unpackAll(f, ending)
		f.Close()
		if err != nil {
			return nil, err
		}
		r.size, r.read, r.close = int64(len(data)), strings.NewReader(string(data)), func() error { return nil }
	}
	head := make([]byte, min(r.size, 16<<10))
	if _, err := r.read.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		r.close()
		return nil, err
	}
	r.layout = utmp.Detect(head, r.size, env.Now.Unix())
	return r, nil
}

func unpackAll(f *content.File, ending string) ([]byte, error) {
	r, err := unpack(f, ending)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxHeld+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errFile, err)
	case len(data) > maxHeld:
		return nil, fmt.Errorf("more than %d bytes: %w", maxHeld, collect.ErrLimit)
	}
	return data, nil
}

// backward calls use with every whole record, the last one first, until use returns errEnough or another error.
func (r *records) backward(use func(*utmp.Record) error) error {
	const each = 128
	size := int64(r.layout.Size)
	buf := make([]byte, each*size)
	for end := r.size / size * size; end > 0; {
		start := max(0, end-each*size)
		n, err := r.read.ReadAt(buf[:end-start], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		// A file that shrinks meanwhile gives what there still is.
		for at := int64(n) / size * size; at > 0; at -= size {
			record := r.layout.Parse(buf[at-size : at])
			if err := use(&record); err != nil {
				return ended(err)
			}
		}
		end = start
	}
	return nil
}

func ended(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// lastlog emits the last login of every local user; the file is sparse and as long as the largest uid demands, so it
// is read only where a user has a record.
func (r *loginReader) lastlog(name string) error {
	f, err := content.Open(r.v.env, name)
	if err != nil {
		return err
	}
	defer f.Close()
	layout := lastlogLayout(f.Size())
	buf := make([]byte, layout.Size)
	for _, u := range r.v.accounts().Users {
		at := u.UID * int64(layout.Size)
		if u.UID < 0 || at+int64(layout.Size) > f.Size() {
			continue
		}
		if _, err := f.ReadAt(buf, at); err != nil {
			return err
		}
		entry := layout.ParseLastLog(buf)
		if entry.Time == 0 {
			continue
		}
		l := &login{v: r.v, source: "lastlog", path: name, typ: utmp.UserProcess, username: u.Name, tty: entry.Line,
			host: entry.Host, address: addressOf(entry.Host), time: entry.Time}
		if err := r.emit(l); err != nil {
			return err
		}
	}
	return r.v.accounts().PasswdErr
}

func lastlogLayout(size int64) utmp.Layout {
	return utmp.DetectLastLog(size, binary.NativeEndian, wideTimes)
}

// lastlog2 emits the rows of lastlog2's database.
func (r *loginReader) lastlog2(name string) error {
	return r.table(name, "Lastlog2", func(row sqlite.Row) *login {
		when, _ := row.Int("time")
		return &login{source: "lastlog2", typ: utmp.UserProcess, username: row.Text("name"), tty: row.Text("tty"),
			host: row.Text("remotehost"), service: row.Text("pamservice"), time: when}
	})
}

// wtmpdb emits the rows of wtmpdb's database, whose times are microseconds and whose types count from boot as 1.
func (r *loginReader) wtmpdb(name string) error {
	types := map[int64]int{1: utmp.BootTime, 2: utmp.RunLevel, 3: utmp.UserProcess}
	return r.table(name, "wtmp", func(row sqlite.Row) *login {
		kind, _ := row.Int("type")
		from, _ := row.Int("login")
		to, _ := row.Int("logout")
		return &login{source: "wtmpdb", typ: types[kind], username: row.Text("user"), tty: row.Text("tty"),
			host: row.Text("remotehost"), service: row.Text("service"), time: from / 1e6, logout: to / 1e6,
			isActive: to == 0 && types[kind] == utmp.UserProcess}
	})
}

// table emits the last maxLogins rows of a table.
func (r *loginReader) table(name, table string, make func(sqlite.Row) *login) error {
	f, err := content.Open(r.v.env, name)
	if err != nil {
		return err
	}
	defer f.Close()
	db, err := sqlite.Open(f)
	var ring []*login
	next := 0
	if err == nil {
		err = db.Rows(table, func(_ int64, row sqlite.Row) error {
			l := make(row)
			l.v, l.path, l.address = r.v, name, addressOf(l.host)
			if len(ring) < maxLogins {
				ring = append(ring, l)
				return nil
			}
			ring[next] = l
			next = (next + 1) % maxLogins
			return nil
		})
	}
	for _, l := range ring {
		if err := r.emit(l); err != nil {
			return err
		}
	}
	if errors.Is(err, sqlite.ErrMalformed) || errors.Is(err, sqlite.ErrNoTable) {
		return fmt.Errorf("%w: %w", errFile, err)
	}
	return err
}
