// Package glob matches text against patterns with `*` (any run of characters), `?` (one character) and `\` (the next
// character is literal). It knows no path separators and needs no memory; time is at most pattern times text.
package glob

import (
	"strings"
	"unicode/utf8"
)

// special are the characters that are not themselves in a pattern.
const special = `*?\`

// Match says whether the whole text fits the pattern.
func Match(pattern, text string) bool {
	p, t := 0, 0
	star, resume := -1, 0 // after the last `*`: where the pattern goes on, and where in the text it is tried next
	for {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, resume = p, t
			continue
		}
		if p == len(pattern) && t == len(text) {
			return true
		}
		if pn, tn, ok := step(pattern, p, text, t); ok {
			p, t = pn, tn
			continue
		}
		if star < 0 || resume >= len(text) {
			return false
		}
		if resume = next(pattern[star:], text, resume); resume < 0 {
			return false
		}
		p, t = star, resume
	}
}

// step matches one character of the pattern, which is no `*`, and gives the places behind it.
func step(pattern string, p int, text string, t int) (int, int, bool) {
	if p == len(pattern) || t == len(text) {
		return 0, 0, false
	}
	switch pattern[p] {
	case '?':
		_, size := utf8.DecodeRuneInString(text[t:])
		return p + 1, t + size, true
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, t + 1, pattern[p] == text[t]
}

// next is the place after `from` where the rest of the pattern may fit; a literal start is searched for directly.
func next(rest, text string, from int) int {
	_, size := utf8.DecodeRuneInString(text[from:])
	from += size
	if rest == "" || strings.IndexByte(special, rest[0]) >= 0 {
		return from
	}
	i := strings.IndexByte(text[from:], rest[0])
	if i < 0 {
		return -1
	}
	return from + i
}

// Unescape gives the text of a pattern without wildcards.
func Unescape(pattern string) string {
	if strings.IndexByte(pattern, '\\') < 0 {
		return pattern
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// HasWildcard says whether the pattern has a `*` or `?` that is not escaped.
func HasWildcard(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '*', '?':
			return true
		}
	}
	return false
}
