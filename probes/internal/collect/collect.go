// Package collect defines what a collector is: it yields the records of one or more subjects, each exactly once, and
// every field of a record is read only when somebody asks for it. Collectors read; they never execute, dial or write.
package collect

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// Cost says how dear a field is to read; expressions try cheaper fields first.
type Cost int

const (
	Free   Cost = iota // already read when the record exists
	Cheap              // one more small read or system call
	Costly             // content: hashes, entropy, text
)

// String returns the cost class as the reference has it.
func (c Cost) String() string { return [...]string{"free", "cheap", "costly"}[c] }

// Reasons why a field or a collector could not be looked at. A getter may return any error; Reason maps it.
var (
	ErrNeedsRoot  = errors.New("needs_root")  // rights are missing
	ErrNotEntered = errors.New("not_entered") // it lies on a network or kernel file system that is left alone
	ErrLimit      = errors.New("limit")       // a bound of ours was reached (file too large, too many entries)
	ErrGone       = errors.New("gone")        // the thing vanished while it was read: the record is dropped silently
)

// Reason gives the stable code of an error: needs_root, not_entered, limit, gone or error.
func Reason(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrGone):
		return "gone"
	case errors.Is(err, ErrNeedsRoot), errors.Is(err, fs.ErrPermission):
		return "needs_root"
	case errors.Is(err, ErrNotEntered):
		return "not_entered"
	case errors.Is(err, ErrLimit):
		return "limit"
	}
	return "error"
}

// Field describes one fact of a subject and how to get it from a record of type R.
//
// Type is one of string, int, float, bool, strings, ints. Get returns nil for a value the thing does not have,
// otherwise string, int64, float64, bool, []string or []int64, and an error when it could not look.
type Field[R any] struct {
	Name   string
	Type   string
	Unit   string // bytes, seconds, epoch seconds, octal text …; "" where it has none
	Cost   Cost
	Doc    string // what it means, one line
	Source string // where it comes from: file, system call, man page
	Get    func(r R) (any, error)
}

// ParentPrefix begins the fields that tell of the record above. Keywords do not look into them: they find that record itself.
const ParentPrefix = "parent."

// FieldInfo is a Field without its getter.
type FieldInfo struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Unit   string `json:"unit,omitempty"`
	Cost   string `json:"cost"`
	Doc    string `json:"doc"`
	Source string `json:"source"`
}

// Subject is a kind of fact. Get reads one field of a record that its collector emitted.
type Subject struct {
	Name     string
	Doc      string
	Identity []string // fields that say which thing it is across visits: no pid, no time
	Evidence []string // fields sent with every alert, whatever the rule asks for
	Fields   []FieldInfo
	Costs    []Cost
	Default  []Scope // where rules without a scope look, set by subjects that are walked; Want.Scopes then includes it
	index    map[string]int
	get      func(rec any, field int) (any, error)
}

// NewSubject builds a Subject whose records are of type R.
func NewSubject[R any](name, doc string, identity, evidence []string, fields []Field[R]) *Subject {
	s := &Subject{Name: name, Doc: doc, Identity: identity, Evidence: evidence, index: map[string]int{}}
	for i, f := range fields {
		s.Fields = append(s.Fields, FieldInfo{f.Name, f.Type, f.Unit, f.Cost.String(), f.Doc, f.Source})
		s.Costs = append(s.Costs, f.Cost)
		s.index[f.Name] = i
	}
	s.get = func(rec any, i int) (any, error) { return fields[i].Get(rec.(R)) }
	return s
}

// Index returns the place of a field, or -1.
func (s *Subject) Index(name string) int {
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}

// Scope bounds a walk; Paths and Exclude are absolute glob patterns seen from the root directory.
type Scope struct {
	Paths       []string
	Exclude     []string
	MaxDepth    int // -1: no bound
	CrossMounts bool
}

// Want is what the plan needs of one subject: the union over its rules.
type Want struct {
	Scopes []Scope         // of the rules that have one, and Subject.Default when some rule has none
	Fields map[string]bool // fields that any expression or evidence may ask for
}

// Throttle is how a collector stays gentle: it calls Pause often (every record, every directory, every 64 KiB read).
type Throttle interface {
	// Pause sleeps as the CPU duty cycle demands; it returns an error when the visit must stop.
	Pause() error
}

// Env is what every collector is given.
type Env struct {
	Root     string // directory that stands for /
	Now      time.Time
	UID      int
	Throttle Throttle
	MaxValue int  // bytes of one text value
	Anywhere bool // file systems that may not answer are looked at like others

	// The visit itself, which no record tells of: the probe's own process, and the path it was started from, by which
	// the shell or sudo above it is known. Zero and "" leave nothing out.
	OwnPID  int
	OwnPath string

	Passwords PasswordAudit

	Wanted map[string]Want // what the plan needs of every subject, by its name
}

// PasswordAudit is what guessing local passwords may take; the zero value allows nothing.
type PasswordAudit struct {
	Words  []string      // the operator's own, tried beside the built-in ones
	CPU    time.Duration // of this process, for the whole audit
	Until  time.Time     // so that it does not eat the time of what comes after
	Memory int64         // bytes that one guess may take
	Used   func() time.Duration
}

// Emit hands a record to the rules. It returns an error when the visit must stop; collectors return that error as is.
type Emit func(subject string, rec any) error

// Collector yields the records of its subjects. Run is called once per visit with those of its subjects that are
// wanted. An error of the whole subject is returned as map subject → error through Status.
type Collector struct {
	Name     string
	Subjects []*Subject
	Run      func(ctx context.Context, env *Env, want map[string]Want, emit Emit, status *Status) error
}

// Status collects what went wrong beside the records: Fail for a subject that could not be collected at all, Partial
// for one where some records or directories are missing. Both make the rules concerned say so.
type Status struct {
	Failed map[string]error // subject → why nothing could be collected
	Parts  map[string][]error
}

// NewStatus returns an empty Status.
func NewStatus() *Status { return &Status{Failed: map[string]error{}, Parts: map[string][]error{}} }

// Fail records that a subject could not be collected.
func (s *Status) Fail(subject string, err error) { s.Failed[subject] = err }

// MaxParts bounds how many partial failures are kept in full per subject.
const MaxParts = 20

// Partial records that some of a subject is missing.
func (s *Status) Partial(subject string, err error) {
	if len(s.Parts[subject]) < MaxParts {
		s.Parts[subject] = append(s.Parts[subject], err)
	}
}
