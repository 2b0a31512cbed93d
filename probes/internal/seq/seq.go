// Package seq walks the parts of a text without making a list of them, as strings.Lines, SplitSeq and FieldsSeq of Go
// 1.24 do: the builds for old kernels are made by a Go that does not have those yet.
package seq

import (
	"iter"
	"strings"
	"unicode"
)

// Lines gives the lines of s with their newlines; the last one may have none. An empty s has no line.
func Lines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			end := len(s)
			if at := strings.IndexByte(s, '\n'); at >= 0 {
				end = at + 1
			}
			if !yield(s[:end]) {
				return
			}
			s = s[end:]
		}
	}
}

// Split gives what stands between the separators, as strings.Split does; sep is not empty.
func Split(s, sep string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			part, rest, found := strings.Cut(s, sep)
			if !yield(part) || !found {
				return
			}
			s = rest
		}
	}
}

// Fields gives the words between white space.
func Fields(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
			if s == "" {
				return
			}
			end := strings.IndexFunc(s, unicode.IsSpace)
			if end < 0 {
				end = len(s)
			}
			if !yield(s[:end]) {
				return
			}
			s = s[end:]
		}
	}
}
