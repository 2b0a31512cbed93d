package system

import "sandfly/probes/internal/collect"

// kind is the type of a field's value with its unit.
type kind struct{ name, unit string }

var (
	asText    = kind{"string", ""}
	asOctal   = kind{"string", "octal text"}
	asHex     = kind{"string", "hexadecimal text"}
	asTexts   = kind{"strings", ""}
	asBool    = kind{"bool", ""}
	asInt     = kind{"int", ""}
	asInts    = kind{"ints", ""}
	asBytes   = kind{"int", "bytes"}
	asSeconds = kind{"int", "seconds"}
	asEpoch   = kind{"int", "epoch seconds"}
	asFloat   = kind{"float", ""}
	asCPUTime = kind{"float", "seconds"}
	asEntropy = kind{"float", "bits per byte"}
	asPercent = kind{"float", "percent"}
)

// free, cheap and costly describe a field of that cost.
func free[R any](name string, k kind, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return field(name, k, collect.Free, doc, source, get)
}

func cheap[R any](name string, k kind, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return field(name, k, collect.Cheap, doc, source, get)
}

func costly[R any](name string, k kind, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return field(name, k, collect.Costly, doc, source, get)
}

func field[R any](name string, k kind, cost collect.Cost, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return collect.Field[R]{Name: name, Type: k.name, Unit: k.unit, Cost: cost, Doc: doc, Source: source, Get: get}
}

// lazy is a value that is read when first asked for, and then kept with its error.
type lazy[T any] struct {
	done  bool
	value T
	err   error
}

func (l *lazy[T]) get(read func() (T, error)) (T, error) {
	if !l.done {
		l.value, l.err = read()
		l.done = true
	}
	return l.value, l.err
}
