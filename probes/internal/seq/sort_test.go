package seq

import (
	"cmp"
	"slices"
	"testing"
)

func TestListsAreSortedAsTheStandardLibraryDoes(t *testing.T) {
	type pair struct{ key, place int }
	for size := range 200 {
		var list []pair
		state := uint32(size)
		for place := range size {
			state = state*1664525 + 1013904223
			list = append(list, pair{int(state >> 28), place})
		}
		byKey := func(a, b pair) int { return cmp.Compare(a.key, b.key) }
		want := slices.Clone(list)
		slices.SortStableFunc(want, byKey)
		stable := slices.Clone(list)
		SortStableFunc(stable, byKey)
		SortFunc(list, byKey)

		if !slices.Equal(stable, want) || !slices.IsSortedFunc(list, byKey) {
			t.Fatal(size)
		}
	}
}
