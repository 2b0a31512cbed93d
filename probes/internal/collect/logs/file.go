package logs

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

// logFile is a record of the subject log_file. Parts that cost something are read on first use.
type logFile struct {
	v        *visit
	zone     *time.Location
	logins   func() (wtmpHistory, error)
	path     string
	kind     string        // as log of log_line, or utmp, wtmp, btmp, lastlog, lastlog2, wtmpdb
	st       *content.Stat // of the path itself; nil: it does not exist
	text     func() (textFacts, error)
	records  func() (recordFacts, error)
	journal  func() (journalFacts, error)
	isSparse func() (bool, error)
	flags    func() (attributes, error)
}

func fileCollector() collect.Collector {
	return collect.Collector{
		Name: "log_files", Subjects: []*collect.Subject{fileSubject()},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			r := &fileReader{v: newVisit(env), zone: readZone(env), status: status}
			r.logins = sync.OnceValues(func() (wtmpHistory, error) { return readHistory(r.v.env) })
			for _, f := range r.find() {
				if err := errors.Join(ctx.Err(), emit("log_file", f)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// fileReader finds the log files of one host.
type fileReader struct {
	v      *visit
	zone   *time.Location
	status *collect.Status
	logins func() (wtmpHistory, error)
}

// expected are files that most hosts have: when they do not exist, that is a record too.
var expected = []logSource{{"/var/log/wtmp", "wtmp"}, {"/var/log/btmp", "btmp"}, {"/var/log/lastlog", "lastlog"}}

func (r *fileReader) find() []*logFile {
	var out []*logFile
	partial := func(err error) { r.status.Partial("log_file", err) }
	add := func(s logSource) {
		if slices.ContainsFunc(out, func(f *logFile) bool { return f.path == s.path }) {
			return
		}
		st, err := content.Lstat(r.v.env, s.path)
		if err != nil && !isAbsent(err) {
			partial(at(s.path, err))
			return
		}
		out = append(out, r.make(s, st))
	}
	for _, a := range findAccounting(r.v.env, partial) {
		add(logSource{a.path, a.kind})
	}
	for _, s := range slices.Concat(expected, findLogs(r.v.env, partial), findJournals(r.v.env, partial)) {
		add(s)
	}
	return out
}

func (r *fileReader) make(s logSource, st *content.Stat) *logFile {
	f := &logFile{v: r.v, zone: r.zone, logins: r.logins, path: s.path, kind: s.log, st: st}
	f.text = sync.OnceValues(f.readText)
	f.records = sync.OnceValues(f.readRecords)
	f.journal = sync.OnceValues(f.readJournal)
	f.isSparse = sync.OnceValues(f.readSparse)
	f.flags = sync.OnceValues(f.readFlags)
	return f
}

// isRegular tells that there is content to look at.
func (f *logFile) isRegular() bool { return f.st != nil && f.st.IsRegular() }

// isAccounting tells a file of records, isText one of lines.
func (f *logFile) isAccounting() bool {
	return slices.Contains([]string{"utmp", "wtmp", "btmp"}, f.kind)
}

func (f *logFile) isText() bool {
	return f.isRegular() && !f.isAccounting() && !slices.Contains([]string{"lastlog", "lastlog2", "wtmpdb", "journal"}, f.kind)
}

// attributes are those of chattr(1); known: the file system has them.
type attributes struct{ immutable, appendOnly, known bool }

func (f *logFile) readFlags() (attributes, error) {
	if f.st.HasAttributes {
		return attributes{f.st.Immutable, f.st.AppendOnly, true}, nil
	}
	file, err := content.Open(f.v.env, f.path)
	if err != nil {
		return attributes{}, gone(err)
	}
	defer file.Close()
	var a attributes
	a.immutable, a.appendOnly, a.known, err = content.Flags(file.FD())
	return a, err
}

// readSparse tells whether less is stored than the file is long, as where a hole was left or cut into it.
func (f *logFile) readSparse() (bool, error) {
	file, err := content.Open(f.v.env, f.path)
	if err != nil {
		return false, gone(err)
	}
	defer file.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(file.FD(), &st); err != nil {
		return false, err
	}
	const block, slack = 512, 4096
	return int64(st.Blocks)*block+slack < st.Size, nil
}

// gone turns "it is no longer there" into collect.ErrGone.
func gone(err error) error {
	if isAbsent(err) {
		return collect.ErrGone
	}
	return err
}

// isRotatedLog tells a log that is no longer written to.
func (f *logFile) isRotatedLog() bool {
	name := path.Base(f.path)
	if f.kind == "journal" {
		return len(name) > 40 // system@<id>-<seqnum>-<time>.journal
	}
	return unrotated(name) != name
}
