package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/collect/fact/facttest"
)

// loadProgram puts a harmless tracepoint program into the kernel: it calls one helper and passes nothing on. It is attached
// to nothing and goes with its descriptor.
func loadProgram(t *testing.T) int {
	t.Helper()
	code := make([]byte, 24)
	put := func(at int, opcode, registers byte, value uint32) {
		code[at], code[at+1] = opcode, registers
		binary.NativeEndian.PutUint32(code[at+4:], value)
	}
	put(0, callOpcode, 0, 14) // get_current_pid_tgid, as kprobes use it
	put(8, 0xb7, 0, 0)        // r0 = 0
	put(16, 0x95, 0, 0)       // exit
	attr := make([]byte, 128)
	licence := []byte("GPL\x00")
	binary.NativeEndian.PutUint32(attr, 5) // tracepoint
	binary.NativeEndian.PutUint32(attr[4:], 3)
	putPointer(attr[8:], code)
	putPointer(attr[16:], licence)
	copy(attr[48:], "stand_in")
	fd, _, errno := syscall.Syscall(bpfNumbers[runtime.GOARCH], 5, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	if errno != 0 {
		t.Fatal("this kernel takes no program:", errno)
	}
	t.Cleanup(func() { syscall.Close(int(fd)) })
	return int(fd)
}

func TestLoadedProgramIsSeenWithItsHelpersAndHolder(t *testing.T) {
	if os.Getuid() != 0 {
		status := facttest.Collect(t, Collectors(), facttest.Env("/"), "ebpf", func(facttest.Record) {})
		if len(status.Parts["ebpf"]) == 0 {
			t.Error("a user who may not look is told so")
		}
		return
	}
	loadProgram(t)
	found := 0

	status := facttest.Collect(t, Collectors(), facttest.Env("/"), "ebpf", func(r facttest.Record) {
		r.Typed()
		if r.Get("name") != "stand_in" {
			return
		}
		found++
		r.Expect(map[string]any{"kind": "program", "type": "tracepoint", "uid": int64(0), "username": "root", "is_gpl": true,
			"pids": []int64{int64(os.Getpid())}, "is_held": true, "code_bytes": int64(24), "attached": []string{}})
		if helpers := strings.Join(r.Get("helpers").([]string), " "); !strings.Contains(helpers, "bpf_get_current_pid_tgid") {
			t.Errorf("helpers %q", helpers)
		}
	})

	if found != 1 || len(status.Failed)+len(status.Parts) > 0 {
		t.Error(found, status)
	}
}

// run collects with a bpf(2) of the test's own.
func run(t *testing.T, f *facttest.Tree, call caller) ([]*object, *collect.Status) {
	t.Helper()
	o := &objects{env: f.Env(), fs: fact.Tree(f.Env()), call: call, maps: map[uint32]mapInfo{}}
	status := collect.NewStatus()
	var found []*object
	err := o.run(context.Background(), map[string]bool{}, func(_ string, rec any) error {
		found = append(found, rec.(*object))
		return nil
	}, status)
	if err != nil {
		t.Fatal(err)
	}
	return found, status
}

func TestWhereTheCallIsRefusedDescriptorsTellAndTheRestIsUnknown(t *testing.T) {
	f := kernelTree(t)
	f.Write("/sys/fs/bpf/x", "")
	f.Write("/proc/7/stat", "7 (spy) S 1 7 7 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0 0")
	f.Link("/proc/7/fd/3", "anon_inode:bpf-prog")
	f.Link("/proc/7/fd/4", "/dev/null")
	f.Write("/proc/7/fdinfo/3", "pos:\t0\nprog_type:\t2\nprog_jited:\t1\nprog_tag:\tdeadbeefdeadbeef\nprog_id:\t42\n")

	found, status := run(t, f, func(int, []byte) (int, error) { return -1, syscall.EPERM })

	if len(found) != 2 || len(status.Parts["ebpf"]) != 1 {
		t.Fatal(found, status)
	}
	r := facttest.Record{T: t, Subject: ebpfSubject, Rec: found[0]}
	r.Expect(map[string]any{"id": int64(42), "type": "kprobe", "tag": "deadbeefdeadbeef", "pids": []int64{7},
		"process.names": []string{"spy"}})
	if _, err := r.Try("uid"); collect.Reason(err) != "needs_root" {
		t.Error("what the call would have told is unknown:", err)
	}
}

func TestKernelWithoutTheCallHasNoObjects(t *testing.T) {
	f := kernelTree(t)
	f.Write("/proc/self/mountinfo", "")

	found, status := run(t, f, func(int, []byte) (int, error) { return -1, syscall.ENOSYS })

	if len(found) != 0 || len(status.Parts) != 0 {
		t.Error(found, status)
	}
}

func TestPinnedNamesAreRecords(t *testing.T) {
	f := kernelTree(t)
	f.Write("/sys/fs/bpf/ip/globals/x", "")

	found, _ := run(t, f, func(int, []byte) (int, error) { return -1, syscall.ENOSYS })

	if len(found) != 1 {
		t.Fatal(found)
	}
	facttest.Record{T: t, Subject: ebpfSubject, Rec: found[0]}.Expect(map[string]any{"kind": "pinned",
		"path": "/sys/fs/bpf/ip/globals/x", "name": "x", "id": nil, "helpers": nil, "pids": nil})
}

func TestEndlessIterationEnds(t *testing.T) {
	err := caller(func(int, []byte) (int, error) { return 0, nil }).each(progNextID, func(uint32) error { return nil })

	if !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func TestHelpersAreNamedByTheirDistance(t *testing.T) {
	names, err := parseSymbols(func(use func([]byte) error) error {
		for _, line := range []string{"ffffffff81000000 T __bpf_call_base", "ffffffff81000040 T bpf_probe_write_user",
			"ffffffff80ffff00 t bpf_override_return", "ffffffffc0000000 t other\t[bpf]"} {
			if err := use([]byte(line)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := names.helperNames([]int32{0x40, -0x100, 77})
	if err != nil || strings.Join(got, " ") != "bpf_override_return bpf_probe_write_user" {
		t.Error(got, err)
	}
	if _, err := names.helperNames([]int32{0}); collect.Reason(err) != "needs_root" {
		t.Error("a target the kernel blanked is unknown:", err)
	}
}

func TestHiddenAddressesMakeHelpersUnknown(t *testing.T) {
	_, err := parseSymbols(func(use func([]byte) error) error { return use([]byte("0000000000000000 T __bpf_call_base")) })

	if collect.Reason(err) != "needs_root" {
		t.Error(err)
	}
}

func FuzzDescriptions(f *testing.F) {
	f.Add(make([]byte, progInfoBytes), []byte{1, 0, 0, 0})
	f.Add(make([]byte, 79), []byte{})
	f.Fuzz(func(t *testing.T, b, ids []byte) {
		if p, err := parseProgram(b, ids); err == nil && len(p.mapIDs) > len(ids)/4 {
			t.Error(p)
		}
		parseMapInfo(b)
		if l, err := parseLink(b, "x"); err == nil && l.describe() == "" {
			t.Error(l)
		}
		if at := nameAt(b); at >= 0 && at+12 > linkInfoBytes {
			t.Error(at)
		}
		helperCalls(b)
	})
}

func FuzzDescriptor(f *testing.F) {
	f.Add("prog_type:\t2\nprog_id:\t" + "2147483648" + "\n")
	f.Add("link_type:\ttracing\nlink_id:\t1\nprog_id:\t9\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{"program", "map", "link"} {
			if d, ok := parseDescriptor(kind, text); ok && len(d.tag) > len(text) {
				t.Error(d)
			}
		}
	})
}
