package match

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
)

// Compiler binds conditions to the fields of one subject. What several of them ask in the same words is one node, whose
// answer holds for all of them until the next record: rules of a subject have most of their conditions in common.
type Compiler struct {
	subject  *collect.Subject
	nodes    map[digest]*shared
	patterns map[string]*pattern
	fields   map[int]bool // that the expression at hand names
	host     *Host        // nil: conditions cannot look at the host
	sets     Sets         // that in_set looks into
}

// digest stands for what a condition asks, and so for its answer.
type digest [sha256.Size]byte

// NewCompiler returns a Compiler for conditions on the subject.
func NewCompiler(subject *collect.Subject) *Compiler {
	return &Compiler{subject: subject, nodes: map[digest]*shared{}, patterns: map[string]*pattern{}}
}

// On lets conditions name fields of the host, with `host.` in front. It returns the Compiler.
func (c *Compiler) On(host *Host) *Compiler {
	c.host = host
	return c
}

// With lets conditions look into sets of indicators. It returns the Compiler.
func (c *Compiler) With(sets Sets) *Compiler {
	c.sets = sets
	return c
}

// shared is a node that knows whether the record at hand was put to it already.
type shared struct {
	node
	place int // in Record.answers
	uses  int
}

// answer is what a shared node said of the record of a turn.
type answer struct {
	turn  uint32
	truth Truth
}

func (s *shared) eval(r *Record) Truth {
	if s.uses == 1 {
		return s.node.eval(r)
	}
	if s.place >= len(r.answers) {
		r.answers = append(r.answers, make([]answer, s.place+1-len(r.answers))...)
	}
	if a := r.answers[s.place]; a.turn == r.turn {
		return a.truth
	}
	truth := s.node.eval(r)
	r.answers[s.place] = answer{r.turn, truth}
	return truth
}

func (c *Compiler) sharedLeaf(n *plan.Node) (*shared, *plan.Fault) {
	key := leafKey(n)
	s := c.nodes[key]
	if s == nil {
		made, fault := c.leaf(n)
		if fault != nil {
			return nil, fault
		}
		s = c.add(key, made)
	}
	s.uses++
	c.note(n)
	return s, nil
}

// sharedBranch takes sides that were counted as used by it.
func (c *Compiler) sharedBranch(word string, sides []*shared) *shared {
	key := branchKey(word, sides)
	s := c.nodes[key]
	if s == nil {
		s = c.add(key, newBranch(word, sides))
	} else {
		for _, side := range sides {
			side.uses-- // the branch that was there before has them already
		}
	}
	s.uses++
	return s
}

func (c *Compiler) add(key digest, n node) *shared {
	s := &shared{node: n, place: len(c.nodes)}
	c.nodes[key] = s
	return s
}

// note takes down the fields that a leaf names; those of a keyword are all texts and not shown for it.
func (c *Compiler) note(n *plan.Node) {
	names := []any{*n.Field}
	if n.Op == "fieldref" {
		names = append(names, n.Values...)
	}
	for _, name := range names {
		if name, ok := name.(string); ok && c.subject.Index(name) >= 0 {
			c.fields[c.subject.Index(name)] = true
		}
	}
}

// leafKey tells leaves apart. Every part of it has its length in front, so that none can pass for another.
func leafKey(n *plan.Node) digest {
	h := sha256.New()
	word := func(kind byte, text string) {
		var head [9]byte
		head[0] = kind
		binary.BigEndian.PutUint64(head[1:], uint64(len(text)))
		h.Write(head[:])
		h.Write([]byte(text))
	}
	word('f', *n.Field)
	word('o', n.Op)
	word('m', n.Mode)
	h.Write([]byte{flag(n.All), flag(n.Cased)})
	for _, value := range n.Values {
		switch v := value.(type) {
		case string:
			word('s', v)
		case json.Number:
			word('n', v.String())
		case bool:
			h.Write([]byte{'b', flag(v)})
		}
	}
	return digest(h.Sum(nil))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// branchKey tells branches apart by their sides, whose order changes no answer.
func branchKey(word string, sides []*shared) digest {
	places := make([]int, len(sides))
	for i, s := range sides {
		places[i] = s.place
	}
	slices.Sort(places)
	key := append(make([]byte, 0, 4+8*len(places)), word...)
	for _, place := range places {
		key = binary.BigEndian.AppendUint64(key, uint64(place))
	}
	return sha256.Sum256(key)
}
