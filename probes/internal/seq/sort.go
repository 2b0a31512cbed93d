package seq

import "sort"

// sorter is a list of any type for the sort package: its one sorting program serves all types, while slices.SortFunc is
// compiled anew for each, which takes 8 kB.
type sorter struct {
	length int
	less   func(i, j int) bool
	swap   func(i, j int)
}

func (s *sorter) Len() int           { return s.length }
func (s *sorter) Less(i, j int) bool { return s.less(i, j) }
func (s *sorter) Swap(i, j int)      { s.swap(i, j) }

func sorterOf[T any](list []T, compare func(a, b T) int) *sorter {
	return &sorter{len(list), func(i, j int) bool { return compare(list[i], list[j]) < 0 },
		func(i, j int) { list[i], list[j] = list[j], list[i] }}
}

// SortFunc sorts as slices.SortFunc does; for lists that are long or sorted often that one is twice as fast.
func SortFunc[T any](list []T, compare func(a, b T) int) { sort.Sort(sorterOf(list, compare)) }

// SortStableFunc sorts as slices.SortStableFunc does: what is equal stays in its order.
func SortStableFunc[T any](list []T, compare func(a, b T) int) { sort.Stable(sorterOf(list, compare)) }
