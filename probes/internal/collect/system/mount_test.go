package system

import (
	"math"
	"slices"
	"testing"

	"sandfly/probes/internal/procfs"
)

const mountLines = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw,size=1g
31 27 254:0 /srv/data /mnt/my\040data ro,relatime - ext4 /dev/vda rw
32 27 0:32 / /net rw - nfs4 server:/export rw
33 27 0:33 / /home/u/remote rw - fuse.newfs user@host:/dir rw
34 27 0:34 /@home /home rw - btrfs /dev/vdb rw,subvol=/@home
35 22 0:35 / /proc/4711 rw - tmpfs none rw
36 22 0:36 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw
37 32 0:37 / /net/local rw - tmpfs tmpfs rw
`

func mountFixture(t *testing.T) *fixture {
	f := newFixture(t)
	f.write("/proc/self/mountinfo", mountLines)
	return f
}

func TestMountFlagsAreStatements(t *testing.T) {
	env := mountFixture(t).env()

	with(t, env, "mount", "path", "/tmp", func(r record) {
		r.expect(map[string]any{"type": "tmpfs", "device": "tmpfs", "is_noexec": true, "is_nosuid": true, "is_nodev": true,
			"is_readonly": false, "flags": []string{"rw", "nosuid", "nodev", "noexec", "size=1g"}, "size_bytes": nil})
	})
	with(t, env, "mount", "path", "/mnt/my data", func(r record) {
		r.expect(map[string]any{"is_bind": true, "root": "/srv/data", "is_readonly": true, "is_noexec": false,
			"device_number": "254:0", "over_proc_pid": false})
	})
}

func TestNetworkFileSystemsAreToldByTypeAndSource(t *testing.T) {
	env := mountFixture(t).env()

	for path, want := range map[string]bool{"/net": true, "/home/u/remote": true, "/": false, "/tmp": false} {
		with(t, env, "mount", "path", path, func(r record) { r.expect(map[string]any{"is_network": want}) })
	}
}

func TestSubvolumeIsNoBindMount(t *testing.T) {
	with(t, mountFixture(t).env(), "mount", "path", "/home", func(r record) { r.expect(map[string]any{"is_bind": false}) })
}

func TestMountOverAProcessIsTold(t *testing.T) {
	for path, want := range map[string]bool{"/proc/4711": true, "/proc/4711/maps": true, "/proc/sys/fs": false, "/proc": false,
		"/proc/": false, "/proc/47x": false, "/x/proc/1": false} {
		if got := (&mount{Mount: procfs.Mount{Path: path}}).isOverProcess(); got != want {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

func TestOnlyLocalFileSystemsOnLocalPathsAreAsked(t *testing.T) {
	mounts, err := procfs.FS(mountFixture(t).root).ReadMounts("self")
	if err != nil {
		t.Fatal(err)
	}
	isLocal := localMounts(mounts)
	var asked []string

	for _, m := range mounts {
		if isLocal(m) {
			asked = append(asked, m.Path)
		}
	}

	if want := []string{"/", "/tmp", "/mnt/my data", "/home", "/proc/4711"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func TestMountRingEnds(t *testing.T) {
	ring := []procfs.Mount{{ID: 1, ParentID: 2, Type: "ext4"}, {ID: 2, ParentID: 1, Type: "ext4"}}

	if !localMounts(ring)(ring[0]) {
		t.Error("both are local")
	}
}

func TestSizesNeverRunOver(t *testing.T) {
	s := newSpace(4096, math.MaxUint64, 1, 1)

	if s.size != math.MaxInt64 || s.free != 4096 {
		t.Errorf("%+v", s)
	}
	if got := newSpace(1, 100, 40, 20).usedPercent(); got != 75.0 {
		t.Error(got)
	}
	if got := newSpace(1, 0, 0, 0).usedPercent(); got != nil {
		t.Error(got)
	}
}

func TestInodesAreToldWhereTheyAreBounded(t *testing.T) {
	for _, c := range []struct {
		inodes, free int64
		want         any
	}{{1000, 250, 75.0}, {0, 0, nil}, {10, 11, nil}, {-1, 0, nil}} {
		if got := (&space{inodes: c.inodes, freeInodes: c.free}).inodesUsedPercent(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestRootOfThisMachineHasASize(t *testing.T) {
	found := false
	collectAll(t, environment("/"), "mount", func(r record) {
		if size, ok := r.get("size_bytes").(int64); ok && size > 0 && r.get("available_bytes").(int64) <= size {
			found = true
		}
	})

	if !found {
		t.Error("no mount of this machine has a size")
	}
}

func TestMissingMountinfoFailsTheSubject(t *testing.T) {
	status := collectAll(t, environment(t.TempDir()), "mount", func(record) { t.Error("a record") })

	if status.Failed["mount"] == nil {
		t.Error("no mounts at all")
	}
}
