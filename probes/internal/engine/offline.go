package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
)

// maxOffline bounds the input of a rule test run.
const maxOffline = 256 << 20

// offlineInput is what `probe --match` reads.
type offlineInput struct {
	Plan    json.RawMessage `json:"plan"`
	Records []offlineRecord `json:"records"`
}

type offlineRecord struct {
	Subject string         `json:"subject"`
	Record  map[string]any `json:"record"`
}

// Answer is what the rules say of one recorded fact.
type Answer struct {
	Rules   []int          `json:"rules"`
	Unknown map[int]string `json:"unknown"`
}

// facts is a record that comes from a file instead of a host: values of the fields' types, or errors.
type facts map[string]any

// Offline runs a plan on recorded facts instead of a host, through the same evaluation. A field that a record does not
// have is absent; {"$unknown": "needs_root"} is one that could not be looked at. Errors say which record and field.
func Offline(data []byte, subjects []*collect.Subject) ([]Answer, error) {
	var input offlineInput
	if err := plan.Strict(data, maxOffline, &input); err != nil {
		return nil, err
	}
	p, err := plan.Decode(input.Plan)
	if err != nil {
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
	return program.answer(input.Records, recorded)
}

func (p *Program) answer(records []offlineRecord, subjects []*collect.Subject) ([]Answer, error) {
	answers := make([]Answer, 0, len(records))
	var v verdict
	for i, r := range records {
		place := slices.IndexFunc(subjects, func(s *collect.Subject) bool { return s.Name == r.Subject })
		if place < 0 {
			return nil, fmt.Errorf("records[%d].subject: this probe has no %q", i, r.Subject)
		}
		record, err := offlineFacts(subjects[place], r.Record)
		if err != nil {
			return nil, fmt.Errorf("records[%d].record.%w", i, err)
		}
		answer := Answer{Rules: []int{}, Unknown: map[int]string{}}
		if g := p.groups[r.Subject]; g != nil && v.judge(g, record) {
			for _, hit := range v.hits {
				answer.Rules = append(answer.Rules, hit.place)
			}
			for _, missed := range v.misses {
				answer.Unknown[missed.rule.place] = missed.truth.Reason()
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
