package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// image makes a file system with the tool of e2fsprogs; its root directory has a directory of many names.
func image(t *testing.T, kind string, options ...string) *os.File {
	t.Helper()
	source := t.TempDir()
	for i := range 900 {
		path := filepath.Join(source, "many", fmt.Sprintf("a-rather-long-name-that-fills-blocks-%04d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	arguments := append(append([]string{"-q", "-F", "-t", kind, "-d", source}, options...), path, "8M")
	command := exec.Command("mkfs.ext4", arguments...)
	command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/sbin:/usr/sbin")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

const rootInode = 2

func TestDirectoriesOfEveryFormatAreReadFromTheDevice(t *testing.T) {
	for name, make := range map[string][]string{
		"ext2": {"ext2"}, "ext3": {"ext3"}, "ext4": {"ext4"}, "ext4 of 64 bits": {"ext4", "-O", "64bit"},
		"ext4 with blocks of 4 KiB": {"ext4", "-b", "4096"}, "ext4 with small inodes": {"ext4", "-I", "128"},
	} {
		t.Run(name, func(t *testing.T) {
			fs, err := Open(image(t, make[0], make[1:]...))
			if err != nil {
				t.Fatal(err)
			}
			top, err := fs.ReadDir(rootInode)
			if err != nil {
				t.Fatal(err)
			}
			place := slices.IndexFunc(top, func(e Entry) bool { return e.Name == "many" })
			if len(top) != 2 || place < 0 { // and lost+found
				t.Fatal(top)
			}
			many, err := fs.ReadDir(uint64(top[place].Inode))
			if err != nil || len(many) != 900 || many[0].Inode == 0 {
				t.Error(len(many), err)
			}
		})
	}
}

func TestWhatIsNoFileSystemIsRefused(t *testing.T) {
	for _, b := range [][]byte{make([]byte, 4096), bytes.Repeat([]byte{0xff}, 4096)} {
		if _, err := Open(bytes.NewReader(b)); !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	}
}

func TestFileIsNoDirectory(t *testing.T) {
	fs, err := Open(image(t, "ext4"))
	if err != nil {
		t.Fatal(err)
	}
	for _, inode := range []uint64{0, 1 << 40, 8} { // 8 is the journal
		if _, err := fs.ReadDir(inode); !errors.Is(err, ErrFormat) {
			t.Error(inode, err)
		}
	}
}

func FuzzFileSystem(f *testing.F) {
	super := make([]byte, 8192)
	copy(super[superblockAt+0x38:], []byte{0x53, 0xef})
	super[superblockAt] = 16
	super[superblockAt+0x14], super[superblockAt+0x28] = 1, 16
	super[superblockAt+0x58] = 128
	f.Add(super, uint64(2))
	f.Add([]byte("x"), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, inode uint64) {
		fs, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		if entries, err := fs.ReadDir(inode); err == nil && len(entries) > len(b) {
			t.Error(len(entries))
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 12, 0, 1, 2, '.', 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range parseBlock(b) {
			if e.Name == "" || e.Inode == 0 || len(e.Name) > 255 {
				t.Error(e)
			}
		}
	})
}
