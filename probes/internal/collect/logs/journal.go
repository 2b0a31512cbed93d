package logs

import (
	"errors"
	"fmt"
	"strconv"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/logs/journal"
	"sandfly/probes/internal/collect/logs/lines"
)

// journalFields are the fields of entries that records are made of; see systemd.journal-fields(7).
var journalFields = map[string]bool{
	"MESSAGE": true, "SYSLOG_IDENTIFIER": true, "_COMM": true, "_PID": true, "SYSLOG_PID": true, "_SYSTEMD_UNIT": true,
	"PRIORITY": true, "_HOSTNAME": true, "_UID": true, "_TRANSPORT": true, "_AUDIT_TYPE_NAME": true,
}

// journal emits the entries of one journal that lie in the window.
func (r *lineReader) journal(s logSource) error {
	st, err := content.StatPath(r.v.env, s.path)
	if err != nil {
		return err
	}
	if max(st.Mtime, st.Ctime) < r.since || !st.IsRegular() {
		return nil
	}
	f, err := content.Open(r.v.env, s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	j, err := journal.Open(f, f.Size(), func(name string) bool { return journalFields[name] })
	if err == nil {
		err = j.Since(uint64(max(0, r.since))*1e6, func(e *journal.Entry) error { return r.entry(s, j, e) })
	}
	if errors.Is(err, journal.ErrMalformed) {
		// A journal that is being written may end in the middle of an entry.
		if err = fmt.Errorf("%w: %w", errFile, err); j != nil && j.State == "online" {
			return nil
		}
	}
	return err
}

func (r *lineReader) entry(s logSource, j *journal.File, e *journal.Entry) error {
	l := &line{v: r.v, log: s.log, path: s.path, offset: int64(e.Offset), time: int64(e.Time / 1e6),
		journal: &entryFacts{priority: -1, uid: -1}}
	var command, pid string
	unread, err := j.Each(e, func(name, value string, isCut bool) {
		switch name {
		case "_COMM":
			command = value
		case "_PID":
			pid = value
		default:
			l.take(name, value, isCut)
		}
	})
	if err != nil {
		return err
	}
	if l.head.Program == "" {
		l.head.Program = command
	}
	if n, err := strconv.ParseInt(pid, 10, 64); err == nil && l.head.PID == 0 {
		l.head.PID = n
	}
	l.journal.unread = unread && l.text == ""
	if r.left -= int64(len(l.text)); r.left < 0 {
		return errVisitBytes
	}
	return r.emit(l)
}

// take sets what one field of an entry says.
func (l *line) take(name, value string, isCut bool) {
	number := func() int64 {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	switch name {
	case "MESSAGE":
		l.text, l.isCut = cut(value, maxLine), isCut || len(value) > maxLine
		l.head.Message = l.text
	case "SYSLOG_IDENTIFIER":
		l.head.Program = cut(value, maxName)
	case "_HOSTNAME":
		l.head.Host = cut(value, maxName)
	case "_SYSTEMD_UNIT":
		l.journal.unit = cut(value, maxName)
	case "_TRANSPORT":
		l.journal.transport = cut(value, maxName)
	case "_AUDIT_TYPE_NAME":
		l.journal.auditType = cut(value, maxName)
	case "PRIORITY":
		l.journal.priority = number()
	case "_UID":
		l.journal.uid = number()
	case "SYSLOG_PID":
		l.head.PID = max(0, number())
	}
}

const maxName = 256

// isAuditEntry tells an entry that came from the kernel's audit: its message begins with the type.
func (l *line) isAuditEntry() bool { return l.journal != nil && l.journal.transport == "audit" }

// journalAudit takes the type off an audit message, as "SYSCALL arch=c000003e …".
func (l *line) journalAudit() (lines.Audit, bool) {
	return lines.ParseAudit(l.head.Message, l.journal.auditType)
}
