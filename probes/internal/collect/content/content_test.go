package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// counter never sleeps; it counts, and stops the visit after a number of questions when that is set.
type counter struct{ asked, stopAt int }

var errStop = errors.New("stop")

func (c *counter) Pause() error {
	if c.asked++; c.stopAt > 0 && c.asked >= c.stopAt {
		return errStop
	}
	return nil
}

func rooted(t *testing.T) (*collect.Env, *counter) {
	t.Helper()
	c := &counter{}
	return &collect.Env{Root: t.TempDir(), Throttle: c}, c
}

func put(t *testing.T, env *collect.Env, name, text string) string {
	t.Helper()
	file := filepath.Join(env.Root, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func link(t *testing.T, env *collect.Env, name, target string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(filepath.Join(env.Root, name)), 0o755))
	must(t, os.Symlink(target, filepath.Join(env.Root, name)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, env *collect.Env, name string) *File {
	t.Helper()
	f, err := Open(env, name)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	return f
}

func TestLinksAreFollowedInsideTheRootOnly(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/etc/real", "inside")
	link(t, env, "/abs", "/etc/real")
	link(t, env, "/up", "../../../../../../etc/real")
	link(t, env, "/dir", "/etc")
	link(t, env, "/chain", "up")

	for _, name := range []string{"/etc/real", "/abs", "/up", "/dir/real", "/dir/../etc/./real", "/chain", "/../etc/real"} {
		data, err := ReadFile(env, name, 100)
		if string(data) != "inside" || err != nil {
			t.Errorf("%s: %q %v", name, data, err)
		}
		if real, err := Resolve(env, name); real != "/etc/real" || err != nil {
			t.Errorf("%s resolves to %q %v", name, real, err)
		}
	}
}

func TestAPathThatExistsOnlyOutsideTheRootIsAbsent(t *testing.T) {
	env, _ := rooted(t)
	link(t, env, "/passwd", "/etc/passwd")

	_, err := Open(env, "/passwd")

	if !errors.Is(err, fs.ErrNotExist) || !IsAbsent(err) {
		t.Errorf("err = %v", err)
	}
}

func TestLinkLoopsEnd(t *testing.T) {
	env, _ := rooted(t)
	link(t, env, "/a", "b")
	link(t, env, "/b", "/a")
	link(t, env, "/grow", "grow/grow")

	for _, name := range []string{"/a", "/grow"} {
		if _, err := Open(env, name); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	env, _ := rooted(t)
	must(t, os.Mkdir(filepath.Join(env.Root, "dir"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(env.Root, "fifo"), 0o644))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, name := range []string{"/dir", "/fifo"} {
			if _, err := Open(env, name); !errors.Is(err, ErrNotRegular) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := Open(&collect.Env{Root: "/", Throttle: &counter{}}, "/dev/zero"); !errors.Is(err, ErrNotRegular) {
			t.Errorf("/dev/zero: %v", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("open waits")
	}
}

func TestOpenAtDoesNotFollowALink(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/real", "x")
	link(t, env, "/link", "real")
	d, err := OpenDir(env, "/")
	must(t, err)
	defer d.Close()

	if _, err := OpenAt(env, d.FD(), "link"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("err = %v", err)
	}
	if _, err := d.OpenDir("link"); err == nil {
		t.Error("a link was opened as a directory")
	}
}

func TestReadingLeavesTheAccessTimeAlone(t *testing.T) {
	env, _ := rooted(t)
	file := put(t, env, "/x", "hello")
	long := time.Unix(1_000_000_000, 0)
	must(t, os.Chtimes(file, long, time.Now()))

	_, err := ReadFile(env, "/x", 100)
	must(t, err)

	st, err := Lstat(env, "/x")
	must(t, err)
	if st.Atime != long.Unix() {
		t.Errorf("access time is now %d", st.Atime)
	}
}

func TestAFileBeyondItsBoundIsALimitAndNeverCut(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/x", strings.Repeat("x", 1001))
	f := opened(t, env, "/x")

	_, errAll := f.All(1000)
	_, errHash := f.SHA256(1000)
	whole, err := f.All(1001)

	if !errors.Is(errAll, collect.ErrLimit) || !errors.Is(errHash, collect.ErrLimit) || len(whole) != 1001 || err != nil {
		t.Errorf("%v, %v, %d, %v", errAll, errHash, len(whole), err)
	}
}

func TestAFileThatGrowsPastTheBoundWhileItIsReadIsALimit(t *testing.T) {
	env, _ := rooted(t)
	file := put(t, env, "/x", "small")
	f := opened(t, env, "/x")
	must(t, os.WriteFile(file, make([]byte, 300_000), 0o644))

	if _, err := f.SHA256(200_000); !errors.Is(err, collect.ErrLimit) {
		t.Errorf("err = %v", err)
	}
}

func TestFilesWithoutASizeAreReadToTheirEnd(t *testing.T) {
	data, err := ReadFile(&collect.Env{Root: "/", Throttle: &counter{}}, "/proc/self/status", 1<<20)

	if err != nil || !strings.Contains(string(data), "Name:") || !strings.HasSuffix(string(data), "\n") {
		t.Errorf("%q %v", data, err)
	}
}

func TestDigestsAreTakenInOneReading(t *testing.T) {
	env, c := rooted(t)
	put(t, env, "/x", strings.Repeat("a", 3*chunkBytes))
	f := opened(t, env, "/x")
	put(t, env, "/abc", "abc")

	_, err := f.Digests(MaxHashBytes, "md5", "sha1", "sha256")
	must(t, err)
	got, err := opened(t, env, "/abc").Digests(MaxHashBytes, "md5", "sha1", "sha256")
	must(t, err)

	want := map[string]string{
		"md5": "900150983cd24fb0d6963f7d28e17f72", "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
		"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("digests %v", got)
	}
	if c.asked < 3 || c.asked > 8 {
		t.Errorf("the throttle was asked %d times for three chunks", c.asked)
	}
}

func TestReadingStopsWhenTheVisitMustEnd(t *testing.T) {
	env, c := rooted(t)
	put(t, env, "/x", strings.Repeat("a", 10*chunkBytes))
	f := opened(t, env, "/x")
	c.stopAt = 2

	if _, err := f.SHA256(MaxHashBytes); !errors.Is(err, errStop) || c.asked != 2 {
		t.Errorf("err = %v after %d", err, c.asked)
	}
}

func TestEntropyIsBetweenZeroAndEight(t *testing.T) {
	all := make([]byte, 256*16)
	for i := range all {
		all[i] = byte(i)
	}
	for want, data := range map[float64][]byte{0: nil, 8: all, 1: []byte("abababab"), 2: []byte("abcd")} {
		if got := Entropy(data); got != want {
			t.Errorf("%d bytes: %v, want %v", len(data), got, want)
		}
	}
}

func TestEntropyLooksAtTheBeginningOnly(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/x", strings.Repeat("a", 1000)+"bcdefghijk")

	if got, err := opened(t, env, "/x").Entropy(1000); got != 0 || err != nil {
		t.Errorf("%v %v", got, err)
	}
}

func TestInterpreterIsTheProgramOfTheFirstLine(t *testing.T) {
	cases := map[string]string{
		"#!/bin/sh\n": "/bin/sh", "#! /usr/bin/python3 -I\nx": "/usr/bin/python3", "#!/usr/bin/env python3\n": "python3",
		"#!/usr/bin/env -S FOO=1 perl -w\n": "perl", "#!/usr/bin/env\n": "/usr/bin/env", "#!\n": "", "": "", " #!/bin/sh": "",
		"#!/bin/bash": "/bin/bash",
	}
	for head, want := range cases {
		if got := Interpreter([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

func TestMagicTellsClassesOfContent(t *testing.T) {
	tar := make([]byte, 512)
	copy(tar[257:], "ustar\x0000")
	elf := func(order, kind string) string {
		return "\x7fELF\x02" + order + "\x01" + strings.Repeat("\x00", 9) + kind
	}
	cases := map[string]string{
		"": "empty", elf("\x01", "\x03\x00"): "elf", elf("\x01", "\x04\x00"): "elf_core", elf("\x02", "\x00\x04"): "elf_core",
		"\x7fELF": "elf", "#!/bin/sh": "script", "\x1f\x8b\x08": "gzip", "BZh9": "bzip2", "\xfd7zXZ\x00": "xz",
		"\x28\xb5\x2f\xfd": "zstd", "PK\x03\x04": "zip", string(tar): "tar", "7z\xbc\xaf\x27\x1c": "7z",
		"!<arch>\ndebian-binary ": "deb", "!<arch>\nx": "ar", "\xed\xab\xee\xdb": "rpm", "%PDF-1.7": "pdf",
		"\x89PNG\r\n\x1a\n": "png", "\xff\xd8\xff\xe0": "jpeg", "GIF89a": "gif", "SQLite format 3\x00": "sqlite",
		"-----BEGIN RSA PRIVATE KEY-----\n":        "private_key",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n":    "private_key",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----":    "private_key",
		"-----BEGIN PGP PRIVATE KEY BLOCK-----":    "private_key",
		"-----BEGIN PUBLIC KEY-----\n":             "public_key",
		"-----BEGIN CERTIFICATE-----\n":            "certificate",
		"ssh-ed25519 AAAAC3Nza":                    "public_key",
		"\xca\xfe\xba\xbe\x00\x00\x00\x34":         "java_class",
		"\xca\xfe\xba\xbe\x00\x00\x00\x02":         "mach_o",
		"\xa7\x0d\x0d\x0a\x00\x00\x00\x00aaaabbbb": "pyc",
		"\x00asm\x01": "wasm", "MZ\x90\x00\x03": "pe", "MZ is text": "text", "{\"a\": 1}": "json", "{ not json": "text",
		"grüße\n": "text", "\xfe\xff\x00\x01": "data", "plain": "text", "gr\xfc\xdfe aus latin1 sind auch text": "text",
		"\x01\x02\x03\x04": "data",
	}
	for head, want := range cases {
		if got := Magic([]byte(head)); got != want {
			t.Errorf("%q: %s, want %s", head, got, want)
		}
	}
}

func TestTextIsNoTextWithANULInIt(t *testing.T) {
	env, _ := rooted(t)
	put(t, env, "/bin", "ab\x00cd")
	put(t, env, "/text", strings.Repeat("é", 40_000))

	_, isText, err := opened(t, env, "/bin").Text(MaxTextBytes)
	if isText || err != nil {
		t.Errorf("binary: %v %v", isText, err)
	}
	text, isText, err := opened(t, env, "/text").Text(MaxTextBytes - 1)
	if !isText || err != nil || len(text) != MaxTextBytes-1 {
		t.Errorf("text cut inside a character: %v %v %d", isText, err, len(text))
	}
}

func TestDirectoryEntriesThatDoNotFitAreNotRead(t *testing.T) {
	for _, buf := range [][]byte{nil, make([]byte, 5), make([]byte, 40), slices.Repeat([]byte{0xff}, 64)} {
		if got := parseDirents(buf); len(got) != 0 {
			t.Errorf("%v", got)
		}
	}
}

func TestReadDirIsSortedAndSaysWhenThereIsMore(t *testing.T) {
	env, _ := rooted(t)
	for _, name := range []string{"c", "a", "b"} {
		put(t, env, name, "")
	}

	all, err := ReadDir(env, "/", 3)
	must(t, err)
	some, limited := ReadDir(env, "/", 2)

	if all[0].Name != "a" || all[2].Name != "c" || len(some) != 2 || !errors.Is(limited, collect.ErrLimit) {
		t.Errorf("%v, %v, %v", all, some, limited)
	}
}

// FuzzMagic holds everything that looks at a file's bytes to: no panic, a class that is not empty, entropy in range.
func FuzzMagic(f *testing.F) {
	for _, s := range []string{"", "#!/usr/bin/env -S", "\x7fELF\x02\x02", "-----BEGIN ", "{", "\xca\xfe\xba\xbe", "ssh-rsa AAAA"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Magic(data) == "" {
			t.Error("no class")
		}
		if e := Entropy(data); e < 0 || e > 8 {
			t.Errorf("entropy %v", e)
		}
		if strings.ContainsAny(Interpreter(data), "\n \t") {
			t.Errorf("interpreter %q", Interpreter(data))
		}
		_, _ = ParseCapabilities(data)
		parseDirents(data)
	})
}
