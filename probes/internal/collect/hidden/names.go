package hidden

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"sandfly/probes/internal/collect/content"
)

// known are paths that published rootkits keep their files at and take out of listings. Asking for a name is no
// listing, and most of them answer it.
var known = []string{
	"/dev/.golf", "/dev/.hid", "/dev/.lib", "/dev/.rd", "/dev/.shit", "/dev/.udev/rules.d/.x", "/dev/grid-hide-pid",
	"/dev/hdx1", "/dev/hdx2", "/dev/mounnt", "/dev/ptyxx", "/dev/shm/.ssh", "/dev/shm/.x", "/dev/shm/.xm", "/dev/tux",
	"/etc/.enyelkmHIDE^IT.ko", "/etc/.boomfs", "/etc/.bmbl", "/etc/cron.d/.x", "/etc/ld.so.hash", "/etc/ld.so.preload",
	"/etc/modules-load.d/.x.conf", "/etc/rc.d/init.d/.x", "/etc/suterusu", "/etc/ttyhash", "/lib/.fx",
	"/lib/.libselinux", "/lib/.libselinux.so", "/lib/.so", "/lib/.x", "/lib/beurk", "/lib/defs",
	"/lib/libbdvl.so", "/lib/libjynx.so", "/lib/libselinux.so.4", "/lib/libvlany.so", "/lib/security/.config",
	"/lib/udev/ssd_control", "/lib/udev/ss0", "/lib/x86_64-linux-gnu/.libselinux", "/opt/.x", "/proc/knark", "/proc/kset",
	"/proc/.x", "/reptile", "/reptile/reptile", "/root/.x", "/tmp/.bkp", "/tmp/.cinik", "/tmp/.font-unix/.cinik",
	"/tmp/.ICE-unix/.x", "/tmp/.a", "/tmp/.x", "/tmp/.X11-unix/.x", "/tmp/.xp", "/tmp/diamorphine", "/tmp/reptile",
	"/usr/bin/.etc", "/usr/bin/.ps", "/usr/bin/diamorphine", "/usr/include/..", "/usr/include/.x", "/usr/include/file.h",
	"/usr/include/gpm2.h", "/usr/include/hosts.h", "/usr/include/proc.h", "/usr/include/rpcsvc/du", "/usr/lib/.bkit-",
	"/usr/lib/.fx", "/usr/lib/.kinetic", "/usr/lib/.wormie", "/usr/lib/.x", "/usr/lib/libamplify.so", "/usr/lib/libbdvl.so",
	"/usr/lib/libproc.a", "/usr/lib/libproc.so.2.0.6", "/usr/lib/libxselinux", "/usr/lib/udev/reptile",
	"/usr/lib/udev/rules.d/.x", "/usr/sbin/.x", "/usr/share/.x", "/usr/src/.puta", "/usr/src/linux/modules/autod.o",
	"/var/.x", "/var/lib/.x", "/var/spool/.x", "/var/spool/cron/.x", "/var/tmp/.bash", "/var/tmp/.x", "/xochikit",
}

// knownNames finds names that exist when asked for and are in no listing.
func knownNames(v *visit) ([]*finding, error) {
	odd, err := persists(v, v.unlisted(known), func(paths []string) ([]string, error) { return v.unlisted(paths), nil })
	var found []*finding
	for _, p := range odd {
		found = append(found, &finding{kind: "directory_entry", name: path.Base(p), path: p, seenBy: []string{"stat"},
			missingFrom: []string{"getdents"}, detail: "stat finds it, the listing of " + path.Dir(p) + " does not"})
	}
	return found, err
}

// maxListed bounds the directories of which a listing is held against something.
const maxListed = 1 << 16

// unlisted are those of the paths that exist while the listing of their directory does not have them.
func (v *visit) unlisted(paths []string) []string {
	var odd []string
	for _, p := range paths {
		if path.Base(p) == ".." || !v.isPlain(path.Dir(p)) {
			continue
		}
		if _, err := content.Lstat(v.env, p); err != nil {
			continue
		}
		entries, err := content.ReadDir(v.env, path.Dir(p), maxListed)
		if err == nil && !slices.ContainsFunc(entries, func(e content.Entry) bool { return e.Name == path.Base(p) }) {
			odd = append(odd, p)
		}
	}
	return odd
}

// plainTypes are file systems whose listings have every name that can be asked for. Automounters have not, and
// network file systems may wait for ever.
var plainTypes = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "devtmpfs", "overlay", "proc", "ramfs",
	"rootfs", "zfs", "jfs", "reiserfs", "squashfs"}

// isPlain says whether the directory lies on such a file system.
func (v *visit) isPlain(dir string) bool { return slices.Contains(plainTypes, v.mountType(dir)) }

// mountType is the type of the file system that a path lies on; of a tree that is not the running system, where its
// mounts mean nothing, that of a plain one.
func (v *visit) mountType(p string) string {
	if !v.fs.IsLive() {
		return "ext4"
	}
	mounts, err := v.fs.ReadMounts("self")
	if err != nil {
		return ""
	}
	best, kind := -1, ""
	for _, m := range mounts {
		inside := m.Path == "/" || p == m.Path || strings.HasPrefix(p, m.Path+"/")
		if inside && len(m.Path) >= best {
			best, kind = len(m.Path), m.Type
		}
	}
	return kind
}

// watched are the directories where hidden things are worth most to an intruder.
var watched = []string{
	"/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/init.d",
	"/etc/ld.so.conf.d", "/etc/modules-load.d", "/etc/pam.d", "/etc/profile.d", "/etc/ssh", "/etc/sudoers.d",
	"/etc/systemd/system", "/etc/udev/rules.d", "/home", "/lib", "/lib/modules", "/lib/security", "/lib/systemd/system",
	"/lib/udev", "/lib/udev/rules.d", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/opt", "/root",
	"/root/.ssh", "/sbin", "/srv", "/tmp", "/usr", "/usr/bin", "/usr/include", "/usr/lib", "/usr/lib/systemd", "/usr/lib64",
	"/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/sbin", "/usr/share", "/usr/src", "/var",
	"/var/lib", "/var/log", "/var/spool", "/var/spool/cron", "/var/spool/cron/crontabs", "/var/tmp", "/var/www",
}

// counted are file systems whose directories have one link for each directory in them.
var counted = []string{"ext2", "ext3", "ext4", "xfs", "tmpfs", "devtmpfs"}

// count is what one look at a directory gave; it is a disagreement when hidden is not 0.
type count struct {
	links, directories int64
}

func (c *count) hidden() int64 { return c.links - 2 - c.directories }

// linkCounts finds directories that have more directories in them than their listing shows.
func linkCounts(v *visit) ([]*finding, error) {
	if !slices.ContainsFunc(watched, v.countsLinks) {
		return nil, unavailable("no directory lies on a file system that counts links")
	}
	odd, err := v.miscounted(watched)
	if err != nil {
		return nil, err
	}
	odd, err = persists(v, odd, v.miscounted)
	var found []*finding
	for _, dir := range odd {
		c, err := v.countLinks(dir)
		if err != nil || c.hidden() == 0 {
			continue
		}
		found = append(found, &finding{kind: "directory_entry", path: dir, seenBy: []string{"link_count"},
			missingFrom: []string{"getdents"}, detail: fmt.Sprintf("%d links, but %d directories listed: %d are not shown",
				c.links, c.directories, c.hidden())})
	}
	return found, err
}

func (v *visit) miscounted(dirs []string) ([]string, error) {
	var odd []string
	for _, dir := range dirs {
		if err := v.pause(); err != nil {
			return nil, err
		}
		c, err := v.countLinks(dir)
		if err == nil && c.hidden() > 0 {
			odd = append(odd, dir)
		}
	}
	return odd, nil
}

// countsLinks says whether the links of a directory tell how many directories are in it.
func (v *visit) countsLinks(dir string) bool {
	return v.fs.IsLive() && slices.Contains(counted, v.mountType(v.resolved(dir)))
}

// errChanged says that a directory changed while it was read; the next look may have more luck.
var errChanged = errors.New("changed meanwhile")

func (v *visit) countLinks(dir string) (*count, error) {
	if !v.countsLinks(dir) {
		return nil, errUnavailable
	}
	d, err := content.OpenDir(v.env, dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	before, err := d.Stat()
	if err != nil {
		return nil, err
	}
	_, directories, err := d.Count()
	if err != nil {
		return nil, err
	}
	after, err := d.Stat()
	if err != nil {
		return nil, err
	}
	// From 65000 on ext4 counts no more and says 1.
	if before.Links != after.Links || before.Mtime != after.Mtime || before.Links < 2 {
		return nil, errChanged
	}
	return &count{links: before.Links, directories: directories}, nil
}

// resolved is where the links of a path lead.
func (v *visit) resolved(dir string) string {
	real, err := content.Resolve(v.env, dir)
	if err != nil {
		return dir
	}
	return real
}

// apart is the time between two looks at blocks and listing: what is on its way to the device has arrived then.
const apart = 1200 * time.Millisecond
