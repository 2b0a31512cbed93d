package system

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

var mountSubject = collect.NewSubject("mount",
	"A mount that the probe sees.",
	[]string{"path"},
	[]string{"path", "device", "type", "flags", "root"},
	mountFacts)

// mount is one line of mountinfo.
type mount struct {
	procfs.Mount
	fs      procfs.FS
	isLocal bool // neither it nor a mount above it can hang when its path is looked up
	space   lazy[*space]
}

// space is what statfs(2) says; sizes in bytes.
type space struct{ block, size, free, available, inodes, freeInodes int64 }

func mountCollector() collect.Collector {
	return collect.Collector{Name: "mount", Subjects: []*collect.Subject{mountSubject}, Run: runMounts}
}

func runMounts(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	mounts, err := tree(env).ReadMounts("self")
	if err != nil {
		status.Fail("mount", fmt.Errorf("mounts: %w", err))
		return nil
	}
	local := localMounts(mounts)
	for _, m := range mounts {
		if err := errors.Join(ctx.Err(), env.Throttle.Pause()); err != nil {
			return err
		}
		if err := emit("mount", &mount{Mount: m, fs: tree(env), isLocal: local(m)}); err != nil {
			return err
		}
	}
	return nil
}

// flags are the options of the mount and of its file system, each once.
func (m *mount) flags() []string {
	flags := []string{}
	for _, option := range slices.Concat(m.Options, m.SuperOptions) {
		if !slices.Contains(flags, option) {
			flags = append(flags, option)
		}
	}
	return flags
}

// networkTypes are file systems whose server is elsewhere.
var networkTypes = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "9p", "glusterfs", "lustre",
	"gpfs", "ocfs2", "gfs2", "beegfs", "orangefs", "pvfs2", "davfs", "fuse.sshfs", "fuse.davfs", "fuse.davfs2",
	"fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.curlftpfs",
	"fuse.juicefs", "fuse.mfs", "fuse.blobfuse", "fuse.blobfuse2", "fuse.mount-s3"}

// isNetwork also believes a source of the form host:/path, for types this list does not know yet.
func (m *mount) isNetwork() bool {
	if slices.Contains(networkTypes, m.Type) {
		return true
	}
	host, _, found := strings.Cut(m.Source, ":/")
	return found && host != "" && !strings.Contains(host, "/") && strings.HasPrefix(m.Type, "fuse")
}

// rootTypes are file systems that are mounted by a part of them without being bound: subvolumes, namespaces, groups.
var rootTypes = []string{"btrfs", "bcachefs", "nsfs", "cgroup", "cgroup2"}

func (m *mount) isBind() bool { return m.Root != "/" && !slices.Contains(rootTypes, m.Type) }

// isOverProcess says whether the mount hides a process's directory, or a file in it, from ps and the like.
func (m *mount) isOverProcess() bool {
	rest, ok := strings.CutPrefix(m.Path, "/proc/")
	number, _, _ := strings.Cut(rest, "/")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// localTypes are the file systems whose size is asked for: for a network or FUSE file system statfs(2) asks its server
// and can hang for ever, and an autofs would be mounted by it.
var localTypes = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "zfs", "f2fs", "jfs", "reiserfs", "nilfs2",
	"tmpfs", "ramfs", "devtmpfs", "vfat", "msdos", "exfat", "ntfs3", "iso9660", "udf", "squashfs", "erofs", "cramfs",
	"overlay", "ubifs", "jffs2", "hugetlbfs", "hfs", "hfsplus", "minix", "ufs", "virtiofs"}

// localMounts returns a function that says whether looking at a mount asks no server and mounts nothing: also the
// mounts its path goes through count.
func localMounts(mounts []procfs.Mount) func(m procfs.Mount) bool {
	byID := map[int]procfs.Mount{}
	for _, m := range mounts {
		byID[m.ID] = m
	}
	return func(m procfs.Mount) bool {
		if !slices.Contains(localTypes, m.Type) {
			return false
		}
		for range mounts {
			above, found := byID[m.ParentID]
			if !found || above.ID == m.ID {
				break
			}
			if !slices.Contains(localTypes, above.Type) && !slices.Contains(kernelTypes, above.Type) {
				return false
			}
			m = above
		}
		return true
	}
}

// kernelTypes are file systems without storage that other mounts stand on.
var kernelTypes = []string{"proc", "sysfs", "devpts", "securityfs", "cgroup", "cgroup2", "debugfs", "tracefs", "configfs", "rootfs"}

// statfs gives nil for file systems that are not asked.
func (m *mount) statfs() (*space, error) {
	return m.space.get(func() (*space, error) {
		if !m.fs.IsLive() || !m.isLocal {
			return nil, nil
		}
		var st syscall.Statfs_t
		err := syscall.Statfs(m.Path, &st)
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Statfs(m.Path, &st)
		}
		if err != nil {
			return nil, fmt.Errorf("statfs %s: %w", m.Path, err)
		}
		block := int64(st.Bsize)
		if st.Frsize > 0 {
			block = int64(st.Frsize)
		}
		s := newSpace(block, uint64(st.Blocks), uint64(st.Bfree), uint64(st.Bavail))
		s.inodes, s.freeInodes = int64(st.Files), int64(st.Ffree)
		return s, nil
	})
}

// newSpace multiplies without running over: a file system may say anything.
func newSpace(block int64, blocks, free, available uint64) *space {
	bytes := func(n uint64) int64 {
		if block > 0 && n > uint64(math.MaxInt64/block) {
			return math.MaxInt64
		}
		return int64(n) * block
	}
	return &space{block: block, size: bytes(blocks), free: bytes(free), available: bytes(available)}
}

// usedPercent is what df(1) shows: of what users may have. Absent for file systems without size.
func (s *space) usedPercent() any {
	used := s.size - s.free
	if used < 0 || used+s.available <= 0 {
		return nil
	}
	return math.Round(float64(used)/float64(used+s.available)*1000) / 10
}

// inodesUsedPercent is absent for file systems that make inodes as they need them.
func (s *space) inodesUsedPercent() any {
	if s.inodes <= 0 || s.freeInodes < 0 || s.freeInodes > s.inodes {
		return nil
	}
	return math.Round(float64(s.inodes-s.freeInodes)/float64(s.inodes)*1000) / 10
}

// ofSpace makes a getter of a size; absent for file systems that are not asked.
func ofSpace(get func(s *space) any) func(m *mount) (any, error) {
	return func(m *mount) (any, error) {
		s, err := m.statfs()
		if err != nil || s == nil {
			return nil, err
		}
		return get(s), nil
	}
}

// hasFlag makes a getter that says whether an option is set.
func hasFlag(flag string) func(m *mount) (any, error) {
	return value(func(m *mount) any { return slices.Contains(m.flags(), flag) })
}
