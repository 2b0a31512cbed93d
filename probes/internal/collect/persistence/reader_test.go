package persistence

import (
	"fmt"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

func TestLogicalLinesKeepTheNumberOfTheirFirstLine(t *testing.T) {
	var got []string
	for number, line := range logicalLines("a\nb \\\nc\\\nd\r\ne\\\\\nlast\\", true) {
		got = append(got, fmt.Sprintf("%d:%s", number, line))
	}

	equal(t, strings.Join(got, "|"), `1:a|2:b cd|5:e\\|6:last`)
}

func TestTheProgramOfACommandLineIsFoundBehindItsWrappers(t *testing.T) {
	for command, want := range map[string]string{
		"/usr/bin/x -a": "/usr/bin/x", "nohup nice -n /bin/y": "/bin/y", "FOO=/a /bin/z;": "/bin/z", "/bin/sh /tmp/a": "/tmp/a",
		"x /bin/y": "", "": "", `"/opt/my app/run"`: "/opt/my", "exec setsid /dev/shm/.k &": "/dev/shm/.k",
	} {
		if got := firstProgram(command); got != want {
			t.Errorf("%q: %q", command, got)
		}
	}
}

// TestEveryCollectorStandsAnEmptyTreeAndFIFOs holds all collectors to: nothing there is no error, and a FIFO or a
// directory where a file should be neither blocks nor fails.
func TestEveryCollectorStandsAnEmptyTree(t *testing.T) {
	for _, c := range Collectors() {
		within(t, func() {
			if records, status := run(t, c, t.TempDir()); len(records) != 0 || len(status.Parts) != 0 || len(status.Failed) != 0 {
				t.Errorf("%s: %d records, %v, %v", c.Name, len(records), status.Parts, status.Failed)
			}
		})
	}
}

func TestEverySubjectIsDescribed(t *testing.T) {
	for _, c := range Collectors() {
		for _, s := range c.Subjects {
			for _, name := range append(s.Identity, s.Evidence...) {
				if s.Index(name) < 0 {
					t.Errorf("%s has no field %q", s.Name, name)
				}
			}
			for _, f := range s.Fields {
				if f.Doc == "" || f.Source == "" || types[f.Type] == nil {
					t.Errorf("%s.%s: %+v", s.Name, f.Name, f)
				}
			}
			if seenTwice(s.Fields) != "" {
				t.Errorf("%s has %s twice", s.Name, seenTwice(s.Fields))
			}
		}
	}
}

func seenTwice(fields []collect.FieldInfo) string {
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Name] {
			return f.Name
		}
		seen[f.Name] = true
	}
	return ""
}
