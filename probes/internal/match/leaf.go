package match

import (
	"sandfly/probes/internal/collect"
)

// test looks at one element of a field.
type test func(*scalar) bool

// leaf compares one field: some element must pass some test, or with all set every test.
type leaf struct {
	field int
	dear  collect.Cost
	all   bool
	tests []test
}

func (l *leaf) cost() collect.Cost { return l.dear }

func (l *leaf) eval(r *Record) Truth {
	s := r.read(l.field)
	if s.truth != Yes {
		return s.truth
	}
	return truth(satisfied(s.values, l.tests, l.all))
}

func satisfied(values []scalar, tests []test, all bool) bool {
	for _, t := range tests {
		if passes(values, t) != all {
			return !all
		}
	}
	return all
}

func passes(values []scalar, t test) bool {
	for i := range values {
		if t(&values[i]) {
			return true
		}
	}
	return false
}

// present is `exists` and `null`.
type present struct {
	field int
	dear  collect.Cost
	want  bool
}

func (p *present) cost() collect.Cost { return p.dear }

func (p *present) eval(r *Record) Truth {
	s := r.read(p.field)
	if s.truth.Unknown() {
		return s.truth
	}
	return truth((s.truth == Yes) == p.want)
}

// keyword looks for patterns in every text of a record, cheap fields first.
type keyword struct {
	fields []int
	dear   collect.Cost
	all    bool
	tests  []test
}

func (k *keyword) cost() collect.Cost { return k.dear }

func (k *keyword) eval(r *Record) Truth {
	if !k.all {
		return k.anywhere(r, k.tests)
	}
	result := Yes
	for i := range k.tests {
		t := k.anywhere(r, k.tests[i:i+1])
		if t == No {
			return No
		}
		result = max(result, t)
	}
	return result
}

func (k *keyword) anywhere(r *Record, tests []test) Truth {
	result := No
	for _, field := range k.fields {
		s := r.read(field)
		if s.truth == Yes && satisfied(s.values, tests, false) {
			return Yes
		}
		if s.truth.Unknown() {
			result = max(result, s.truth)
		}
	}
	return result
}

// reference compares a field with other fields of the same record.
type reference struct {
	field  int
	others []int
	dear   collect.Cost
	all    bool
	same   func(a, b *scalar) bool
	host   *Host
	ofHost []int // fields of the host
}

func (f *reference) cost() collect.Cost { return f.dear }

func (f *reference) eval(r *Record) Truth {
	s := r.read(f.field)
	if s.truth != Yes {
		return s.truth
	}
	result := truth(f.all)
	for _, other := range f.others {
		t := f.compare(s, r.read(other))
		if !t.Unknown() && (t == Yes) != f.all {
			return t
		}
		result = max(result, t)
	}
	for _, other := range f.ofHost {
		t := f.compare(s, f.host.read(other))
		if !t.Unknown() && (t == Yes) != f.all {
			return t
		}
		result = max(result, t)
	}
	return result
}

func (f *reference) compare(s, other *slot) Truth {
	if other.truth != Yes {
		return other.truth
	}
	for i := range other.values {
		if passes(s.values, func(v *scalar) bool { return f.same(v, &other.values[i]) }) {
			return Yes
		}
	}
	return No
}
