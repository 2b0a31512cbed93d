package libraries

import (
	"path"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
)

const (
	fromMaps = "/proc/PID/maps, executable mappings"
	fromFile = "stat(2) of the path as the first process sees it"
)

// tree is where the library's path leads: the host's own, or that of the first process in a container.
func (l *library) tree() *collect.Env {
	if !l.foreign || len(l.pids) == 0 {
		return l.env
	}
	inside := *l.env
	inside.Root = l.fs.PidPath(decimal(l.pids[0]), "root")
	return &inside
}

// file looks at what is at the path now; nil when nothing is.
func (l *library) file() (*content.Stat, error) {
	return l.stat.Get(func() (*content.Stat, error) {
		if l.isMemory() {
			return nil, nil
		}
		st, err := content.StatPath(l.tree(), l.path)
		if content.IsAbsent(err) {
			return nil, nil
		}
		return st, err
	})
}

func ofFile(get func(st *content.Stat) any) func(l *library) (any, error) {
	return func(l *library) (any, error) {
		st, err := l.file()
		if err != nil || st == nil {
			return nil, err
		}
		return get(st), nil
	}
}

// isSame says whether the file at the path is the one that is mapped; none where inode numbers of mappings and files
// are not the same, as on overlays, which containers have.
func (l *library) isSame() (any, error) {
	st, err := l.file()
	if err != nil || !l.mapped || l.foreign || l.isMemory() {
		return nil, err
	}
	if st == nil {
		return false, nil
	}
	if st.Inode != l.inode && !l.deleted {
		return nil, nil // the kernel would have marked it, so the numbers do not compare here
	}
	return st.Inode == l.inode, nil
}

func (l *library) isMemory() bool { return strings.HasPrefix(l.path, "/memfd:") }

// hash is a digest of the file at the path; absent when it is deleted or was never a file.
func (l *library) hash(name string) (any, error) {
	if l.isMemory() || l.deleted {
		return nil, nil
	}
	digest, err := l.digests.Get(name, l.hashes, func() (*content.File, error) {
		file, err := content.Open(l.tree(), l.path)
		if content.IsAbsent(err) {
			return nil, nil
		}
		return file, err
	})
	return fact.String(digest), err
}

var temporary = []string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/shm/", "/run/lock/"}

func (l *library) isBelow(dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(l.path, dir) })
}

// isHidden says whether a component of the path begins with a dot.
func (l *library) isHidden() bool { return strings.Contains(l.path, "/.") }

var subject = collect.NewSubject("library",
	"A file that running processes have mapped as code beside their program, or that a variable of theirs names for "+
		"preloading.",
	[]string{"path", "deleted", "in_container"},
	[]string{"path", "deleted", "process.names", "process_count", "pids", "injected_by"},
	append([]collect.Field[*library]{
		fact.Free("path", fact.Text, "path, as the process sees it; /memfd:NAME for code in a memory file", fromMaps,
			func(l *library) any { return l.path }),
		fact.Free("name", fact.Text, "last component of the path", fromMaps,
			func(l *library) any { return path.Base(l.path) }),
		fact.Free("directory", fact.Text, "directory it lies in", fromMaps,
			func(l *library) any { return path.Dir(l.path) }),
		fact.Free("is_mapped", fact.Bool, "it is mapped; false for one that only a variable names", fromMaps,
			func(l *library) any { return l.mapped }),
		fact.Free("deleted", fact.Bool, "the file that is mapped has no name any more: removed, or replaced by an update",
			fromMaps, func(l *library) any { return l.deleted }),
		fact.Free("is_memfd", fact.Bool, "it is a memory file (memfd_create)", fromMaps,
			func(l *library) any { return l.isMemory() }),
		fact.Free("is_hidden", fact.Bool, "a component of its path begins with a dot", fromMaps,
			func(l *library) any { return l.isHidden() }),
		fact.Free("in_temporary", fact.Bool, "it lies below /tmp, /var/tmp, /dev/shm, /run/user, /run/shm or /run/lock",
			fromMaps, func(l *library) any { return l.isBelow(temporary) }),
		fact.Free("in_home", fact.Bool, "it lies below /home or /root", fromMaps,
			func(l *library) any { return l.isBelow([]string{"/home/", "/root/"}) }),
		fact.Free("process_count", fact.Int, "how many processes have it", fromMaps,
			func(l *library) any { return l.count }),
		fact.Free("pids", fact.Ints, "the first 16 of them", fromMaps, func(l *library) any { return l.pids }),
		fact.Free("process.names", fact.Texts, "their names, the first 16", fromMaps,
			func(l *library) any { return l.names }),
		fact.Free("in_container", fact.Bool, "the first of them sees another tree than process 1", "/proc/PID/ns/mnt",
			func(l *library) any {
				if !l.hasMounts {
					return nil
				}
				return l.foreign
			}),
		fact.Costly("injected_by", fact.Texts, "what made the loader take it: ld.so.preload, LD_PRELOAD, LD_AUDIT, "+
			"LD_LIBRARY_PATH; empty for what programs ask for themselves", "/proc/PID/environ, /etc/ld.so.preload",
			func(l *library) (any, error) {
				if len(l.injected) > 0 {
					return l.injected, nil
				}
				if l.environs != nil {
					return nil, l.environs
				}
				return []string{}, l.preloadIn
			}),
		fact.Cheap("on_disk", fact.Bool, "something is at that path now", fromFile,
			func(l *library) (any, error) {
				st, err := l.file()
				return st != nil, err
			}),
		fact.Cheap("same_file", fact.Bool, "what is at the path is what is mapped; none in containers and on overlays",
			fromFile, (*library).isSame),
		fact.Cheap("mode", fact.Octal, "permission bits of the file at the path", fromFile,
			ofFile(func(st *content.Stat) any { return st.Octal() })),
		fact.Cheap("uid", fact.Int, "owner of the file at the path", fromFile,
			ofFile(func(st *content.Stat) any { return st.UID })),
		fact.Cheap("size", fact.Bytes, "length of the file at the path", fromFile,
			ofFile(func(st *content.Stat) any { return st.Size })),
		fact.Cheap("mtime", fact.Epoch, "last change of the content of the file at the path", fromFile,
			ofFile(func(st *content.Stat) any { return st.Mtime })),
		fact.Cheap("ctime", fact.Epoch, "last change of content, owner, bits or name", fromFile,
			ofFile(func(st *content.Stat) any { return st.Ctime })),
		fact.Cheap("world_writable", fact.Bool, "others may write to the file at the path", fromFile,
			ofFile(func(st *content.Stat) any { return st.Mode&syscall.S_IWOTH != 0 })),
	}, content.DigestFields("", "the file at the path; none when it is deleted, at most 64 MiB", "content", (*library).hash)...))
