package seq

import (
	"slices"
	"strings"
	"testing"
)

func FuzzParts(f *testing.F) {
	for _, seed := range []string{"", "a", "a\n", "\n\na b\t c", "a,,b,", " \u2003x\xff y ", "--a--"} {
		f.Add(seed, ",")
		f.Add(seed, "--")
	}
	f.Fuzz(func(t *testing.T, s, sep string) {
		if sep == "" {
			return
		}
		if got, want := slices.Collect(Split(s, sep)), strings.Split(s, sep); !slices.Equal(got, want) {
			t.Errorf("Split(%q, %q) = %q, want %q", s, sep, got, want)
		}
		if got, want := slices.Collect(Fields(s)), strings.Fields(s); !slices.Equal(got, want) {
			t.Errorf("Fields(%q) = %q, want %q", s, got, want)
		}
		want := strings.SplitAfter(s, "\n")
		if last := len(want) - 1; want[last] == "" {
			want = want[:last]
		}
		if got := slices.Collect(Lines(s)); !slices.Equal(got, want) {
			t.Errorf("Lines(%q) = %q, want %q", s, got, want)
		}
	})
}

func TestPartsAreGivenUntilTheReaderStops(t *testing.T) {
	for name, parts := range map[string]func(func(string) bool){
		"lines": Lines("a\nb\nc"), "split": Split("a,b,c", ","), "fields": Fields("a b c"),
	} {
		seen := 0
		for range parts {
			seen++
			break
		}
		if seen != 1 {
			t.Errorf("%s: %d parts, want the first alone", name, seen)
		}
	}
}
