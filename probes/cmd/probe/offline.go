package main

import (
	"bufio"
	"cmp"
	"io"
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/engine"
	"sandfly/probes/internal/seq"
)

// subjectInfo is one subject as fields.json has it.
type subjectInfo struct {
	Name     string              `json:"name"`
	Doc      string              `json:"doc"`
	Identity []string            `json:"identity"`
	Evidence []string            `json:"evidence"`
	Fields   []collect.FieldInfo `json:"fields"`
}

// describe prints the subjects and fields of this probe, sorted by name.
func describe(out io.Writer) int {
	var reference struct {
		Subjects []subjectInfo `json:"subjects"`
	}
	for _, s := range subjects() {
		fields := slices.Clone(s.Fields)
		seq.SortFunc(fields, func(a, b collect.FieldInfo) int { return cmp.Compare(a.Name, b.Name) })
		reference.Subjects = append(reference.Subjects, subjectInfo{
			s.Name, s.Doc, append([]string{}, s.Identity...), append([]string{}, s.Evidence...), fields,
		})
	}
	if err := writeJSON(out, " ", reference); err != nil {
		return fail(err)
	}
	return exitComplete
}

// matchRecords answers rule tests: see engine.Offline.
func matchRecords(in io.Reader, out io.Writer) int {
	data, err := io.ReadAll(in)
	if err != nil {
		return fail(err)
	}
	answers, err := engine.Offline(data, subjects())
	if err != nil {
		return reject(err)
	}
	buffered := bufio.NewWriter(out)
	for _, answer := range answers {
		if err := writeJSON(buffered, "", answer); err != nil {
			return fail(err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fail(err)
	}
	return exitComplete
}
