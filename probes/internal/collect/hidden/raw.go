package hidden

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/hidden/ext4"
	"sandfly/probes/internal/collect/hidden/xfs"
)

// rawName is one name in the blocks of a directory.
type rawName struct {
	name  string
	inode uint64
}

// rawDir reads names of directories past the kernel's listing; one for each file system.
type rawDir func(inode uint64) ([]rawName, error)

// rawKind is a kind of file system whose directories can be read from the device. One that lags has its own cache of them,
// past which the device must be read directly.
type rawKind struct {
	open func(device io.ReaderAt) (rawDir, error)
	lags bool
}

// rawKindOf is nil for file systems that cannot be read like that.
func rawKindOf(mountType string) *rawKind {
	switch {
	case strings.HasPrefix(mountType, "ext"):
		return &rawKind{open: openExt4}
	case mountType == "xfs":
		return &rawKind{open: openXFS, lags: true}
	}
	return nil
}

func openExt4(device io.ReaderAt) (rawDir, error) {
	fs, err := ext4.Open(device)
	if err != nil {
		return nil, unlessFormat(err, ext4.ErrFormat)
	}
	return func(inode uint64) (names []rawName, err error) {
		entries, err := fs.ReadDir(inode)
		for _, e := range entries {
			names = append(names, rawName{e.Name, uint64(e.Inode)})
		}
		return names, err
	}, nil
}

func openXFS(device io.ReaderAt) (rawDir, error) {
	fs, err := xfs.Open(device)
	if err != nil {
		return nil, unlessFormat(err, xfs.ErrFormat)
	}
	return func(inode uint64) (names []rawName, err error) {
		entries, err := fs.ReadDir(inode)
		for _, e := range entries {
			names = append(names, rawName{e.Name, e.Inode})
		}
		return names, err
	}, nil
}

// unlessFormat lets a device that holds something else be one that the method does not fit.
func unlessFormat(err, format error) error {
	if errors.Is(err, format) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unavailable(err.Error())
	}
	return err
}

// settled is how long after its last change a directory of a file system that lags is surely on the device: XFS writes
// back all it has changed each half minute (fs.xfs.xfssyncd_centisecs). Until then a name that is only there was removed,
// unless the kernel still finds it.
const settled = 5 * time.Minute

func (v *visit) isSettled(dir string) bool {
	st, err := content.Lstat(v.env, dir)
	return err == nil && max(st.Mtime, st.Ctime) < v.env.Now.Add(-settled).Unix()
}

// directAlign is what a direct read must be aligned to on any device.
const directAlign = 4096

// readDirect reads past the kernel's cache: O_DIRECT wants offset, length and memory aligned.
func (d *device) readDirect(p []byte, off int64) (int, error) {
	start := off &^ (directAlign - 1)
	size := (int(off-start) + len(p) + directAlign - 1) &^ (directAlign - 1)
	room := make([]byte, size+directAlign)
	skip := int(-uintptr(unsafe.Pointer(&room[0])) & (directAlign - 1))
	b := room[skip : skip+size]
	for {
		n, err := syscall.Pread(d.fd, b, start)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("read device: %w", err)
		case n < int(off-start)+len(p):
			return 0, io.ErrUnexpectedEOF
		}
		return copy(p, b[off-start:]), d.pause()
	}
}
