package content

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

func TestCapabilitiesAreDecoded(t *testing.T) {
	v2 := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	v3 := "\x00\x00\x00\x03\x01\x00\x00\x00\x02\x00\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\xe8\x03\x00\x00"
	cases := map[string][]string{
		v2: {"cap_net_raw+ep"}, v3: {"cap_chown+p", "cap_dac_override+i", "cap_bpf+ip"},
		"\x01\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00": {"cap_chown+ep"},
	}
	for data, want := range cases {
		if got, err := ParseCapabilities([]byte(data)); !slices.Equal(got, want) || err != nil {
			t.Errorf("%q: %v %v", data, got, err)
		}
	}
	for _, bad := range []string{"", "\x01", v2[:19], v3[:23], "\x00\x00\x00\x09" + v3[4:]} {
		if _, err := ParseCapabilities([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestStatSaysTheSameWithAndWithoutStatx(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/x", "hello")
	must(t, os.Chmod(filepath.Join(env.Root, "x"), os.ModeSetgid|0o640))
	link(t, env, "/l", "x")
	d, err := OpenDir(env, "/")
	must(t, err)
	defer d.Close()
	both := func(name string) (with, without Stat) {
		a, err := StatAt(d.FD(), name)
		must(t, err)
		statxMissing.Store(true)
		defer statxMissing.Store(false)
		b, err := StatAt(d.FD(), name)
		must(t, err)
		return *a, *b
	}

	for _, name := range []string{"x", "l"} {
		with, without := both(name)
		with.Btime, with.HasBtime, with.HasAttributes = 0, false, false
		if with != without {
			t.Errorf("%s:\n%+v\n%+v", name, with, without)
		}
	}
}

func TestTheAttributeRequestIsTheArchitecturesOwn(t *testing.T) {
	want := map[string]uintptr{
		"386": 0x80046601, "arm": 0x80046601, "mips": 0x40046601, "mipsle": 0x40046601, "amd64": 0x80086601,
		"arm64": 0x80086601, "riscv64": 0x80086601, "loong64": 0x80086601, "s390x": 0x80086601, "ppc64": 0x40086601,
		"ppc64le": 0x40086601, "mips64": 0x40086601, "mips64le": 0x40086601,
	}
	if got := flagsRequest(); got != want[runtime.GOARCH] {
		t.Errorf("%s: %#x", runtime.GOARCH, got)
	}
}

func TestAttributesAreTheSameFromStatxAndIoctl(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/x", "")
	f := opened(t, env, "/x")
	st, err := StatFD(f.FD())
	must(t, err)

	immutable, appendOnly, known, err := Flags(f.FD())

	must(t, err)
	if known && (immutable || appendOnly) || st.HasAttributes && (st.Immutable || st.AppendOnly) {
		t.Errorf("a fresh file: %v %v, %+v", immutable, appendOnly, st)
	}
}
