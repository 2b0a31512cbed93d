package hidden

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect/fact/facttest"
)

// xfsOf makes an XFS with these names in its root directory.
func xfsOf(t *testing.T, names ...string) (raw rawDir, root uint64) {
	t.Helper()
	dir := t.TempDir()
	prototype, image := filepath.Join(dir, "prototype"), filepath.Join(dir, "image")
	text := "/\n0 0\nd--755 0 0\n" + strings.Join(names, " ---644 0 0 /dev/null\n") + " ---644 0 0 /dev/null\n$\n"
	if err := os.WriteFile(prototype, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Truncate(320 << 20); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("mkfs.xfs", "-q", "-p", prototype, image)
	command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/sbin:/usr/sbin")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s (package xfsprogs)", err, out)
	}
	number := make([]byte, 8)
	if _, err := file.ReadAt(number, 56); err != nil {
		t.Fatal(err)
	}
	if raw, err = openXFS(file); err != nil {
		t.Fatal(err)
	}
	return raw, binary.BigEndian.Uint64(number)
}

func TestNameInTheBlocksOfXFSThatTheListingLacksIsFoundOnceItIsSettled(t *testing.T) {
	raw, root := xfsOf(t, "shown", "concealed")
	listed := t.TempDir()
	for _, name := range []string{"shown", "concealed"} {
		if err := os.WriteFile(filepath.Join(listed, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	v := visitOf(facttest.Env("/")) // its time is long after that of these files
	places := []place{{path: listed, inode: root, raw: raw, lags: true}}
	if found, err := v.compareBlocks(places); err != nil || len(found) != 0 {
		t.Error("nothing is hidden yet:", found, err)
	}
	if err := os.Remove(filepath.Join(listed, "concealed")); err != nil {
		t.Fatal(err)
	}

	found, err := v.compareBlocks(places)

	if err != nil || len(found) != 1 || found[0].path != listed+"/concealed" {
		t.Error(found, err)
	}
	v.env.Now = time.Now()
	if found, err := v.compareBlocks(places); err != nil || len(found) != 0 {
		t.Error("what was removed a moment ago is still on the device and is no finding:", found, err)
	}
}

func TestOnlyFileSystemsWithAReaderAreReadRaw(t *testing.T) {
	for kind, want := range map[string]bool{"ext2": true, "ext4": true, "xfs": true, "btrfs": false, "tmpfs": false, "": false} {
		if got := rawKindOf(kind) != nil; got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
	if _, err := openXFS(bytes.NewReader(make([]byte, 4096))); !errors.Is(err, errUnavailable) {
		t.Error("another file system:", err)
	}
}

func TestDirectReadsGiveTheBytesAskedFor(t *testing.T) {
	content := make([]byte, 5*directAlign)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	d := &device{fd: fd, direct: true, pause: func() error { return nil }}

	for _, c := range [][2]int{{0, 512}, {56, 8}, {4095, 2}, {4096, 8192}, {5000, 10000}, {20479, 1}} {
		b := make([]byte, c[1])
		if n, err := d.ReadAt(b, int64(c[0])); n != len(b) || err != nil || !slices.Equal(b, content[c[0]:c[0]+c[1]]) {
			t.Errorf("%v: %d bytes, %v", c, n, err)
		}
	}
	if _, err := d.ReadAt(make([]byte, 2), int64(len(content)-1)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
