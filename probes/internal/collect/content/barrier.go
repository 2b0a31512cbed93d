package content

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// networkTypes are file systems whose server may be slow, huge or gone.
var networkTypes = map[string]bool{
	"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "smbfs": true, "ncpfs": true, "afs": true, "coda": true,
	"9p": true, "ceph": true, "lustre": true, "glusterfs": true, "ocfs2": true, "gfs2": true, "beegfs": true,
	"orangefs": true, "pvfs2": true, "acfs": true, "gpfs": true, "panfs": true, "davfs": true,
}

// IsNetworkType tells a file system that is entered only when a scope crosses mounts. FUSE is one, whatever program
// serves it, but for fuseblk, which is a local disk.
func IsNetworkType(kind string) bool {
	return networkTypes[kind] || kind == "fuse" || strings.HasPrefix(kind, "fuse.")
}

// MayHang tells a file system where even looking at its root may wait for a server or start a mount.
func MayHang(kind string) bool { return IsNetworkType(kind) || kind == "autofs" }

// barrier keeps the running system's paths away from file systems that may never answer: a look at one of their files
// would hold the whole visit. It knows them from the tables of mounts, which the kernel answers by itself.
type barrier struct {
	sync.Mutex
	own   []string            // where they are mounted, as the probe sees it
	seen  map[string][]string // the same of other mount namespaces, by what /proc/PID/ns/mnt says
	clear map[string]string   // directories that lead past them → the same without links
}

// Bounds of what a barrier remembers; beyond them it looks again.
const (
	maxNamespaces = 1000
	maxClear      = 4096
)

// raised is the barrier of the visit; a process makes one visit.
var raised struct {
	sync.Mutex
	env     *collect.Env
	barrier *barrier
}

func barrierOf(env *collect.Env) *barrier {
	raised.Lock()
	defer raised.Unlock()
	if raised.env != env {
		raised.env = env
		raised.barrier = &barrier{own: hangingMounts("self"), seen: map[string][]string{}, clear: map[string]string{}}
		if ns, err := os.Readlink("/proc/self/ns/mnt"); err == nil {
			raised.barrier.seen[ns] = raised.barrier.own
		}
	}
	return raised.barrier
}

// hangingMounts are the mount points of a process where nobody may answer. The root is none: without it there is no host.
func hangingMounts(pid string) []string {
	mounts, err := procfs.FS("/").ReadMounts(pid)
	if err != nil {
		return nil
	}
	var points []string
	for _, m := range mounts {
		if MayHang(m.Type) && m.Path != "/" {
			points = append(points, m.Path)
		}
	}
	return points
}

func notEntered(name string) error {
	return &fs.PathError{Op: "enter", Path: name, Err: collect.ErrNotEntered}
}

// allowed is an error when looking at a clean path may wait for a server.
func allowed(env *collect.Env, name string, follow bool) error {
	if !isHostRoot(env.Root) || env.Anywhere {
		return nil
	}
	b := barrierOf(env)
	b.Lock()
	defer b.Unlock()
	if strings.HasPrefix(name, "/proc/") {
		return b.process(name)
	}
	if len(b.own) == 0 {
		return nil
	}
	return b.path(name, follow)
}

// path follows links by itself, as far as that is needed to know that there is nothing behind them. What does not
// lead anywhere is left to the look itself.
func (b *barrier) path(name string, follow bool) error {
	if isBelowAny(b.own, name) {
		return notEntered(name)
	}
	dir, base := path.Split(name)
	real, known := b.clear[dir]
	if !known {
		w, err := b.resolve(dir)
		if err != nil {
			return ifNotEntered(err)
		}
		if len(b.clear) >= maxClear {
			clear(b.clear)
		}
		real = w
		b.clear[dir] = real
	}
	if isBelowAny(b.own, path.Join(real, base)) {
		return notEntered(name)
	}
	if !follow {
		return nil
	}
	if st, err := statAt(atFDCWD, name, false); err != nil || st.Type() != linkType {
		return nil
	}
	_, err := b.resolve(name)
	return ifNotEntered(err)
}

const linkType = 0xa000 // S_IFLNK

func ifNotEntered(err error) error {
	if collect.Reason(err) == "not_entered" {
		return err
	}
	return nil
}

// resolve goes a path without entering what may hang.
func (b *barrier) resolve(name string) (string, error) {
	w, err := newWalk("/")
	if err != nil {
		return "", err
	}
	defer w.close()
	w.barred = b.own
	if err := w.resolve(name, true); err != nil {
		return "", err
	}
	return "/" + strings.Join(w.names, "/"), nil
}

// process looks at the links below /proc/PID that lead to where a process is, in its own view of the mounts.
func (b *barrier) process(name string) error {
	pid, rest, _ := strings.Cut(strings.TrimPrefix(name, "/proc/"), "/")
	word, rest, _ := strings.Cut(rest, "/")
	link := "/proc/" + pid + "/" + word
	switch word {
	case "exe", "cwd":
	case "root":
		if rest != "" {
			link = ""
		}
	case "fd", "map_files":
		var number string
		if number, rest, _ = strings.Cut(rest, "/"); number == "" {
			return nil
		}
		link += "/" + number
	default:
		return nil
	}
	target := "/" + rest
	if link != "" {
		text, err := os.Readlink(link)
		if err != nil {
			return nil // the look itself tells
		}
		target = path.Join(strings.TrimSuffix(text, " (deleted)"), rest)
	}
	if isBelowAny(b.mountsOf(pid), target) {
		return notEntered(name)
	}
	return nil
}

func (b *barrier) mountsOf(pid string) []string {
	ns, err := os.Readlink("/proc/" + pid + "/ns/mnt")
	if err != nil {
		return b.own
	}
	points, known := b.seen[ns]
	if !known {
		points = hangingMounts(pid)
		if len(b.seen) < maxNamespaces {
			b.seen[ns] = points
		}
	}
	return points
}

func isBelowAny(points []string, name string) bool {
	for _, point := range points {
		if strings.HasPrefix(name, point) && (len(name) == len(point) || name[len(point)] == '/') {
			return true
		}
	}
	return false
}
