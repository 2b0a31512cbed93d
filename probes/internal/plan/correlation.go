package plan

import (
	"fmt"
	"slices"
)

// Types of correlations that count something, and those that look at which parts are there.
var (
	countTypes    = []string{"event_count", "value_count", "value_sum", "value_avg", "value_median", "value_percentile"}
	temporalTypes = []string{"temporal", "temporal_ordered"}
	countOps      = []string{"lt", "lte", "gt", "gte", "eq", "neq"}
)

func (c *Correlation) check(depth int) error {
	switch {
	case depth > MaxNesting:
		return fmt.Errorf("type: correlations nested deeper than %d", MaxNesting)
	case !slices.Contains(countTypes, c.Type) && !slices.Contains(temporalTypes, c.Type):
		return fmt.Errorf("type: unknown %q", c.Type)
	case len(c.Parts) == 0 || len(c.Parts) > MaxParts:
		return fmt.Errorf("parts: %d are not in 1…%d", len(c.Parts), MaxParts)
	case len(c.GroupBy) > MaxParts:
		return fmt.Errorf("group_by: more than %d", MaxParts)
	case c.TimespanS < 1 || c.TimespanS > 1<<40:
		return fmt.Errorf("timespan_s: %d is not in 1…%d", c.TimespanS, int64(1)<<40)
	case c.Presence == nil && !slices.Contains(countOps, c.Op):
		return fmt.Errorf("op: unknown %q", c.Op)
	case c.Presence != nil && c.Type != "temporal":
		return fmt.Errorf("presence: belongs to type temporal")
	case c.Type == "value_percentile" && (c.Percentile < 0 || c.Percentile > 100):
		return fmt.Errorf("percentile: %d is not in 0…100", c.Percentile)
	}
	if c.Presence != nil {
		if err := c.Presence.check(1, len(c.Parts)); err != nil {
			return fmt.Errorf("presence.%w", err)
		}
	}
	for i := range c.Parts {
		if err := c.Parts[i].check(c, depth); err != nil {
			return fmt.Errorf("parts[%d].%w", i, err)
		}
	}
	return nil
}

func (p *Part) check(of *Correlation, depth int) error {
	if len(p.GroupBy) != len(of.GroupBy) {
		return fmt.Errorf("group_by: %d fields for %d names", len(p.GroupBy), len(of.GroupBy))
	}
	if p.Correlation != nil {
		if p.Subject != "" || p.When != nil || p.Scope != nil || len(p.Values) > 0 || p.Time != "" {
			return fmt.Errorf("correlation: a part is a rule or a correlation, and a correlation has no values")
		}
		if err := p.Correlation.check(depth + 1); err != nil {
			return fmt.Errorf("correlation.%w", err)
		}
		return nil
	}
	if slices.Contains(countTypes[1:], of.Type) && len(p.Values) == 0 {
		return fmt.Errorf("values: %s needs one", of.Type)
	}
	rule := Rule{ID: of.Type, Subject: p.Subject, When: p.When, Scope: p.Scope, Fields: p.Fields}
	return rule.check()
}

func (p *Presence) check(depth, parts int) error {
	if p == nil || depth > MaxNesting*MaxNesting {
		return fmt.Errorf("and: null, or nested too deeply")
	}
	kinds := 0
	for _, set := range [...]bool{p.And != nil, p.Or != nil, p.Not != nil, p.Part != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("and: exactly one of and, or, not, part is needed, there are %d", kinds)
	}
	if p.Part != nil && (*p.Part < 0 || *p.Part >= parts) {
		return fmt.Errorf("part: there is no %d", *p.Part)
	}
	if p.Not != nil {
		return p.Not.check(depth+1, parts)
	}
	for _, child := range slices.Concat(p.And, p.Or) {
		if err := child.check(depth+1, parts); err != nil {
			return err
		}
	}
	return nil
}

// Holds says whether the condition holds of the parts that are there.
func (p *Presence) Holds(there func(part int) bool) bool {
	is := func(child *Presence) bool { return child.Holds(there) }
	switch {
	case p.Part != nil:
		return there(*p.Part)
	case p.Not != nil:
		return !is(p.Not)
	case p.Or != nil:
		return slices.ContainsFunc(p.Or, is)
	}
	return !slices.ContainsFunc(p.And, func(child *Presence) bool { return !is(child) })
}

// HasNot says whether the absence of a part can make the condition hold.
func (p *Presence) HasNot() bool {
	return p.Not != nil || slices.ContainsFunc(slices.Concat(p.And, p.Or), (*Presence).HasNot)
}
