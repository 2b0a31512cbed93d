package content

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"sandfly/probes/internal/collect"
)

// Stat is what the kernel says about one path. Times are epoch seconds.
type Stat struct {
	Mode                uint32 // type and permission bits, as in st_mode
	Size                int64
	UID, GID            int64
	Links               int64
	Inode               uint64
	Dev                 uint64 // of the file system: major << 32 | minor
	Atime, Mtime, Ctime int64
	Btime               int64 // when HasBtime
	HasBtime            bool
	Immutable           bool // when HasAttributes
	AppendOnly          bool // when HasAttributes
	HasAttributes       bool // the file system told through statx
}

// Type is the S_IFMT part of the mode.
func (s *Stat) Type() uint32 { return s.Mode & syscall.S_IFMT }

// IsDir tells a directory.
func (s *Stat) IsDir() bool { return s.Type() == syscall.S_IFDIR }

// IsRegular tells a regular file.
func (s *Stat) IsRegular() bool { return s.Type() == syscall.S_IFREG }

// Octal is the permission bits with SUID, SGID and sticky as four octal digits.
func (s *Stat) Octal() string { return fmt.Sprintf("%04o", s.Mode&0o7777) }

// Device is the device number of the file system as "major:minor".
func (s *Stat) Device() string {
	return strconv.FormatUint(s.Dev>>32, 10) + ":" + strconv.FormatUint(s.Dev&0xffffffff, 10)
}

// Lstat looks at an absolute path seen from env.Root; a symbolic link at its end is not followed.
func Lstat(env *collect.Env, name string) (*Stat, error) { return statPath(env, name, false) }

// StatPath looks at an absolute path seen from env.Root and follows symbolic links inside that root.
func StatPath(env *collect.Env, name string) (*Stat, error) { return statPath(env, name, true) }

func statPath(env *collect.Env, name string, follow bool) (*Stat, error) {
	if isHostRoot(env.Root) {
		clean := path.Clean("/" + name)
		if err := allowed(env, clean, follow); err != nil {
			return nil, fmt.Errorf("stat %s: %w", name, err)
		}
		st, err := statAt(atFDCWD, clean, follow)
		if err != nil {
			return nil, fmt.Errorf("stat %s: %w", name, err)
		}
		return st, nil
	}
	fd, err := openPath(env, name, follow)
	if held := (*unheldError)(nil); errors.As(err, &held) {
		return held.st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	defer syscall.Close(fd)
	return StatFD(fd)
}

// StatAt looks at name inside the open directory dirfd without following a link.
func StatAt(dirfd int, name string) (*Stat, error) {
	st, err := statAt(dirfd, name, false)
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	return st, nil
}

// StatFD looks at an open descriptor.
func StatFD(fd int) (*Stat, error) {
	st, err := statx(fd, "", atEmptyPath|atDontSync)
	if !errors.Is(err, errNoStatx) {
		return st, err
	}
	var old syscall.Stat_t
	if err := syscall.Fstat(fd, &old); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	return fromOld(&old), nil
}

func statAt(dirfd int, name string, follow bool) (*Stat, error) {
	flags := atNoAutomount | atDontSync
	if !follow {
		flags |= atSymlinkNofollow
	}
	st, err := statx(dirfd, name, flags)
	if !errors.Is(err, errNoStatx) {
		return st, err
	}
	if dirfd != atFDCWD {
		// Package syscall has no fstatat for every architecture; the descriptor's magic link does the same.
		name = "/proc/self/fd/" + strconv.Itoa(dirfd) + "/" + name
	}
	var old syscall.Stat_t
	call := syscall.Lstat
	if follow {
		call = syscall.Stat
	}
	if err := call(name, &old); err != nil {
		return nil, err
	}
	return fromOld(&old), nil
}

func fromOld(st *syscall.Stat_t) *Stat {
	dev := uint64(st.Dev)
	major := dev>>8&0xfff | dev>>32&^uint64(0xfff)
	minor := dev&0xff | dev>>12&0xffffff00
	seconds := func(t syscall.Timespec) int64 { s, _ := t.Unix(); return s }
	return &Stat{
		Mode: st.Mode, Size: st.Size, UID: int64(st.Uid), GID: int64(st.Gid), Links: int64(st.Nlink),
		Inode: st.Ino, Dev: major<<32 | minor,
		Atime: seconds(st.Atim), Mtime: seconds(st.Mtim), Ctime: seconds(st.Ctim),
	}
}

// Flags and bits of statx(2).
const (
	atSymlinkNofollow = 0x100
	atNoAutomount     = 0x800
	atEmptyPath       = 0x1000
	atDontSync        = 0x4000 // what a server said last is good enough
	statxBasicBtime   = 0xfff
	statxBtime        = 0x800
	attrImmutable     = 0x10
	attrAppend        = 0x20
)

// statxNumbers are the system call numbers per architecture (arch/*/*.tbl of Linux); package syscall has few of them.
var statxNumbers = map[string]uintptr{
	"386": 383, "amd64": 332, "arm": 397, "arm64": 291, "loong64": 291, "mips": 4366, "mipsle": 4366,
	"mips64": 5326, "mips64le": 5326, "ppc64": 383, "ppc64le": 383, "riscv64": 291, "s390x": 379,
}

var (
	statxNumber, statxKnown = statxNumbers[runtime.GOARCH]
	errNoStatx              = fmt.Errorf("no statx on this kernel: %w", fs.ErrInvalid)
	statxMissing            atomic.Bool // kernels before 4.11
)

// statx is statx(2); errNoStatx when the kernel, or a seccomp filter that does not know it, refuses the call itself.
func statx(dirfd int, name string, flags int) (*Stat, error) {
	if !statxKnown || statxMissing.Load() {
		return nil, errNoStatx
	}
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	var buf [256]byte
	for {
		_, _, errno := syscall.Syscall6(statxNumber, uintptr(dirfd), uintptr(unsafe.Pointer(p)), uintptr(flags),
			statxBasicBtime, uintptr(unsafe.Pointer(&buf[0])), 0)
		switch errno {
		case 0:
			return parseStatx(&buf), nil
		case syscall.EINTR:
		case syscall.ENOSYS:
			statxMissing.Store(true)
			return nil, errNoStatx
		case syscall.EPERM:
			return nil, errNoStatx
		default:
			return nil, errno
		}
	}
}

// parseStatx reads struct statx, whose layout is the same on every architecture but for the byte order.
func parseStatx(b *[256]byte) *Stat {
	o := binary.NativeEndian
	mask, attributes, known := o.Uint32(b[0:]), o.Uint64(b[8:]), o.Uint64(b[56:])
	return &Stat{
		Links: int64(o.Uint32(b[16:])), UID: int64(o.Uint32(b[20:])), GID: int64(o.Uint32(b[24:])),
		Mode: uint32(o.Uint16(b[28:])), Inode: o.Uint64(b[32:]), Size: int64(o.Uint64(b[40:])),
		Atime: int64(o.Uint64(b[64:])), Btime: int64(o.Uint64(b[80:])),
		Ctime: int64(o.Uint64(b[96:])), Mtime: int64(o.Uint64(b[112:])),
		Dev:           uint64(o.Uint32(b[136:]))<<32 | uint64(o.Uint32(b[140:])),
		HasBtime:      mask&statxBtime != 0 && o.Uint64(b[80:]) != 0, // file systems without one may say 0
		HasAttributes: known&(attrImmutable|attrAppend) == attrImmutable|attrAppend,
		Immutable:     attributes&attrImmutable != 0, AppendOnly: attributes&attrAppend != 0,
	}
}
