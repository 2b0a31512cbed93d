package match

import (
	"regexp"
	"regexp/syntax"
)

// pattern is a regular expression that is made ready when the first value comes near it: most of a plan's never are.
type pattern struct {
	source string
	needs  needs
	ready  *regexp.Regexp
}

// newPattern refuses what regexp.Compile would.
func newPattern(source string) (*pattern, error) {
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return &pattern{source: source, needs: needsOf(parsed.Simplify())}, nil
}

func (p *pattern) matches(s *scalar) bool {
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
