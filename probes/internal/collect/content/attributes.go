package content

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// Readlink gives the text of a symbolic link, as it is stored.
func Readlink(env *collect.Env, name string) (string, error) {
	fd, err := openPath(env, path.Dir(path.Clean("/"+name)), true)
	if err != nil {
		return "", fmt.Errorf("readlink %s: %w", name, err)
	}
	defer syscall.Close(fd)
	return ReadlinkAt(fd, path.Base(name))
}

// ReadlinkAt gives the text of a symbolic link inside an open directory.
func ReadlinkAt(dirfd int, name string) (string, error) {
	target, err := readlinkat(dirfd, name)
	if err != nil {
		return "", fmt.Errorf("readlink %s: %w", name, err)
	}
	return target, nil
}

// Bits of FS_IOC_GETFLAGS (ioctl_iflags(2)).
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
)

// flagsRequest is FS_IOC_GETFLAGS, _IOR('f', 1, long): the size is that of a long, and MIPS and PowerPC put the
// direction elsewhere.
func flagsRequest() uintptr {
	wide := unsafe.Sizeof(uintptr(0)) == 8
	other := strings.HasPrefix(runtime.GOARCH, "mips") || strings.HasPrefix(runtime.GOARCH, "ppc")
	switch {
	case other && wide:
		return 0x40086601
	case other:
		return 0x40046601
	case wide:
		return 0x80086601
	}
	return 0x80046601
}

// Flags tells the immutable and append-only attributes of an open regular file or directory; known is false when the
// file system has none.
func Flags(fd int) (immutable, appendOnly, known bool, err error) {
	// The kernel writes an int whatever the request says; a whole word keeps it from writing past the end.
	var word [2]uint32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), flagsRequest(), uintptr(unsafe.Pointer(&word[0])))
	switch errno {
	case 0:
		return word[0]&flagImmutable != 0, word[0]&flagAppend != 0, true, nil
	case syscall.ENOTTY, syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENOSYS:
		return false, false, false, nil
	}
	return false, false, false, fmt.Errorf("getflags: %w", errno)
}

// FD is the descriptor of the file; it is the File's own.
func (f *File) FD() int { return f.fd }

// noAttribute says that a file, or its file system, has no such extended attribute.
func noAttribute(err error) bool {
	return errors.Is(err, syscall.ENODATA) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS)
}

// procPath is the name by which the calls on extended attributes know an open file; those on descriptors are not in
// package syscall.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// SecurityLabel gives the SELinux context of an open file or directory, nil when it has none.
func SecurityLabel(fd int) (any, error) { return labelOf(procPath(fd)) }

// LabelAt gives the SELinux context of what a path leads to, of whatever kind it is; nil when it has none.
func LabelAt(env *collect.Env, name string) (any, error) {
	if isHostRoot(env.Root) {
		if err := allowed(env, path.Clean(name), true); err != nil {
			return nil, err
		}
		return labelOf(name)
	}
	fd, err := openPath(env, name, true)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	return SecurityLabel(fd)
}

func labelOf(name string) (any, error) {
	buf := make([]byte, 4096) // the kernel's bound on a context is a page
	n, err := syscall.Getxattr(name, "security.selinux", buf)
	if noAttribute(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("getxattr security.selinux: %w", err)
	}
	return strings.TrimRight(string(buf[:n]), "\x00"), nil
}

// AttributeNames lists the extended attributes of an open file or directory, nil when it has none.
func AttributeNames(fd int) (any, error) {
	buf := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := syscall.Listxattr(procPath(fd), buf)
	if noAttribute(err) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listxattr: %w", err)
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
}

// Capabilities gives the decoded security.capability attribute, as "cap_net_raw+ep"; nil when the file has none.
func (f *File) Capabilities() ([]string, error) {
	buf := make([]byte, 64)
	n, err := syscall.Getxattr(procPath(f.fd), "security.capability", buf)
	if noAttribute(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("getxattr security.capability: %w", err)
	}
	return ParseCapabilities(buf[:n])
}

var errCapabilities = errors.New("malformed security.capability")

// ParseCapabilities decodes struct vfs_cap_data, revisions 1 to 3, which is little-endian on every machine: a word
// with revision and effective bit, then one or two pairs of permitted and inheritable words. Each name ends in + and
// the sets it is in: e, i, p.
func ParseCapabilities(data []byte) ([]string, error) {
	if len(data) < 12 {
		return nil, errCapabilities
	}
	word := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(data[4*i:])) }
	magic := word(0)
	permitted, inheritable := word(1), word(2)
	switch revision := magic >> 24; {
	case revision == 1:
	case revision == 2 && len(data) >= 20, revision == 3 && len(data) >= 24:
		permitted, inheritable = permitted|word(3)<<32, inheritable|word(4)<<32
	default:
		return nil, errCapabilities
	}
	var out []string
	for bit := range 64 {
		p, i := permitted>>bit&1 == 1, inheritable>>bit&1 == 1
		if p || i {
			out = append(out, procfs.CapabilityNames(1 << bit)[0]+"+"+capabilitySets(magic&1 == 1, i, p))
		}
	}
	return out, nil
}

func capabilitySets(effective, inheritable, permitted bool) string {
	sets := ""
	if effective {
		sets += "e"
	}
	if inheritable {
		sets += "i"
	}
	if permitted {
		sets += "p"
	}
	return sets
}
