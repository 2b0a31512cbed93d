package procfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sandfly/probes/internal/collect"
)

func TestModulesAreReadWithAndWithoutTaint(t *testing.T) {
	text := "nf_tables 372736 589 nft_compat,nft_chain_nat, Live 0x0000000000000000\n" +
		"rootkit 16384 0 - Live 0xffffffffc0a00000 (OE)\nstay 1 1 [permanent], Live 0x0\nfixed 5 - - Live 0x0\n"

	got, err := parseModules([]byte(text))
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}

	if m := got[0]; m.Name != "nf_tables" || m.SizeBytes != 372736 || m.References != 589 || m.Taint != "" ||
		!slices.Equal(m.UsedBy, []string{"nft_compat", "nft_chain_nat"}) {
		t.Errorf("%+v", m)
	}
	if m := got[1]; m.Taint != "OE" || m.State != "Live" || m.Address != "0xffffffffc0a00000" || len(m.UsedBy) != 0 {
		t.Errorf("%+v", m)
	}
	if len(got[2].UsedBy) != 0 || got[3].References != Absent {
		t.Errorf("%+v", got[2:])
	}
}

func TestMalformedModulesAreAnError(t *testing.T) {
	for _, text := range []string{"x\n", "a b 1 - Live 0x0\n", "a 1 b - Live 0x0\n", "\n"} {
		if _, err := parseModules([]byte(text)); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestModuleFilesAreFoundUnderTheKernelsName(t *testing.T) {
	got := ModuleFiles([]byte("kernel/net/a-b_c.ko.xz: kernel/x.ko.xz\nkernel/fs/d.ko.zst:\nextra/e.ko:\nf.ko.gz:\nREADME:\n"))

	want := map[string]string{"a_b_c": "kernel/net/a-b_c.ko.xz", "d": "kernel/fs/d.ko.zst", "e": "extra/e.ko", "f": "f.ko.gz"}
	if len(got) != len(want) {
		t.Error(got)
	}
	for name, path := range want {
		if got[name] != path {
			t.Errorf("%s: got %q", name, got[name])
		}
	}
}

func TestKernelStatCountsProcessorsAndNeedsTheBootTime(t *testing.T) {
	got, err := parseKernelStat([]byte("cpu  1 2\ncpu0 1\ncpu1 1\nintr 5\nbtime 1795495279\n"))

	if err != nil || got != (KernelStat{1795495279, 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", "cpu 1\n", "btime x\n", "btime\n"} {
		if _, err := parseKernelStat([]byte(text)); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestNumbersThatJSONCannotHoldAreErrors(t *testing.T) {
	if got, err := parseFloats("x", "0.5 1.25 2 1/100", 3); err != nil || !slices.Equal(got, []float64{0.5, 1.25, 2}) {
		t.Error(got, err)
	}
	for _, text := range []string{"", "1 2", "1 x 3", "1 NaN 3", "1 Inf 3", "1 1e300 3"} {
		if _, err := parseFloats("x", text, 3); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestMemoryIsInBytes(t *testing.T) {
	got := parseMemory([]byte("MemTotal:       2 kB\nHugePages_Total:       7\nodd\n"))

	if len(got) != 1 || got["MemTotal"] != 2048 {
		t.Error(got)
	}
}

func TestFileLargerThanTheBoundIsALimitAndNotACut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, []byte(strings.Repeat("a", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}

	if _, err := readAll(path, 9_999); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
	if data, err := readAll(path, 10_000); err != nil || len(data) != 10_000 {
		t.Error(len(data), err)
	}
}

func TestFIFOInPlaceOfAFileNeverBlocks(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc/7"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proc/7/stat", "proc/7/fd"} {
		if err := syscall.Mkfifo(filepath.Join(root, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	_, fileErr := FS(root).ReadStat("7")
	_, dirErr := FS(root).ReadFDs("7")
	if fileErr == nil || dirErr == nil {
		t.Error(fileErr, dirErr)
	}
}

func TestAbsentAndDeniedAreToldApart(t *testing.T) {
	_, err := FS(t.TempDir()).ReadText("/proc/nothing")

	if !IsAbsent(err) || IsDenied(err) {
		t.Error(err)
	}
}

func TestSocketLinksGiveTheirInode(t *testing.T) {
	if n, ok := SocketInode("socket:[4711]"); !ok || n != 4711 {
		t.Error(n, ok)
	}
	for _, target := range []string{"pipe:[1]", "socket:[]", "socket:[x]", "/tmp/socket:[1]"} {
		if _, ok := SocketInode(target); ok {
			t.Error(target)
		}
	}
}
