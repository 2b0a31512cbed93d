package lines

import (
	"path"
	"strings"
)

// Head is what stands in front of a syslog message.
type Head struct {
	Host    string
	Program string // without directory and pid
	PID     int64  // 0: none
	Message string
}

// ParseHead reads "host program[pid]: message" as it follows the time. BusyBox puts "facility.priority" between. A line
// of another form is all message.
func ParseHead(s string) Head {
	rest := s
	var words [3]string
	for i := range words {
		word, after, found := strings.Cut(strings.TrimLeft(rest, " "), " ")
		// "name:" ends the head; so does "name[pid]:" however the name looks.
		if tag, ok := strings.CutSuffix(word, ":"); ok && tag != "" {
			h := Head{Message: strings.TrimLeft(after, " ")}
			h.Program, h.PID = parseTag(tag)
			if i > 0 && !isFacility(words[0]) {
				h.Host = words[0]
			}
			return h
		}
		if !found || word == "" {
			break
		}
		words[i], rest = word, after
	}
	return Head{Message: s}
}

// isFacility tells "authpriv.info" from a host's name: syslog's words for priorities are few.
func isFacility(word string) bool {
	_, priority, ok := strings.Cut(word, ".")
	switch priority {
	case "emerg", "alert", "crit", "err", "warn", "warning", "notice", "info", "debug":
		return ok
	}
	return false
}

// parseTag splits "sshd[123]".
func parseTag(tag string) (program string, pid int64) {
	if name, number, ok := strings.Cut(strings.TrimSuffix(tag, "]"), "["); ok {
		if n, isNumber := digits(number); isNumber {
			pid = n
		}
		tag = name
	}
	if strings.HasPrefix(tag, "/") {
		tag = path.Base(tag)
	}
	return tag, pid
}

// Pattern is a message without what differs from one occurrence to the next: numbers, and words that hold a digit, are
// replaced by #. At most limit bytes.
func Pattern(s string, limit int) string {
	var b strings.Builder
	for b.Len() < limit && s != "" {
		end := 0
		varies := false
		for end < len(s) && isWordByte(s[end]) {
			varies = varies || s[end] >= '0' && s[end] <= '9'
			end++
		}
		switch {
		case end == 0:
			b.WriteByte(s[0])
			end = 1
		case varies:
			b.WriteByte('#')
		default:
			b.WriteString(s[:min(end, limit)])
		}
		s = s[end:]
	}
	return b.String()
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
