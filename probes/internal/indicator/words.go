package indicator

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// MaxWords bounds how many words of one value are looked up; a value with more is not looked at to its end.
const MaxWords = 4096

// finder calls use with every canonical spelling in a value that may be on the list.
type finder func(s *Set, value string, words *budget, use func(string))

// budget counts words down.
type budget struct{ left int }

func (b *budget) spend() bool {
	b.left--
	return b.left >= 0
}

// finders are how the values of each kind are found in a text: a field that is nothing but the value, a command line,
// a log line. Kinds are those of sandfly_web/rules/indicators/kinds.py.
var finders = map[string]finder{
	"md5":             hashFinder(32),
	"sha1":            hashFinder(40),
	"sha256":          hashFinder(64),
	"sha512":          hashFinder(128),
	"ip":              findAddresses,
	"domain":          findDomains,
	"path":            findPaths,
	"filename":        findNames,
	"key_fingerprint": findFingerprints,
}

// Find calls use with every candidate in a value; it is false when the value has more words than are looked up.
func (s *Set) Find(value string, use func(candidate string)) (complete bool) {
	words := &budget{MaxWords}
	s.find(s, value, words, use)
	return words.left >= 0
}

// runs calls use with every longest run of bytes of a class, until the budget is used up.
func runs(value string, in func(byte) bool, words *budget, fits func(run string) bool, use func(run string)) {
	for i := 0; i < len(value); {
		if !in(value[i]) {
			i++
			continue
		}
		start := i
		for i < len(value) && in(value[i]) {
			i++
		}
		if run := value[start:i]; fits(run) {
			if !words.spend() {
				return
			}
			use(run)
		}
	}
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func hashFinder(length int) finder {
	fits := func(run string) bool {
		return len(run) == length && strings.IndexFunc(run, func(r rune) bool { return !isHex(byte(r)) }) < 0
	}
	return func(s *Set, value string, words *budget, use func(string)) {
		runs(value, isAlnum, words, fits, func(run string) {
			if digest := strings.ToLower(run); s.Has(digest) {
				use(digest)
			}
		})
	}
}

// findAddresses also takes those with a port behind them, and IPv6 in brackets.
func findAddresses(s *Set, value string, words *budget, use func(string)) {
	in := func(c byte) bool { return isHex(c) || c == '.' || c == ':' }
	fits := func(run string) bool {
		return len(run) >= 2 && len(run) <= 64 && (strings.Count(run, ".") >= 3 || strings.Count(run, ":") >= 2)
	}
	runs(value, in, words, fits, func(run string) {
		run = strings.TrimRight(run, ".")
		address, err := netip.ParseAddr(run)
		if err != nil {
			run = strings.TrimSuffix(run, ":")
			if colon := strings.IndexByte(run, ':'); colon > 0 && strings.Contains(run[:colon], ".") {
				run = run[:colon]
			}
			address, err = netip.ParseAddr(run)
		}
		if err == nil {
			s.address(address, use)
		}
	})
}

// isBlocked tells a line of a hosts file that gives its names no address: it keeps the host away from them.
func isBlocked(value string) bool {
	end := strings.IndexAny(value, " \t")
	return end > 0 && slices.Contains([]string{"0.0.0.0", "127.0.0.1", "::", "::1"}, value[:end])
}

// findDomains looks up every name and the domains it is below: what lies below a bad domain is bad.
func findDomains(s *Set, value string, words *budget, use func(string)) {
	if isBlocked(value) {
		return
	}
	in := func(c byte) bool { return isAlnum(c) || c == '.' || c == '-' || c == '_' }
	fits := func(run string) bool { return len(run) >= 4 && strings.IndexByte(run, '.') >= 0 }
	runs(value, in, words, fits, func(run string) {
		name := strings.ToLower(strings.Trim(run, ".-"))
		last := name[strings.LastIndexByte(name, '.')+1:]
		if len(name) > 253 || len(last) < 2 || !isLetter(last[0]) {
			return
		}
		for {
			if s.Has(name) {
				use(name)
			}
			_, parent, _ := strings.Cut(name, ".")
			if strings.IndexByte(parent, '.') < 0 || !words.spend() {
				return
			}
			name = parent
		}
	})
}

// isWordEnd tells what ends a path in a command line or a log line.
func isWordEnd(c byte) bool { return c <= ' ' || strings.IndexByte("\"'`=;|&<>(),:[]{}", c) >= 0 }

func isWord(c byte) bool { return !isWordEnd(c) }

// findPaths takes a whole value that is a path, whatever is in it, and the words that begin with a slash.
func findPaths(s *Set, value string, words *budget, use func(string)) {
	look := func(word string) {
		if p := path.Clean(word); s.Has(p) {
			use(p)
		}
	}
	isPath := strings.HasPrefix(value, "/")
	if isPath && words.spend() {
		look(value)
	}
	runs(value, isWord, words, func(run string) bool { return run[0] == '/' && len(run) < len(value) }, look)
}

// findNames takes the last part of a whole value and of every word.
func findNames(s *Set, value string, words *budget, use func(string)) {
	look := func(word string) {
		if name := word[strings.LastIndexByte(word, '/')+1:]; name != "" && s.Has(name) {
			use(name)
		}
	}
	if words.spend() {
		look(value)
	}
	runs(value, isWord, words, func(run string) bool { return len(run) < len(value) }, look)
}

// findFingerprints takes them as ssh-keygen -l prints them and sshd logs them.
func findFingerprints(s *Set, value string, words *budget, use func(string)) {
	const mark, length = "SHA256:", len("SHA256:") + 43
	for {
		at := strings.Index(value, mark)
		if at < 0 || len(value) < at+length || !words.spend() {
			return
		}
		if print := value[at : at+length]; s.Has(print) {
			use(print)
		}
		value = value[at+len(mark):]
	}
}
