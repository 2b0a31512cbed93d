package logs

import (
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

type fileField = collect.Field[*logFile]

func fileSubject() *collect.Subject {
	fields := append(statFields(), textFields()...)
	return collect.NewSubject("log_file", "files that hold logins, logs and journals, rotated ones included; wtmp, btmp and lastlog also when they do not exist",
		[]string{"path"}, []string{"path", "log", "exists", "size", "mtime"}, append(fields, recordFields()...))
}

func statFields() []fileField {
	const source = "statx(2), stat(2)"
	of := func(name, typ, unit, doc string, get func(*content.Stat) any) fileField {
		return free(name, typ, unit, doc, source, func(f *logFile) any {
			if f.st == nil {
				return nil
			}
			return get(f.st)
		})
	}
	return []fileField{
		free("path", "string", "", "absolute path", "name of the file", func(f *logFile) any { return f.path }),
		free("log", "string", "", "kind of log, as of log_line, or utmp, wtmp, btmp, lastlog, lastlog2, wtmpdb", "name of the file", func(f *logFile) any { return f.kind }),
		free("exists", "bool", "", "it is there", source, func(f *logFile) any { return f.st != nil }),
		free("is_rotated", "bool", "", "put aside, no longer written to", "name of the file", func(f *logFile) any { return f.isRotatedLog() }),
		of("type", "string", "", "regular, symlink, directory or other", fileType),
		of("size", "int", "bytes", "length; of a symbolic link that of its text", func(st *content.Stat) any { return st.Size }),
		of("mode", "string", "octal text", "permission bits", func(st *content.Stat) any { return st.Octal() }),
		of("uid", "int", "", "owner", func(st *content.Stat) any { return st.UID }),
		of("gid", "int", "", "group", func(st *content.Stat) any { return st.GID }),
		of("mtime", "int", "epoch seconds", "last change of the content", func(st *content.Stat) any { return st.Mtime }),
		of("ctime", "int", "epoch seconds", "last change of content, owner or bits", func(st *content.Stat) any { return st.Ctime }),
		of("world_writable", "bool", "", "others may write", func(st *content.Stat) any { return !isLink(st) && st.Mode&0o002 != 0 }),
		of("world_readable", "bool", "", "others may read", func(st *content.Stat) any { return !isLink(st) && st.Mode&0o004 != 0 }),
		of("is_empty", "bool", "", "a regular file without content", func(st *content.Stat) any { return st.IsRegular() && st.Size == 0 }),
		of("is_symlink", "bool", "", "a symbolic link", func(st *content.Stat) any { return isLink(st) }),
		{Name: "symlink_target", Type: "string", Cost: collect.Cheap, Doc: "text of the symbolic link", Source: "readlink(2)",
			Get: func(f *logFile) (any, error) {
				if f.st == nil || !isLink(f.st) {
					return nil, nil
				}
				target, err := content.Readlink(f.v.env, f.path)
				return text(target), gone(err)
			}},
		ofRegular("immutable", "bool", collect.Cheap, "chattr +i is set", "statx(2), FS_IOC_GETFLAGS", (*logFile).isRegular,
			func(f *logFile) (any, error) { a, err := f.flags(); return ifKnown(a.immutable, a.known), err }),
		ofRegular("append_only", "bool", collect.Cheap, "chattr +a is set", "statx(2), FS_IOC_GETFLAGS", (*logFile).isRegular,
			func(f *logFile) (any, error) { a, err := f.flags(); return ifKnown(a.appendOnly, a.known), err }),
		ofRegular("is_sparse", "bool", collect.Cheap, "less is stored than it is long; lastlog is so by nature", "fstat(2)", (*logFile).isRegular,
			func(f *logFile) (any, error) { return f.isSparse() }),
	}
}

func isLink(st *content.Stat) bool { return st.Type() == syscall.S_IFLNK }

func fileType(st *content.Stat) any {
	switch {
	case st.IsRegular():
		return "regular"
	case isLink(st):
		return "symlink"
	case st.IsDir():
		return "directory"
	}
	return "other"
}

func ifKnown(value, known bool) any {
	if !known {
		return nil
	}
	return value
}

// ofRegular is a field that files of other kinds do not have.
func ofRegular(name, typ string, cost collect.Cost, doc, source string, has func(*logFile) bool, get func(*logFile) (any, error)) fileField {
	return fileField{Name: name, Type: typ, Cost: cost, Doc: doc, Source: source, Get: func(f *logFile) (any, error) {
		if !has(f) {
			return nil, nil
		}
		value, err := get(f)
		if err != nil {
			return nil, err
		}
		return value, nil
	}}
}

// textFields are facts of logs of lines; those of journals come from the header where there are such.
func textFields() []fileField {
	const source = "its lines, the last 32 MiB"
	of := func(name, typ, unit, doc string, get func(textFacts) any) fileField {
		f := ofRegular(name, typ, collect.Costly, doc, source, (*logFile).isText, func(f *logFile) (any, error) {
			t, err := f.text()
			return get(t), err
		})
		f.Unit = unit
		return f
	}
	return []fileField{
		of("lines", "int", "", "lines", func(t textFacts) any { return t.lines }),
		of("max_gap_s", "int", "seconds", "longest time without a line", func(t textFacts) any { return t.gap }),
		of("gap_start", "int", "epoch seconds", "time of the line before that gap", func(t textFacts) any { return number(t.gapStart) }),
		of("nul_bytes", "int", "bytes", "NULs in runs of 64 and more, as overwriting leaves them, and crashes", func(t textFacts) any { return t.nulBytes }),
		of("has_nul_blocks", "bool", "", "there are such runs", func(t textFacts) any { return t.nulBytes > 0 }),
	}
}

// recordFields are facts of the files of records and of journals, and those all kinds have.
func recordFields() []fileField {
	const source = "its lines, records or header"
	records := func(name, typ, unit, doc string, get func(recordFacts) any) fileField {
		has := func(f *logFile) bool { return f.isRegular() && f.isAccounting() }
		field := ofRegular(name, typ, collect.Costly, doc, "utmp(5)", has, func(f *logFile) (any, error) {
			r, err := f.records()
			return get(r), err
		})
		field.Unit = unit
		return field
	}
	header := func(name, typ, doc string, get func(journalFacts) any) fileField {
		has := func(f *logFile) bool { return f.isRegular() && f.kind == "journal" }
		return ofRegular(name, typ, collect.Cheap, doc, "journal file format", has, func(f *logFile) (any, error) {
			j, err := f.journal()
			return get(j), err
		})
	}
	epoch := func(name, doc string, get func(span) int64) fileField {
		return fileField{Name: name, Type: "int", Unit: "epoch seconds", Cost: collect.Costly, Doc: doc, Source: source,
			Get: func(f *logFile) (any, error) { s, err := f.span(); return number(get(s)), err }}
	}
	return []fileField{
		epoch("first_time", "time of the first line or record", func(s span) int64 { return s.first }),
		epoch("last_time", "time of the last one", func(s span) int64 { return s.last }),
		{Name: "backward_s", Type: "int", Unit: "seconds", Cost: collect.Costly, Doc: "largest step back in time from one line or record to the next", Source: source,
			Get: func(f *logFile) (any, error) { s, err := f.span(); return number(s.back), err }},
		records("records", "int", "", "records of utmp(5)", func(r recordFacts) any { return r.records }),
		records("zeroed_records", "int", "", "records of zeros, and logins without a time, as wiping leaves them", func(r recordFacts) any { return r.zeroed }),
		records("truncated_bytes", "int", "bytes", "what follows the last whole record", func(r recordFacts) any { return r.rest }),
		ofRegular("unmatched_users", "strings", collect.Costly, "of lastlog: users whose last login wtmp does not have, though it reaches back that far",
			"lastlog, wtmp", func(f *logFile) bool { return f.isRegular() && f.kind == "lastlog" },
			func(f *logFile) (any, error) { return f.unmatched() }),
		header("journal_state", "string", "offline, online or archived", func(j journalFacts) any { return text(j.State) }),
		header("journal_sealed", "bool", "entries are sealed against later change", func(j journalFacts) any { return j.IsSealed }),
		header("journal_entries", "int", "entries that the header counts", func(j journalFacts) any { return int64(j.Entries) }),
		header("journal_broken", "bool", "no journal, or shorter than its header says", func(j journalFacts) any { return j.broken }),
	}
}

// span is from when to when a file reaches; zeros where it does not say.
type span struct{ first, last, back int64 }

func (f *logFile) span() (span, error) {
	switch {
	case f.isText():
		t, err := f.text()
		return span{t.first, t.last, t.back}, err
	case f.isRegular() && f.isAccounting():
		r, err := f.records()
		return span{r.first, r.last, r.back}, err
	case f.isRegular() && f.kind == "journal":
		j, err := f.journal()
		return span{int64(j.HeadTime / 1e6), int64(j.TailTime / 1e6), 0}, err
	}
	return span{}, nil
}
