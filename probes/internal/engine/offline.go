package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/report"
)

// maxOffline bounds the input of a rule test run.
const maxOffline = 256 << 20

// offlineInput is what `probe --match` reads.
type offlineInput struct {
	Plan    json.RawMessage `json:"plan"`
	Sets    [][]byte        `json:"sets"` // coded values of the plan's sets, in base64
	Records []offlineRecord `json:"records"`
	Visits  []offlineVisit  `json:"visits"`
}

// offlineVisit is the records of one visit, which rules look at together: correlations, and what must be there.
type offlineVisit struct {
	Host    map[string]any  `json:"host"` // null: rules are asked as if they were for every host
	Records []offlineRecord `json:"records"`
}

type offlineRecord struct {
	Subject string         `json:"subject"`
	Record  map[string]any `json:"record"`
}

// Answer is what the rules say of one recorded fact, or of one visit.
type Answer struct {
	Rules   []int          `json:"rules"`
	Unknown map[int]string `json:"unknown"`
}

// facts is a record that comes from a file instead of a host: values of the fields' types, or errors.
type facts map[string]any

// Offline runs a plan on recorded facts instead of a host, through the same evaluation. A field that a record does not
// have is absent; {"$unknown": "needs_root"} is one that could not be looked at. Answers for the records come first, then
// those for the visits. Errors say which record and field.
func Offline(data []byte, subjects []*collect.Subject) ([]Answer, error) {
	var input offlineInput
	if err := plan.Strict(data, maxOffline, &input); err != nil {
		return nil, err
	}
	p, err := plan.Decode(input.Plan)
	if err != nil {
		return nil, err
	}
	if err := p.Load(bytes.NewReader(bytes.Join(input.Sets, nil))); err != nil {
		return nil, err
	}
	recorded := make([]*collect.Subject, len(subjects))
	for i, s := range subjects {
		recorded[i] = offlineSubject(s)
	}
	program, err := Build(p, recorded)
	if err != nil {
		return nil, err
	}
	answers, err := program.answer(input.Records)
	if err != nil {
		return nil, err
	}
	for i, visit := range input.Visits {
		answer, err := program.answerVisit(visit)
		if err != nil {
			return nil, fmt.Errorf("visits[%d].%w", i, err)
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// everywhere takes the conditions on the host from all rules and gives them back when it is called.
func (p *Program) everywhere() (restore func()) {
	tests := map[*rule]*match.HostTest{}
	for _, g := range p.order {
		for _, r := range g.rules {
			tests[r], r.host = r.host, nil
		}
	}
	for _, r := range p.rules {
		if r.correlation != nil {
			tests[r], r.host = r.host, nil
		}
	}
	return func() {
		for r, test := range tests {
			r.host = test
		}
	}
}

// facts finds the subject of a recorded fact and types its fields.
func (p *Program) facts(r offlineRecord) (facts, error) {
	subject := p.subjects[r.Subject]
	if subject == nil {
		return nil, fmt.Errorf("subject: this probe has no %q", r.Subject)
	}
	record, err := offlineFacts(subject, r.Record)
	if err != nil {
		return nil, fmt.Errorf("record.%w", err)
	}
	return record, nil
}

// nobody makes missing rights `needs_root`, as a record of a rule test has it.
const nobody = 65534

// idle is the guard of a visit that costs nothing.
type idle struct{}

func (idle) Pause() error             { return nil }
func (idle) Stop(string)              {}
func (idle) Reason() string           { return "" }
func (idle) Stopped() <-chan struct{} { return nil }

// answerVisit runs the rules on the records of one visit as the engine does.
func (p *Program) answerVisit(visit offlineVisit) (Answer, error) {
	answer := Answer{Rules: []int{}, Unknown: map[int]string{}}
	p.reset()
	e := &Engine{
		Program: p, Env: &collect.Env{Root: "/", Now: time.Now(), UID: nobody}, Guard: idle{}, runs: map[string]*run{},
		Report: report.NewWriter(io.Discard, 1<<40, 4096),
	}
	for _, g := range p.order {
		e.runs[g.subject.Name] = &run{started: true, ended: true}
	}
	if visit.Host == nil {
		defer p.everywhere()()
	} else if host, err := p.facts(offlineRecord{hostSubject, visit.Host}); err != nil {
		return answer, fmt.Errorf("host.%w", err)
	} else if p.host != nil {
		p.host.Decide(host)
	}
	for i, r := range visit.Records {
		record, err := p.facts(r)
		if err != nil {
			return answer, fmt.Errorf("records[%d].%w", i, err)
		}
		if err := e.emit(r.Subject, record); err != nil {
			return answer, err
		}
	}
	if err := e.conclude(); err != nil {
		return answer, err
	}
	for _, r := range p.rules {
		switch line := e.ruleLine(r); {
		case line.State == stateAlert:
			answer.Rules = append(answer.Rules, r.place)
		case line.State != statePass && line.Reason != "os":
			answer.Unknown[r.place] = line.Reason
		}
	}
	return answer, nil
}

// reset forgets what an earlier visit was about.
func (p *Program) reset() {
	p.budget.events, p.budget.buckets, p.budget.samples = maxEvents, maxBuckets, maxSamples
	for _, g := range p.order {
		for _, r := range g.rules {
			r.tally = tally{}
		}
	}
	for _, r := range p.rules {
		r.tally = tally{}
		if r.correlation != nil {
			r.correlation.reset()
		}
	}
	if p.host != nil {
		p.host.Forget()
	}
}

func (c *correlation) reset() {
	c.buckets, c.order, c.full = map[string]*bucket{}, nil, false
	for _, p := range c.parts {
		clear(p.sampled)
		if p.nested != nil {
			p.nested.reset()
		}
	}
}

func (p *Program) answer(records []offlineRecord) ([]Answer, error) {
	defer p.everywhere()()
	answers := make([]Answer, 0, len(records))
	var v verdict
	for i, r := range records {
		record, err := p.facts(r)
		if err != nil {
			return nil, fmt.Errorf("records[%d].%w", i, err)
		}
		answer := Answer{Rules: []int{}, Unknown: map[int]string{}}
		if g := p.groups[r.Subject]; g != nil && v.judge(g, record) {
			for _, hit := range v.hits {
				if hit.feeds == nil {
					answer.Rules = append(answer.Rules, hit.place)
				}
			}
			for _, missed := range v.misses {
				if missed.rule.feeds == nil {
					answer.Unknown[missed.rule.place] = missed.truth.Reason()
				}
			}
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// offlineSubject is a subject whose records are facts.
func offlineSubject(s *collect.Subject) *collect.Subject {
	fields := make([]collect.Field[facts], len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = collect.Field[facts]{
			Name: f.Name, Type: f.Type, Unit: f.Unit, Cost: s.Costs[i],
			Get: func(r facts) (any, error) {
				if err, ok := r[f.Name].(error); ok {
					return nil, err
				}
				return r[f.Name], nil
			},
		}
	}
	recorded := collect.NewSubject(s.Name, s.Doc, s.Identity, s.Evidence, fields)
	recorded.Default = s.Default
	return recorded
}

func offlineFacts(s *collect.Subject, record map[string]any) (facts, error) {
	result := make(facts, len(record))
	for name, value := range record {
		field := s.Index(name)
		if field < 0 {
			return nil, fmt.Errorf("%s: subject %s has no such field", name, s.Name)
		}
		typed, err := offlineValue(s.Fields[field].Type, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		result[name] = typed
	}
	return result, nil
}

// offlineValue turns JSON into what a getter of the type would give; an unknown becomes the getter's error.
func offlineValue(kind string, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return offlineUnknown(v)
	case []any:
		return offlineList(kind, v)
	case string:
		if kind == "string" {
			return v, nil
		}
	case bool:
		if kind == "bool" {
			return v, nil
		}
	case json.Number:
		return offlineNumber(kind, v)
	}
	return nil, fmt.Errorf("%v is no %s", value, kind)
}

func offlineNumber(kind string, n json.Number) (any, error) {
	switch kind {
	case "int":
		return n.Int64()
	case "float":
		return n.Float64()
	}
	return nil, fmt.Errorf("%v is no %s", n, kind)
}

func offlineList(kind string, list []any) (any, error) {
	switch kind {
	case "strings":
		return offlineElements[string](list, "string")
	case "ints":
		return offlineElements[int64](list, "int")
	}
	return nil, fmt.Errorf("a list is no %s", kind)
}

func offlineElements[T any](list []any, kind string) (any, error) {
	out := make([]T, 0, len(list))
	for i, element := range list {
		value, err := offlineValue(kind, element)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		typed, ok := value.(T)
		if !ok {
			return nil, fmt.Errorf("[%d]: null has no place in a list", i)
		}
		out = append(out, typed)
	}
	return out, nil
}

func offlineUnknown(v map[string]any) (any, error) {
	reason, _ := v["$unknown"].(string)
	reasons := map[string]error{
		"needs_root": collect.ErrNeedsRoot, "limit": collect.ErrLimit, "error": errors.New("error"),
	}
	if err, ok := reasons[reason]; ok && len(v) == 1 {
		return err, nil
	}
	return nil, errors.New(`an object must be {"$unknown": "needs_root" | "limit" | "error"}`)
}
