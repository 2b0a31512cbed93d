package xfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The directories of an image, by name, with how many names each has.
var directories = []struct {
	name  string
	count int
}{{"few", 3}, {"some", 40}, {"many", 400}, {"crowd", 3000}}

// image makes a file system with the tool of xfsprogs and a prototype: directories whose files have content, so that the
// blocks of large ones do not lie together.
func image(t *testing.T, options ...string) *os.File {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("x"), 8192), 0o644); err != nil {
		t.Fatal(err)
	}
	var prototype strings.Builder
	prototype.WriteString("/\n0 0\nd--755 0 0\n")
	for _, d := range directories {
		fmt.Fprintf(&prototype, "%s d--755 0 0\n", d.name)
		for i := range d.count {
			fmt.Fprintf(&prototype, "%s ---644 0 0 %s\n", nameOf(i), text)
		}
		prototype.WriteString("$\n")
	}
	prototype.WriteString("$\n")
	description := filepath.Join(dir, "prototype")
	if err := os.WriteFile(description, []byte(prototype.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Truncate(320 << 20); err != nil { // a sparse file; the tool makes none smaller
		t.Fatal(err)
	}
	command := exec.Command("mkfs.xfs", append(append([]string{"-q", "-p", description}, options...), path)...)
	command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/sbin:/usr/sbin")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s (package xfsprogs)", err, out)
	}
	return file
}

func nameOf(i int) string {
	return fmt.Sprintf("a-rather-long-name-%04d%s", i, strings.Repeat("z", i%9))
}

// rootInode is in the superblock.
func rootInode(t *testing.T, image *os.File) uint64 {
	t.Helper()
	b := make([]byte, 8)
	if _, err := image.ReadAt(b, 56); err != nil {
		t.Fatal(err)
	}
	return o.Uint64(b)
}

func TestDirectoriesOfEveryFormatAreReadFromTheDevice(t *testing.T) {
	for name, options := range map[string][]string{
		"version 5":                        nil,
		"version 5, large counters":        {"-m", "crc=1", "-i", "nrext64=1"},
		"version 5, blocks of 1 KiB":       {"-b", "size=1024"},
		"version 5, directories of 16 KiB": {"-n", "size=16384"},
		"version 4 with types":             {"-m", "crc=0", "-n", "ftype=1"},
		"version 4 without types, 8 KiB":   {"-m", "crc=0", "-n", "ftype=0,size=8192"},
	} {
		t.Run(name, func(t *testing.T) {
			device := image(t, options...)
			fs, err := Open(device)
			if err != nil {
				t.Fatal(err)
			}
			top, err := fs.ReadDir(rootInode(t, device))
			if err != nil || len(top) != len(directories) {
				t.Fatal(top, err)
			}
			for i, d := range directories {
				entries, err := fs.ReadDir(top[i].Inode)
				if err != nil || len(entries) != d.count || top[i].Name != d.name {
					t.Errorf("%s: %d names of %d, %v", d.name, len(entries), d.count, err)
					continue
				}
				// The order is that of the blocks, where later names fill room that earlier ones left.
				slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
				for number, e := range entries {
					if e.Name != nameOf(number) || e.Inode == 0 {
						t.Errorf("%s: %+v is not %s", d.name, e, nameOf(number))
						break
					}
				}
			}
		})
	}
}

func TestAllFormsOfDirectoriesWereAmongThem(t *testing.T) {
	formats := map[string]bool{}
	for _, options := range [][]string{nil, {"-b", "size=1024"}} {
		device := image(t, options...)
		fs, err := Open(device)
		if err != nil {
			t.Fatal(err)
		}
		top, err := fs.ReadDir(rootInode(t, device))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range top {
			n, err := fs.inode(e.Inode)
			if err != nil {
				t.Fatal(err)
			}
			formats[fmt.Sprint("format ", n.format)] = true
			if n.format == formatLocal {
				continue
			}
			extents, err := fs.extentsOf(n)
			if err != nil {
				t.Fatal(err)
			}
			b, err := fs.block(extents[0].start)
			if err != nil {
				t.Fatal(err)
			}
			formats[string(b[:4])] = true
		}
	}
	for _, want := range []string{"format 1", "format 2", "format 3", "XDB3", "XDD3"} {
		if !formats[want] {
			t.Errorf("no directory of %s among %v", want, formats)
		}
	}
}

func TestAFlippedBitIsNoName(t *testing.T) {
	device := image(t)
	fs, err := Open(device)
	if err != nil {
		t.Fatal(err)
	}
	top, err := fs.ReadDir(rootInode(t, device))
	if err != nil {
		t.Fatal(err)
	}
	some := top[slices.IndexFunc(top, func(e Entry) bool { return e.Name == "some" })]
	n, err := fs.inode(some.Inode)
	if err != nil {
		t.Fatal(err)
	}
	at, err := fs.at(parseExtents(n.fork, 1)[0].start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := device.WriteAt([]byte("Z"), at+headerV5+48); err != nil {
		t.Fatal(err)
	}

	if entries, err := fs.ReadDir(some.Inode); !errors.Is(err, ErrFormat) {
		t.Error(len(entries), err)
	}
}

func TestWhatIsNoDirectoryIsRefused(t *testing.T) {
	device := image(t)
	fs, err := Open(device)
	if err != nil {
		t.Fatal(err)
	}
	few, err := fs.ReadDir(rootInode(t, device))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.ReadDir(few[0].Inode)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []uint64{0, 1 << 62, files[0].Inode} {
		if _, err := fs.ReadDir(number); !errors.Is(err, ErrFormat) {
			t.Error(number, err)
		}
	}
}

func TestWhatIsNoFileSystemIsRefused(t *testing.T) {
	for _, b := range [][]byte{make([]byte, 4096), bytes.Repeat([]byte{0xff}, 4096), append([]byte("XFSB"), make([]byte, 508)...)} {
		if _, err := Open(bytes.NewReader(b)); !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	}
}

// tiny is a file system of version 4 in 4 KiB: one group of eight blocks of 512 bytes, two inodes a block.
func tiny() []byte {
	b := make([]byte, 4096)
	o.PutUint32(b, superMagic)
	o.PutUint32(b[4:], 512)
	o.PutUint32(b[84:], 8)
	o.PutUint32(b[88:], 1)
	o.PutUint16(b[100:], 4)
	o.PutUint16(b[104:], 256)
	b[120], b[123], b[124] = 9, 1, 3
	directory := b[512:] // inode 2
	o.PutUint16(directory, inodeMagic)
	o.PutUint16(directory[2:], typeDirectory|0o755)
	directory[4], directory[5] = 2, formatLocal
	short := []byte{1, 0, 0, 0, 0, 2, 3, 0, 96, 'a', 'b', 'c', 0, 0, 0, 3}
	o.PutUint64(directory[56:], uint64(len(short)))
	copy(directory[forkV2:], short)
	return b
}

func TestTheTinyFileSystemIsOne(t *testing.T) {
	fs, err := Open(bytes.NewReader(tiny()))
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := fs.ReadDir(2); err != nil || len(entries) != 1 || entries[0] != (Entry{"abc", 3}) {
		t.Error(entries, err)
	}
}

func FuzzFileSystem(f *testing.F) {
	f.Add(tiny(), uint64(2))
	extents := tiny()
	extents[512+5] = formatExtents
	o.PutUint32(extents[512+76:], 1)
	o.PutUint64(extents[512+forkV2+8:], 3<<21|1)
	o.PutUint32(extents[1536:], singleV4)
	f.Add(extents, uint64(2))
	tree := tiny()
	tree[512+5] = formatTree
	copy(tree[512+forkV2:], []byte{0, 1, 0, 1})
	f.Add(tree, uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, inode uint64) {
		fs, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		entries, err := fs.ReadDir(inode)
		if err != nil && entries != nil || len(entries) > MaxDirBytes/16 {
			t.Error(len(entries), err)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9, 1, 'a', 0, 0, 0, 0, 0, 16, 0xff, 0xff, 0, 8, 0, 0, 0, 0}, true)
	f.Add([]byte{1, 0, 0, 0, 0, 2, 3, 0, 96, 'a', 'b', 'c', 0, 0, 0, 3}, false)
	f.Fuzz(func(t *testing.T, b []byte, hasTypes bool) {
		names, err := parseNames(b, hasTypes)
		short, shortErr := parseShort(b, uint64(len(b)), hasTypes)
		if err != nil && names != nil || shortErr != nil && short != nil {
			t.Error("names beside an error")
		}
		for _, e := range slices.Concat(names, short) {
			if e.Name == "" || len(e.Name) > 255 {
				t.Error(e)
			}
		}
	})
}
