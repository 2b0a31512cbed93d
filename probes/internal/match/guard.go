package match

import (
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/glob"
	"sandfly/probes/internal/plan"
)

// A guard is a necessary condition: an expression can only be yes, or unknown because of another field, when one of
// the guard's atoms holds or one of its fields is unknown. nil guards nothing.
type guard []atom

// atom says that some element of a field, in lower case, holds a text.
type atom struct {
	field int
	text  string // in lower case
	place place
}

// place is where in the value the text stands.
type place uint8

const (
	anywhere place = 0
	atStart  place = 1 << iota
	atEnd
	atWord // begins a word, as \b of a pattern has it
	toWord // ends one
	whole  = atStart | atEnd
)

// allows says whether a text may stand between two offsets of a value.
func (p place) allows(value string, at, end int) bool {
	return (p&atStart == 0 || at == 0) && (p&atEnd == 0 || end == len(value)) &&
		(p&atWord == 0 || at == 0 || mayPart(value[at-1])) && (p&toWord == 0 || end == len(value) || mayPart(value[end]))
}

// mayPart says whether a byte beside a word may be no part of it. In lower case `k` and `i` may have been the sign of
// Kelvin and İ, which are none.
func mayPart(c byte) bool { return !isWord(c) || c == 'k' || c == 'i' }

// holds says whether some text of the guard stands in a value in lower case.
func (g guard) holds(value string) bool {
	for i := range g {
		if g[i].isIn(value) {
			return true
		}
	}
	return false
}

func (a *atom) isIn(value string) bool {
	for at := 0; ; at++ {
		next := strings.Index(value[at:], a.text)
		if next < 0 {
			return false
		}
		if at += next; a.place.allows(value, at, at+len(a.text)) {
			return true
		}
	}
}

// maxAtoms bounds a guard; beyond it the expression itself is as good.
const maxAtoms = plan.MaxValues

// guardOf derives the best guard of an expression: of an `and` that of the side which fits least, of an `or` those of
// all sides together. What a `not` demands is mostly true, so it is no use.
func (c *Compiler) guardOf(n *plan.Node) guard {
	if n.Field != nil {
		return c.leafGuard(n)
	}
	word, sides := n.Children()
	var best guard
	for _, side := range sides {
		g := guard(nil)
		if word != "not" {
			g = c.guardOf(side)
		}
		switch {
		case word == "or" && (g == nil || len(best)+len(g) > maxAtoms):
			return nil
		case word == "or":
			best = append(best, g...)
		case g != nil && (best == nil || g.chance(c.subject) < best.chance(c.subject)):
			best = g
		}
	}
	return best
}

// chance guesses how often a guard holds, from 0 to beyond 1. Reading a field that is not free weighs a little.
func (g guard) chance(s *collect.Subject) float64 {
	sum, dear := 0.0, 0.0
	for _, a := range g {
		sum += a.chance(s.Fields[a.field])
		if s.Costs[a.field] > collect.Free {
			dear = 0.2
		}
	}
	return sum + dear
}

// kinds are fields with few values, each of which many records have.
var kinds = map[string]bool{"type": true, "state": true, "family": true, "protocol": true, "log": true, "source": true}

func (a atom) chance(f collect.FieldInfo) float64 {
	switch {
	case f.Type == "bool":
		return 0.5
	case a.place == whole && (kinds[f.Name] || f.Type == "int" && len(a.text) == 1):
		return 0.3
	case a.place == whole:
		return 0.001
	case a.length() < minGram:
		return 0.3
	case a.place == atStart && strings.HasPrefix(a.text, "/"):
		return 0.1 // a rule's scope says as much
	}
	return 0.2 / float64(a.length())
}

func (c *Compiler) leafGuard(n *plan.Node) guard {
	if n.Op == "keyword" {
		return c.keywordGuard(n)
	}
	field := c.subject.Index(*n.Field)
	if field < 0 || c.subject.Costs[field] > collect.Cheap {
		return nil
	}
	var all guard
	for _, value := range n.Values {
		g := c.valueGuard(field, n.Op, value)
		switch {
		case g == nil && !n.All:
			return nil
		case !n.All:
			all = append(all, g...)
		case g != nil && (all == nil || g.chance(c.subject) < all.chance(c.subject)):
			all = g // each value must fit, so the rarest is necessary
		}
	}
	return all
}

// keywordIn stands for a keyword that is looked for in one field.
const keywordIn = "keyword in"

// keywordGuard asks for the patterns in every text of the record, so it needs them all cheap.
func (c *Compiler) keywordGuard(n *plan.Node) guard {
	var all guard
	for _, f := range c.subject.Fields {
		if !isText(f) {
			continue
		}
		on := c.leafGuard(&plan.Node{Field: &f.Name, Op: keywordIn, Values: n.Values, All: n.All})
		if on == nil || len(all)+len(on) > maxAtoms {
			return nil
		}
		all = append(all, on...)
	}
	return all
}

// valueGuard is what one value of a leaf asks for; nil where that is no text.
func (c *Compiler) valueGuard(field int, op string, value any) guard {
	if op == "re" {
		source, _ := value.(string)
		p, err := c.pattern(source)
		if err != nil {
			return nil
		}
		var g guard
		for _, text := range p.texts {
			g = append(g, atom{field, text, anywhere})
		}
		return g
	}
	v := planScalar(value)
	text, at := strings.ToLower(v.str(false)), anywhere
	switch {
	case op == "eq":
		return guard{{field, text, whole}}
	case op == "glob" && !glob.HasWildcard(text):
		return guard{{field, glob.Unescape(text), whole}}
	case op == "glob" || op == keywordIn:
		text = longestLiteral(text)
	case op == "startswith":
		at = atStart
	case op == "endswith":
		at = atEnd
	case op != "contains":
		return nil
	}
	if text == "" {
		return nil
	}
	return guard{{field, text, at}}
}

// longestLiteral is the longest run of a pattern without wildcards, unescaped.
func longestLiteral(pattern string) string {
	longest, start := "", 0
	take := func(end int) {
		if text := glob.Unescape(pattern[start:end]); len(text) > len(longest) {
			longest = text
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '*', '?':
			take(i)
			start = i + 1
		}
	}
	take(len(pattern))
	return longest
}
