// Package plan decodes what the probe is asked to do. It mirrors `Plan` of scanners/contract.py: strict, bounded, and
// every error says where. What an expression means is the business of package match.
package plan

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"sandfly/probes/internal/indicator"
)

// Schema is the version of the plan this probe understands.
const Schema = 1

// Bounds of a plan.
const (
	MaxBytes    = 32 << 20
	MaxRules    = 20000
	MaxDepth    = 64
	MaxValues   = 65536 // of one leaf: lists of known bad hashes or addresses are long
	MaxFields   = 512
	MaxPatterns = 4096
	MaxText     = 65536
	MaxParts    = 32    // of one correlation
	MaxNesting  = 4     // correlations of correlations
	MaxWords    = 10000 // of the operator's own passwords to try
	maxName     = 255
)

// Plan is what the probe is asked to do in one pass.
type Plan struct {
	Schema    int       `json:"schema"`
	Limits    Limits    `json:"limits"`
	Passwords Passwords `json:"passwords"`
	Rules     []Rule    `json:"rules"`

	// Sets are the sets of indicators that rules refer to; their coded values follow the plan, in this order.
	Sets   []indicator.Spec          `json:"sets"`
	Loaded map[string]*indicator.Set `json:"-"` // by kind
}

// Passwords is what the audit of local passwords may take, and which words it tries beside the built-in ones.
type Passwords struct {
	CPUS  int      `json:"cpu_s"` // seconds; 0: nothing is tried
	Words []string `json:"words"`
}

// DefaultPasswords are those of `PasswordAudit` in scanners/contract.py.
func DefaultPasswords() Passwords { return Passwords{CPUS: 20} }

// Limits are the bounds the probe keeps itself; fields left out have the defaults of DefaultLimits.
type Limits struct {
	DeadlineS      int   `json:"deadline_s"`
	CPUPercent     int   `json:"cpu_percent"`
	Nice           int   `json:"nice"`
	MemoryBytes    int64 `json:"memory_bytes"`
	ReportBytes    int64 `json:"report_bytes"`
	MatchesPerRule int   `json:"matches_per_rule"`
	ValueBytes     int   `json:"value_bytes"`
	IsPacked       bool  `json:"is_packed"` // the report goes home in the form of gzip
}

// DefaultLimits are those of `PlanLimits` in scanners/contract.py.
func DefaultLimits() Limits {
	return Limits{
		DeadlineS: 120, CPUPercent: 50, Nice: 19, MemoryBytes: 64 << 20, ReportBytes: 32 << 20,
		MatchesPerRule: 1000, ValueBytes: 4096,
	}
}

// Rule is one rule; the report refers to it by its place.
type Rule struct {
	ID         string   `json:"id"` // only named in errors; a visit leaves it out
	Subject    string   `json:"subject"`
	When       *Node    `json:"when"`
	Scope      *Scope   `json:"scope"`
	Fields     []string `json:"fields"`
	MaxMatches *int     `json:"max_matches"`

	Host        *Node        `json:"host"`        // over the fields of subject host; where it does not hold the rule is skipped
	Absent      bool         `json:"absent"`      // the alert is that no record matches
	Correlation *Correlation `json:"correlation"` // instead of When and Scope
}

// Correlation is a condition on the records of one visit taken together, as Sigma's correlation rules have it.
type Correlation struct {
	Type       string    `json:"type"`
	Parts      []Part    `json:"parts"`
	GroupBy    []string  `json:"group_by"` // names in the alert; the parts say which of their fields each is
	TimespanS  int64     `json:"timespan_s"`
	Op         string    `json:"op"`
	Count      float64   `json:"count"`
	Percentile int       `json:"percentile"`
	Presence   *Presence `json:"presence"` // of type temporal: which parts must and must not be there, instead of Op and Count
}

// Part is a rule whose matches are counted, or a correlation whose alerts are.
type Part struct {
	Name        string       `json:"name"`
	Subject     string       `json:"subject"`
	When        *Node        `json:"when"`
	Scope       *Scope       `json:"scope"`
	Fields      []string     `json:"fields"`
	Time        string       `json:"time"` // field with the moment of a record; "" for state, which is of the visit's moment
	GroupBy     []string     `json:"group_by"`
	Values      []string     `json:"values"` // fields that are counted, summed …
	Correlation *Correlation `json:"correlation"`
}

// Presence is one node of a condition on parts: exactly one of its fields is set.
type Presence struct {
	And  []*Presence `json:"and"`
	Or   []*Presence `json:"or"`
	Not  *Presence   `json:"not"`
	Part *int        `json:"part"`
}

// Scope bounds what is walked for a rule.
type Scope struct {
	Paths       []string `json:"paths"`
	Exclude     []string `json:"exclude"`
	MaxDepth    *int     `json:"max_depth"`
	CrossMounts bool     `json:"cross_mounts"`
}

// Node is one node of an expression: exactly one of And, Or, Not and Field is set.
type Node struct {
	And    []*Node `json:"and"`
	Or     []*Node `json:"or"`
	Not    *Node   `json:"not"`
	Field  *string `json:"field"`
	Op     string  `json:"op"`
	Values []any   `json:"values"` // string, json.Number or bool
	All    bool    `json:"all"`
	Cased  bool    `json:"cased"`
	Mode   string  `json:"mode"`
}

// Read takes one plan from a stream, packed by gzip or up to a newline or the end, and the sets behind it.
func Read(r io.Reader) (*Plan, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	document, err := readDocument(buffered)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p, err := Decode(document)
	if err != nil {
		return nil, err
	}
	return p, p.Load(buffered)
}

// packed is how the gzip form begins (RFC 1952, 2.3.1); no JSON document does.
const packed = "\x1f\x8b"

// readDocument takes the gzip form, which says itself where it ends, or a line; a newline ends either, or the stream does.
func readDocument(buffered *bufio.Reader) ([]byte, error) {
	if head, _ := buffered.Peek(len(packed)); string(head) != packed {
		return ReadLine(buffered, MaxBytes)
	}
	document, err := unpack(buffered)
	if err != nil {
		return nil, err
	}
	if end, err := buffered.ReadByte(); err == nil && end != '\n' {
		return nil, errors.New("no newline behind what is packed")
	}
	return document, nil
}

// unpack reads one gzip member and not a byte more.
func unpack(buffered *bufio.Reader) ([]byte, error) {
	in, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, err
	}
	in.Multistream(false)
	document, err := io.ReadAll(io.LimitReader(in, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(document) > MaxBytes {
		return nil, fmt.Errorf("longer than %d bytes", MaxBytes)
	}
	return document, nil
}

// Load reads the coded values of the sets, one after the other.
func (p *Plan) Load(r io.Reader) error {
	p.Loaded = make(map[string]*indicator.Set, len(p.Sets))
	for i := range p.Sets {
		spec := &p.Sets[i]
		coded := make([]byte, spec.SizeBytes)
		if _, err := io.ReadFull(r, coded); err != nil {
			return fmt.Errorf("sets[%d]: %w", i, err)
		}
		set, err := indicator.Decode(spec, coded)
		if err != nil {
			return fmt.Errorf("sets[%d]: %w", i, err)
		}
		p.Loaded[spec.Kind] = set
	}
	return nil
}

// ReadLine reads up to a newline or the end of the stream, at most max bytes.
func ReadLine(buffered *bufio.Reader, max int) ([]byte, error) {
	var line []byte
	for {
		part, err := buffered.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > max {
			return nil, fmt.Errorf("longer than %d bytes", max)
		}
		switch {
		case err == nil || errors.Is(err, io.EOF):
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// Decode reads a plan strictly: unknown fields, bad UTF-8, text behind the document and anything out of bounds are
// errors that say where.
func Decode(data []byte) (*Plan, error) {
	p := &Plan{Limits: DefaultLimits(), Passwords: DefaultPasswords()}
	if err := Strict(data, MaxBytes, p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// Strict decodes one JSON document of at most max bytes into v; numbers stay json.Number.
func Strict(data []byte, max int, v any) error {
	if len(data) > max {
		return fmt.Errorf("longer than %d bytes", max)
	}
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return located(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("text behind the document at byte %d", decoder.InputOffset())
	}
	return nil
}

// located puts the place that the JSON package knows in front of its errors.
func located(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("empty or cut short")
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("byte %d: %s cannot hold a JSON %s", kind.Offset, kind.Field, kind.Value)
	}
	return err
}
