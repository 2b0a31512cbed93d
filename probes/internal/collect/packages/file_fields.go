package packages

import (
	"fmt"
	"path"
	"slices"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/db"
)

type fileField = collect.Field[*file]

const (
	sourceLists = "/var/lib/dpkg/info, lib/apk/db/installed, rpm headers"
	sourceStat  = "lstat(2) of path"
)

// fileScopes are where rules without a scope look: programs, libraries and what starts them.
var fileScopes = []collect.Scope{{MaxDepth: -1, Paths: []string{
	"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/boot",
}}}

func fileSubject() *collect.Subject {
	s := collect.NewSubject("package_file",
		"files that packages brought, compared with the disk; also those that are gone. Directories are left out",
		[]string{"path", "package", "source"},
		[]string{"path", "package", "package_version", "source", "exists", "mode", "uid", "mtime", "ctime"},
		slices.Concat(listedFields(), diskFields(), comparedFields(), digestFields()))
	s.Default = fileScopes
	return s
}

func listedFields() []fileField {
	told := func(name, typ, unit, doc string, value func(*file) any) fileField {
		return fileField{Name: name, Type: typ, Unit: unit, Cost: collect.Free, Doc: doc, Source: sourceLists,
			Get: func(f *file) (any, error) { return value(f), nil }}
	}
	return []fileField{
		told("path", "string", "", "where it should be on this host: after diversions, and below /usr where /bin and its like are links", func(f *file) any { return f.Path }),
		told("listed_path", "string", "", "path as the database has it", func(f *file) any { return f.Listed }),
		told("name", "string", "", "last component of the path", func(f *file) any { return path.Base(f.Path) }),
		told("directory", "string", "", "path of the directory it lies in", func(f *file) any { return directoryOf(f.Path) }),
		told("package", "string", "", "package that brought it", func(f *file) any { return text(f.of.Name) }),
		told("package_version", "string", "", "version of that package", func(f *file) any { return text(f.of.Version) }),
		told("package_vendor", "string", "", "distributor of that package, where the database tells", func(f *file) any { return text(f.of.Vendor) }),
		told("package_status", "string", "", "state of that package, as package.status", func(f *file) any { return text(f.of.Status) }),
		told("source", "string", "", "database: dpkg, rpm or apk", func(f *file) any { return f.of.Source }),
		told("type_expected", "string", "", "regular, symlink or other; none where the database does not tell", func(f *file) any { return text(f.Type) }),
		told("digest_expected", "string", "hex", "digest that it was installed with; of a configuration file that of the package's version", func(f *file) any { return text(f.Digest) }),
		told("digest_algorithm", "string", "", "md5 (dpkg, old rpm), sha1 (apk) or sha256", func(f *file) any { return text(f.Algorithm) }),
		told("size_expected", "int", "bytes", "length; rpm only", func(f *file) any { return number(f.Size) }),
		told("mode_expected", "string", "octal text", "permission bits; of dpkg only those of dpkg-statoverride(1)", func(f *file) any {
			if f.Mode == db.Unknown {
				return nil
			}
			return fmt.Sprintf("%04o", f.Mode)
		}),
		told("link_expected", "string", "", "text of the symbolic link; rpm only", func(f *file) any { return text(f.Target) }),
		told("is_config", "bool", "", "configuration, which is meant to be changed; for apk all of /etc", func(f *file) any { return f.Config }),
		told("is_documentation", "bool", "", "documentation, translation or icon, which small systems leave out", func(f *file) any {
			return f.Docs || db.IsDocumentation(f.Listed)
		}),
		told("is_ghost", "bool", "", "belongs to the package but is made later, if at all; rpm only", func(f *file) any { return f.Ghost }),
		told("is_replaced", "bool", "", "its place was given away in order: dpkg-divert(1), or rpm's state says so", func(f *file) any {
			return f.Diverted || f.Absent
		}),
	}
}

// diskField is a fact of lstat(2); none when nothing is there.
func diskField(name, typ, unit, doc string, value func(*content.Stat) any) fileField {
	return fileField{Name: name, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: sourceStat,
		Get: func(f *file) (any, error) {
			st, err := f.stat()
			if err != nil || st == nil {
				return nil, err
			}
			return value(st), nil
		}}
}

// permission is a bit that a symbolic link, whose own bits mean nothing, does not have set.
func permission(name, doc string, bits uint32) fileField {
	return diskField(name, "bool", "", doc, func(st *content.Stat) any {
		return st.Type() != syscall.S_IFLNK && st.Mode&bits != 0
	})
}

func cheap(name, typ, unit, doc, source string, get func(*file) (any, error)) fileField {
	return fileField{Name: name, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: source, Get: get}
}

func diskFields() []fileField {
	return []fileField{
		cheap("exists", "bool", "", "something is there", sourceStat, func(f *file) (any, error) {
			st, err := f.stat()
			if err != nil {
				return nil, err
			}
			return st != nil, nil
		}),
		diskField("type", "string", "", "regular, symlink, directory, fifo, socket, block or char", func(st *content.Stat) any { return text(typeNames[st.Type()]) }),
		diskField("size", "int", "bytes", "length of the content", func(st *content.Stat) any { return st.Size }),
		diskField("mode", "string", "octal text", "permission bits with SUID, SGID and sticky, as 4755", func(st *content.Stat) any { return st.Octal() }),
		diskField("uid", "int", "", "owner", func(st *content.Stat) any { return st.UID }),
		diskField("gid", "int", "", "group", func(st *content.Stat) any { return st.GID }),
		diskField("mtime", "int", "epoch seconds", "last change of the content, as packed in the package", func(st *content.Stat) any { return st.Mtime }),
		diskField("ctime", "int", "epoch seconds", "last change of content, owner, bits or name", func(st *content.Stat) any { return st.Ctime }),
		diskField("links", "int", "", "hard links", func(st *content.Stat) any { return st.Links }),
		permission("is_executable", "somebody may execute it", 0o111),
		permission("is_suid", "set-user-ID bit", syscall.S_ISUID),
		permission("is_sgid", "set-group-ID bit", syscall.S_ISGID),
		permission("world_writable", "others may write", 0o002),
		permission("group_writable", "the group may write", 0o020),
		cheap("owner", "string", "", "user:group, numbers where there is no name", "stat(2), /etc/passwd, /etc/group", (*file).owner),
		cheap("immutable", "bool", "", "chattr +i: not even root may change it; none for what is no regular file", "statx(2), FS_IOC_GETFLAGS", (*file).immutable),
		cheap("link_target", "string", "", "text of the symbolic link", "readlink(2)", (*file).linkTarget),
		cheap("target_path", "string", "", "where the symbolic link leads in the end; none when it is broken", "readlink(2)", (*file).targetPath),
	}
}

func comparedFields() []fileField {
	const source = "database against lstat(2)"
	return []fileField{
		cheap("is_missing", "bool", "", "the package put it there and it is gone", source, (*file).missing),
		cheap("type_differs", "bool", "", "it is of another type, such as a link in a program's place; none where the database tells no type", source, (*file).typeDiffers),
		cheap("size_matches", "bool", "", "the length is the expected one; rpm only", source, (*file).sizeMatches),
		cheap("mode_matches", "bool", "", "the permission bits are the expected ones; none where the database has none", source, (*file).modeMatches),
		cheap("suid_added", "bool", "", "SUID or SGID that the database does not give; none where it has no permission bits", source, (*file).suidAdded),
		cheap("owner_expected", "string", "", "user:group; rpm, apk, and of dpkg those of dpkg-statoverride(1)", source, (*file).ownerExpected),
		cheap("owner_matches", "bool", "", "owner and group are the expected ones", source, (*file).ownerMatches),
		cheap("install_time", "int", "epoch seconds", "when its package was installed or last changed; none for apk", "rpm INSTALLTIME, stat(2) of dpkg's .list",
			func(f *file) (any, error) {
				at, err := f.of.InstalledAt()
				return number(at), err
			}),
		cheap("changed_after_install", "bool", "",
			"ctime is more than 15 minutes after install_time. True for everything in a copied tree (images, restored backups) and for apk; a cheap condition to put before digests",
			source, (*file).changedLater),
	}
}

func digestFields() []fileField {
	costly := func(name, typ, unit, doc string, get func(*file) (any, error)) fileField {
		return fileField{Name: name, Type: typ, Unit: unit, Cost: collect.Costly, Doc: doc, Source: "content", Get: get}
	}
	return []fileField{
		costly("digest_actual", "string", "hex", "digest of what is there; limit above 64 MiB", func(f *file) (any, error) {
			sum, err := f.actual()
			return text(sum), err
		}),
		costly("digest_matches", "bool", "",
			"the content is what the package brought; none when nothing is there, the database has no digest, its packager said that it changes, or prelink changed it",
			(*file).digestMatches),
		costly("magic", "string", "", "class of the content, as file.magic", (*file).magic),
	}
}
