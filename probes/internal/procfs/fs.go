// Package procfs reads the kernel's files under /proc: one Go file per kernel file, ReadX reads and parseX parses.
// Parsers are pure. Every read has a bound, and reaching it is an error, never a silent cut.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
)

// Bounds on what one read takes in.
const (
	maxSmall = 1 << 20  // status with its 65536 possible groups, cgroup, sysctl values
	maxHeld  = 64 << 10 // buffers up to this size are used again
	maxText  = 8 << 20  // mountinfo, modules, modules.dep, cpuinfo of big hosts
)

// ErrParse is wrapped by the error of every parser that met text it does not know.
var ErrParse = errors.New("malformed")

// errParse names the file and what is wrong with it.
func errParse(file, why string) error { return fmt.Errorf("%s: %w: %s", file, ErrParse, why) }

// FS is a Linux tree; its value is the directory that stands for /.
type FS string

// Path joins an absolute path of the host to the root.
func (fs FS) Path(path string) string {
	if fs == "/" || fs == "" {
		return path
	}
	return strings.TrimSuffix(string(fs), "/") + path
}

// IsLive says whether the tree is the running system, so that magic links and the probe's own state belong to it.
func (fs FS) IsLive() bool { return fs == "/" || fs == "" }

// PidPath is the path of a file in a process's directory. Here and in all functions about processes, dir is the
// directory below /proc: "123", or "123/task/124" for a thread.
func (fs FS) PidPath(dir, name string) string { return fs.Path("/proc/" + dir + "/" + name) }

// buffers saves an allocation per file: a process table reads a few hundred of them.
var buffers = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

// open opens a regular file without ever waiting for a FIFO or touching a device. The package syscall is used instead
// of os because os asks the poller about each file first, which doubles the cost for small files.
func open(path string) (int, error) {
	const flags = syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC | syscall.O_NOCTTY | syscall.O_LARGEFILE
	fd, err := retry(func() (int, error) { return syscall.Open(path, flags, 0) })
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		syscall.Close(fd)
		return -1, fmt.Errorf("open %s: not a regular file", path)
	}
	return fd, nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// withFile hands the whole content to use, which must not keep it.
func withFile(path string, limit int, use func(data []byte) error) error {
	return withContent(path, limit, false, use)
}

// withRecord is withFile for files that the kernel makes in one piece (single_open): a read that does not fill the
// buffer was the last one.
func withRecord(path string, use func(data []byte) error) error {
	return withContent(path, maxSmall, true, use)
}

func withContent(path string, limit int, isRecord bool, use func(data []byte) error) error {
	fd, err := open(path)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	held := buffers.Get().(*[]byte)
	defer buffers.Put(held)
	buf := *held
	size := 0
	for {
		n, err := retry(func() (int, error) { return syscall.Read(fd, buf[size:]) })
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if n <= 0 {
			return use(buf[:size])
		}
		if size += n; size > limit {
			return fmt.Errorf("read %s: more than %d bytes: %w", path, limit, collect.ErrLimit)
		}
		if isRecord && size < len(buf) {
			return use(buf[:size])
		}
		if size == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
			if len(buf) <= maxHeld {
				*held = buf
			}
		}
	}
}

// readAll returns the whole content of a file, at most limit bytes.
func readAll(path string, limit int) (data []byte, err error) {
	err = withFile(path, limit, func(b []byte) error { data = bytes.Clone(b); return nil })
	return data, err
}

// ReadText returns the content of a small kernel file without surrounding white space.
func (fs FS) ReadText(path string) (string, error) {
	data, err := readAll(fs.Path(path), maxSmall)
	return string(bytes.TrimSpace(data)), err
}

// ReadInt returns the number a kernel file holds, such as a sysctl.
func (fs FS) ReadInt(path string) (int64, error) {
	text, err := fs.ReadText(path)
	if err != nil {
		return 0, err
	}
	// Some sysctls hold several numbers; the first is the one that matters.
	first, _, _ := strings.Cut(text, "\t")
	n, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, errParse(path, strconv.Quote(clip(first)))
	}
	return n, nil
}

// clip keeps hostile text in error messages short.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// IsAbsent says whether an error means that the file is not there, or that its process is gone.
func IsAbsent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENOTDIR)
}

// lines calls use with each line, without its end, until use gives an error.
func lines(data []byte, use func(line []byte) error) error {
	for len(data) > 0 {
		line := data
		if end := bytes.IndexByte(data, '\n'); end >= 0 {
			line, data = data[:end], data[end+1:]
		} else {
			data = nil
		}
		if err := use(line); err != nil {
			return err
		}
	}
	return nil
}
