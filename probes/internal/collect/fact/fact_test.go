package fact

import (
	"errors"
	"testing"
)

func TestEmptyValuesAreNone(t *testing.T) {
	for name, v := range map[string]any{"string": String(""), "strings": Strings(nil), "ints": Integers(nil),
		"pointer": Pointer[int64](nil)} {
		if v != nil {
			t.Errorf("%s: got %v", name, v)
		}
	}
	if v, isList := Strings([]string{}).([]string); !isList || v == nil {
		t.Error("an empty list is a value of its own")
	}
}

func TestLazyReadsOnceAndKeepsTheError(t *testing.T) {
	var l Lazy[int]
	reads := 0
	for range 2 {
		if _, err := l.Get(func() (int, error) { reads++; return 0, errors.New("no") }); err == nil {
			t.Error("the error is lost")
		}
	}
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
}
