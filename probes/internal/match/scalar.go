package match

import (
	"math"
	"strconv"
	"strings"
)

type kind uint8

const (
	text kind = iota
	integer
	float
	boolean
)

// scalar is one value of a record or of a plan; its text and lower case are made when first asked for.
type scalar struct {
	kind    kind
	spelled bool
	folded  bool
	truth   bool
	integer int64
	float   float64
	text    string
	lower   string
}

// str is the text of the value, in lower case when fold is set.
func (s *scalar) str(fold bool) string {
	if !s.spelled {
		s.text, s.spelled = s.spell(), true
	}
	if !fold {
		return s.text
	}
	if !s.folded {
		s.lower, s.folded = strings.ToLower(s.text), true
	}
	return s.lower
}

func (s *scalar) spell() string {
	switch s.kind {
	case integer:
		return strconv.FormatInt(s.integer, 10)
	case float:
		return strconv.FormatFloat(s.float, 'f', -1, 64)
	case boolean:
		return strconv.FormatBool(s.truth)
	}
	return s.text
}

// number is the value as a number; text counts when it is a plain decimal.
func (s *scalar) number() (float64, bool) {
	switch s.kind {
	case integer:
		return float64(s.integer), true
	case float:
		return s.float, !math.IsNaN(s.float)
	case text:
		return parseDecimal(s.text)
	}
	return 0, false
}

// compare orders two numbers; whole numbers are compared exactly, also beyond 2^53.
func (s *scalar) compare(other *scalar) (order int, ok bool) {
	if s.kind == integer && other.kind == integer {
		return order3(s.integer < other.integer, s.integer > other.integer), true
	}
	a, aok := s.number()
	b, bok := other.number()
	return order3(a < b, a > b), aok && bok
}

func order3(less, greater bool) int {
	switch {
	case less:
		return -1
	case greater:
		return 1
	}
	return 0
}

// equal compares by value: numbers by size, else by text, so that a number equals the text of it.
func (s *scalar) equal(other *scalar, fold bool) bool {
	if s.kind == integer && other.kind == integer {
		return s.integer == other.integer
	}
	return s.str(fold) == other.str(fold)
}

// parseDecimal takes only what people write: no hexadecimal, infinities, NaN or underscores.
func parseDecimal(s string) (float64, bool) {
	if s == "" || len(s) > 64 || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0)
}
