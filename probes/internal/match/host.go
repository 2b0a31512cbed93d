package match

import (
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
)

// HostPrefix stands before fields of subject host in what rules on other subjects name.
const HostPrefix = "host."

// Host decides what rules on any subject ask of the host: once, when the host's record is there. Before that, and when
// the host could not be looked at, the answer is unknown.
type Host struct {
	compiler *Compiler
	record   *Record
	known    bool
	tests    []*HostTest
	fields   map[int]bool
}

// NewHost returns a Host of which nothing is known.
func NewHost(subject *collect.Subject) *Host {
	return &Host{compiler: NewCompiler(subject), record: NewRecord(subject), fields: map[int]bool{}}
}

// Wanted are the names of the fields that are asked for.
func (h *Host) Wanted() []string {
	var names []string
	for field := range h.fields {
		names = append(names, h.compiler.subject.Fields[field].Name)
	}
	return names
}

// Decide settles all tests on the record of the host.
func (h *Host) Decide(source any) {
	h.record.Reset(source)
	h.known = true
	for _, t := range h.tests {
		t.truth = t.expr.Eval(h.record)
	}
}

// Forget goes back to knowing nothing.
func (h *Host) Forget() {
	h.known = false
	for _, t := range h.tests {
		t.truth = UnknownError
	}
}

// HostTest is a condition on the host.
type HostTest struct {
	expr  *Expr
	truth Truth
}

// Truth is what is known of it now.
func (t *HostTest) Truth() Truth { return t.truth }

func (t *HostTest) cost() collect.Cost { return collect.Free }
func (t *HostTest) eval(*Record) Truth { return t.truth }

// Compile binds a condition on the fields of subject host, named without a prefix.
func (h *Host) Compile(n *plan.Node) (*HostTest, *plan.Fault) {
	expr, fault := h.compiler.Compile(n)
	if fault != nil {
		return nil, fault
	}
	t := &HostTest{expr: expr, truth: UnknownError}
	h.tests = append(h.tests, t)
	for _, field := range expr.Fields {
		h.fields[field] = true
	}
	return t, nil
}

// leaf binds a leaf of another subject's condition to a field of the host.
func (h *Host) leaf(n *plan.Node, field string) (node, *plan.Fault) {
	own := *n
	own.Field = &field
	t, fault := h.Compile(&own)
	if fault != nil {
		return nil, fault
	}
	return t, nil
}

// Want has a field collected that is to be sent.
func (h *Host) Want(name string) *plan.Fault {
	_, fault := h.field(name)
	return fault
}

// Value gives a field of the host, or the reason why it could not be looked at.
func (h *Host) Value(name string) (value any, reason string) {
	s := h.read(h.compiler.subject.Index(name))
	return s.raw, s.truth.Reason()
}

func (h *Host) field(name string) (int, *plan.Fault) {
	place, fault := h.compiler.field(name)
	if fault == nil {
		h.fields[place] = true
	}
	return place, fault
}

func (h *Host) read(field int) *slot {
	if !h.known {
		return &slot{truth: UnknownError}
	}
	return h.record.read(field)
}

// ofHost says whether a name means a field of the host, and which.
func (c *Compiler) ofHost(name string) (string, bool) {
	if c.host == nil || c.subject.Index(name) >= 0 {
		return "", false
	}
	return strings.CutPrefix(name, HostPrefix)
}

// notKept is a condition on what no live host remembers, such as who wrote a file.
type notKept struct{}

func (notKept) cost() collect.Cost { return collect.Free }
func (notKept) eval(*Record) Truth { return UnknownKept }
