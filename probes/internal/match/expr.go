package match

import (
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
)

// Expr is a condition bound to the fields of one subject.
type Expr struct {
	root   node
	Fields []int // fields the condition names, sorted
	Cost   collect.Cost
}

// Eval decides the condition for the current record.
func (e *Expr) Eval(r *Record) Truth { return e.root.eval(r) }

// node is part of a condition; cost is that of the dearest field below it.
type node interface {
	eval(r *Record) Truth
	cost() collect.Cost
}

// branch holds the sides of an `and` or `or`, cheapest first.
type branch struct {
	sides []node
	dear  collect.Cost
}

func (b *branch) cost() collect.Cost { return b.dear }

// newBranch orders the sides; the order among equals stays that of the plan.
func newBranch(sides []node) branch {
	slices.SortStableFunc(sides, func(a, b node) int { return int(a.cost()) - int(b.cost()) })
	return branch{sides, sides[len(sides)-1].cost()}
}

type andNode struct{ branch }

// eval goes on after an unknown side: a later "no" still settles it.
func (n *andNode) eval(r *Record) Truth {
	result := Yes
	for _, side := range n.sides {
		t := side.eval(r)
		if t == No || r.gone {
			return No
		}
		result = max(result, t)
	}
	return result
}

type orNode struct{ branch }

func (n *orNode) eval(r *Record) Truth {
	result := No
	for _, side := range n.sides {
		t := side.eval(r)
		if t == Yes || r.gone {
			return t
		}
		result = max(result, t)
	}
	return result
}

type notNode struct{ side node }

func (n *notNode) cost() collect.Cost { return n.side.cost() }

func (n *notNode) eval(r *Record) Truth {
	switch t := n.side.eval(r); t {
	case Yes:
		return No
	case No:
		return Yes
	default:
		return t
	}
}

// Compile binds an expression to a subject. The fault says where: unknown field or operator, wrong kind of value, bad
// pattern.
func Compile(subject *collect.Subject, n *plan.Node) (*Expr, *plan.Fault) {
	c := &compiler{subject: subject, fields: map[int]bool{}}
	root, fault := c.node(n)
	if fault != nil {
		return nil, fault
	}
	expr := &Expr{root: root, Cost: root.cost()}
	for field := range c.fields {
		expr.Fields = append(expr.Fields, field)
	}
	slices.Sort(expr.Fields)
	return expr, nil
}

type compiler struct {
	subject *collect.Subject
	fields  map[int]bool
}

func (c *compiler) node(n *plan.Node) (node, *plan.Fault) {
	if n.Field != nil {
		return c.leaf(n)
	}
	word, children := n.Children()
	sides := make([]node, 0, len(children))
	for i, child := range children {
		side, fault := c.node(child)
		if fault != nil {
			return nil, fault.In(plan.Step(word, i))
		}
		sides = append(sides, side)
	}
	switch word {
	case "not":
		return &notNode{sides[0]}, nil
	case "or":
		return &orNode{newBranch(sides)}, nil
	}
	return &andNode{newBranch(sides)}, nil
}

func (c *compiler) field(name string) (int, *plan.Fault) {
	i := c.subject.Index(name)
	if i < 0 {
		return 0, plan.Errorf("subject %s has no field %q", c.subject.Name, name)
	}
	c.fields[i] = true
	return i, nil
}
