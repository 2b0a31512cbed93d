package procfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
)

// deletedSuffix is what the kernel puts behind the path of a file that has no name any more (d_path).
const deletedSuffix = " (deleted)"

// TrimDeleted takes the kernel's mark off the path of a file and says whether it was there.
func TrimDeleted(path string) (string, bool) { return strings.CutSuffix(path, deletedSuffix) }

// ReadLink reads a link in a process's directory, such as exe, cwd, root or fd/0.
func (fs FS) ReadLink(dir, name string) (string, error) {
	return os.Readlink(fs.PidPath(dir, name))
}

// ReadNamespace reads the number of one of a process's namespaces, such as net or pid, from "net:[4026531840]".
func (fs FS) ReadNamespace(dir, kind string) (uint64, error) {
	path := fs.PidPath(dir, "ns/"+kind)
	target, err := os.Readlink(path)
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(target, kind+":[")
	n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	if !ok || err != nil {
		return 0, errParse(path, clip(target))
	}
	return n, nil
}

// Bounds on directories of /proc.
const (
	maxPIDs = 1 << 22 // PID_MAX_LIMIT
	maxFDs  = 1 << 20 // the kernel's default of fs.nr_open
)

// ReadPIDs lists the thread groups of /proc in rising order.
func (fs FS) ReadPIDs() ([]int, error) { return readNumbers(fs.Path("/proc"), maxPIDs) }

// ReadFDs lists the open descriptors of a process in rising order.
func (fs FS) ReadFDs(dir string) ([]int, error) { return readNumbers(fs.PidPath(dir, "fd"), maxFDs) }

// ReadThreads lists the threads of a process in rising order.
func (fs FS) ReadThreads(dir string) ([]int, error) {
	return readNumbers(fs.PidPath(dir, "task"), maxPIDs)
}

// openDir opens a directory, and nothing else: a FIFO in its place would wait for ever.
func openDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
}

// readNumbers lists the names in a directory that are numbers.
func readNumbers(dir string, limit int) ([]int, error) {
	d, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var numbers []int
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil && n >= 0 && name[0] != '+' {
				numbers = append(numbers, n)
			}
		}
		if len(numbers) > limit {
			return nil, fmt.Errorf("%s: more than %d entries: %w", dir, limit, collect.ErrLimit)
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(numbers)
			return numbers, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// SocketInode reads "socket:[1234]", the target of a descriptor that is a socket.
func SocketInode(target string) (uint64, bool) {
	number, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return n, err == nil
}

// IsDenied says whether rights were missing.
func IsDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }

// maxNames bounds the directories of /sys that are listed; hosts with many containers have thousands of interfaces.
const maxNames = 1 << 16

// ReadNames lists the names in a directory, sorted.
func (fs FS) ReadNames(path string) ([]string, error) {
	d, err := openDir(fs.Path(path))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxNames + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxNames {
		return nil, fmt.Errorf("%s: more than %d entries: %w", path, maxNames, collect.ErrLimit)
	}
	slices.Sort(names)
	return names, nil
}
