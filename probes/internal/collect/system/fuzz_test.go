package system

import (
	"strings"
	"testing"

	"sandfly/probes/internal/procfs"
)

func FuzzAssignments(f *testing.F) {
	for _, seed := range []string{"ID=debian\nNAME=\"a \\\"b\\\"\"\n", "# X=1\nA='\n=\nB=\\", "A=\"\"\"\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		for key, value := range parseAssignments(data) {
			if strings.HasPrefix(key, "#") || len(key)+len(value) > len(data) {
				t.Errorf("%q = %q", key, value)
			}
		}
	})
}

func FuzzProgram(f *testing.F) {
	for _, seed := range []string{"/usr/bin/sh", "/tmp/x (deleted)", "/memfd:a (deleted)", " (deleted)", "(unreachable)/x", ""} {
		f.Add(seed)
	}
	root := procfs.FS(f.TempDir())
	f.Fuzz(func(t *testing.T, target string) {
		if p := (&process{table: &table{fs: root}}).parseProgram(target); len(p.path) > len(target) {
			t.Errorf("%q became %+v", target, p)
		}
	})
}
