package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"sandfly/probes/internal/crypt"
)

func (p *Plan) check() error {
	if p.Schema != Schema {
		return fmt.Errorf("schema: this probe reads %d, not %d", Schema, p.Schema)
	}
	if err := p.Limits.check(); err != nil {
		return fmt.Errorf("limits.%w", err)
	}
	if err := p.Passwords.check(); err != nil {
		return fmt.Errorf("passwords.%w", err)
	}
	if p.Rules == nil {
		return fmt.Errorf("rules: missing")
	}
	if len(p.Rules) > MaxRules {
		return fmt.Errorf("rules: more than %d", MaxRules)
	}
	for i := range p.Rules {
		if err := p.Rules[i].check(); err != nil {
			return fmt.Errorf("%s: %w", p.Where(i), err)
		}
	}
	return p.checkSets()
}

// checkSets also keeps what they take of the memory that the visit may use to a quarter.
func (p *Plan) checkSets() error {
	kinds, memory := map[string]bool{}, int64(0)
	for i := range p.Sets {
		spec := &p.Sets[i]
		if err := spec.Check(); err != nil {
			return fmt.Errorf("sets[%d].%w", i, err)
		}
		if kinds[spec.Kind] {
			return fmt.Errorf("sets[%d].kind: a second set of %s", i, spec.Kind)
		}
		kinds[spec.Kind] = true
		if memory += int64(spec.MemoryBytes()); memory > p.Limits.MemoryBytes/4 {
			return fmt.Errorf("sets[%d]: together they take more than a quarter of memory_bytes", i)
		}
	}
	return nil
}

// Where names a rule in an error: its place and, when it has one, its id.
func (p *Plan) Where(rule int) string {
	if id := p.Rules[rule].ID; id != "" && len(id) <= maxName {
		return fmt.Sprintf("rules[%d] (%s)", rule, id)
	}
	return fmt.Sprintf("rules[%d]", rule)
}

func (l Limits) check() error {
	bounds := []struct {
		name        string
		value       int64
		least, most int64
	}{
		{"deadline_s", int64(l.DeadlineS), 1, 3600},
		{"cpu_percent", int64(l.CPUPercent), 1, 100},
		{"nice", int64(l.Nice), 0, 19},
		{"memory_bytes", l.MemoryBytes, 16 << 20, 1 << 40},
		{"report_bytes", l.ReportBytes, 1 << 10, 1 << 40},
		{"matches_per_rule", int64(l.MatchesPerRule), 1, 1 << 31},
		{"value_bytes", int64(l.ValueBytes), 64, 1 << 24},
	}
	for _, b := range bounds {
		if b.value < b.least || b.value > b.most {
			return fmt.Errorf("%s: %d is not in %d…%d", b.name, b.value, b.least, b.most)
		}
	}
	return nil
}

// check never puts a word into an error.
func (p Passwords) check() error {
	switch {
	case p.CPUS < 0 || p.CPUS > 3600:
		return fmt.Errorf("cpu_s: %d is not in 0…3600", p.CPUS)
	case len(p.Words) > MaxWords:
		return fmt.Errorf("words: more than %d", MaxWords)
	}
	for i, word := range p.Words {
		if word == "" || len(word) > crypt.MaxPassword || strings.ContainsRune(word, 0) {
			return fmt.Errorf("words[%d]: empty, longer than %d bytes or with a NUL byte", i, crypt.MaxPassword)
		}
	}
	return nil
}

func (r *Rule) check() error {
	switch {
	case len(r.ID) > maxName:
		return fmt.Errorf("id: longer than %d", maxName)
	case r.Subject == "" || len(r.Subject) > maxName:
		return fmt.Errorf("subject: empty or longer than %d", maxName)
	case len(r.Fields) > MaxFields:
		return fmt.Errorf("fields: more than %d", MaxFields)
	case r.MaxMatches != nil && *r.MaxMatches < 1:
		return fmt.Errorf("max_matches: below 1")
	}
	if r.Scope != nil {
		if err := r.Scope.check(); err != nil {
			return fmt.Errorf("scope.%w", err)
		}
	}
	if r.When != nil {
		if fault := r.When.check(1); fault != nil {
			return fault.In("when")
		}
	}
	if r.Host != nil {
		if fault := r.Host.check(1); fault != nil {
			return fault.In("host")
		}
	}
	if r.Correlation == nil {
		return nil
	}
	if r.When != nil || r.Scope != nil || r.Absent {
		return fmt.Errorf("correlation: its parts have the condition and the scope, and it cannot be absent")
	}
	if err := r.Correlation.check(1); err != nil {
		return fmt.Errorf("correlation.%w", err)
	}
	return nil
}

func (s *Scope) check() error {
	if s.MaxDepth != nil && *s.MaxDepth < 0 {
		return fmt.Errorf("max_depth: below 0")
	}
	if err := checkPatterns("paths", s.Paths); err != nil {
		return err
	}
	return checkPatterns("exclude", s.Exclude)
}

func checkPatterns(name string, patterns []string) error {
	if len(patterns) > MaxPatterns {
		return fmt.Errorf("%s: more than %d", name, MaxPatterns)
	}
	for i, p := range patterns {
		if !strings.HasPrefix(p, "/") || len(p) > 4096 {
			return fmt.Errorf("%s[%d]: not an absolute path of at most 4096 bytes", name, i)
		}
		if strings.Contains(p+"/", "/../") || strings.Contains(p+"/", "/./") {
			return fmt.Errorf("%s[%d]: has a . or .. component", name, i)
		}
	}
	return nil
}

// Fault is what is wrong with an expression and where: `when.and[1].values[0]`.
type Fault struct {
	At      string
	Problem string
}

// Errorf makes a Fault of the node at hand; At puts the way to it in front.
func Errorf(format string, args ...any) *Fault { return &Fault{Problem: fmt.Sprintf(format, args...)} }

func (f *Fault) Error() string { return f.At + ": " + f.Problem }

// In puts a step in front of the place; the place is spelled out only when something is wrong.
func (f *Fault) In(step string) *Fault {
	f.At = step + f.At
	return f
}

// check holds the shape of a node: one kind, children, depth, and values of the allowed types.
func (n *Node) check(depth int) *Fault {
	if n == nil {
		return Errorf("null is no expression")
	}
	if depth > MaxDepth {
		return Errorf("deeper than %d", MaxDepth)
	}
	switch kinds := n.kinds(); {
	case kinds != 1:
		return Errorf("exactly one of and, or, not, field is needed, there are %d", kinds)
	case n.Field != nil:
		return n.checkLeaf()
	case n.Op != "" || n.Values != nil || n.All || n.Cased || n.Mode != "":
		return Errorf("op, values, all, cased and mode belong to a field")
	}
	word, children := n.Children()
	if len(children) == 0 {
		return Errorf("empty").In("." + word)
	}
	for i, child := range children {
		if fault := child.check(depth + 1); fault != nil {
			return fault.In(Step(word, i))
		}
	}
	return nil
}

// Children gives the word of a node that is no leaf, and what is below it.
func (n *Node) Children() (string, []*Node) {
	switch {
	case n.Not != nil:
		return "not", []*Node{n.Not}
	case n.Or != nil:
		return "or", n.Or
	}
	return "and", n.And
}

// Step spells one step of the way to a node.
func Step(word string, place int) string {
	if word == "not" {
		return ".not"
	}
	return fmt.Sprintf(".%s[%d]", word, place)
}

func (n *Node) kinds() int {
	count := 0
	for _, set := range [...]bool{n.And != nil, n.Or != nil, n.Not != nil, n.Field != nil} {
		if set {
			count++
		}
	}
	return count
}

func (n *Node) checkLeaf() *Fault {
	if len(n.Values) > MaxValues {
		return Errorf("more than %d", MaxValues).In(".values")
	}
	for i, value := range n.Values {
		switch v := value.(type) {
		case string:
			if len(v) > MaxText {
				return Errorf("longer than %d bytes", MaxText).In(Step("values", i))
			}
		case json.Number, bool:
		default:
			return Errorf("neither text, number nor boolean").In(Step("values", i))
		}
	}
	return nil
}
