// Package system collects what the kernel says about the running system: processes, sockets, kernel modules, mounts
// and the host itself. Everything comes from files under /proc, /sys and /etc of the root directory.
package system

import (
	"strconv"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// Collectors returns the collectors of this package. Processes and sockets are one, since each needs the other.
func Collectors() []collect.Collector {
	return []collect.Collector{processCollector(), moduleCollector(), mountCollector(), hostCollector()}
}

// value makes a getter of a function that cannot fail.
func value[R any](get func(R) any) func(R) (any, error) {
	return func(r R) (any, error) { return get(r), nil }
}

// optional turns a number into a field's value, the mark for absent into none.
func optional(n int64) any {
	if n == procfs.Absent {
		return nil
	}
	return n
}

// text turns a string into a field's value, "" into none.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// absentOK turns the error of a file that is not there into an absent value.
func absentOK(v any, err error) (any, error) {
	if err == nil {
		return v, nil
	}
	if procfs.IsAbsent(err) {
		return nil, nil
	}
	return nil, err
}

// inode is a namespace's or socket's number as a field's value.
func inode(n uint64) any { return int64(n) }

func itoa(n int) string { return strconv.Itoa(n) }

// tree is the Linux tree that the environment names.
func tree(env *collect.Env) procfs.FS { return procfs.FS(env.Root) }
