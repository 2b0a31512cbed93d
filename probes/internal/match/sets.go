package match

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/indicator"
	"sandfly/probes/internal/plan"
)

// maxHits bounds how many candidates one record may have; it is MAX_CANDIDATES of scanners/contract.py.
const maxHits = 64

// Sets are the sets of indicators of a plan by their kind.
type Sets map[string]*indicator.Set

// Hit is a value in a field that a set took for one of its list.
type Hit struct {
	Kind  string
	Field int
	Value string
}

// Hits are those of the current record, each once.
func (r *Record) Hits() []Hit { return r.hits }

func (r *Record) hit(h Hit) {
	for _, seen := range r.hits {
		if seen == h {
			return
		}
	}
	if len(r.hits) < maxHits {
		r.hits = append(r.hits, h)
	}
}

// inSet is `in_set`: some word of the field is in some set. Every candidate is noted, since the first may be none.
type inSet struct {
	field int
	dear  collect.Cost
	sets  []*indicator.Set
}

func (n *inSet) cost() collect.Cost { return n.dear }

func (n *inSet) eval(r *Record) Truth {
	s := r.read(n.field)
	if s.truth != Yes {
		return s.truth
	}
	result, complete := No, true
	for i := range s.values {
		value := s.values[i].str(false)
		for _, set := range n.sets {
			all := set.Find(value, func(word string) {
				r.hit(Hit{set.Kind, n.field, word})
				result = Yes
			})
			complete = complete && all
		}
	}
	if result == No && !complete {
		return UnknownLimit
	}
	return result
}

// inSet binds a leaf whose sets are all loaded; see Prune.
func (c *Compiler) inSet(n *plan.Node) (node, *plan.Fault) {
	field, fault := c.field(*n.Field)
	if fault != nil {
		return nil, fault
	}
	found := &inSet{field: field, dear: c.subject.Costs[field]}
	for i, value := range n.Values {
		kind, _ := value.(string)
		set := c.sets[kind]
		if set == nil {
			return nil, plan.Errorf("no set of %q is loaded", kind).In(plan.Step("values", i))
		}
		found.sets = append(found.sets, set)
	}
	return found, nil
}

// holdsSet says whether what a condition finds may only be candidates.
func holdsSet(s *shared) bool {
	switch n := s.node.(type) {
	case *inSet:
		return true
	case *andNode:
		return n.candidates
	case *orNode:
		return n.candidates
	}
	return false
}

// Prune is a condition without what asks for sets that are not loaded: nothing is on such a list, so its field need not
// be looked at. It is nil when the whole condition cannot hold for that reason. Below `not`, and for all values, a
// candidate would say nothing: that is a fault.
func (sets Sets) Prune(n *plan.Node) (*plan.Node, *plan.Fault) { return sets.prune(n, false) }

func (sets Sets) prune(n *plan.Node, negated bool) (*plan.Node, *plan.Fault) {
	if n.Field != nil {
		return sets.pruneLeaf(n, negated)
	}
	word, children := n.Children()
	kept := make([]*plan.Node, 0, len(children))
	for i, child := range children {
		side, fault := sets.prune(child, negated || word == "not")
		switch {
		case fault != nil:
			return nil, fault.In(plan.Step(word, i))
		case side != nil:
			kept = append(kept, side)
		case word == "and":
			return nil, nil
		}
	}
	switch {
	case word == "not":
		return n, nil
	case len(kept) == 0:
		return nil, nil
	case word == "or":
		return &plan.Node{Or: kept}, nil
	}
	return &plan.Node{And: kept}, nil
}

func (sets Sets) pruneLeaf(n *plan.Node, negated bool) (*plan.Node, *plan.Fault) {
	switch {
	case n.Op != "in_set":
		return n, nil
	case negated:
		return nil, plan.Errorf("in_set below not: what a set finds is only a candidate")
	case n.All || n.Cased:
		return nil, plan.Errorf("in_set takes neither all nor cased")
	}
	var loaded []any
	for i, value := range n.Values {
		kind, ok := value.(string)
		if !ok {
			return nil, plan.Errorf("in_set takes kinds of indicators").In(plan.Step("values", i))
		}
		if sets[kind] != nil {
			loaded = append(loaded, kind)
		}
	}
	if len(loaded) == 0 && len(n.Values) > 0 {
		return nil, nil
	}
	pruned := *n
	pruned.Values = loaded
	return &pruned, nil
}
