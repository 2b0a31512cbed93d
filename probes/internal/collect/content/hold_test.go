package content

import (
	"flag"
	"os"
	"testing"
)

// All tests of this package run a second time as on a kernel without O_PATH (before 2.6.39).
func TestMain(m *testing.M) {
	code := m.Run()
	if fuzz := flag.Lookup("test.fuzz"); code == 0 && fuzz.Value.String() == "" {
		hasPathFlag = func() bool { return false }
		code = m.Run()
	}
	os.Exit(code)
}
