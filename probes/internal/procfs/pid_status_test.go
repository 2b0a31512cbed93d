package procfs

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const statusText = `Name:	sh
Umask:	0022
State:	S (sleeping)
Tgid:	77
PPid:	1
TracerPid:	9
Uid:	1000	0	1000	4294967295
Gid:	1000	8	9	10
Groups:	4 24 1000
NSpid:	77	3
VmSize:	    3060 kB
VmRSS:	    1628 kB
CapInh:	0000000000000400
CapPrm:	000001fffeffffff
CapEff:	0000000000002400
CapBnd:	00000000a80425fb
CapAmb:	0000000000002000
SigIgn:	0000000000004001
NoNewPrivs:	1
Seccomp:	2
Some_new_line:	whatever: it says
`

func TestStatusGivesIdsCapabilitiesAndMemory(t *testing.T) {
	s, err := parseStatus([]byte(statusText))
	if err != nil {
		t.Fatal(err)
	}

	if s.UID != [4]int64{1000, 0, 1000, 4294967295} || s.GID != [4]int64{1000, 8, 9, 10} {
		t.Errorf("ids: %v %v", s.UID, s.GID)
	}
	if !slices.Equal(s.Groups, []int64{4, 24, 1000}) || s.NamespaceDepth != 2 || s.TracerPID != 9 {
		t.Errorf("groups %v, depth %d, tracer %d", s.Groups, s.NamespaceDepth, s.TracerPID)
	}
	if s.CapEffective != 0x2400 || s.SignalsIgnored != 0x4001 || s.NoNewPrivs != 1 || s.Seccomp != 2 {
		t.Errorf("capabilities %x, %d, %d", s.CapEffective, s.NoNewPrivs, s.Seccomp)
	}
	if s.CapPermitted != 0x1fffeffffff || s.CapInheritable != 0x400 || s.CapBounding != 0xa80425fb || s.CapAmbient != 0x2000 || !s.HasAmbient {
		t.Errorf("permitted %x, inheritable %x, bounding %x, ambient %x", s.CapPermitted, s.CapInheritable, s.CapBounding, s.CapAmbient)
	}
	if s.ResidentKB != 1628 || s.VirtualKB != 3060 {
		t.Errorf("memory %d, %d", s.ResidentKB, s.VirtualKB)
	}
}

func TestStatusOfAnOldKernelMarksWhatItDoesNotHave(t *testing.T) {
	s, err := parseStatus([]byte("Name:\tkthreadd\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"))

	if err != nil || s.NoNewPrivs != Absent || s.Seccomp != Absent || s.ResidentKB != Absent || s.NamespaceDepth != Absent || s.HasAmbient {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestMalformedStatusIsAnError(t *testing.T) {
	for _, change := range [][2]string{
		{"Uid:\t1000\t0\t1000\t4294967295\n", ""}, {"Uid:\t1000", "Uid:\t-1"}, {"Uid:\t1000\t0", "Uid:\t1000"},
		{"4294967295", "4294967296"}, {"Umask:", "Umask"}, {"1628 kB", "1628 MB"}, {"1628 kB", "-4 kB"},
		{"0000000000002400", "caps"}, {"Seccomp:\t2", "Seccomp:\t"},
	} {
		text := strings.Replace(statusText, change[0], change[1], 1)
		if _, err := parseStatus([]byte(text)); !errors.Is(err, ErrParse) {
			t.Errorf("%q instead of %q: got %v", change[1], change[0], err)
		}
	}
	if _, err := parseStatus(nil); !errors.Is(err, ErrParse) {
		t.Errorf("nothing: got %v", err)
	}
}

func TestCapabilitiesHaveTheirNames(t *testing.T) {
	got := CapabilityNames(1<<0 | 1<<13 | 1<<40 | 1<<63)

	if !slices.Equal(got, []string{"cap_chown", "cap_net_raw", "cap_checkpoint_restore", "cap_63"}) {
		t.Error(got)
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(statusText))
	f.Add([]byte("Uid:\nGid:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseStatus(data); err != nil && !errors.Is(err, ErrParse) {
			t.Error(err)
		}
	})
}
