package engine

import (
	"cmp"
	"math"
	"slices"

	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/seq"
)

// window is a stretch of time in which a correlation holds.
type window struct {
	first, last int64 // epoch seconds of its first and last event
	value       float64
	count       int // events
}

// windows are the largest stretches of at most the time span, none inside another, in which the condition holds.
func (c *correlation) windows(events []event) []window {
	seq.SortStableFunc(events, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.part, b.part)) })
	if c.spec.Type == "temporal_ordered" {
		return c.chains(events)
	}
	var found []window
	m := newMeter(c.spec)
	end, seen := 0, 0
	for start := range events {
		for end < len(events) && events[end].at-events[start].at <= c.spec.TimespanS {
			m.push(&events[end])
			end++
		}
		if end > seen {
			seen = end
			if value := m.value(); c.holds(m, value) {
				found = append(found, window{events[start].at, events[end-1].at, value, end - start})
			}
		}
		m.pop(&events[start])
	}
	return found
}

func (c *correlation) holds(m *meter, value float64) bool {
	if c.spec.Presence != nil {
		return c.spec.Presence.Holds(func(part int) bool { return m.parts[part] > 0 })
	}
	switch c.spec.Op {
	case "lt":
		return value < c.spec.Count
	case "lte":
		return value <= c.spec.Count
	case "gt":
		return value > c.spec.Count
	case "gte":
		return value >= c.spec.Count
	case "eq":
		return value == c.spec.Count
	}
	return value != c.spec.Count
}

// chains are stretches in which every part comes up, in the order of the parts.
func (c *correlation) chains(events []event) []window {
	starts := make([]int64, len(c.parts)) // of the latest chain that has come to this part
	there := make([]bool, len(c.parts))
	var found []window
	for _, e := range events {
		switch k := e.part; {
		case k == 0:
			starts[0], there[0] = e.at, true
		case there[k-1] && e.at-starts[k-1] <= c.spec.TimespanS:
			starts[k], there[k] = starts[k-1], true
		default:
			continue
		}
		if e.part == len(c.parts)-1 {
			found = append(found, window{starts[e.part], e.at, float64(len(c.parts)), len(c.parts)})
			clear(there)
		}
	}
	return found
}

// meter measures the events of a window that moves on.
type meter struct {
	kind       string
	percentile int
	parts      map[int]int
	distinct   map[uint64]int
	sorted     []float64
	sum        float64
	count      int
}

func newMeter(spec *plan.Correlation) *meter {
	return &meter{kind: spec.Type, percentile: spec.Percentile, parts: map[int]int{}, distinct: map[uint64]int{}}
}

func (m *meter) push(e *event) {
	m.count++
	m.sum += e.value
	switch m.kind {
	case "temporal":
		m.parts[e.part]++
	case "value_count":
		m.distinct[e.hash]++
	case "value_percentile", "value_median":
		place, _ := slices.BinarySearch(m.sorted, e.value)
		m.sorted = slices.Insert(m.sorted, place, e.value)
	}
}

func (m *meter) pop(e *event) {
	m.count--
	m.sum -= e.value
	switch m.kind {
	case "temporal":
		if m.parts[e.part]--; m.parts[e.part] == 0 {
			delete(m.parts, e.part)
		}
	case "value_count":
		if m.distinct[e.hash]--; m.distinct[e.hash] == 0 {
			delete(m.distinct, e.hash)
		}
	case "value_percentile", "value_median":
		if place, found := slices.BinarySearch(m.sorted, e.value); found {
			m.sorted = slices.Delete(m.sorted, place, place+1)
		}
	}
}

// value is what the condition compares; a percentile is by nearest rank.
func (m *meter) value() float64 {
	switch m.kind {
	case "temporal":
		return float64(len(m.parts))
	case "value_count":
		return float64(len(m.distinct))
	case "value_sum":
		return m.sum
	case "value_avg":
		return m.sum / float64(m.count)
	case "value_median":
		return (m.sorted[(len(m.sorted)-1)/2] + m.sorted[len(m.sorted)/2]) / 2
	case "value_percentile":
		rank := int(math.Ceil(float64(m.percentile) / 100 * float64(len(m.sorted))))
		return m.sorted[max(rank, 1)-1]
	}
	return float64(m.count)
}
