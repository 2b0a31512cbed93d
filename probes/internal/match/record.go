package match

import (
	"sandfly/probes/internal/collect"
)

// Record is one record under evaluation. It reads each field at most once and keeps what comparing needs (lower case,
// the text of numbers). It is reused from record to record, so it allocates little.
type Record struct {
	subject *collect.Subject
	source  any
	turn    uint32
	slots   []slot
	gone    bool
	answers []answer // by place of a shared node
	hits    []Hit
}

// slot is what is known of one field of the current record.
type slot struct {
	turn   uint32
	truth  Truth // Yes: has a value; No: has none; else why it could not be looked at
	raw    any
	values []scalar
}

// NewRecord returns a Record for records of the subject; call Reset before use.
func NewRecord(subject *collect.Subject) *Record {
	return &Record{subject: subject, slots: make([]slot, len(subject.Fields))}
}

// Reset turns to the next record.
func (r *Record) Reset(source any) {
	r.source, r.gone, r.hits = source, false, r.hits[:0]
	if r.turn++; r.turn == 0 {
		clear(r.slots)
		clear(r.answers)
		r.turn = 1
	}
}

// Gone says that the thing vanished while it was read; the record is then worth nothing.
func (r *Record) Gone() bool { return r.gone }

// WasRead says whether somebody asked for the field already.
func (r *Record) WasRead(field int) bool { return r.slots[field].turn == r.turn }

// Value gives a field as its getter does (nil: none), or the reason why it could not be looked at.
func (r *Record) Value(field int) (value any, reason string) {
	s := r.read(field)
	return s.raw, s.truth.Reason()
}

// Look gives a field as Value does, and whether there is one: yes, no, or why it could not be looked at.
func (r *Record) Look(field int) (value any, there Truth) {
	s := r.read(field)
	return s.raw, s.truth
}

func (r *Record) read(field int) *slot {
	s := &r.slots[field]
	if s.turn == r.turn {
		return s
	}
	s.turn, s.raw, s.values, s.truth = r.turn, nil, s.values[:0], No
	value, err := r.subject.Get(r.source, field)
	if err != nil {
		reason := collect.Reason(err)
		r.gone = r.gone || reason == "gone"
		s.truth = unknown(reason)
		return s
	}
	s.take(value)
	return s
}

// take unpacks a value; an empty list is no value, whichever way a getter spells it.
func (s *slot) take(value any) {
	switch v := value.(type) {
	case nil:
		return
	case string:
		s.values = append(s.values, scalar{kind: text, text: v, spelled: true})
	case int64:
		s.values = append(s.values, scalar{kind: integer, integer: v})
	case int:
		s.values = append(s.values, scalar{kind: integer, integer: int64(v)})
		value = int64(v)
	case float64:
		s.values = append(s.values, scalar{kind: float, float: v})
	case bool:
		s.values = append(s.values, scalar{kind: boolean, truth: v})
	case []string:
		for _, element := range v {
			s.values = append(s.values, scalar{kind: text, text: element, spelled: true})
		}
	case []int64:
		for _, element := range v {
			s.values = append(s.values, scalar{kind: integer, integer: element})
		}
	default:
		s.truth = UnknownError
		return
	}
	if len(s.values) > 0 {
		s.raw, s.truth = value, Yes
	}
}
