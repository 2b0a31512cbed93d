//go:build !seen

package collect

// Get reads field i of a record.
func (s *Subject) Get(rec any, i int) (any, error) { return s.get(rec, i) }
