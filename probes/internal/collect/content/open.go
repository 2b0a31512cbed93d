// Package content reads files of a host that nobody vouches for: only regular files, never past a bound, never through
// a link that leaves the root directory, and without touching access times where the kernel lets it.
package content

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	"sandfly/probes/internal/collect"
)

// Bounds that all readers of a host's files share.
const (
	MaxHashBytes    = 64 << 20 // larger files are not hashed: the visit's CPU budget
	MaxEntropyBytes = 4 << 20  // entropy looks at this much of the beginning
	MaxTextBytes    = 64 << 10 // text of a file that rules look through
	HeadBytes       = 512      // enough for every class of Magic, tar's at offset 257 included
	chunkBytes      = 64 << 10 // one read; the throttle is asked after each
)

// ErrNotRegular tells that the path names a directory, device, FIFO, socket or, unless followed, a symbolic link.
var ErrNotRegular = errors.New("not a regular file")

var errNoProc = errors.New("/proc is not mounted")

// File is an open regular file. All reads are positioned, so the methods may be called in any order.
type File struct {
	fd       int
	size     int64
	throttle collect.Throttle
}

// Open opens the regular file at an absolute path seen from env.Root and follows symbolic links inside that root.
// It never blocks on a FIFO and never opens a device. Errors: fs.ErrNotExist, fs.ErrPermission, ErrNotRegular.
func Open(env *collect.Env, path string) (*File, error) {
	fd, err := openPath(env, path, true)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return reopen(env, fd, path)
}

// OpenAt opens the regular file name inside the open directory dirfd and does not follow a symbolic link.
func OpenAt(env *collect.Env, dirfd int, name string) (*File, error) {
	fd, err := hold(dirfd, name, false)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return reopen(env, fd, name)
}

// reopen turns an O_PATH descriptor, which it closes, into a readable File. Looking at the type before the real open
// matters: opening a device can have effects (a watchdog starts, a tape rewinds).
func reopen(env *collect.Env, pathFD int, name string) (*File, error) {
	defer syscall.Close(pathFD)
	if err := checkRegular(pathFD); err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	fd, err := openNoAtime("/proc/self/fd/" + strconv.Itoa(pathFD))
	if errors.Is(err, syscall.ENOENT) {
		// The file is held, so it is /proc that is missing: no reason to think that the file is.
		return nil, fmt.Errorf("open %s: %w", name, errNoProc)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	return &File{fd: fd, size: st.Size, throttle: env.Throttle}, nil
}

func checkRegular(fd int) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return ErrNotRegular
	}
	return nil
}

// openNoAtime opens for reading without a trace in the access time; only the owner and root may ask for that.
func openNoAtime(path string) (int, error) {
	const flags = syscall.O_RDONLY | syscall.O_NONBLOCK
	fd, err := openat(atFDCWD, path, flags|syscall.O_NOATIME)
	if errors.Is(err, syscall.EPERM) {
		fd, err = openat(atFDCWD, path, flags)
	}
	return fd, err
}

// Close releases the descriptor.
func (f *File) Close() error { return syscall.Close(f.fd) }

// Size is the length in bytes when the file was opened; 0 for most files of /proc.
func (f *File) Size() int64 { return f.size }

// ReadAt reads at an offset (io.ReaderAt) and asks the throttle after each read.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	total := 0
	for total < len(p) {
		end := min(len(p), total+chunkBytes)
		n, err := syscall.Pread(f.fd, p[total:end], off+int64(total))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return total, fmt.Errorf("read: %w", err)
		}
		if n <= 0 {
			return total, io.EOF
		}
		total += n
		if err := f.throttle.Pause(); err != nil {
			return total, err
		}
	}
	return total, nil
}

// Head returns the first n bytes, fewer when the file is shorter.
func (f *File) Head(n int) ([]byte, error) {
	buf := make([]byte, n)
	got, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buf[:got], nil
}

// All returns the whole content, or collect.ErrLimit when there is more than limit bytes. A file may say size 0 and
// have content (/proc), or grow meanwhile: what is read decides.
func (f *File) All(limit int64) ([]byte, error) {
	var data []byte
	for int64(len(data)) <= limit {
		want := min(limit+1-int64(len(data)), max(f.size+1-int64(len(data)), 4096))
		data = slices.Grow(data, int(want))
		n, err := f.ReadAt(data[len(data):len(data)+int(want)], int64(len(data)))
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("more than %d bytes: %w", limit, collect.ErrLimit)
}

// ReadFile opens the file at path and returns its whole content, at most limit bytes, else collect.ErrLimit.
func ReadFile(env *collect.Env, path string, limit int64) ([]byte, error) {
	f, err := Open(env, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.All(limit)
}

// IsAbsent tells whether an error says that nothing is at that path.
func IsAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}
