package files

import (
	"path"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect/content"
)

// node is a path that the walk met: the record of the subjects file and directory. Everything but the name is looked
// up when a field asks for it, relative to the parent directory that the walk holds open, so that a path exchanged
// meanwhile leads nowhere.
type node struct {
	v       *visit
	parent  *content.Dir // nil for the root of a walk, and once the walk has gone on
	dir     string       // path of the parent
	realDir string       // the same without links, for the mount table
	name    string
	kind    uint8    // content.Type…, of the directory entry
	hashes  []string // digests that the plan may ask for, so that one reading gives them all
	blocked error    // why nothing may be looked up: the file system is not entered

	st      *content.Stat
	stErr   error
	head    []byte
	headOK  bool
	digests map[string]string
	counted *counts
}

// counts are the numbers of a directory's entries.
type counts struct{ entries, directories int64 }

// path is the absolute path seen from the root directory.
func (n *node) path() string { return join(n.dir, n.name) }

func join(dir, name string) string {
	if name == "" {
		return dir
	}
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// release forgets the open directory when the walk goes on; a record kept longer is then read by its path.
func (n *node) release() { n.parent = nil }

// stat looks at the path itself, once.
func (n *node) stat() (*content.Stat, error) {
	if n.st == nil && n.stErr == nil {
		switch {
		case n.blocked != nil:
			n.stErr = n.blocked
		case n.parent != nil:
			n.st, n.stErr = content.StatAt(n.parent.FD(), n.name)
		default:
			n.st, n.stErr = content.Lstat(n.v.env, n.path())
		}
		n.stErr = lookError(n.stErr)
	}
	return n.st, n.stErr
}

// fileType is the S_IFMT bits; the directory entry says it for nothing.
func (n *node) fileType() (uint32, error) {
	if n.kind != content.TypeUnknown {
		return uint32(n.kind) << 12, nil // IFTODT: d_type is the type's four bits
	}
	st, err := n.stat()
	if err != nil {
		return 0, err
	}
	return st.Type(), nil
}

// typeNames are the values of the field type.
var typeNames = map[uint32]string{
	syscall.S_IFREG: "regular", syscall.S_IFDIR: "directory", syscall.S_IFLNK: "symlink", syscall.S_IFIFO: "fifo",
	syscall.S_IFSOCK: "socket", syscall.S_IFBLK: "block", syscall.S_IFCHR: "char",
}

func (n *node) typeName() (any, error) {
	kind, err := n.fileType()
	if err != nil {
		return nil, err
	}
	return text(typeNames[kind]), nil
}

func (n *node) is(kind uint32) (bool, error) {
	got, err := n.fileType()
	return got == kind, err
}

// open opens the content; nil without an error when the path is no regular file.
func (n *node) open() (*content.File, error) {
	regular, err := n.is(syscall.S_IFREG)
	if err != nil || !regular {
		return nil, err
	}
	if n.blocked != nil {
		return nil, n.blocked
	}
	var f *content.File
	if n.parent != nil {
		f, err = content.OpenAt(n.v.env, n.parent.FD(), n.name)
	} else {
		f, err = content.Open(n.v.env, n.path())
	}
	return f, lookError(err)
}

// reading makes a getter of the content; its value is nil for what is no regular file.
func reading(read func(n *node, f *content.File) (any, error)) func(*node) (any, error) {
	return func(n *node) (any, error) {
		f, err := n.open()
		if f == nil || err != nil {
			return nil, err
		}
		defer f.Close()
		return read(n, f)
	}
}

// withHead makes a getter of the first bytes, which are read once.
func withHead(value func(head []byte) any) func(*node) (any, error) {
	read := reading(func(n *node, f *content.File) (any, error) {
		var err error
		n.head, err = f.Head(content.HeadBytes)
		n.headOK = err == nil
		return nil, err
	})
	return func(n *node) (any, error) {
		if !n.headOK {
			if _, err := read(n); err != nil || !n.headOK {
				return nil, err
			}
		}
		return value(n.head), nil
	}
}

// digest makes a getter of one digest; the others that the plan asks for are taken in the same reading.
func digest(name string) func(*node) (any, error) {
	read := reading(func(n *node, f *content.File) (any, error) {
		var err error
		n.digests, err = f.Digests(content.MaxHashBytes, append([]string{name}, n.hashes...)...)
		return nil, err
	})
	return func(n *node) (any, error) {
		if _, ok := n.digests[name]; !ok {
			if _, err := read(n); err != nil {
				return nil, err
			}
		}
		return text(n.digests[name]), nil
	}
}

// target is the text of a symbolic link, or nil.
func (n *node) target() (any, error) {
	link, err := n.is(syscall.S_IFLNK)
	if err != nil || !link {
		return nil, err
	}
	var target string
	if n.parent != nil {
		target, err = content.ReadlinkAt(n.parent.FD(), n.name)
	} else {
		target, err = content.Readlink(n.v.env, n.path())
	}
	if err != nil {
		return nil, lookError(err)
	}
	return target, nil
}

// resolved is where a symbolic link leads in the end; nil for what is no link, and for a link that leads nowhere.
func (n *node) resolved() (any, error) {
	link, err := n.is(syscall.S_IFLNK)
	if err != nil || !link {
		return nil, err
	}
	to, err := content.Resolve(n.v.env, n.path())
	if content.IsAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return to, nil
}

// flag gives the immutable or append-only attribute, nil where there is none to have.
func (n *node) flag(of func(immutable, appendOnly bool) bool) (any, error) {
	st, err := n.stat()
	if err != nil {
		return nil, err
	}
	if st.HasAttributes {
		return of(st.Immutable, st.AppendOnly), nil
	}
	fd, closeFD, err := n.descriptor(st)
	if err != nil || closeFD == nil {
		return nil, err
	}
	defer closeFD()
	immutable, appendOnly, known, err := content.Flags(fd)
	if err != nil || !known {
		return nil, err
	}
	return of(immutable, appendOnly), nil
}

// withDescriptor makes a getter of what an open regular file or directory tells; nil for anything else.
func withDescriptor(get func(fd int) (any, error)) func(*node) (any, error) {
	return func(n *node) (any, error) {
		st, err := n.stat()
		if err != nil {
			return nil, err
		}
		fd, closeFD, err := n.descriptor(st)
		if err != nil || closeFD == nil {
			return nil, err
		}
		defer closeFD()
		return get(fd)
	}
}

// descriptor opens a regular file or directory; closeFD is nil for anything else.
func (n *node) descriptor(st *content.Stat) (fd int, closeFD func() error, err error) {
	if st.IsDir() {
		d, err := n.openDir()
		if err != nil {
			return -1, nil, lookError(err)
		}
		return d.FD(), d.Close, nil
	}
	f, err := n.open()
	if f == nil || err != nil {
		return -1, nil, err
	}
	return f.FD(), f.Close, nil
}

func (n *node) openDir() (*content.Dir, error) {
	if n.blocked != nil {
		return nil, n.blocked
	}
	if n.parent != nil {
		return n.parent.OpenDir(n.name)
	}
	return content.OpenDir(n.v.env, n.path())
}

// count gives the numbers of entries, from the walk when it has been inside.
func (n *node) count() (*counts, error) {
	if n.counted != nil {
		return n.counted, nil
	}
	d, err := n.openDir()
	if err != nil {
		return nil, lookError(err)
	}
	defer d.Close()
	entries, directories, err := d.Count()
	if err != nil {
		return nil, err
	}
	n.counted = &counts{entries, directories}
	return n.counted, nil
}

// stillTries is how often a directory is read again that changes while it is counted.
const stillTries = 3

// hiddenSubdirectories is how many more subdirectories the link count tells than a listing shows: a sign of a rootkit
// that filters listings. nil where the file system does not count or the directory does not hold still.
func (n *node) hiddenSubdirectories() (any, error) {
	if st, err := n.stat(); err != nil {
		return nil, err
	} else if n.counted != nil && st.Links == n.counted.directories+2 {
		return int64(0), nil // the walk's own count agrees: no need to read it again
	}
	d, err := n.openDir()
	if err != nil {
		return nil, lookError(err)
	}
	defer d.Close()
	if !countsSubdirectories(fileSystem(d.FD())) {
		return nil, nil
	}
	for range stillTries {
		hidden, still, err := compareLinks(d)
		if err != nil {
			return nil, lookError(err)
		}
		if still {
			return hidden, nil
		}
	}
	return nil, nil
}

// compareLinks counts once; still is false when the directory changed meanwhile or does not count its links.
func compareLinks(d *content.Dir) (hidden int64, still bool, err error) {
	again, err := d.OpenDir(".")
	if err != nil {
		return 0, false, err
	}
	defer again.Close()
	before, err := again.Stat()
	if err != nil {
		return 0, false, err
	}
	_, directories, err := again.Count()
	if err != nil {
		return 0, false, err
	}
	after, err := again.Stat()
	if err != nil {
		return 0, false, err
	}
	// ext4 gives up at 65000 subdirectories and says 1.
	still = before.Links >= 2 && before.Links == after.Links && before.Mtime == after.Mtime && before.Ctime == after.Ctime
	return after.Links - 2 - directories, still, nil
}

// mount gives point and type of the mount the path lies on.
func (n *node) mount(value func(point, kind string) string) (any, error) {
	point, kind, ok := n.v.mounts().at(join(n.realDir, n.name))
	if !ok {
		return nil, nil
	}
	return text(value(point, kind)), nil
}

// containerID is the container in whose root directory or layer the path lies; "" for none. What could not be read of
// containers leaves unknown only what is in none of those that were.
func (n *node) containerID() (string, error) {
	places, err := n.v.places()
	if id := places.Of(join(n.realDir, n.name)); id != "" {
		return id, nil
	}
	return "", err
}

// isOpen tells whether a process holds the file open.
func (n *node) isOpen() (any, error) {
	opened, err := n.v.opened()
	if opened == nil || err != nil {
		return nil, err
	}
	st, err := n.stat()
	if err != nil {
		return nil, err
	}
	return len(opened[fileID{st.Dev, st.Inode}]) > 0, nil
}

// openBy are the programs of the processes that hold the file open.
func (n *node) openBy() (any, error) {
	opened, err := n.v.opened()
	if opened == nil || err != nil {
		return nil, err
	}
	st, err := n.stat()
	if err != nil {
		return nil, err
	}
	holders := slices.Clone(opened[fileID{st.Dev, st.Inode}])
	return slices.DeleteFunc(holders, func(program string) bool { return program == "" }), nil
}

// baseName is the name of the last component; the root directory is called "/".
func (n *node) baseName() string {
	if n.name != "" {
		return n.name
	}
	return path.Base(n.dir)
}

// isHidden tells a name that ls(1) leaves out.
func (n *node) isHidden() bool { return strings.HasPrefix(n.baseName(), ".") }
