package procfs

import (
	"bytes"
	"strings"
)

// maxArguments bounds cmdline and environ; the kernel's own bound on both together is a quarter of the stack limit,
// 2 MiB unless somebody raised it.
const maxArguments = 2 << 20

// ReadCmdline reads the arguments of /proc/PID/cmdline; none for kernel threads and zombies.
func (fs FS) ReadCmdline(dir string) (argv []string, err error) {
	err = withFile(fs.PidPath(dir, "cmdline"), maxArguments, func(data []byte) error {
		argv = parseStrings(data)
		return nil
	})
	return argv, err
}

// ReadEnviron reads the NAME=value strings of /proc/PID/environ: those the program was started with.
func (fs FS) ReadEnviron(dir string) (environ []string, err error) {
	err = withFile(fs.PidPath(dir, "environ"), maxArguments, func(data []byte) error {
		environ = parseStrings(data)
		return nil
	})
	return environ, err
}

// parseStrings splits at NUL bytes. Programs that write a title over their arguments leave NULs at the end; these are
// no arguments.
func parseStrings(data []byte) []string {
	data = bytes.TrimRight(data, "\x00")
	if len(data) == 0 {
		return nil
	}
	return strings.Split(string(data), "\x00")
}
