package lines

import (
	"net/netip"
	"strings"

	"sandfly/probes/internal/seq"
)

// SSH is what a line of sshd says. Empty fields are not in the line.
type SSH struct {
	Event       string // accepted, failed, invalid_user, closed, disconnected, too_many, not_allowed, connection, bad_protocol
	Method      string // password, publickey, keyboard-interactive/pam …
	Username    string
	Address     string
	Port        int64
	KeyType     string
	Fingerprint string
}

// sshEvents are the beginnings of sshd's messages; the rest of each is read by the same few words.
var sshEvents = []struct{ prefix, event string }{
	{"Accepted ", "accepted"},
	{"Failed ", "failed"},
	{"Invalid user ", "invalid_user"},
	{"Illegal user ", "invalid_user"},
	{"Connection closed by ", "closed"},
	{"Connection reset by ", "closed"},
	{"Disconnected from ", "disconnected"},
	{"Received disconnect from ", "disconnected"},
	{"Disconnecting ", "too_many"},
	{"error: maximum authentication attempts exceeded for ", "too_many"},
	{"Connection from ", "connection"},
	{"Bad protocol version identification ", "bad_protocol"},
	{"User ", "not_allowed"},
}

// ParseSSH reads a message of sshd or dropbear; false when it is of no kind that is known.
func ParseSSH(message string) (SSH, bool) {
	for _, e := range sshEvents {
		rest, ok := strings.CutPrefix(message, e.prefix)
		if !ok || e.event == "not_allowed" && !strings.Contains(rest, " not allowed because") {
			continue
		}
		s := SSH{Event: e.event}
		s.read(rest)
		return s, true
	}
	return SSH{}, false
}

// read takes the words of "password for invalid user ann from 203.0.113.9 port 4711 ssh2: ED25519 SHA256:…". The user's
// name is what an attacker types, so it ends at the last " from ".
func (s *SSH) read(rest string) {
	if s.Event == "connection" {
		// What follows is the host's own side: "203.0.113.9 port 4711 on 192.0.2.1 port 22".
		rest, _, _ = strings.Cut(rest, " on ")
	}
	who, where := rest, ""
	if at := strings.LastIndex(rest, " from "); at >= 0 {
		who, where = rest[:at], rest[at+len(" from "):]
	}
	switch s.Event {
	case "accepted", "failed":
		s.Method, who, _ = strings.Cut(who, " for ")
	case "closed", "disconnected", "connection", "bad_protocol", "too_many":
		if where == "" {
			who, where = endpoint(who)
		}
	case "not_allowed":
		who, _, _ = strings.Cut(where, " not allowed")
		where = ""
		s.notAllowed(rest)
		return
	}
	if name, ok := strings.CutPrefix(who, "invalid user "); ok {
		who = name
		if s.Event == "failed" {
			s.Event = "invalid_user"
		}
	}
	who = strings.TrimPrefix(strings.TrimPrefix(who, "authenticating user "), "user ")
	if s.Event != "connection" && s.Event != "bad_protocol" {
		s.Username = strings.TrimSpace(who)
	}
	s.where(where)
}

// notAllowed reads "root from 203.0.113.9 not allowed because not listed in AllowUsers".
func (s *SSH) notAllowed(rest string) {
	who, _, _ := strings.Cut(rest, " not allowed because")
	s.Username = who
	if at := strings.LastIndex(who, " from "); at >= 0 {
		s.Username = who[:at]
		s.where(who[at+len(" from "):])
	}
}

// endpoint splits "invalid user ann 203.0.113.9 port 22 [preauth]" before the address.
func endpoint(s string) (who, where string) {
	at := strings.LastIndex(s, " port ")
	if at < 0 {
		return s, ""
	}
	start := strings.LastIndexByte(s[:at], ' ') + 1
	return strings.TrimSpace(s[:start]), s[start:]
}

// where reads "203.0.113.9 port 4711 ssh2: RSA SHA256:…".
func (s *SSH) where(where string) {
	words := strings.Fields(where)
	for i, word := range words {
		switch {
		case i == 0:
			s.Address = address(word)
		case word == "port" && i+1 < len(words):
			// "port 4711:11: bye" brings the reason for leaving.
			port, _, _ := strings.Cut(words[i+1], ":")
			s.Port = max(0, whole(port))
		case strings.HasPrefix(word, "SHA256:") || strings.HasPrefix(word, "MD5:"):
			s.Fingerprint = word
			s.KeyType = strings.Trim(words[i-1], ":")
		}
	}
}

// address is the text of an IP address, without what may hang on it; "" for anything else.
func address(word string) string {
	a, err := netip.ParseAddr(strings.Trim(word, "[]:,;"))
	if err != nil {
		return ""
	}
	return a.WithZone("").Unmap().String()
}

// Sudo is a line of sudo.
type Sudo struct {
	Username, RunAs, TTY, Directory, Command, Reason string
	Denied                                           bool
}

// ParseSudo reads "ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/bin/ls"; a reason before TTY says that it was
// refused. The command is everything behind COMMAND=.
func ParseSudo(message string) (Sudo, bool) {
	who, rest, ok := strings.Cut(message, " : ")
	if !ok {
		return Sudo{}, false
	}
	s := Sudo{Username: strings.TrimSpace(who)}
	head, command, has := strings.Cut(rest, "COMMAND=")
	s.Command = command
	for part := range seq.Split(head, " ; ") {
		key, value, isPair := strings.Cut(part, "=")
		value = strings.TrimSpace(value)
		switch {
		case key == "TTY":
			s.TTY = value
		case key == "PWD":
			s.Directory = value
		case key == "USER":
			s.RunAs = value
		case !isPair && strings.TrimSpace(part) != "":
			s.Reason = strings.TrimSpace(part)
		}
	}
	s.Denied = s.Reason != ""
	return s, has || s.RunAs != "" || s.TTY != ""
}

// Su is a line of su.
type Su struct {
	Username, Target string
	Denied           bool
}

// ParseSu reads the lines of util-linux, shadow and BusyBox: "(to root) ann on pts/0", "FAILED SU (to root) ann on
// pts/0", "+ /dev/pts/0 ann:root", "Successful su for root by ann".
func ParseSu(message string) (Su, bool) {
	denied := strings.HasPrefix(message, "FAILED") || strings.HasPrefix(message, "- ") || strings.Contains(message, "incorrect password")
	if _, rest, ok := strings.Cut(message, "(to "); ok {
		target, rest, _ := strings.Cut(rest, ") ")
		name, _, _ := strings.Cut(rest, " ")
		return Su{name, target, denied}, name != ""
	}
	if _, rest, ok := strings.Cut(message, " su for "); ok {
		target, name, _ := strings.Cut(rest, " by ")
		return Su{name, target, denied}, name != ""
	}
	if len(message) > 2 && (message[0] == '+' || message[0] == '-') && message[1] == ' ' {
		words := strings.Fields(message)
		name, target, ok := strings.Cut(words[len(words)-1], ":")
		return Su{name, target, denied}, ok
	}
	return Su{}, false
}

// PAM is a line of a PAM module.
type PAM struct {
	Module, Service, Event, Username, RemoteHost string // Event: opened, closed, failure, check_failed, changed, other
}

// ParsePAM reads "pam_unix(sshd:auth): authentication failure; … rhost=203.0.113.9  user=root".
func ParsePAM(message string) (PAM, bool) {
	if !strings.HasPrefix(message, "pam_") {
		return PAM{}, false
	}
	module, rest, ok := strings.Cut(message, "(")
	service, text, closed := strings.Cut(rest, "): ")
	if !ok || !closed {
		return PAM{}, false
	}
	service, _, _ = strings.Cut(service, ":")
	p := PAM{Module: module, Service: service, Event: "other"}
	switch {
	case strings.HasPrefix(text, "session opened for user "):
		p.Event, p.Username = "opened", firstName(text[len("session opened for user "):])
	case strings.HasPrefix(text, "session closed for user "):
		p.Event, p.Username = "closed", firstName(text[len("session closed for user "):])
	case strings.HasPrefix(text, "authentication failure"):
		p.Event = "failure"
		p.RemoteHost, _, _ = strings.Cut(after(text, "rhost="), " ")
		p.Username = strings.TrimSpace(after(text, " user="))
	case strings.HasPrefix(text, "password changed for "):
		p.Event, p.Username = "changed", firstName(text[len("password changed for "):])
	case strings.HasPrefix(text, "check pass; user unknown"):
		p.Event = "failure"
	}
	return p, true
}

// firstName is a user's name before "(uid=0) by …".
func firstName(s string) string {
	name, _, _ := strings.Cut(s, " ")
	name, _, _ = strings.Cut(name, "(")
	return name
}

func after(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	return rest
}

// Cron is a command that cron started.
type Cron struct{ Username, Command string }

// ParseCron reads "(root) CMD (command)" and BusyBox's "USER root pid 5 cmd command".
func ParseCron(message string) (Cron, bool) {
	if name, rest, ok := strings.Cut(message, ") CMD ("); ok && strings.HasPrefix(name, "(") {
		return Cron{name[1:], strings.TrimSpace(strings.TrimSuffix(rest, ")"))}, true
	}
	if rest, ok := strings.CutPrefix(message, "USER "); ok {
		name, rest, _ := strings.Cut(rest, " ")
		if _, command, ok := strings.Cut(rest, " cmd "); ok {
			return Cron{name, command}, true
		}
	}
	return Cron{}, false
}
