// Package fact has the short words in which collectors describe their fields and say "none".
package fact

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// Kind is the type of a field's value with its unit.
type Kind struct{ Name, Unit string }

// The kinds of values that collectors give.
var (
	Text    = Kind{"string", ""}
	Octal   = Kind{"string", "octal text"}
	Hex     = Kind{"string", "hexadecimal text"}
	Texts   = Kind{"strings", ""}
	Bool    = Kind{"bool", ""}
	Int     = Kind{"int", ""}
	Ints    = Kind{"ints", ""}
	Bytes   = Kind{"int", "bytes"}
	Epoch   = Kind{"int", "epoch seconds"}
	Seconds = Kind{"int", "seconds"}
)

// Free is a field that is already read when the record exists.
func Free[R any](name string, k Kind, doc, source string, get func(R) any) collect.Field[R] {
	return field(name, k, collect.Free, doc, source, func(r R) (any, error) { return get(r), nil })
}

// Cheap is a field that takes one more small read or system call.
func Cheap[R any](name string, k Kind, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return field(name, k, collect.Cheap, doc, source, get)
}

// Costly is a field that takes content, or many reads.
func Costly[R any](name string, k Kind, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return field(name, k, collect.Costly, doc, source, get)
}

func field[R any](name string, k Kind, cost collect.Cost, doc, source string, get func(R) (any, error)) collect.Field[R] {
	return collect.Field[R]{Name: name, Type: k.Name, Unit: k.Unit, Cost: cost, Doc: doc, Source: source, Get: get}
}

// String turns a string into a field's value, "" into none.
func String(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Strings turns a list into a field's value, nil into none; an empty list stays one.
func Strings(list []string) any {
	if list == nil {
		return nil
	}
	return list
}

// Integers turns a list of numbers into a field's value, nil into none.
func Integers(list []int64) any {
	if list == nil {
		return nil
	}
	return list
}

// Pointer turns what may be nil into a field's value.
func Pointer[T int64 | bool | string](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// Tree is the Linux tree that the environment names.
func Tree(env *collect.Env) procfs.FS { return procfs.FS(env.Root) }

// Lazy is a value that is read when first asked for, and then kept with its error.
type Lazy[T any] struct {
	done  bool
	value T
	err   error
}

// Get gives the value, and reads it when that has not been done.
func (l *Lazy[T]) Get(read func() (T, error)) (T, error) {
	if !l.done {
		l.value, l.err = read()
		l.done = true
	}
	return l.value, l.err
}
