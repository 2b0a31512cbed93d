package lines

import (
	"net/url"
	"strings"
)

// Web is a request in the common, combined or vhost-combined log format. Empty fields are not in the line ("-").
type Web struct {
	Host, Address, Username  string
	Method, URI, Path, Query string
	Protocol, Referer, Agent string
	Status, Size             int64 // -1: none
	Malformed                bool  // what was asked is no request of HTTP
}

// ParseWeb reads `[vhost:port ]address ident user [time] "request" status size ["referer" "agent"]`.
func ParseWeb(line string) (Web, bool) {
	w := Web{Status: -1, Size: -1}
	at := strings.IndexByte(line, '[')
	end := strings.IndexByte(line, ']')
	if at < 0 || end < at {
		return w, false
	}
	words := strings.Fields(line[:at])
	if len(words) > 3 || len(words) == 3 && address(words[0]) == "" && address(words[1]) != "" {
		w.Host, words = words[0], words[1:]
	}
	if len(words) == 0 {
		return w, false
	}
	w.Address = address(words[0])
	if len(words) >= 3 {
		w.Username = dash(strings.Join(words[2:], " "))
	}
	request, rest, ok := quoted(line[end+1:])
	if !ok {
		return w, false
	}
	w.request(request)
	w.answer(rest)
	return w, true
}

// request reads "GET /path?query HTTP/1.1".
func (w *Web) request(s string) {
	method, rest, ok := strings.Cut(s, " ")
	at := strings.LastIndexByte(rest, ' ')
	if !ok || at < 0 && !strings.HasPrefix(rest, "/") {
		w.URI, w.Malformed = dash(s), true
		return
	}
	w.Method, w.URI = method, rest
	if at >= 0 && strings.HasPrefix(rest[at+1:], "HTTP/") {
		w.URI, w.Protocol = rest[:at], rest[at+1:]
	}
	local := w.URI
	// What is asked of a proxy names the host.
	if _, place, ok := strings.Cut(local[:min(len(local), 2048)], "://"); ok && !strings.HasPrefix(local, "/") {
		w.Host, _, _ = strings.Cut(place, "/")
		local = strings.TrimPrefix(local[strings.Index(local, "://")+3:], w.Host)
	}
	w.Path, w.Query, _ = strings.Cut(local, "?")
}

func (w *Web) answer(s string) {
	words := strings.Fields(s[:min(len(s), 64)])
	if len(words) > 0 {
		if n, ok := digits(words[0]); ok {
			w.Status = n
		}
	}
	if len(words) > 1 {
		if n, ok := digits(words[1]); ok {
			w.Size = n
		}
	}
	referer, rest, ok := quoted(s)
	if !ok {
		return
	}
	w.Referer = dash(referer)
	agent, _, _ := quoted(rest)
	w.Agent = dash(agent)
}

// quoted gives the next text in double quotes; inside, a backslash keeps the quote behind it.
func quoted(s string) (text, rest string, ok bool) {
	start := strings.IndexByte(s, '"')
	if start < 0 {
		return "", s, false
	}
	for i := start + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[start+1 : i], s[i+1:], true
		}
	}
	return s[start+1:], "", true
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// Decoded is the request's path and query as an application may understand it: percent escapes resolved, up to three
// times, since attackers nest them. What is no escape stays.
func (w *Web) Decoded() string {
	s := w.URI
	for range 3 {
		if !strings.Contains(s, "%") {
			break
		}
		next := unescape(s)
		if next == s {
			break
		}
		s = next
	}
	return s
}

// unescape resolves those percent escapes that are whole.
func unescape(s string) string {
	if whole, err := url.PathUnescape(s); err == nil {
		return whole
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
