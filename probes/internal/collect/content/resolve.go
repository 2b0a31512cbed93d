package content

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
	"unsafe"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/seq"
)

const (
	atFDCWD  = -100 // makes the *at calls take a path as it is
	maxLinks = 40   // symbolic links in one resolution, as the kernel allows
	maxParts = 2048 // components in one resolution; PATH_MAX/2
)

// openat is openat(2) with close-on-exec, large files and retries when a signal interrupts it.
func openat(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := syscall.Openat(dirfd, name, flags|syscall.O_CLOEXEC|syscall.O_LARGEFILE, 0)
		if !errors.Is(err, syscall.EINTR) {
			return fd, err
		}
	}
}

// readlinkat is readlinkat(2). A target never exceeds PATH_MAX.
func readlinkat(dirfd int, name string) (string, error) {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(dirfd), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return "", errno
	}
	return string(buf[:n]), nil
}

// isHostRoot tells that the root directory is the machine's own, where the kernel resolves links as wanted.
func isHostRoot(root string) bool { return root == "" || root == "/" }

// openPath gives an O_PATH descriptor of an absolute path seen from root.
func openPath(env *collect.Env, name string, follow bool) (int, error) {
	name = path.Clean("/" + name)
	if err := allowed(env, name, follow); err != nil {
		return -1, err
	}
	if isHostRoot(env.Root) {
		return hold(atFDCWD, name, follow)
	}
	w, err := newWalk(env.Root)
	if err != nil {
		return -1, err
	}
	defer w.close()
	if err := w.resolve(name, follow); err != nil {
		return -1, err
	}
	return w.take(), nil
}

// Resolve gives the path, seen from env.Root, that an absolute path leads to when every symbolic link in it is
// followed inside that root.
func Resolve(env *collect.Env, name string) (string, error) {
	root := env.Root
	if root == "" {
		root = "/"
	}
	w, err := newWalk(root)
	if err != nil {
		return "", err
	}
	defer w.close()
	if isHostRoot(root) && !env.Anywhere {
		w.barred = barrierOf(env).own
	}
	if err := w.resolve(name, true); err != nil {
		return "", fmt.Errorf("resolve %s: %w", name, err)
	}
	return "/" + strings.Join(w.names, "/"), nil
}

// walk resolves a path component by component with descriptors, so that neither an absolute link nor a directory
// exchanged meanwhile leads out of the root. fds[0] is the root; fds[i+1] belongs to names[i].
type walk struct {
	fds    []int
	names  []string
	barred []string // mount points that it does not enter
}

func newWalk(root string) (*walk, error) {
	fd, err := openat(atFDCWD, root, pathFlag()|syscall.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &walk{fds: []int{fd}}, nil
}

func (w *walk) close() {
	for _, fd := range w.fds {
		syscall.Close(fd)
	}
}

// take hands the descriptor of the last component to the caller.
func (w *walk) take() int {
	last := len(w.fds) - 1
	fd := w.fds[last]
	w.fds = w.fds[:last]
	return fd
}

// up goes to the parent; the root is its own parent.
func (w *walk) up() {
	if len(w.names) == 0 {
		return
	}
	syscall.Close(w.take())
	w.names = w.names[:len(w.names)-1]
}

func (w *walk) resolve(name string, follow bool) error {
	rest := parts(name)
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == ".." {
			w.up()
			continue
		}
		target, err := w.step(part, follow || len(rest) > 0)
		if err != nil {
			return err
		}
		if target == "" {
			continue
		}
		if links++; links > maxLinks || len(rest) > maxParts {
			return syscall.ELOOP
		}
		if strings.HasPrefix(target, "/") {
			for len(w.names) > 0 {
				w.up()
			}
		}
		rest = append(parts(target), rest...)
	}
	return nil
}

// step enters one component; when that is a link to be followed it stays and gives the link's target.
func (w *walk) step(part string, follow bool) (target string, err error) {
	if len(w.barred) > 0 {
		if name := "/" + strings.Join(append(w.names, part), "/"); isBelowAny(w.barred, name) {
			return "", notEntered(name)
		}
	}
	dir := w.fds[len(w.fds)-1]
	fd, err := hold(dir, part, false)
	var held *unheldError
	if follow && errors.As(err, &held) && held.st.Type() == syscall.S_IFLNK {
		return readLink(dir, part)
	}
	if err != nil {
		return "", err
	}
	if follow {
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFLNK {
			syscall.Close(fd)
			return readLink(dir, part)
		}
	}
	w.fds, w.names = append(w.fds, fd), append(w.names, part)
	return "", nil
}

// readLink gives the target of a link, never an empty one.
func readLink(dir int, name string) (string, error) {
	target, err := readlinkat(dir, name)
	if err == nil && target == "" {
		err = syscall.ENOENT
	}
	return target, err
}

// parts splits a path into its components without "" and ".".
func parts(name string) []string {
	var out []string
	for part := range seq.Split(name, "/") {
		if part != "" && part != "." {
			out = append(out, part)
		}
	}
	return out
}
