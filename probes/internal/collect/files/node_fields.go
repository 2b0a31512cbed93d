package files

import (
	"path"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/store"
)

type nodeField = collect.Field[*node]

// defaultScopes are where rules without a scope look: programs, configuration, homes and every place that anybody may
// write to, and of / and the libraries only what lies directly there.
var defaultScopes = []collect.Scope{
	{MaxDepth: -1, Paths: []string{
		"/etc", "/usr/bin", "/usr/sbin", "/usr/local", "/bin", "/sbin", "/lib", "/tmp", "/var/tmp", "/dev/shm", "/dev",
		"/run", "/root", "/home", "/opt", "/srv", "/var/spool", "/var/www",
		"/home/*", "/run/lock", "/run/user/*", // often file systems of their own, which only a pattern's own place enters
	}},
	{MaxDepth: 1, Paths: []string{"/usr/lib"}},
	{MaxDepth: 0, Paths: []string{"/"}},
}

func fileSubject() *collect.Subject {
	s := collect.NewSubject("file", "everything in a file system but directories: regular files, symbolic links, FIFOs, sockets, devices",
		[]string{"path"}, []string{"path", "type", "mode", "uid", "gid", "size", "mtime", "ctime"},
		concat(nameFields(), statFields(), fileFields(), contentFields(), placeFields()))
	s.Default = defaultScopes
	return s
}

func directorySubject() *collect.Subject {
	s := collect.NewSubject("directory", "directories",
		[]string{"path"}, []string{"path", "mode", "uid", "gid", "mtime", "ctime"},
		concat(nameFields(), statFields(), directoryFields(), placeFields()))
	s.Default = defaultScopes
	return s
}

func concat[F any](groups ...[]F) []F {
	var all []F
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func nameFields() []nodeField {
	const source = "getdents64(2)"
	return []nodeField{
		free("path", "string", "absolute path seen from the root directory", source, func(n *node) any { return n.path() }),
		free("name", "string", "last component of the path", source, func(n *node) any { return n.baseName() }),
		free("directory", "string", "path of the directory it lies in; none for /", source, func(n *node) any {
			if p := n.path(); p != "/" {
				return path.Dir(p)
			}
			return nil
		}),
		free("hidden", "bool", "the name begins with a dot", source, func(n *node) any { return n.isHidden() }),
	}
}

// statField is a fact of stat(2) of the path itself.
func statField(name, typ, unit, doc string, value func(*content.Stat) any) nodeField {
	return nodeField{Name: name, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: "statx(2), stat(2)",
		Get: func(n *node) (any, error) {
			st, err := n.stat()
			if err != nil {
				return nil, err
			}
			return value(st), nil
		}}
}

// ageField is the time between a moment of the path and the visit, by the host's own clock; negative for moments to come.
func ageField(name, doc string, moment func(*content.Stat) any) nodeField {
	return nodeField{Name: name, Type: "int", Unit: "seconds", Cost: collect.Cheap, Doc: doc, Source: "statx(2), stat(2)",
		Get: func(n *node) (any, error) {
			st, err := n.stat()
			if err != nil {
				return nil, err
			}
			if at, ok := moment(st).(int64); ok {
				return n.v.env.Now.Unix() - at, nil
			}
			return nil, nil
		}}
}

func bitField(name, doc string, bits uint32) nodeField {
	return statField(name, "bool", "", doc, func(st *content.Stat) any { return st.Mode&bits != 0 })
}

// permissionField is a bitField that a symbolic link, whose own bits mean nothing, does not have set.
func permissionField(name, doc string, bits uint32) nodeField {
	return statField(name, "bool", "", doc, func(st *content.Stat) any {
		return st.Type() != syscall.S_IFLNK && st.Mode&bits != 0
	})
}

func statFields() []nodeField {
	const epoch = "epoch seconds"
	return concat([]nodeField{
		statField("mode", "string", "octal text", "permission bits with SUID, SGID and sticky, as 4755",
			func(st *content.Stat) any { return st.Octal() }),
		statField("permissions", "string", "", "type and permission bits as ls(1) writes them", func(st *content.Stat) any { return permissions(st.Mode) }),
		statField("size", "int", "bytes", "length of the content", func(st *content.Stat) any { return st.Size }),
		statField("uid", "int", "", "owner", func(st *content.Stat) any { return st.UID }),
		statField("gid", "int", "", "group", func(st *content.Stat) any { return st.GID }),
		statField("mtime", "int", epoch, "last change of the content", func(st *content.Stat) any { return st.Mtime }),
		statField("atime", "int", epoch, "last reading, as far as the mount keeps it", func(st *content.Stat) any { return st.Atime }),
		statField("ctime", "int", epoch, "last change of content, owner, bits or name", func(st *content.Stat) any { return st.Ctime }),
		statField("btime", "int", epoch, "creation, where kernel (4.11) and file system tell it", func(st *content.Stat) any {
			if st.HasBtime {
				return st.Btime
			}
			return nil
		}),
		ageField("mtime_age_s", "time since the last change of the content", func(st *content.Stat) any { return st.Mtime }),
		ageField("atime_age_s", "time since the last reading", func(st *content.Stat) any { return st.Atime }),
		ageField("ctime_age_s", "time since the last change of content, owner, bits or name", func(st *content.Stat) any { return st.Ctime }),
		ageField("btime_age_s", "time since the creation", func(st *content.Stat) any {
			if st.HasBtime {
				return st.Btime
			}
			return nil
		}),
		statField("inode", "int", "", "inode number", func(st *content.Stat) any { return int64(st.Inode) }),
		statField("device", "string", "major:minor", "device of the file system", func(st *content.Stat) any { return st.Device() }),
		statField("links", "int", "", "hard links", func(st *content.Stat) any { return st.Links }),
		bitField("sticky", "sticky bit", syscall.S_ISVTX),
		bitField("suid", "set-user-ID bit", syscall.S_ISUID),
		bitField("sgid", "set-group-ID bit", syscall.S_ISGID),
		permissionField("world_writable", "others may write", 0o002),
		permissionField("group_writable", "the group may write", 0o020),
	}, ownerFields(), attributeFields())
}

func ownerFields() []nodeField {
	return []nodeField{
		{Name: "username", Type: "string", Cost: collect.Cheap, Doc: "name of the owner; none when passwd has no such uid",
			Source: "/etc/passwd", Get: func(n *node) (any, error) {
				st, err := n.stat()
				if err != nil {
					return nil, err
				}
				return n.v.accounts().UsernameField(st.UID)
			}},
		{Name: "groupname", Type: "string", Cost: collect.Cheap, Doc: "name of the group; none when group has no such gid",
			Source: "/etc/group", Get: func(n *node) (any, error) {
				st, err := n.stat()
				if err != nil {
					return nil, err
				}
				return n.v.accounts().GroupnameField(st.GID)
			}},
	}
}

func attributeFields() []nodeField {
	const source = "statx(2), FS_IOC_GETFLAGS"
	return []nodeField{
		{Name: "immutable", Type: "bool", Cost: collect.Cheap, Doc: "chattr +i: not even root may change it", Source: source,
			Get: func(n *node) (any, error) { return n.flag(func(immutable, _ bool) bool { return immutable }) }},
		{Name: "append_only", Type: "bool", Cost: collect.Cheap, Doc: "chattr +a: it may only grow", Source: source,
			Get: func(n *node) (any, error) { return n.flag(func(_, appendOnly bool) bool { return appendOnly }) }},
		{Name: "security_label", Type: "string", Cost: collect.Costly, Doc: "SELinux context; none without one",
			Source: "xattr security.selinux", Get: withDescriptor(content.SecurityLabel)},
		{Name: "xattrs", Type: "strings", Cost: collect.Costly, Doc: "names of its extended attributes, such as user.note; none without any, and for what " +
			"is neither a regular file nor a directory", Source: "listxattr(2)", Get: withDescriptor(content.AttributeNames)},
	}
}

func fileFields() []nodeField {
	return []nodeField{
		free("extension", "string", "what follows the last dot of the name, without the dot", "getdents64(2)",
			func(n *node) any { return text(extension(n.name)) }),
		{Name: "type", Type: "string", Cost: collect.Cheap, Doc: "regular, symlink, fifo, socket, block or char",
			Source: "getdents64(2), stat(2)", Get: (*node).typeName},
		permissionField("is_executable", "somebody may execute it", 0o111),
		{Name: "symlink_target", Type: "string", Cost: collect.Cheap, Doc: "text of the symbolic link", Source: "readlink(2)",
			Get: (*node).target},
		{Name: "target_path", Type: "string", Cost: collect.Cheap, Doc: "where the symbolic link leads in the end; none when it is broken",
			Source: "readlink(2)", Get: (*node).resolved},
		// Cheap although the first one goes through the package databases: for every other file it costs less than a look.
		{Name: "package_owned", Type: "bool", Cost: collect.Cheap, Source: "databases of dpkg, rpm and apk",
			Doc: "the path belongs to an installed package; none on a host without a package database",
			Get: func(n *node) (any, error) { return store.OwnedField(n.v.env, join(n.realDir, n.name)) }},
		// Costly although one look serves all files: the first one visits every descriptor of every process.
		{Name: "is_open", Type: "bool", Cost: collect.Costly, Doc: "a process holds it open; none when the tree is not the running system",
			Source: "/proc/PID/fd", Get: (*node).isOpen},
		{Name: "open_by", Type: "strings", Cost: collect.Costly, Doc: "programs of the processes that hold it open",
			Source: "/proc/PID/fd, /proc/PID/exe", Get: (*node).openBy},
	}
}

func contentFields() []nodeField {
	const source = "content"
	return []nodeField{
		{Name: "file_capabilities", Type: "strings", Cost: collect.Costly, Doc: "capabilities that executing it gives, as cap_net_raw+ep",
			Source: "xattr security.capability", Get: reading(func(_ *node, f *content.File) (any, error) {
				names, err := f.Capabilities()
				return list(names), err
			})},
		{Name: "magic", Type: "string", Cost: collect.Costly, Source: source,
			Doc: "class of the content: elf, elf_core, script, gzip, bzip2, xz, zstd, lz4, zip, tar, 7z, rar, deb, ar, rpm, cpio, squashfs, pdf, png, jpeg, gif, sqlite, wasm, " +
				"pcap, pcapng, journal, java_class, mach_o, pe, pyc, private_key, putty_key, public_key, certificate, json, text, empty or data",
			Get: withHead(func(head []byte) any { return content.Magic(head) })},
		{Name: "interpreter", Type: "string", Cost: collect.Costly, Doc: "program of the #! line; for env, what env starts",
			Source: source, Get: withHead(func(head []byte) any { return text(content.Interpreter(head)) })},
		{Name: "content", Type: "string", Cost: collect.Costly, Doc: "the first 64 KiB when they are text, else none",
			Source: source, Get: reading(func(_ *node, f *content.File) (any, error) {
				s, isText, err := f.Text(content.MaxTextBytes)
				if err != nil || !isText {
					return nil, err
				}
				return s, nil
			})},
		{Name: "sha256", Type: "string", Unit: "hex", Cost: collect.Costly, Doc: "SHA-256; limit above 64 MiB", Source: source, Get: digest("sha256")},
		{Name: "md5", Type: "string", Unit: "hex", Cost: collect.Costly, Doc: "MD5; limit above 64 MiB", Source: source, Get: digest("md5")},
		{Name: "sha1", Type: "string", Unit: "hex", Cost: collect.Costly, Doc: "SHA-1; limit above 64 MiB", Source: source, Get: digest("sha1")},
		{Name: "sha512", Type: "string", Unit: "hex", Cost: collect.Costly, Doc: "SHA-512; limit above 64 MiB", Source: source, Get: digest("sha512")},
		{Name: "entropy", Type: "float", Unit: "bits per byte", Cost: collect.Costly, Doc: "Shannon entropy of the first 4 MiB, 0 to 8",
			Source: source, Get: reading(func(_ *node, f *content.File) (any, error) {
				bits, err := f.Entropy(content.MaxEntropyBytes)
				if err != nil {
					return nil, err
				}
				return bits, nil
			})},
	}
}

func directoryFields() []nodeField {
	count := func(name, doc string, value func(*counts) int64) nodeField {
		return nodeField{Name: name, Type: "int", Cost: collect.Cheap, Doc: doc, Source: "getdents64(2)",
			Get: func(n *node) (any, error) {
				c, err := n.count()
				if err != nil {
					return nil, err
				}
				return value(c), nil
			}}
	}
	return []nodeField{
		count("entries", "number of entries", func(c *counts) int64 { return c.entries }),
		count("subdirectories", "number of directories in it", func(c *counts) int64 { return c.directories }),
		{Name: "hidden_subdirectories", Type: "int", Cost: collect.Cheap, Source: "stat(2), getdents64(2)",
			Doc: "directories that the link count tells and the listing does not show; none where the file system does not count them",
			Get: (*node).hiddenSubdirectories},
	}
}

func placeFields() []nodeField {
	const source = "/proc/self/mountinfo"
	const engines = "files of container engines, /proc/PID/cgroup, mountinfo"
	return []nodeField{
		// Costly although one look serves all files: the first one reads what engines keep of every container.
		{Name: "in_container", Type: "bool", Cost: collect.Costly, Doc: "it lies in the root directory of a container, or in the layer it writes to",
			Source: engines, Get: func(n *node) (any, error) {
				id, err := n.containerID()
				if err != nil {
					return nil, err
				}
				return id != "", nil
			}},
		{Name: "container_id", Type: "string", Cost: collect.Costly, Doc: "id of that container; the name where engines have none", Source: engines,
			Get: func(n *node) (any, error) {
				id, err := n.containerID()
				return text(id), err
			}},
		{Name: "mount_type", Type: "string", Cost: collect.Cheap, Doc: "type of the file system it lies on", Source: source,
			Get: func(n *node) (any, error) { return n.mount(func(_, kind string) string { return kind }) }},
		{Name: "mount_point", Type: "string", Cost: collect.Cheap, Doc: "where that file system is mounted", Source: source,
			Get: func(n *node) (any, error) { return n.mount(func(point, _ string) string { return point }) }},
	}
}

// permissions writes type and bits as ls(1): "-rwsr-xr-x".
func permissions(mode uint32) string {
	letters := map[uint32]byte{
		syscall.S_IFREG: '-', syscall.S_IFDIR: 'd', syscall.S_IFLNK: 'l', syscall.S_IFIFO: 'p', syscall.S_IFSOCK: 's',
		syscall.S_IFBLK: 'b', syscall.S_IFCHR: 'c',
	}
	out := []byte("?rwxrwxrwx")
	if letter, ok := letters[mode&syscall.S_IFMT]; ok {
		out[0] = letter
	}
	for i := range 9 {
		if mode>>(8-i)&1 == 0 {
			out[i+1] = '-'
		}
	}
	special(out, 3, mode&syscall.S_ISUID != 0, 's')
	special(out, 6, mode&syscall.S_ISGID != 0, 's')
	special(out, 9, mode&syscall.S_ISVTX != 0, 't')
	return string(out)
}

// special puts s or t in the place of an x, in capitals when nobody may execute.
func special(out []byte, at int, set bool, letter byte) {
	if !set {
		return
	}
	if out[at] != 'x' {
		letter -= 'a' - 'A'
	}
	out[at] = letter
}
