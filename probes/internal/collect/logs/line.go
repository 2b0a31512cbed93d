package logs

import (
	"bufio"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/logs/lines"
	decompress "sandfly/probes/internal/collect/logs/unpack"
	"sandfly/probes/internal/seq"
)

// Bounds of one visit.
const (
	// window is how far back lines are looked at: a day, and an hour for a daily visit that comes late.
	window        = 25 * time.Hour
	maxFileBytes  = 64 << 20  // of one log, from its end
	maxVisitBytes = 256 << 20 // of all logs together
	maxLine       = 16 << 10  // kept of one line
	stepBytes     = 1 << 20   // how coarsely the beginning of the window is looked for
	probeBytes    = 8 << 10   // read at each such place
)

// line is a record of the subject log_line. One is reused for all lines of a file.
type line struct {
	v       *visit
	log     string
	path    string
	offset  int64
	time    int64 // 0: the line has none and none stood before it
	text    string
	isCut   bool
	head    lines.Head
	journal *entryFacts // of lines of the journal only
	parsed  parsed
}

// entryFacts are what the journal knows beside the message.
type entryFacts struct {
	unit      string
	transport string
	auditType string
	priority  int64 // -1: none
	uid       int64 // -1: none
	unread    bool  // a field was compressed in a way that is not read
}

func lineCollector() collect.Collector {
	return collect.Collector{
		Name: "log_lines", Subjects: []*collect.Subject{lineSubject()},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			r := &lineReader{ctx: ctx, v: newVisit(env), status: status, zone: readZone(env), since: env.Now.Add(-window).Unix(),
				left: maxVisitBytes, emit: func(l *line) error { return emit("log_line", l) }}
			return r.run()
		},
	}
}

// lineReader reads the logs of one host.
type lineReader struct {
	ctx    context.Context
	v      *visit
	status *collect.Status
	emit   func(*line) error
	zone   *time.Location
	since  int64 // epoch seconds: older lines are left out
	left   int64 // bytes that may still be read
}

func (r *lineReader) run() error {
	partial := func(err error) { r.status.Partial("log_line", err) }
	read := func(sources []logSource, one func(logSource) error) error {
		for _, s := range sources {
			err := errors.Join(r.ctx.Err(), one(s))
			if err != nil && !isAbsent(err) {
				if !isOurs(err) {
					return err
				}
				partial(at(s.path, err))
			}
		}
		return nil
	}
	if err := read(findLogs(r.v.env, partial), r.file); err != nil {
		return err
	}
	return read(findJournals(r.v.env, partial), r.journal)
}

// readZone is the host's time zone, in which most logs are written; UTC when it has none.
func readZone(env *collect.Env) *time.Location {
	const maxZone = 64 << 10
	data, err := content.ReadFile(env, "/etc/localtime", maxZone)
	if err != nil {
		return time.UTC
	}
	zone, err := time.LoadLocationFromTZData("local", data)
	if err != nil {
		return time.UTC
	}
	return zone
}

// file emits the lines of one log that lie in the window.
func (r *lineReader) file(s logSource) error {
	st, err := content.StatPath(r.v.env, s.path)
	if err != nil {
		return err
	}
	// Whoever changes a log changes its ctime too, whatever mtime is then made to say.
	if max(st.Mtime, st.Ctime) < r.since || !st.IsRegular() || st.Size == 0 {
		return nil
	}
	f, err := content.Open(r.v.env, s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	clock := &lines.Clock{Zone: r.zone, Newest: time.Unix(min(max(st.Mtime, 0), r.v.env.Now.Unix()), 0)}
	if _, ending := compression(s.path); ending != "" {
		return r.packed(s, f, ending, clock)
	}
	start, err := r.start(f, clock)
	if err != nil {
		return err
	}
	first := max(start, f.Size()-min(maxFileBytes, r.left))
	err = r.lines(s, io.NewSectionReader(f, first, f.Size()-first), first, clock)
	if err == nil && first > start {
		err = fmt.Errorf("%d of %d bytes of the last day not read: %w", first-start, f.Size()-start, collect.ErrLimit)
	}
	return err
}

// packed reads a compressed log from its beginning: there is no other way.
func (r *lineReader) packed(s logSource, f *content.File, ending string, clock *lines.Clock) error {
	unpacked, err := unpack(f, ending)
	if err != nil {
		return err
	}
	most := min(maxUnpacked, r.left)
	limited := &io.LimitedReader{R: unpacked, N: most}
	if err := r.lines(s, limited, 0, clock); err != nil {
		return err
	}
	if limited.N == 0 {
		return fmt.Errorf("more than %d bytes: %w", most, collect.ErrLimit)
	}
	return nil
}

// start finds where the window begins: it goes back from the end until some line is older. What an intruder writes
// into the middle with an old time can only make it read less, never more than the bound.
func (r *lineReader) start(f *content.File, clock *lines.Clock) (int64, error) {
	buf := make([]byte, probeBytes)
	for at := f.Size() - stepBytes; at > 0 && f.Size()-at < maxFileBytes+stepBytes; at -= stepBytes {
		n, err := f.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if when, ok := firstTime(string(buf[:n]), clock); ok && when < r.since {
			return at, nil
		}
	}
	return 0, nil
}

// firstTime is the time of the first whole line of a piece of a log that has one.
func firstTime(piece string, clock *lines.Clock) (int64, bool) {
	_, piece, _ = strings.Cut(piece, "\n")
	for text := range seq.Split(piece, "\n") {
		if when, _, ok := clock.Parse(text); ok {
			return when, true
		}
	}
	return 0, false
}

// lines emits the lines of a text that lie in the window. offset is that of its beginning in the file.
func (r *lineReader) lines(s logSource, text io.Reader, offset int64, clock *lines.Clock) error {
	scan := &scanner{in: bufio.NewReaderSize(text, 64<<10)}
	if offset > 0 {
		// What is begun in the middle is no line.
		if err := scan.next(); err != nil {
			return atEnd(err)
		}
		offset += scan.size
	}
	l := &line{v: r.v, log: s.log, path: s.path}
	last, known := int64(0), false
	for {
		err := scan.next()
		if err != nil {
			return atEnd(err)
		}
		start := offset
		offset += scan.size
		if r.left -= scan.size; r.left < 0 {
			return errVisitBytes
		}
		if len(scan.line) == 0 {
			continue
		}
		whole := string(scan.line)
		when, rest, ok := clock.Parse(whole)
		if ok {
			last, known = when, true
		}
		// A line without a time belongs to the one before it.
		if known && last < r.since {
			continue
		}
		*l = line{v: l.v, log: l.log, path: l.path, offset: start, time: last, text: whole, isCut: scan.isCut}
		l.setHead(rest, ok)
		if err := r.emit(l); err != nil {
			return err
		}
	}
}

// errVisitBytes tells that logs were left out because there are too many.
var errVisitBytes = fmt.Errorf("logs of more than %d bytes: %w", maxVisitBytes, collect.ErrLimit)

func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// setHead finds program and message; logs of one program have no head.
func (l *line) setHead(rest string, hasTime bool) {
	switch l.log {
	case "auth", "syslog", "daemon", "user", "kern", "cron", "mail", "firewall", "proxy", "guacamole":
		if hasTime {
			l.head = lines.ParseHead(rest)
			return
		}
	}
	l.head = lines.Head{Message: rest}
}

// scanner splits a text into lines of which it keeps the first maxLine bytes. NULs in front of a line, which a crash
// leaves behind, are left out.
type scanner struct {
	in    *bufio.Reader
	line  []byte
	size  int64 // bytes of the line at hand, its end included
	isCut bool
}

// next turns to the next line; io.EOF when there is none.
func (s *scanner) next() error {
	s.line, s.size, s.isCut = s.line[:0], 0, false
	for {
		piece, err := s.in.ReadSlice('\n')
		s.size += int64(len(piece))
		if len(s.line) == 0 {
			piece = trimNULs(piece)
		}
		if room := maxLine - len(s.line); len(piece) > room+1 {
			piece, s.isCut = piece[:room], true
		}
		s.line = append(s.line, piece...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || s.size == 0) {
			return s.told(err)
		}
		s.trim()
		return nil
	}
}

// told marks what a decompressor finds wrong as a fault of the file.
func (s *scanner) told(err error) error {
	if errors.Is(err, io.EOF) || isOurs(err) {
		return err
	}
	if isBroken(err) {
		return fmt.Errorf("%w: %w", errFile, err)
	}
	return err
}

// isBroken tells what decompressors say of content that is not theirs.
func isBroken(err error) bool {
	var corrupt flate.CorruptInputError
	var structural bzip2.StructuralError
	return errors.Is(err, decompress.ErrMalformed) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &corrupt) || errors.As(err, &structural)
}

func (s *scanner) trim() {
	for n := len(s.line); n > 0 && (s.line[n-1] == '\n' || s.line[n-1] == '\r'); n = len(s.line) {
		s.line = s.line[:n-1]
	}
}

func trimNULs(b []byte) []byte {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
