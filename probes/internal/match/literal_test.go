package match

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// Letters with other lengths, other cases or none, and what words end at.
var (
	patternParts = []string{
		"s", "h", "k", "sh", "nc", "K", "İ", "\u212a", "ſ", "/", "-", `\.`, `\b`, `\B`, "^", "$", `\s`, `\w*`, ".*", "[ab]", "[a-z]+", "[^a]",
		"�", "(?:", "(", ")", "|", "?", "*", "+", "{2}", "{1,3}", "(?i)", "(?m)", "(?s)", "(?i:",
	}
	valueParts = []string{
		"s", "h", "k", "sh", "nc", "K", "İ", "\u212a", "ſ", "S", "SH", "/", "-", ".", " ", "\n", "_", "a", "b", "ab", "\xff", "i", "é", "",
	}
)

func some(dice *rand.Rand, parts []string, most int) string {
	var b strings.Builder
	for range dice.IntN(most) + 1 {
		b.WriteString(parts[dice.IntN(len(parts))])
	}
	return b.String()
}

func compareWithRegexp(t *testing.T, seed uint64, values int) bool {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 0))
	source := some(dice, patternParts, 9)
	plain, err := regexp.Compile(source)
	p, ownErr := newPattern(source)
	if (err == nil) != (ownErr == nil) {
		t.Fatalf("%q: %v and %v", source, err, ownErr)
	}
	if err != nil {
		return false
	}
	for range values {
		value := some(dice, valueParts, 8)
		if got, want := p.matches(&scalar{kind: text, text: value}), plain.MatchString(value); got != want {
			t.Fatalf("seed %d: %q in %q: %v, needs %v", seed, source, value, got, p.needs)
		}
	}
	return p.needs != nil
}

func TestPatternsThatNeedTextsMatchWhatTheyWouldWithout(t *testing.T) {
	needing := 0
	for seed := range uint64(4_000) {
		if compareWithRegexp(t, seed, 10) {
			needing++
		}
	}
	if needing < 400 {
		t.Errorf("%d patterns need any text", needing)
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { compareWithRegexp(t, seed, 50) })
}

func TestValuesThatLackATextArePassedOverWithoutThePattern(t *testing.T) {
	for _, c := range []struct {
		source string
		passed []string
		tried  []string
	}{
		{`\b(nc|ncat)\b[^|;]*\s-\w*e\w*\s+\S*sh\b`, []string{"func sh", "nc -e bashful", "ncat -e x"}, []string{"nc | sh -e", "NC | sh -e"}},
		{`>&\s*/dev/(tcp|udp)/`, []string{">& /dev/null", "/dev/tcp/", ">& /dev/tcp"}, []string{">& x /dev/udp/"}},
		{`^(ba|da)?sh$`, []string{"bash ", "zsh", "fish", "hash"}, []string{"sh", "dash", "Bash"}},
		{`\.so(\.[0-9]+)?$`, []string{"soon"}, []string{".so", ".so."}},
		{`^/usr/s?bin/`, []string{"/opt/usr/bin/x"}, []string{"/usr/bin/x", "/usr/sbin/x"}},
	} {
		p, err := newPattern(c.source)
		if err != nil {
			t.Fatal(err)
		}
		for i, value := range append(c.passed, c.tried...) {
			p.ready = nil
			if p.matches(&scalar{kind: text, text: value}); (p.ready != nil) != (i >= len(c.passed)) {
				t.Errorf("%s in %q: tried %v, needs %v", c.source, value, p.ready != nil, p.needs)
			}
		}
	}
}
