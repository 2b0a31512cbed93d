package match

import (
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/seq"
)

func (c *Compiler) leaf(n *plan.Node) (node, *plan.Fault) {
	if n.Op != "fieldref" && n.Mode != "" {
		return nil, plan.Errorf("mode belongs to fieldref")
	}
	if (len(n.Values) == 0) != (n.Op == "null") {
		return nil, plan.Errorf("op %q with %d values", n.Op, len(n.Values)).In(".values")
	}
	switch n.Op {
	case "keyword":
		return c.keyword(n)
	case "in_set":
		return c.inSet(n)
	case "unknown":
		if *n.Field != "" || len(n.Values) != 1 || n.Values[0] != UnknownKept.Reason() {
			return nil, plan.Errorf(`unknown has the field "" and the value %q`, UnknownKept.Reason())
		}
		return notKept{}, nil
	}
	if host, is := c.ofHost(*n.Field); is {
		return c.host.leaf(n, host)
	}
	field, fault := c.field(*n.Field)
	if fault != nil {
		return nil, fault
	}
	dear := c.subject.Costs[field]
	switch n.Op {
	case "null":
		return &present{field, dear, false}, nil
	case "exists":
		want, ok := n.Values[0].(bool)
		if !ok || len(n.Values) != 1 {
			return nil, plan.Errorf("exists takes one boolean").In(".values")
		}
		return &present{field, dear, want}, nil
	case "fieldref":
		return c.reference(n, field)
	}
	tests, fault := c.tests(n)
	if fault != nil {
		return nil, fault
	}
	return &leaf{field, dear, n.All, tests}, nil
}

func (c *Compiler) keyword(n *plan.Node) (node, *plan.Fault) {
	if *n.Field != "" {
		return nil, plan.Errorf(`the field of a keyword is ""`)
	}
	k := &keyword{all: n.All}
	for i, value := range n.Values {
		pattern, ok := value.(string)
		if !ok {
			return nil, plan.Errorf("keyword takes text").In(plan.Step("values", i))
		}
		k.tests = append(k.tests, keywordTest(pattern, !n.Cased))
	}
	for i, f := range c.subject.Fields {
		if isText(f) {
			k.fields = append(k.fields, i)
			k.dear = max(k.dear, c.subject.Costs[i])
		}
	}
	seq.SortStableFunc(k.fields, func(a, b int) int { return int(c.subject.Costs[a]) - int(c.subject.Costs[b]) })
	return k, nil
}

// isText tells a field that keywords look into.
func isText(f collect.FieldInfo) bool {
	return (f.Type == "string" || f.Type == "strings") && !strings.HasPrefix(f.Name, collect.ParentPrefix)
}

func (c *Compiler) reference(n *plan.Node, field int) (node, *plan.Fault) {
	f := &reference{field: field, dear: c.subject.Costs[field], all: n.All}
	same, ok := referenceModes(n.Mode, !n.Cased)
	if !ok {
		return nil, plan.Errorf("unknown mode %q", n.Mode).In(".mode")
	}
	f.same = same
	for i, value := range n.Values {
		name, _ := value.(string)
		if host, is := c.ofHost(name); is {
			place, fault := c.host.field(host)
			if fault != nil {
				return nil, fault.In(plan.Step("values", i))
			}
			f.host, f.ofHost = c.host, append(f.ofHost, place)
			continue
		}
		other, fault := c.field(name)
		if fault != nil {
			return nil, fault.In(plan.Step("values", i))
		}
		f.others = append(f.others, other)
		f.dear = max(f.dear, c.subject.Costs[other])
	}
	return f, nil
}
