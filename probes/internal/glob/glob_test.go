package glob

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMatch(t *testing.T) {
	cases := []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"*", "", true}, {"*", "any/thing", true},
		{"/tmp/*", "/tmp/a/b", true}, {"/tmp/*", "/tm", false}, {"*.sh", "run.sh", true}, {"*.sh", "run.sh.txt", false},
		{"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"?", "é", true}, {"?", "", false}, {"??", "é", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {`\*`, "*", true}, {`\*`, "x", false}, {`a\?`, "a?", true},
		{`a\?`, "ab", false}, {`\\`, `\`, true}, {`C:\\*`, `C:\x`, true}, {`end\`, `end\`, true}, {"**a", "bba", true},
		{"*a", "aab", false}, {"?", "\xff", true}, {"*x?z", "xaxbz", true},
	}
	for _, c := range cases {
		if got := Match(c.pattern, c.text); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

func TestManyStarsDoNotExplode(t *testing.T) {
	if Match(strings.Repeat("a*", 200)+"b", strings.Repeat("a", 20000)) {
		t.Error("matched")
	}
}

func TestUnescapeGivesTheTextOfALiteralPattern(t *testing.T) {
	if got := Unescape(`a\*b\\c`); got != `a*b\c` {
		t.Errorf("Unescape = %q", got)
	}
}

func TestHasWildcardIgnoresEscapedOnes(t *testing.T) {
	for pattern, want := range map[string]bool{`a\*`: false, `a*`: true, `a\\?`: true, `a`: false, `a\`: false} {
		if got := HasWildcard(pattern); got != want {
			t.Errorf("HasWildcard(%q) = %v", pattern, got)
		}
	}
}

// FuzzMatch holds the matcher against the same pattern written as a regular expression.
func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add(`\**`, "*x")
	f.Add("*?é", "aéé")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) || len(pattern) > 100 || len(text) > 1000 {
			return
		}
		re, err := regexp.Compile(asRegexp(pattern))
		if err != nil {
			return
		}
		if got, want := Match(pattern, text), re.MatchString(text); got != want {
			t.Errorf("Match(%q, %q) = %v, the regular expression says %v", pattern, text, got, want)
		}
	})
}

func asRegexp(pattern string) string {
	var b strings.Builder
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		switch {
		case runes[i] == '*':
			b.WriteString(".*")
		case runes[i] == '?':
			b.WriteString(".")
		case runes[i] == '\\' && i+1 < len(runes):
			i++
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		default:
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		}
	}
	return `(?s)\A(?:` + b.String() + `)\z`
}
