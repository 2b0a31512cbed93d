package files

import (
	"path"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
)

// mountTable knows where file systems are mounted; nil when the tree read is not the running system.
type mountTable map[string]string // mount point → type

// readMounts reads the probe's own mounts. Without them the walk still tells file systems apart, by device and magic.
func readMounts(env *collect.Env) mountTable {
	root := procfs.FS(env.Root)
	if !root.IsLive() {
		return nil
	}
	mounts, err := root.ReadMounts("self")
	if err != nil {
		return nil
	}
	table := mountTable{}
	for _, m := range mounts {
		table[m.Path] = m.Type // a later mount covers an earlier one at the same point
	}
	return table
}

// at gives the mount that a path without links lies on; false when that is not known.
func (t mountTable) at(name string) (point, kind string, ok bool) {
	for dir := name; ; dir = path.Dir(dir) {
		if kind, ok := t[dir]; ok {
			return dir, kind, true
		}
		if dir == "/" || dir == "." {
			return "", "", false
		}
	}
}

// kernelTypes are file systems that hold no files but the kernel's own answers.
var kernelTypes = map[string]bool{
	"proc": true, "sysfs": true, "cgroup": true, "cgroup2": true, "debugfs": true, "tracefs": true, "securityfs": true,
	"bpf": true, "configfs": true, "pstore": true, "efivarfs": true, "autofs": true, "binfmt_misc": true,
	"fusectl": true, "mqueue": true, "hugetlbfs": true, "selinuxfs": true, "smackfs": true, "rpc_pipefs": true,
	"nfsd": true, "nsfs": true, "devpts": true,
}

// isKernelType tells a file system that is never entered.
func isKernelType(kind string) bool { return kernelTypes[kind] }

// isNetworkType tells a file system that is entered only when a scope crosses mounts.
func isNetworkType(kind string) bool { return content.IsNetworkType(kind) }

// mayHang tells a file system where even looking at its root may wait for a server or start a mount.
func mayHang(kind string) bool { return content.MayHang(kind) }

// onNetwork tells whether a path lies on a file system that may not answer.
func (v *visit) onNetwork(name string) bool {
	_, kind, ok := v.mounts().at(path.Clean("/" + name))
	return ok && mayHang(kind)
}

// Numbers of statfs(2), for file systems that were mounted after the table was read, or that it does not name.
const (
	magicExt      = 0xef53
	magicXFS      = 0x58465342
	magicTmpfs    = 0x01021994
	magicF2FS     = 0xf2f52010
	magicJFS      = 0x3153464a
	magicReiser   = 0x52654973
	magicBtrfs    = 0x9123683e
	magicProc     = 0x9fa0
	magicSysfs    = 0x62656572
	magicCgroup   = 0x27e0eb
	magicCgroup2  = 0x63677270
	magicDebugfs  = 0x64626720
	magicTracefs  = 0x74726163
	magicSecurity = 0x73636673
	magicBPF      = 0xcafe4a11
	magicDevpts   = 0x1cd1
	magicAutofs   = 0x0187
	magicFUSE     = 0x65735546
	magicNFS      = 0x6969
	magicCIFS     = 0xff534d42
	magicSMB2     = 0xfe534d42
	magic9P       = 0x01021997
	magicCeph     = 0x00c36400
	magicAFS      = 0x5346414f
)

// fileSystem gives the number of the file system that an open directory lies on, 0 when it cannot be told.
func fileSystem(fd int) uint32 {
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(fd, &st); err != nil {
		return 0
	}
	return uint32(st.Type)
}

func isKernelMagic(magic uint32) bool {
	switch magic {
	case magicProc, magicSysfs, magicCgroup, magicCgroup2, magicDebugfs, magicTracefs, magicSecurity, magicBPF,
		magicDevpts, magicAutofs:
		return true
	}
	return false
}

func isNetworkMagic(magic uint32) bool {
	switch magic {
	case magicFUSE, magicNFS, magicCIFS, magicSMB2, magic9P, magicCeph, magicAFS:
		return true
	}
	return false
}

// countsSubdirectories tells a file system where a directory has two links and one more for each directory in it.
// Btrfs, overlayfs and most FUSE servers do not.
func countsSubdirectories(magic uint32) bool {
	switch magic {
	case magicExt, magicXFS, magicTmpfs, magicF2FS, magicJFS, magicReiser:
		return true
	}
	return false
}
