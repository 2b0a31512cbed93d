package kernel

import (
	"encoding/binary"
	"syscall"
	"testing"
	"unsafe"

	"sandfly/probes/internal/collect/fact/facttest"
)

// fakeObjects answers as a kernel with one object of each kind would; descriptions are by command of the descriptor.
type fakeObjects struct {
	t            *testing.T
	descriptions map[int][]byte
	open         map[int]int // descriptor → command that gave it
}

func (k *fakeObjects) call(command int, attr []byte) (int, error) {
	o := binary.NativeEndian
	switch command {
	case progNextID, mapNextID, linkNextID:
		if o.Uint32(attr) >= 7 {
			return -1, syscall.ENOENT
		}
		o.PutUint32(attr[4:], 7)
		return 0, nil
	case progFDByID, mapFDByID, linkFDByID:
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0)
		if err != nil {
			k.t.Fatal(err)
		}
		k.open[fd] = command
		return fd, nil
	case infoByFD:
		description := k.descriptions[k.open[int(o.Uint32(attr))]]
		size := min(int(o.Uint32(attr[4:])), len(description))
		copy(unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&attr[8]))), size), description)
		o.PutUint32(attr[4:], uint32(size))
		return 0, nil
	}
	return -1, syscall.EINVAL
}

func description(size int, words map[int]uint32, name string, at int) []byte {
	b := make([]byte, size)
	for offset, value := range words {
		binary.NativeEndian.PutUint32(b[offset:], value)
	}
	copy(b[at:], name)
	return b
}

func TestMapsAndLinksAreDescribedAndPutTogetherWithTheirProgram(t *testing.T) {
	f := kernelTree(t)
	f.Write("/proc/stat", "cpu 1\nbtime 1790000000\n")
	f.Write("/proc/self/mountinfo", "")
	k := &fakeObjects{t: t, open: map[int]int{}, descriptions: map[int][]byte{
		mapFDByID:  description(80, map[int]uint32{0: 1, 4: 7, 8: 4, 12: 16, 16: 1024, 20: 1}, "hidden_pids", 24),
		linkFDByID: description(32, map[int]uint32{0: linkCgroup, 4: 7, 8: 7, 16: 99, 24: 6}, "", 32),
		progFDByID: description(progInfoBytes, map[int]uint32{0: 8, 4: 7, 52: 0, 84: 1}, "egress", 64),
	}}

	found, status := run(t, f, k.call)

	if len(found) != 3 || len(status.Parts) != 0 {
		t.Fatal(found, status)
	}
	byKind := map[string]facttest.Record{}
	for _, object := range found {
		byKind[object.kind] = facttest.Record{T: t, Subject: ebpfSubject, Rec: object}
	}
	byKind["map"].Expect(map[string]any{"id": int64(7), "type": "hash", "name": "hidden_pids", "key_size": int64(4),
		"value_size": int64(16), "max_entries": int64(1024), "map_flags": int64(1), "uid": nil, "program_id": nil})
	byKind["link"].Expect(map[string]any{"type": "cgroup", "program_id": int64(7), "attach_type": int64(6),
		"attached": []string{"cgroup cgroup:99"}, "max_entries": nil})
	byKind["program"].Expect(map[string]any{"type": "cgroup_skb", "attached": []string{"cgroup cgroup:99"},
		"loaded_at": int64(1790000000)})
}

func TestProgramNamesItsMaps(t *testing.T) {
	ids := []byte{7, 0, 0, 0}
	binary.NativeEndian.PutUint32(ids, 7)
	p, err := parseProgram(description(progInfoBytes, map[int]uint32{0: 5, 52: 1}, "spy", 64), ids)
	if err != nil {
		t.Fatal(err)
	}
	shared := &objects{maps: map[uint32]mapInfo{7: {name: "hidden_pids"}, 8: {name: "another"}}}
	r := facttest.Record{T: t, Subject: ebpfSubject, Rec: &object{objects: shared, kind: "program", prog: &p, told: true}}

	r.Expect(map[string]any{"map_ids": []int64{7}, "map_names": []string{"hidden_pids"}})
}
