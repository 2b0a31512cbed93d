package match

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"sandfly/probes/internal/glob"
	"sandfly/probes/internal/plan"
)

// operators make the test of one value; re, exists, null, keyword and fieldref are not among them.
var operators = map[string]func(value any, fold bool) (test, *plan.Fault){
	"eq":         equalTest,
	"glob":       textTest(globTest),
	"contains":   textTest(func(v string, fold bool) test { return partTest(v, fold, strings.Contains) }),
	"startswith": textTest(func(v string, fold bool) test { return partTest(v, fold, strings.HasPrefix) }),
	"endswith":   textTest(func(v string, fold bool) test { return partTest(v, fold, strings.HasSuffix) }),
	"cidr":       networkTest,
	"gt":         orderTest(func(order int) bool { return order > 0 }),
	"gte":        orderTest(func(order int) bool { return order >= 0 }),
	"lt":         orderTest(func(order int) bool { return order < 0 }),
	"lte":        orderTest(func(order int) bool { return order <= 0 }),
}

func (c *Compiler) tests(n *plan.Node) ([]test, *plan.Fault) {
	operator, ok := operators[n.Op]
	if n.Op == "re" {
		operator, ok = c.regexTest, true
	}
	if !ok {
		return nil, plan.Errorf("unknown op %q", n.Op)
	}
	if n.Op == "eq" && !n.All && len(n.Values) > setFrom {
		return []test{setTest(n.Values, !n.Cased)}, nil
	}
	tests := make([]test, 0, len(n.Values))
	for i, value := range n.Values {
		t, fault := operator(value, !n.Cased)
		if fault != nil {
			return nil, fault.In(plan.Step("values", i))
		}
		tests = append(tests, t)
	}
	return tests, nil
}

func referenceModes(mode string, fold bool) (func(a, b *scalar) bool, bool) {
	part := func(has func(s, part string) bool) func(a, b *scalar) bool {
		return func(a, b *scalar) bool { return has(a.str(fold), b.str(fold)) }
	}
	switch mode {
	case "":
		return func(a, b *scalar) bool { return a.equal(b, fold) }, true
	case "contains":
		return part(strings.Contains), true
	case "startswith":
		return part(strings.HasPrefix), true
	case "endswith":
		return part(strings.HasSuffix), true
	}
	return nil, false
}

// setFrom is how many values make a hash set faster than comparing one after the other.
const setFrom = 4

func setTest(values []any, fold bool) test {
	texts := make(map[string]struct{}, len(values))
	integers := map[int64]struct{}{}
	for _, value := range values {
		v := planScalar(value)
		texts[v.str(fold)] = struct{}{}
		if v.kind == integer {
			integers[v.integer] = struct{}{}
		}
	}
	return func(s *scalar) bool {
		if s.kind == integer {
			_, ok := integers[s.integer]
			return ok
		}
		_, ok := texts[s.str(fold)]
		return ok
	}
}

func equalTest(value any, fold bool) (test, *plan.Fault) {
	v := planScalar(value)
	v.str(fold)
	return func(s *scalar) bool { return s.equal(&v, fold) }, nil
}

// planScalar reads a value of a plan; text that spells a whole number is one, so that it meets the field's number.
func planScalar(value any) scalar {
	switch v := value.(type) {
	case bool:
		return scalar{kind: boolean, truth: v}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return scalar{kind: integer, integer: n}
		}
		n, _ := v.Float64()
		if math.Trunc(n) == n && math.Abs(n) < 1e15 { // 5.0 and 5e3 are whole numbers too
			return scalar{kind: integer, integer: int64(n)}
		}
		return scalar{kind: float, float: n}
	}
	s, _ := value.(string)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		return scalar{kind: integer, integer: n}
	}
	return scalar{kind: text, text: s, spelled: true}
}

func textTest(build func(value string, fold bool) test) func(any, bool) (test, *plan.Fault) {
	return func(value any, fold bool) (test, *plan.Fault) {
		v := planScalar(value)
		if v.kind == boolean {
			return nil, plan.Errorf("text is needed, not a boolean")
		}
		return build(v.str(fold), fold), nil
	}
}

func partTest(value string, fold bool, has func(s, part string) bool) test {
	return func(s *scalar) bool { return has(s.str(fold), value) }
}

func globTest(pattern string, fold bool) test {
	if !glob.HasWildcard(pattern) {
		pattern = glob.Unescape(pattern)
		return func(s *scalar) bool { return s.str(fold) == pattern }
	}
	return func(s *scalar) bool { return glob.Match(pattern, s.str(fold)) }
}

func keywordTest(pattern string, fold bool) test {
	if fold {
		pattern = strings.ToLower(pattern)
	}
	if !glob.HasWildcard(pattern) {
		return partTest(glob.Unescape(pattern), fold, strings.Contains)
	}
	return globTest("*"+pattern+"*", fold)
}

func (c *Compiler) regexTest(value any, _ bool) (test, *plan.Fault) {
	source, ok := value.(string)
	if !ok {
		return nil, plan.Errorf("a pattern is needed")
	}
	p, err := c.pattern(source)
	if err != nil {
		return nil, plan.Errorf("%v", err)
	}
	return p.matches, nil
}

// networkTest matches addresses in the network; IPv4 written as IPv6 (::ffff:a.b.c.d) counts as IPv4.
func networkTest(value any, _ bool) (test, *plan.Fault) {
	s, _ := value.(string)
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, plan.Errorf("%q is no network", s)
	}
	network = network.Masked()
	return func(s *scalar) bool {
		address, err := netip.ParseAddr(s.str(false))
		return err == nil && network.Contains(address.Unmap().WithZone(""))
	}, nil
}

func orderTest(holds func(order int) bool) func(any, bool) (test, *plan.Fault) {
	return func(value any, _ bool) (test, *plan.Fault) {
		v := planScalar(value)
		if _, ok := v.number(); !ok {
			return nil, plan.Errorf("a number is needed")
		}
		return func(s *scalar) bool {
			order, ok := s.compare(&v)
			return ok && holds(order)
		}, nil
	}
}
