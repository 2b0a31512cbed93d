package engine

import (
	"sandfly/probes/internal/match"
	"sandfly/probes/internal/plan"
)

// maxRepeats is how many records a rule tells of for one candidate; it is MAX_REPEATS of scanners/contract.py. A word
// that stands in ten thousand log lines and that a set takes for one of its list must not use up what the rule may
// send, nor need: whoever verifies it needs it once.
const maxRepeats = 32

// listKey is a list that a rule looks into, and with which field.
type listKey struct {
	kind  string
	field int
}

// listsOf are the lists that a condition looks into.
func listsOf(g *group, n *plan.Node) map[listKey]bool {
	found := map[listKey]bool{}
	var walk func(*plan.Node)
	walk = func(n *plan.Node) {
		if n.Field == nil {
			_, children := n.Children()
			for _, child := range children {
				walk(child)
			}
			return
		}
		for _, value := range n.Values {
			if kind, ok := value.(string); ok && n.Op == "in_set" {
				found[listKey{kind, g.subject.Index(*n.Field)}] = true
			}
		}
	}
	walk(n)
	return found
}

// isRepeat books the candidates of the record at hand, and says whether the rule has told of all of them often enough.
func (r *rule) isRepeat(record *match.Record) bool {
	if len(r.lists) == 0 {
		return false
	}
	if r.tally.told == nil {
		r.tally.told = map[match.Hit]int{}
	}
	isFresh := false
	for _, hit := range record.Hits() {
		if !r.lists[listKey{hit.Kind, hit.Field}] {
			continue
		}
		isFresh = isFresh || r.tally.told[hit] < maxRepeats
		r.tally.told[hit]++
	}
	return !isFresh
}
