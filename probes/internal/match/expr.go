package match

import (
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/seq"
)

// Expr is a condition bound to the fields of one subject.
type Expr struct {
	root   *shared
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
	sides      []*shared
	dear       collect.Cost
	candidates bool // what it finds may only be candidates
}

func (b *branch) cost() collect.Cost { return b.dear }

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

// eval asks every side that has candidates, also behind one that holds: which of them are real is not known here.
func (n *orNode) eval(r *Record) Truth {
	result, holds := No, false
	for _, side := range n.sides {
		if holds && !holdsSet(side) {
			continue
		}
		t := side.eval(r)
		if r.gone || t == Yes && !n.candidates {
			return t
		}
		holds = holds || t == Yes
		result = max(result, t)
	}
	if holds {
		return Yes
	}
	return result
}

type notNode struct{ side *shared }

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

// Compile binds one condition that shares nothing with others; see Compiler.Compile.
func Compile(subject *collect.Subject, n *plan.Node) (*Expr, *plan.Fault) {
	return NewCompiler(subject).Compile(n)
}

// Compile binds a condition. The fault says where: unknown field or operator, wrong kind of value, bad pattern.
func (c *Compiler) Compile(n *plan.Node) (*Expr, *plan.Fault) {
	c.fields = map[int]bool{}
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

func (c *Compiler) node(n *plan.Node) (*shared, *plan.Fault) {
	if n.Field != nil {
		return c.sharedLeaf(n)
	}
	word, children := n.Children()
	sides := make([]*shared, 0, len(children))
	for i, child := range children {
		side, fault := c.node(child)
		if fault != nil {
			return nil, fault.In(plan.Step(word, i))
		}
		sides = append(sides, side)
	}
	if len(sides) == 1 && word != "not" {
		return sides[0], nil
	}
	return c.sharedBranch(word, sides), nil
}

// newBranch orders the sides by what they cost; the order among equals stays that of the plan.
func newBranch(word string, sides []*shared) node {
	if word == "not" {
		return &notNode{sides[0]}
	}
	seq.SortStableFunc(sides, func(a, b *shared) int { return int(a.cost()) - int(b.cost()) })
	b := branch{sides, sides[len(sides)-1].cost(), slices.ContainsFunc(sides, holdsSet)}
	if word == "or" {
		return &orNode{b}
	}
	return &andNode{b}
}

func (c *Compiler) field(name string) (int, *plan.Fault) {
	i := c.subject.Index(name)
	if i < 0 {
		return 0, plan.Errorf("subject %s has no field %q", c.subject.Name, name)
	}
	return i, nil
}
