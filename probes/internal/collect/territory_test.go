package collect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestTerritoryCoversWhatItsScopesCover(t *testing.T) {
	dice := rand.New(rand.NewPCG(7, 1))
	pick := func(words ...string) string { return words[dice.IntN(len(words))] }
	pattern := func() string {
		out := ""
		for range dice.IntN(4) {
			out += "/" + pick("a", "b", "ab", "*", "a*", "?", `\*`, `a\?`)
		}
		return out + pick("", "", "/")
	}
	path := func() string {
		out := ""
		for range dice.IntN(6) {
			out += pick("/", "/", "//") + pick("a", "b", "ab", "abc", "*", "a?")
		}
		return out + pick("", "", "", "/")
	}
	for range 2000 {
		sets := make([][]Scope, 1+dice.IntN(4))
		for i := range sets {
			for range 1 + dice.IntN(2) {
				s := Scope{MaxDepth: dice.IntN(4) - 1}
				for range dice.IntN(3) {
					s.Paths = append(s.Paths, pattern())
				}
				if dice.IntN(4) == 0 {
					s.Exclude = append(s.Exclude, "/"+pick("a", "b", "*", "ab/a"))
				}
				sets[i] = append(sets[i], s)
			}
		}
		territory := NewTerritory(sets)
		for range 20 {
			p := path()
			var want []int
			for i, scopes := range sets {
				if slices.ContainsFunc(scopes, func(s Scope) bool { return s.Covers(p) }) {
					want = append(want, i)
				}
			}
			got := slices.Sorted(slices.Values(territory.Covering(p)))
			if !slices.Equal(got, want) {
				t.Fatalf("%q of %+v: %v, want %v", p, sets, got, want)
			}
			if territory.Covers(p) != (len(want) > 0) {
				t.Fatalf("%q of %+v", p, sets)
			}
		}
	}
}

func TestALookAtATerritoryDoesNotAllocate(t *testing.T) {
	territory := NewTerritory([][]Scope{{{Paths: []string{"/home/*/.ssh", "/usr/bin"}, MaxDepth: -1}}, {{MaxDepth: 2}}})
	deep := strings.Repeat("/a", 30)
	territory.Covers(deep)

	if n := testing.AllocsPerRun(100, func() { territory.Covers("/home/eve/.ssh/id"); territory.Covers(deep) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
