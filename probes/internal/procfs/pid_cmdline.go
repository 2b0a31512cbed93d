package procfs

import (
	"bytes"
	"fmt"
	"strings"

	"sandfly/probes/internal/collect"
)

// Bounds of cmdline and environ. The kernel allows 6 MiB for both together (three quarters of _STK_LIM), so only the
// number of strings is one that a process can reach: a million empty ones would take more memory than the probe has.
const (
	maxArguments = 8 << 20
	maxStrings   = 1 << 16
)

// ReadCmdline reads the arguments of /proc/PID/cmdline, NUL between them; "" for kernel threads and zombies.
func (fs FS) ReadCmdline(dir string) (raw string, err error) {
	err = withFile(fs.PidPath(dir, "cmdline"), maxArguments, func(data []byte) error {
		raw = parseCmdline(data)
		return nil
	})
	return raw, err
}

// parseCmdline takes off the NULs at the end: one ends the last argument, and programs that write a title over their
// arguments leave more.
func parseCmdline(data []byte) string { return string(bytes.TrimRight(data, "\x00")) }

// ReadEnviron reads the NAME=value strings of /proc/PID/environ: those the program was started with.
func (fs FS) ReadEnviron(dir string) (environ []string, err error) {
	err = withFile(fs.PidPath(dir, "environ"), maxArguments, func(data []byte) error {
		environ, err = SplitStrings(parseCmdline(data))
		return err
	})
	return environ, err
}

// SplitStrings splits at NUL bytes; collect.ErrLimit when there are too many strings.
func SplitStrings(raw string) ([]string, error) {
	if raw == "" {
		return nil, nil
	}
	if strings.Count(raw, "\x00") >= maxStrings {
		return nil, fmt.Errorf("more than %d strings: %w", maxStrings, collect.ErrLimit)
	}
	return strings.Split(raw, "\x00"), nil
}
