// Package lines takes the lines of logs apart: time, host, program and message, and what sshd, sudo, su, PAM, cron, the
// tools for accounts, package managers, auditd and web servers write. It is pure: text in, values out, nothing read.
package lines

import (
	"strconv"
	"strings"
	"time"
)

// Clock reads the times at the beginning of lines. A line that names no year gets that of Newest, the time of the last
// change of the file, or the year before where that would lie after it; one that names no zone is in Zone.
type Clock struct {
	Zone   *time.Location
	Newest time.Time

	minute string // the text of the minute that base stands for: neighbours mostly share it
	base   int64
}

// Parse gives the time in epoch seconds and the rest of the line behind it. ok is false when the line begins with no
// time that is known; of formats with the time inside (web servers, auditd) rest is the whole line.
func (c *Clock) Parse(line string) (when int64, rest string, ok bool) {
	body := line
	if strings.HasPrefix(line, "<") {
		body = skipPriority(line)
	}
	if body == "" {
		return 0, line, false
	}
	switch first := body[0]; {
	case first >= 'A' && first <= 'Z':
		if strings.HasPrefix(body, "Start-Date: ") || strings.HasPrefix(body, "End-Date: ") {
			_, date, _ := strings.Cut(body, ": ")
			when, _, ok = c.iso(strings.Replace(date, "  ", " ", 1))
			return when, line, ok
		}
		if when, rest, ok = c.bsd(body); ok {
			return when, rest, true
		}
		return c.ctime(body)
	case first >= '0' && first <= '9':
		if when, rest, ok = c.iso(body); ok {
			return when, rest, true
		}
		if when, ok = c.common(body); ok {
			return when, line, true
		}
		return epoch(body)
	case first == '[':
		if when, rest, ok = c.iso(body[1:]); ok {
			return when, strings.TrimPrefix(rest, "]"), true
		}
		return c.apacheError(body)
	case strings.HasPrefix(body, "type=") || strings.HasPrefix(body, "node="):
		when, ok = audit(body)
		return when, line, ok
	}
	when, ok = c.common(body)
	return when, line, ok
}

// skipPriority takes <PRI> and the version of RFC 5424 off a line.
func skipPriority(line string) string {
	end := strings.IndexByte(line, '>')
	if end < 2 || end > 4 {
		return line
	}
	return strings.TrimPrefix(line[end+1:], "1 ")
}

var months = map[string]time.Month{
	"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}

// bsd reads "Nov  4 05:40:25 " of RFC 3164.
func (c *Clock) bsd(s string) (int64, string, bool) {
	if len(s) < 16 || s[3] != ' ' || s[6] != ' ' || s[9] != ':' || s[12] != ':' || s[15] != ' ' {
		return 0, s, false
	}
	second, ok := digits(s[13:15])
	if !ok {
		return 0, s, false
	}
	if s[:12] == c.minute {
		return c.base + second, s[16:], true
	}
	month := months[s[:3]]
	day, ok1 := digits(strings.TrimLeft(s[4:6], " "))
	hour, ok2 := digits(s[7:9])
	minute, ok3 := digits(s[10:12])
	if month == 0 || !ok1 || !ok2 || !ok3 {
		return 0, s, false
	}
	newest := c.Newest.In(c.zone())
	base := time.Date(newest.Year(), month, int(day), int(hour), int(minute), 0, 0, c.zone())
	// A day of grace: the file may be younger than its time says, and clocks differ.
	if base.After(newest.AddDate(0, 0, 1)) {
		base = time.Date(newest.Year()-1, month, int(day), int(hour), int(minute), 0, 0, c.zone())
	}
	c.minute, c.base = strings.Clone(s[:12]), base.Unix()
	return c.base + second, s[16:], true
}

func (c *Clock) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// iso reads "2026-11-24T05:40:25.123+01:00", the same with a blank, with slashes, with a fraction behind a comma, with
// or without a zone.
func (c *Clock) iso(s string) (int64, string, bool) {
	if len(s) < 19 || s[4] != s[7] || s[4] != '-' && s[4] != '/' || s[13] != ':' || s[16] != ':' || s[10] != 'T' && s[10] != ' ' {
		return 0, s, false
	}
	var n [6]int64
	for i, span := range [6][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		value, ok := digits(s[span[0]:span[1]])
		if !ok {
			return 0, s, false
		}
		n[i] = value
	}
	rest := s[19:]
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	zone, rest := parseZone(rest)
	if zone == nil {
		zone = c.zone()
	}
	t := time.Date(int(n[0]), time.Month(n[1]), int(n[2]), int(n[3]), int(n[4]), int(n[5]), 0, zone)
	return t.Unix(), strings.TrimPrefix(rest, " "), true
}

// parseZone reads Z, +01:00 or +0100 at the beginning; nil when there is none.
func parseZone(s string) (*time.Location, string) {
	if strings.HasPrefix(s, "Z") {
		return time.UTC, s[1:]
	}
	if len(s) < 5 || s[0] != '+' && s[0] != '-' {
		return nil, s
	}
	size := 5
	text := s[1:5]
	if s[3] == ':' && len(s) >= 6 {
		text, size = s[1:3]+s[4:6], 6
	}
	n, ok := digits(text)
	if !ok {
		return nil, s
	}
	offset := int(n/100*3600 + n%100*60)
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), s[size:]
}

// ctime reads "Tue Nov 24 05:40:25 2026 ".
func (c *Clock) ctime(s string) (int64, string, bool) {
	const size = len("Tue Nov 24 05:40:25 2026")
	if len(s) < size {
		return 0, s, false
	}
	t, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", s[:size], c.zone())
	if err != nil {
		return 0, s, false
	}
	return t.Unix(), strings.TrimPrefix(s[size:], " "), true
}

// apacheError reads "[Tue Nov 24 05:40:25.123456 2026] ".
func (c *Clock) apacheError(s string) (int64, string, bool) {
	end := strings.IndexByte(s, ']')
	if end < 0 || end > 40 {
		return 0, s, false
	}
	t, err := time.ParseInLocation("Mon Jan _2 15:04:05.999999 2006", s[1:end], c.zone())
	if err != nil {
		return 0, s, false
	}
	return t.Unix(), strings.TrimPrefix(s[end+1:], " "), true
}

// common reads "[24/Nov/2026:05:40:25 +0000]" of the common log format, wherever it stands in the beginning.
func (c *Clock) common(s string) (int64, bool) {
	const size = len("24/Nov/2026:05:40:25 +0000")
	start := strings.IndexByte(s[:min(len(s), 512)], '[')
	if start < 0 || len(s) < start+1+size {
		return 0, false
	}
	text := s[start+1 : start+1+size]
	if text[2] != '/' || text[11] != ':' {
		return 0, false
	}
	if text[:17]+text[20:] == c.minute {
		second, ok := digits(text[18:20])
		return c.base + second, ok
	}
	t, err := time.Parse("02/Jan/2006:15:04:05 -0700", text)
	if err != nil {
		return 0, false
	}
	c.minute, c.base = text[:17]+text[20:], t.Unix()-int64(t.Second())
	return t.Unix(), true
}

// audit reads "msg=audit(1700000000.123:456)".
func audit(s string) (int64, bool) {
	_, rest, ok := strings.Cut(s[:min(len(s), 256)], "msg=audit(")
	if !ok {
		return 0, false
	}
	seconds, _, _ := strings.Cut(rest, ".")
	return digits(seconds)
}

// epoch reads "1700000000.123 " as proxies write it.
func epoch(s string) (int64, string, bool) {
	word, rest, _ := strings.Cut(s, " ")
	seconds, _, _ := strings.Cut(word, ".")
	n, ok := digits(seconds)
	if len(seconds) != 10 || !ok {
		return 0, s, false
	}
	return n, strings.TrimLeft(rest, " "), true
}

// digits reads a number of at most 18 decimal digits.
func digits(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// whole reads a number as an id; -1 when it is none.
func whole(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
