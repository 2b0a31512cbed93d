package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/logs/journal"
	"sandfly/probes/internal/collect/logs/lines"
	"sandfly/probes/internal/collect/logs/utmp"
)

// textFacts are what a log of lines shows when it is read through. Times are epoch seconds, 0 for none.
type textFacts struct {
	lines       int64
	first, last int64
	gap         int64 // the longest time without a line
	gapStart    int64
	back        int64 // the largest step back in time
	nulBytes    int64 // in runs of at least minNULs
}

// minNULs is how long a run of NULs must be to count: less may be an encoding.
const minNULs = 64

// maxScan is how much of a log, from its end, is read through for such facts.
const maxScan = 32 << 20

func (f *logFile) readText() (textFacts, error) {
	file, err := content.Open(f.v.env, f.path)
	if err != nil {
		return textFacts{}, gone(err)
	}
	defer file.Close()
	start := max(0, file.Size()-maxScan)
	var text io.Reader = io.NewSectionReader(file, start, file.Size()-start)
	if _, ending := compression(f.path); ending != "" {
		if text, err = unpack(file, ending); err != nil {
			return textFacts{}, err
		}
		text = io.LimitReader(text, maxScan)
	}
	newest := time.Unix(min(max(f.st.Mtime, 0), f.v.env.Now.Unix()), 0)
	return scanText(text, &lines.Clock{Zone: f.zone, Newest: newest}, start > 0)
}

// scanText reads a log through. isMiddle: it begins in the middle of a line.
func scanText(text io.Reader, clock *lines.Clock, isMiddle bool) (textFacts, error) {
	var t textFacts
	counter := &nulCounter{in: text}
	scan := &scanner{in: bufio.NewReaderSize(counter, 64<<10)}
	for {
		if err := scan.next(); err != nil {
			t.nulBytes = counter.total()
			return t, atEnd(err)
		}
		if isMiddle {
			isMiddle = false
			continue
		}
		t.lines++
		if when, _, ok := clock.Parse(string(scan.line[:min(len(scan.line), 256)])); ok {
			t.see(when)
		}
	}
}

func (t *textFacts) see(when int64) {
	if t.first == 0 {
		t.first, t.last = when, when
		return
	}
	if gap := when - t.last; gap > t.gap {
		t.gap, t.gapStart = gap, t.last
	}
	t.back = max(t.back, t.last-when)
	t.last = when
}

// nulCounter counts NULs that stand in runs, also across pieces.
type nulCounter struct {
	in    io.Reader
	run   int64
	found int64
}

func (n *nulCounter) Read(p []byte) (int, error) {
	size, err := n.in.Read(p)
	for rest := p[:size]; len(rest) > 0; {
		at := bytes.IndexByte(rest, 0)
		if at != 0 {
			n.close()
			if at < 0 {
				break
			}
			rest = rest[at:]
		}
		end := 0
		for end < len(rest) && rest[end] == 0 {
			end++
		}
		n.run += int64(end)
		rest = rest[end:]
	}
	return size, err
}

func (n *nulCounter) close() {
	if n.run >= minNULs {
		n.found += n.run
	}
	n.run = 0
}

func (n *nulCounter) total() int64 {
	n.close()
	return n.found
}

// recordFacts are what a file of records shows when it is read through.
type recordFacts struct {
	records     int64
	zeroed      int64 // all zero, or a login without a time
	first, last int64
	back        int64
	rest        int64 // bytes behind the last whole record
}

func (f *logFile) readRecords() (recordFacts, error) {
	file, err := openRecords(f.v.env, accounting{f.path, f.kind})
	if err != nil {
		return recordFacts{}, gone(err)
	}
	defer file.close()
	r := recordFacts{rest: file.size % int64(file.layout.Size)}
	const most = maxScan / 384
	err = file.backward(func(u *utmp.Record) error {
		if r.records++; r.records > most {
			return errEnough
		}
		r.see(u, f.kind == "utmp")
		return nil
	})
	return r, err
}

// see takes a record, newest first. Those of utmp are slots that may be empty and come in no order.
func (r *recordFacts) see(u *utmp.Record, isSlot bool) {
	if isSlot {
		return
	}
	if u.Zero || u.Time == 0 && u.Type >= utmp.InitProcess && u.Type <= utmp.UserProcess {
		r.zeroed++
		return
	}
	if u.Time == 0 {
		return
	}
	if r.last == 0 {
		r.last = u.Time
	}
	if r.first != 0 {
		r.back = max(r.back, u.Time-r.first)
	}
	r.first = u.Time
}

// journalFacts are what a journal's header says.
type journalFacts struct {
	journal.Header
	broken bool // it is no journal, or shorter than it says
}

func (f *logFile) readJournal() (journalFacts, error) {
	file, err := content.Open(f.v.env, f.path)
	if err != nil {
		return journalFacts{}, gone(err)
	}
	defer file.Close()
	j, err := journal.Open(file, file.Size(), func(string) bool { return false })
	if errors.Is(err, journal.ErrMalformed) {
		return journalFacts{broken: true}, nil
	}
	if err != nil {
		return journalFacts{}, err
	}
	return journalFacts{j.Header, j.Size > uint64(file.Size())}, nil
}

// wtmpHistory is who logged in when, as far as wtmp and its rotations reach back.
type wtmpHistory struct {
	since  int64 // epoch seconds; 0: there is nothing
	logins map[string][]int64
}

// readHistory reads wtmp and what was rotated of it.
func readHistory(env *collect.Env) (wtmpHistory, error) {
	h := wtmpHistory{logins: map[string][]int64{}}
	var failed error
	const most = 200_000
	seen := 0
	for _, a := range findAccounting(env, func(err error) { failed = err }) {
		if a.kind != "wtmp" {
			continue
		}
		file, err := openRecords(env, a)
		if err != nil {
			failed = err
			continue
		}
		err = file.backward(func(u *utmp.Record) error {
			if seen++; seen > most {
				return fmt.Errorf("more than %d logins: %w", most, collect.ErrLimit)
			}
			if u.Time > 0 && (h.since == 0 || u.Time < h.since) {
				h.since = u.Time
			}
			if u.Type == utmp.UserProcess {
				h.logins[u.User] = append(h.logins[u.User], u.Time)
			}
			return nil
		})
		file.close()
		if err != nil {
			return h, err
		}
	}
	return h, failed
}

// unmatched are local users whose last login in lastlog is not in wtmp, though wtmp reaches back that far and on.
func (f *logFile) unmatched() ([]string, error) {
	history, err := f.logins()
	if err != nil || history.since == 0 {
		return nil, err
	}
	var out []string
	r := &loginReader{v: f.v, emit: func(l *login) error {
		const slack = 120
		inWtmp := slices.ContainsFunc(history.logins[l.username], func(t int64) bool { return max(t-l.time, l.time-t) <= slack })
		if l.time > history.since && !inWtmp {
			out = append(out, l.username)
		}
		return nil
	}}
	if err := r.lastlog(f.path); err != nil {
		return nil, gone(err)
	}
	return out, nil
}
