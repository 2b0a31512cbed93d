package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"sandfly/probes/internal/collect"
)

// Commands of bpf(2) that only look. None of them loads, attaches, pins or changes anything.
const (
	progNextID  = 11
	mapNextID   = 12
	progFDByID  = 13
	mapFDByID   = 14
	infoByFD    = 15
	linkFDByID  = 30
	linkNextID  = 31
	mapReadOnly = 1 << 3 // BPF_F_RDONLY
)

// bpfNumbers are the system call numbers per architecture (arch/*/*.tbl of Linux).
var bpfNumbers = map[string]uintptr{
	"386": 357, "amd64": 321, "arm": 386, "arm64": 280, "loong64": 280, "mips": 4355, "mipsle": 4355,
	"mips64": 5315, "mips64le": 5315, "ppc64": 361, "ppc64le": 361, "riscv64": 280, "s390x": 351,
}

// caller is bpf(2); tests bring their own.
type caller func(command int, attr []byte) (int, error)

// bpf is the kernel's own. Kernels without it say ENOSYS.
func bpf(command int, attr []byte) (int, error) {
	number, known := bpfNumbers[runtime.GOARCH]
	if !known {
		return -1, syscall.ENOSYS
	}
	for {
		n, _, errno := syscall.Syscall(number, uintptr(command), uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
		if errno == syscall.EINTR || errno == syscall.EAGAIN {
			continue
		}
		if errno != 0 {
			return -1, errno
		}
		return int(n), nil
	}
}

// maxObjects bounds programs, maps and links each; hosts with many containers have a few thousand.
const maxObjects = 1 << 16

// each calls use with the id of every object of a kind. It ends without an error at the last one.
func (call caller) each(next int, use func(id uint32) error) error {
	attr := make([]byte, 12)
	for range maxObjects {
		_, err := call(next, attr)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		id := binary.NativeEndian.Uint32(attr[4:])
		if err := use(id); err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(attr, id)
	}
	return fmt.Errorf("more than %d eBPF objects: %w", maxObjects, collect.ErrLimit)
}

// open gives a descriptor of the object; it must be closed. ErrGone when it was unloaded meanwhile.
func (call caller) open(command int, id, flags uint32) (int, error) {
	attr := make([]byte, 12)
	binary.NativeEndian.PutUint32(attr, id)
	binary.NativeEndian.PutUint32(attr[8:], flags)
	fd, err := call(command, attr)
	if errors.Is(err, syscall.ENOENT) {
		return -1, collect.ErrGone
	}
	return fd, err
}

// info fills the structure that describes an object and gives it as long as the kernel made it. Pointers that lie in it
// must be held by pinner.
func (call caller) info(fd int, structure []byte, pinner *runtime.Pinner) ([]byte, error) {
	pinner.Pin(&structure[0])
	attr := make([]byte, 16)
	binary.NativeEndian.PutUint32(attr, uint32(fd))
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(structure)))
	putPointer(attr[8:], structure)
	if _, err := call(infoByFD, attr); err != nil {
		return nil, err
	}
	return structure[:min(len(structure), int(binary.NativeEndian.Uint32(attr[4:])))], nil
}

// putPointer writes the address of a buffer as the kernel wants it: 64 bits wide on every architecture.
func putPointer(at, buffer []byte) {
	binary.NativeEndian.PutUint64(at, uint64(uintptr(unsafe.Pointer(&buffer[0]))))
}

// look opens an object, describes it with fill and closes it again.
func (call caller) look(command int, id, flags uint32, fill func(fd int) error) error {
	fd, err := call.open(command, id, flags)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return fill(fd)
}
