package report

import (
	"math"
	"strconv"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendText writes text as a JSON string of at most max bytes of the original, cut between characters. NUL and bytes
// that are not UTF-8 become the four characters \xNN, so that nothing a host sends can break the line or hide in it.
func appendText(buf []byte, s string, max int) (line []byte, cut bool) {
	s, cut = clip(s, max)
	buf = append(buf, '"')
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			buf = appendASCII(buf, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			buf = append(buf, '\\', '\\', 'x', hex[s[i]>>4], hex[s[i]&15])
		} else {
			buf = append(buf, s[i:i+size]...)
		}
		i += size
	}
	return append(buf, '"'), cut
}

func appendASCII(buf []byte, c byte) []byte {
	switch {
	case c == 0: // legal JSON as \u0000, but databases cannot hold it as text
		return append(buf, `\\x00`...)
	case c == '"' || c == '\\':
		return append(buf, '\\', c)
	case c >= 0x20 && c != 0x7f:
		return append(buf, c)
	}
	return append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// clip cuts text to at most max bytes without splitting a character.
func clip(s string, max int) (string, bool) {
	if len(s) <= max {
		return s, false
	}
	end := max
	for back := 0; back < utf8.UTFMax-1 && end > 0 && !utf8.RuneStart(s[end]); back++ {
		end--
	}
	return s[:end], true
}

// listFactor is how many times the bound of one value a whole list may take.
const listFactor = 16

// appendValue writes what a getter returned; max bounds one text, sixteen times that a list.
func appendValue(buf []byte, value any, max int) (line []byte, cut bool) {
	switch v := value.(type) {
	case string:
		return appendText(buf, conceal(v), max)
	case int64:
		return strconv.AppendInt(buf, v, 10), false
	case float64:
		return appendFloat(buf, v), false
	case bool:
		return strconv.AppendBool(buf, v), false
	case []string:
		return appendList(buf, v, max*listFactor, func(b []byte, s string) ([]byte, bool) {
			return appendText(b, conceal(s), max)
		})
	case []int64:
		return appendList(buf, v, max*listFactor, func(b []byte, n int64) ([]byte, bool) {
			return strconv.AppendInt(b, n, 10), false
		})
	}
	return append(buf, "null"...), false
}

// appendFloat writes a JSON number; JSON has no word for infinities and NaN.
func appendFloat(buf []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(buf, "null"...)
	}
	return strconv.AppendFloat(buf, f, 'g', -1, 64)
}

func appendList[T any](buf []byte, list []T, max int, element func([]byte, T) ([]byte, bool)) ([]byte, bool) {
	buf = append(buf, '[')
	start, anyCut := len(buf), false
	for i, e := range list {
		if len(buf)-start > max {
			anyCut = true
			break
		}
		if i > 0 {
			buf = append(buf, ',')
		}
		var cut bool
		buf, cut = element(buf, e)
		anyCut = anyCut || cut
	}
	return append(buf, ']'), anyCut
}
