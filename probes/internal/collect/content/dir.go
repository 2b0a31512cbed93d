package content

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
)

// Entry types, d_type of getdents64(2); 0 when the file system does not tell.
const (
	TypeUnknown = 0
	TypeFIFO    = 1
	TypeChar    = 2
	TypeDir     = 4
	TypeBlock   = 6
	TypeRegular = 8
	TypeLink    = 10
	TypeSocket  = 12
)

// Entry is one name in a directory. The name may hold anything but a slash and NUL.
type Entry struct {
	Name string
	Type uint8
}

// Dir is an open directory that is read in small pieces, so that a huge one never lies in memory.
type Dir struct {
	fd       int
	throttle collect.Throttle
}

// direntBytes is the buffer of one getdents64(2): about a thousand entries.
const direntBytes = 32 << 10

// OpenDir opens the directory at an absolute path seen from env.Root and follows links inside that root.
func OpenDir(env *collect.Env, name string) (*Dir, error) {
	fd, err := openPath(env, name, true)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer syscall.Close(fd)
	d := &Dir{fd: fd, throttle: env.Throttle}
	return d.OpenDir(".")
}

// OpenDir opens a directory inside this one; a symbolic link is not followed (syscall.ELOOP or ENOTDIR).
func (d *Dir) OpenDir(name string) (*Dir, error) {
	const flags = syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	fd, err := openat(d.fd, name, flags|syscall.O_NOATIME)
	if errors.Is(err, syscall.EPERM) {
		fd, err = openat(d.fd, name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &Dir{fd: fd, throttle: d.throttle}, nil
}

// FD is the descriptor, for StatAt and OpenAt; it is the Dir's own.
func (d *Dir) FD() int { return d.fd }

// Stat looks at the directory itself.
func (d *Dir) Stat() (*Stat, error) { return StatFD(d.fd) }

// Close releases the descriptor.
func (d *Dir) Close() error { return syscall.Close(d.fd) }

// Next gives the next entries without "." and "..", never none without an error; io.EOF at the end.
func (d *Dir) Next() ([]Entry, error) {
	buf := make([]byte, direntBytes)
	for {
		if err := d.throttle.Pause(); err != nil {
			return nil, err
		}
		n, err := syscall.ReadDirent(d.fd, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ENOENT): // removed while it was read
			return nil, io.EOF
		case err != nil:
			return nil, fmt.Errorf("readdir: %w", err)
		case n <= 0:
			return nil, io.EOF
		}
		if entries := parseDirents(buf[:n]); len(entries) > 0 {
			return entries, nil
		}
	}
}

// parseDirents reads struct linux_dirent64: inode u64, offset s64, length u16, type u8, name with NUL.
func parseDirents(buf []byte) []Entry {
	const header = 19
	var out []Entry
	for len(buf) > header {
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		if size <= header || size > len(buf) {
			break
		}
		name, _, _ := bytes.Cut(buf[header:size], []byte{0})
		if inode := binary.NativeEndian.Uint64(buf); inode != 0 && string(name) != "." && string(name) != ".." {
			out = append(out, Entry{Name: string(name), Type: buf[18]})
		}
		buf = buf[size:]
	}
	return out
}

// ReadDir gives the entries of a directory by name, for small ones: of more than limit, the first limit that the file
// system gives, with collect.ErrLimit. Errors: fs.ErrNotExist, fs.ErrPermission.
func ReadDir(env *collect.Env, name string, limit int) ([]Entry, error) {
	d, err := OpenDir(env, name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.some(limit)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, err
}

func (d *Dir) some(limit int) ([]Entry, error) {
	var all []Entry
	for {
		entries, err := d.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if all = append(all, entries...); len(all) > limit {
			return all[:limit], fmt.Errorf("more than %d entries: %w", limit, collect.ErrLimit)
		}
	}
}

// Count reads the whole directory and counts its entries and how many of them are directories.
func (d *Dir) Count() (entries, directories int64, err error) {
	for {
		some, err := d.Next()
		if errors.Is(err, io.EOF) {
			return entries, directories, nil
		}
		if err != nil {
			return 0, 0, err
		}
		for _, e := range some {
			entries++
			if d.IsDir(e) {
				directories++
			}
		}
	}
}

// IsDir tells whether an entry is a directory, asking the kernel where the file system does not say.
func (d *Dir) IsDir(e Entry) bool {
	if e.Type != TypeUnknown {
		return e.Type == TypeDir
	}
	st, err := StatAt(d.fd, e.Name)
	return err == nil && st.IsDir()
}
