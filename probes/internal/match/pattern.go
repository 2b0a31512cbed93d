package match

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// pattern is a regular expression that is made ready when the first value comes near it: most of a plan's never are.
type pattern struct {
	source string
	texts  []string // see required
	near   bool     // a value held one of them, so that needs are known
	needs  needs
	ready  *regexp.Regexp
}

// newPattern refuses what regexp.Compile would.
func newPattern(source string) (*pattern, error) {
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return &pattern{source: source, texts: required(parsed.Simplify())}, nil
}

func (p *pattern) matches(s *scalar) bool {
	if p.texts != nil && !slices.ContainsFunc(p.texts, func(text string) bool { return strings.Contains(s.str(true), text) }) {
		return false
	}
	if !p.near {
		p.near = true
		if parsed, err := syntax.Parse(p.source, syntax.Perl); err == nil {
			p.needs = needsOf(parsed.Simplify())
		}
	}
	for _, need := range p.needs {
		if !need.holds(s.str(true)) {
			return false
		}
	}
	if p.ready == nil {
		p.ready = regexp.MustCompile(p.source) // it parses, and nothing else can be wrong with it
	}
	return p.ready.MatchString(s.str(false))
}

// pattern gives the one for its text.
func (c *Compiler) pattern(source string) (*pattern, error) {
	if p := c.patterns[source]; p != nil {
		return p, nil
	}
	p, err := newPattern(source)
	if err == nil {
		c.patterns[source] = p
	}
	return p, err
}
