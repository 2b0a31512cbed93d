//go:build seen

package collect

import (
	"os"
	"sync"
)

var (
	seenMutex sync.Mutex
	seen      = map[string]bool{}
)

// Get reads field i of a record and, in tests that ask which fields were ever seen with a value, appends "subject.field" to
// the file that SANDFLY_SEEN names.
func (s *Subject) Get(rec any, i int) (any, error) {
	v, err := s.get(rec, i)
	if err == nil && !isEmpty(v) {
		note(s.Name + "." + s.Fields[i].Name)
	}
	return v, err
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	case []int64:
		return len(v) == 0
	}
	return false
}

func note(field string) {
	seenMutex.Lock()
	defer seenMutex.Unlock()
	if seen[field] {
		return
	}
	seen[field] = true
	f, err := os.OpenFile(os.Getenv("SANDFLY_SEEN"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(field + "\n"); err != nil {
		panic(err)
	}
}
