package content

import (
	"errors"
	"sync"
	"syscall"
)

// oPath is O_PATH, which package syscall has only for newer architectures; the same on all that Go has.
const oPath = 0x200000

// hasPathFlag tells that the kernel knows O_PATH, which came with 2.6.39. An older one ignores the flag and opens the
// file itself, which a read of the descriptor tells: EBADF from the one, EISDIR from the other.
var hasPathFlag = sync.OnceValue(func() bool {
	fd, err := openat(atFDCWD, "/", oPath)
	if err != nil {
		return true
	}
	defer syscall.Close(fd)
	_, err = syscall.Read(fd, make([]byte, 1))
	return errors.Is(err, syscall.EBADF)
})

// pathFlag is O_PATH where there is one.
func pathFlag() int {
	if hasPathFlag() {
		return oPath
	}
	return 0
}

// unheldError tells that a name exists and cannot be held without opening it for real, and what it is.
type unheldError struct{ st *Stat }

func (*unheldError) Error() string { return ErrNotRegular.Error() }
func (*unheldError) Unwrap() error { return ErrNotRegular }

// hold gives a descriptor that stands for a name without opening what it names. Kernels without O_PATH open regular files
// and directories for reading instead; of links, devices, FIFOs and sockets they give an unheldError, and what is exchanged
// for one of these in between does at least not block.
func hold(dirfd int, name string, follow bool) (int, error) {
	nofollow := syscall.O_NOFOLLOW
	if follow {
		nofollow = 0
	}
	if hasPathFlag() {
		return openat(dirfd, name, oPath|nofollow)
	}
	st, err := statAt(dirfd, name, follow)
	if err != nil {
		return -1, err
	}
	if !st.IsRegular() && !st.IsDir() {
		return -1, &unheldError{st}
	}
	const flags = syscall.O_RDONLY | syscall.O_NONBLOCK
	fd, err := openat(dirfd, name, flags|nofollow|syscall.O_NOATIME)
	if errors.Is(err, syscall.EPERM) {
		fd, err = openat(dirfd, name, flags|nofollow)
	}
	return fd, err
}
