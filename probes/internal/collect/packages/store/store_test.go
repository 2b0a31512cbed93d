package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

type freely struct{}

func (freely) Pause() error { return nil }

// tree builds files under a fresh root directory; "-> target" is a symbolic link.
func tree(t *testing.T, files map[string]string) *collect.Env {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			must(t, os.Symlink(target, file))
		} else {
			must(t, os.WriteFile(file, []byte(text), 0o644))
		}
	}
	return &collect.Env{Root: root, Now: time.Unix(1_800_000_000, 0), Throttle: freely{}, MaxValue: 1 << 20}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func everything(string) bool { return true }

// paths gives "package path" of every file of every package, and the gaps.
func paths(t *testing.T, env *collect.Env) (all []string, gaps []error) {
	t.Helper()
	host := Open(env, func(err error) { gaps = append(gaps, err) })
	_, err := host.Each(func(p *Package) error {
		return p.Files(everything, func(f *File) error {
			all = append(all, p.Name+" "+f.Path)
			return nil
		})
	})
	must(t, err)
	return all, gaps
}

const stanza = "Package: base\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n" +
	"Package: lib\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\n" +
	"Package: gone\nStatus: deinstall ok not-installed\n"

func debian() map[string]string {
	return map[string]string{
		"bin": "-> usr/bin", "usr/bin/ls": "ls", "usr/bin/sh": "x",
		"var/lib/dpkg/status":              stanza,
		"var/lib/dpkg/diversions":          "/bin/sh\n/bin/sh.distrib\ndash\n",
		"var/lib/dpkg/info/base.list":      "/.\n/bin\n/bin/ls\n/bin/sh\n/etc\n/etc/base.conf\n",
		"var/lib/dpkg/info/base.md5sums":   strings.Repeat("0", 32) + "  bin/ls\n",
		"var/lib/dpkg/info/base.postinst":  "#!/bin/sh\n",
		"var/lib/dpkg/info/lib:amd64.list": "/.\n/lib/a.so\n",
	}
}

func TestFilesLieBehindLinksOfUsrmergeAndDiversions(t *testing.T) {
	got, gaps := paths(t, tree(t, debian()))

	want := []string{"base /usr/bin/ls", "base /usr/bin/sh.distrib", "base /etc/base.conf", "lib /lib/a.so"}
	if !slices.Equal(got, want) || gaps != nil {
		t.Errorf("%q %v", got, gaps)
	}
}

func TestAMissingListIsAGapAndTheOtherPackagesAreRead(t *testing.T) {
	files := debian()
	delete(files, "var/lib/dpkg/info/base.list")

	got, gaps := paths(t, tree(t, files))

	if !slices.Equal(got, []string{"lib /lib/a.so"}) || len(gaps) != 1 {
		t.Errorf("%q %v", got, gaps)
	}
}

func TestInstallTimeAndScriptsOfDpkgComeFromItsFiles(t *testing.T) {
	env := tree(t, debian())
	at := time.Unix(1_700_000_000, 0)
	must(t, os.Chtimes(filepath.Join(env.Root, "var/lib/dpkg/info/base.list"), at, at))

	_, err := Open(env, func(err error) { t.Error(err) }).Each(func(p *Package) error {
		if p.Name != "base" {
			return nil
		}
		installed, err := p.InstalledAt()
		scripts, scriptsErr := p.ScriptNames()
		if installed != at.Unix() || !slices.Equal(scripts, []string{"postinst"}) {
			t.Errorf("%d %q", installed, scripts)
		}
		return errors.Join(err, scriptsErr)
	})

	must(t, err)
}

func TestPathsAreOwnedByBothTheirNames(t *testing.T) {
	env := tree(t, debian())
	for name, want := range map[string]bool{
		"/usr/bin/ls": true, "/bin/ls": true, "/usr/bin/sh.distrib": true, "/usr/bin/sh": false, "/usr/bin/evil": false,
		"/etc/base.conf": true, "/lib/a.so": true, "/usr": false,
	} {
		if got, err := Owned(env, name); got != want || err != nil {
			t.Errorf("%s: %t %v", name, got, err)
		}
	}
}

func TestWithoutADatabaseOwnershipIsNoValue(t *testing.T) {
	env := tree(t, map[string]string{"usr/bin/ls": "ls"})

	owned, err := Owned(env, "/usr/bin/ls")
	value, fieldErr := OwnedField(env, "/usr/bin/ls")

	if owned || !errors.Is(err, ErrNoDatabase) || value != nil || fieldErr != nil {
		t.Errorf("%t %v %v %v", owned, err, value, fieldErr)
	}
}

func TestAnUnreadableListMakesStrangersUnknownNotUnowned(t *testing.T) {
	files := debian()
	delete(files, "var/lib/dpkg/info/base.list")
	env := tree(t, files)

	if owned, err := Owned(env, "/lib/a.so"); !owned || err != nil {
		t.Errorf("listed: %t %v", owned, err)
	}
	if value, err := OwnedField(env, "/usr/bin/ls"); value != nil || err == nil {
		t.Errorf("of the missing list: %v %v", value, err)
	}
}

func TestAlpineAndRPMHostsAreRead(t *testing.T) {
	header, err := os.ReadFile("../rpm/testdata/tiny.header")
	must(t, err)
	env := tree(t, map[string]string{
		"lib/apk/db/installed": "P:busybox\nV:1\nF:bin\nR:busybox\na:0:0:755\n\n",
	})
	got, gaps := paths(t, env)
	if !slices.Equal(got, []string{"busybox /bin/busybox"}) || gaps != nil {
		t.Errorf("%q %v", got, gaps)
	}

	env = tree(t, map[string]string{"usr/lib/sysimage/rpm/Packages.db": ndbOf(header), "var/lib/rpm": "-> ../../usr/lib/sysimage/rpm"})
	got, gaps = paths(t, env)
	if len(got) != 5 || got[1] != "tiny /usr/bin/tiny" || gaps != nil {
		t.Errorf("%q %v", got, gaps)
	}
}

// ndbOf is a database of rpm's own form with one package.
func ndbOf(blob []byte) string {
	number := func(n int) string { return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}) }
	page := "RpmP" + number(0) + number(1) + number(1) + strings.Repeat("\x00", 16) +
		"Slot" + number(1) + number(256) + number(len(blob)/16+3)
	return page + strings.Repeat("\x00", 4096-len(page)) + "BlbS" + number(1) + number(1) + number(len(blob)) + string(blob)
}

func TestABrokenDatabaseIsAGapAndNoEmptyOne(t *testing.T) {
	env := tree(t, map[string]string{"var/lib/rpm/Packages": strings.Repeat("x", 9000)})

	_, gaps := paths(t, env)
	_, err := Owned(env, "/bin/ls")

	if len(gaps) != 1 || !errors.Is(gaps[0], db.ErrMalformed) || err == nil || errors.Is(err, ErrNoDatabase) {
		t.Errorf("%v %v", gaps, err)
	}
}

func TestCanonicalPaths(t *testing.T) {
	a := &Aliases{to: map[string]string{"/bin": "/usr/bin", "/usr/sbin": "/usr/bin", "/var/run": "/run"}}
	for name, want := range map[string]string{
		"/bin/ls": "/usr/bin/ls", "/bin": "/usr/bin", "/binary/x": "/binary/x", "/usr/sbin/a/b": "/usr/bin/a/b",
		"/usr/sbinx": "/usr/sbinx", "/var/run/x": "/run/x", "/": "/", "/a": "/a", "//bin//x": "/usr/bin/x",
	} {
		if got := a.Canonical(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnIndexOfManyPathsIsSmall(t *testing.T) {
	var list strings.Builder
	const count = 300_000
	for i := range count {
		list.WriteString("/usr/share/some/longer/directory/file-")
		list.WriteString(strings.Repeat("x", i%40))
		list.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576)))
		list.WriteByte('\n')
	}
	files := debian()
	files["var/lib/dpkg/info/base.list"] = list.String()

	built, err := build(tree(t, files))
	must(t, err)

	if n := len(built.hashes); n != count+1 || cap(built.hashes)*8 > 10<<20 {
		t.Errorf("%d paths, room for %d", n, cap(built.hashes))
	}
}

func TestListsThatTheIndexReadAreNotReadAgainForThePlansFiles(t *testing.T) {
	env := tree(t, debian())
	scopes := []collect.Scope{{Paths: []string{"/usr/bin"}, MaxDepth: -1}}
	env.Wanted = map[string]collect.Want{"package_file": {Scopes: scopes}}
	covers := collect.NewTerritory([][]collect.Scope{scopes}).Covers
	digests := func() map[string]string {
		found := map[string]string{}
		_, err := Open(env, func(err error) { t.Error(err) }).Each(func(p *Package) error {
			return p.Files(covers, func(f *File) error { found[p.Name+" "+f.Path] = f.Digest; return nil })
		})
		must(t, err)
		return found
	}
	before := digests()
	_, err := Owned(env, "/bin/ls")
	must(t, err)
	must(t, os.Remove(filepath.Join(env.Root, "var/lib/dpkg/info/base.list")))

	after := digests()

	want := map[string]string{"base /usr/bin/ls": strings.Repeat("0", 32), "base /usr/bin/sh.distrib": ""}
	if !maps.Equal(before, want) || !maps.Equal(after, want) {
		t.Errorf("%q, then %q", before, after)
	}
}

func TestListsThatTheIndexCouldNotReadAreReadAgainAndSoAreGaps(t *testing.T) {
	files := debian()
	delete(files, "var/lib/dpkg/info/lib:amd64.list")
	delete(files, "var/lib/dpkg/info/base.md5sums")
	env := tree(t, files)
	must(t, os.Mkdir(filepath.Join(env.Root, "var/lib/dpkg/info/base.md5sums"), 0o755))
	env.Wanted = map[string]collect.Want{"package_file": {Scopes: []collect.Scope{{MaxDepth: -1}}}}
	owned, err := Owned(env, "/usr/bin/ls")
	_, lost := Owned(env, "/usr/bin/evil")

	got, gaps := paths(t, env)

	if !owned || err != nil || lost == nil {
		t.Errorf("%t %v %v", owned, err, lost)
	}
	if len(got) != 3 || len(gaps) != 2 {
		t.Errorf("%q %v", got, gaps)
	}
}

func TestMoreFilesThanAreRememberedAreReadAgain(t *testing.T) {
	var list strings.Builder
	for i := range maxPassed + 1 {
		fmt.Fprintf(&list, "/usr/bin/%d\n", i)
	}
	files := debian()
	files["var/lib/dpkg/info/base.list"] = list.String()
	env := tree(t, files)
	env.Wanted = map[string]collect.Want{"package_file": {Scopes: []collect.Scope{{MaxDepth: -1}}}}
	_, err := Owned(env, "/bin/ls")
	must(t, err)

	got, gaps := paths(t, env)

	if remembered := passedOf(env).count; len(got) != maxPassed+2 || gaps != nil || remembered != 1 {
		t.Errorf("%d files, %d remembered, %v", len(got), remembered, gaps)
	}
}
