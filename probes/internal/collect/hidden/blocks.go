package hidden

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/hidden/ext4"
	"sandfly/probes/internal/collect/hidden/xfs"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// device is a block device that is open for reading; direct: past the kernel's cache of it.
type device struct {
	fd     int
	direct bool
	pause  func() error
}

// ReadAt reads at an offset (io.ReaderAt).
func (d *device) ReadAt(p []byte, off int64) (int, error) {
	if d.direct {
		return d.readDirect(p, off)
	}
	total := 0
	for total < len(p) {
		n, err := syscall.Pread(d.fd, p[total:], off+int64(total))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return total, fmt.Errorf("read device: %w", err)
		}
		if n <= 0 {
			return total, io.ErrUnexpectedEOF
		}
		total += n
	}
	return total, d.pause()
}

// openDevice opens the block device with that number, and nothing else.
func (v *visit) openDevice(major, minor uint64, direct bool) (*device, error) {
	text, err := v.fs.ReadText(fmt.Sprintf("/sys/dev/block/%d:%d/uevent", major, minor))
	if err != nil {
		return nil, fmt.Errorf("device %d:%d: %w", major, minor, err)
	}
	name := deviceName(text)
	if name == "" {
		return nil, unavailable(fmt.Sprintf("device %d:%d has no name", major, minor))
	}
	flags := syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC | syscall.O_NOFOLLOW | syscall.O_LARGEFILE
	if direct {
		flags |= syscall.O_DIRECT
	}
	fd, err := syscall.Open("/dev/"+name, flags, 0)
	// In containers the device is missing or refused to root too: directories then have the other methods alone.
	if procfs.IsAbsent(err) || procfs.IsDenied(err) {
		return nil, unavailable("/dev/" + name + ": " + err.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("/dev/%s: %w", name, err)
	}
	st, err := content.StatFD(fd)
	var old syscall.Stat_t
	if err == nil {
		err = syscall.Fstat(fd, &old)
	}
	if err != nil || st.Type() != syscall.S_IFBLK || numberOf(uint64(old.Rdev)) != [2]uint64{major, minor} {
		syscall.Close(fd)
		return nil, unavailable("/dev/" + name + " is another device")
	}
	return &device{fd: fd, direct: direct, pause: v.pause}, nil
}

// numberOf takes a device number of stat(2) apart.
func numberOf(dev uint64) [2]uint64 {
	return [2]uint64{dev>>8&0xfff | dev>>32&^uint64(0xfff), dev&0xff | dev>>12&0xffffff00}
}

// deviceName is the DEVNAME line of a uevent file; "" when there is none that stays below /dev.
func deviceName(text string) string {
	for line := range seq.Lines(text) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); found && path.Clean("/"+name) == "/"+name {
			return name
		}
	}
	return ""
}

// place is one directory whose blocks are held against its listing.
type place struct {
	path  string
	inode uint64
	raw   rawDir
	lags  bool // what is on the device may be older than what the kernel shows
}

// directoryBlocks compares the blocks of directories with their listings, on ext2, ext3, ext4 and XFS and as root.
func directoryBlocks(v *visit) ([]*finding, error) {
	if !v.fs.IsLive() {
		return nil, unavailable("the tree is not the running system")
	}
	if v.env.UID != 0 {
		return nil, unavailable("reading a device needs root")
	}
	places, closeAll, err := v.places()
	defer closeAll()
	if err != nil || len(places) == 0 {
		if err == nil {
			err = unavailable("no directory lies on ext2, ext3, ext4 or XFS")
		}
		return nil, err
	}
	return v.compareBlocks(places)
}

// places opens each device once.
func (v *visit) places() (places []place, closeAll func(), err error) {
	devices := map[uint64]rawDir{}
	var open []*device
	closeAll = func() {
		for _, d := range open {
			syscall.Close(d.fd)
		}
	}
	seen := map[[2]uint64]bool{}
	for _, dir := range watched {
		real := v.resolved(dir)
		kind := rawKindOf(v.mountType(real))
		if kind == nil {
			continue
		}
		st, statErr := content.Lstat(v.env, real)
		if statErr != nil || !st.IsDir() || seen[[2]uint64{st.Dev, st.Inode}] {
			continue
		}
		seen[[2]uint64{st.Dev, st.Inode}] = true
		raw, known := devices[st.Dev]
		if !known {
			d, deviceErr := v.openDevice(st.Dev>>32, st.Dev&0xffffffff, kind.lags)
			if deviceErr == nil {
				open = append(open, d)
				raw, deviceErr = kind.open(d)
			}
			devices[st.Dev] = raw
			err = errors.Join(err, deviceErr)
		}
		if raw != nil {
			places = append(places, place{real, st.Inode, raw, kind.lags})
		}
	}
	if len(places) > 0 && errors.Is(err, errUnavailable) {
		err = nil
	}
	return places, closeAll, err
}

// unshown is a name that the blocks of a directory have and its listing has not.
type unshown struct {
	place
	name   string
	inDisk uint64
}

// compareBlocks looks twice, more than a second apart.
func (v *visit) compareBlocks(places []place) ([]*finding, error) {
	first := map[string]bool{}
	again, unread := v.unshownIn(places, func(u unshown) { first[u.path+"/"+u.name] = true })
	if len(again) == 0 {
		return nil, unread
	}
	if err := v.sleep(apart); err != nil {
		return nil, err
	}
	var found []*finding
	v.unshownIn(again, func(u unshown) {
		full := path.Join(u.path, u.name)
		if !first[u.path+"/"+u.name] || len(found) == maxFindings {
			return
		}
		f := &finding{kind: "directory_entry", name: u.name, path: full, seenBy: []string{"device"},
			missingFrom: []string{"getdents"}, detail: fmt.Sprintf("the blocks of %s have the name (inode %d), its listing "+
				"has not", u.path, u.inDisk)}
		if _, err := content.Lstat(v.env, full); err == nil {
			f.seenBy = append(f.seenBy, "stat")
		} else if u.lags && !v.isSettled(u.path) {
			return
		}
		found = append(found, f)
	})
	return found, unread
}

// unshownIn calls use with every such name and gives the directories that have some.
func (v *visit) unshownIn(places []place, use func(u unshown)) (odd []place, unread error) {
	for _, p := range places {
		raw, err := p.raw(p.inode)
		if errors.Is(err, ext4.ErrFormat) || errors.Is(err, xfs.ErrFormat) {
			continue // encrypted, inline or huge: the other methods have to do
		}
		entries, listErr := content.ReadDir(v.env, p.path, maxListed)
		if err = errors.Join(err, listErr); err != nil {
			unread = fmt.Errorf("%s: %w", p.path, err)
			continue
		}
		some := false
		for _, e := range raw {
			if _, listed := slices.BinarySearchFunc(entries, e.name, byName); !listed {
				some = true
				use(unshown{place: p, name: e.name, inDisk: e.inode})
			}
		}
		if some {
			odd = append(odd, p)
		}
	}
	return odd, unread
}

// byName is the order of content.ReadDir.
func byName(e content.Entry, name string) int { return strings.Compare(e.Name, name) }
