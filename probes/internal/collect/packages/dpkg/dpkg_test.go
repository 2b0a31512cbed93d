package dpkg

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

const status = `Package: sudo
Status: install ok installed
Priority: optional
Section: admin
Installed-Size: 6036
Maintainer: Ann <ann@example.org>
Architecture: amd64
Multi-Arch: same
Source: sudo-src (1.9)
Version: 1.9.13p3-1
Depends: libc6 (>= 2.34), libpam0g
Pre-Depends: init-system-helpers
Conffiles:
 /etc/sudo.conf cd1f7e3e0ac9d3d2a6b5c1b6d0a9a3f1
 /etc/sudoers newconffile
 /etc/old 0123456789abcdef0123456789abcdef obsolete
Description: text
 Package: not a field
 .
Essential: yes

Package: ../evil
Status: install ok installed

Package: broken
Status: hold reinstreq half-configured
Version: 1
`

func entries(t *testing.T, text string) []*Entry {
	t.Helper()
	var out []*Entry
	if err := Read(strings.NewReader(text), func(e *Entry) error { out = append(out, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPackagesOfAStatusFileAreRead(t *testing.T) {
	got := entries(t, status)

	want := []*Entry{
		{
			Package: db.Package{Source: "dpkg", Name: "sudo", Version: "1.9.13p3-1", Arch: "amd64", Status: "installed",
				Origin: "sudo-src", Maintainer: "Ann <ann@example.org>", Section: "admin", InstallTime: -1, BuildTime: -1,
				Size: 6036 << 10, Essential: true, Dependencies: 3},
			MultiArch: true,
			Conffiles: map[string]string{"/etc/sudo.conf": "cd1f7e3e0ac9d3d2a6b5c1b6d0a9a3f1", "/etc/sudoers": "",
				"/etc/old": "0123456789abcdef0123456789abcdef"},
		},
		{Package: db.Package{Source: "dpkg", Name: "broken", Version: "1", Status: "half-configured", Held: true,
			ReinstReq: true, InstallTime: -1, BuildTime: -1, Size: -1}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got[0], want[0])
	}
}

func TestDirectoriesOfAListAreLeftOut(t *testing.T) {
	text := "/.\n/usr\n/usr/bin\n/usr/bin/a\n/usr/bin/ab\n/usr/share\n/usr/share/doc\n/usr/share/doc/a\n\nnot absolute\n/var/empty\n"
	var got []string

	err := List(text, func(name string) error { got = append(got, name); return nil })

	if want := []string{"/usr/bin/a", "/usr/bin/ab", "/usr/share/doc/a", "/var/empty"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q %v", got, err)
	}
}

func TestSumsAreRead(t *testing.T) {
	sum := "0123456789abcdef0123456789abcdef"
	got := Sums(sum + "  usr/bin/a\n" + sum + " *usr/bin/b c\n\\" + sum + `  usr/x\\y` + "\nnonsense\n" + sum + "\nABC  d\n" + sum + "  ./etc//b\n")

	want := map[string]string{"usr/bin/a": sum, "usr/bin/b c": sum, `usr/x\y`: sum, "etc/b": sum}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestAFileLiesWhereADiversionPutItUnlessItIsTheDiverters(t *testing.T) {
	place := Place{
		Diverted:  Diversions("/usr/bin/sh\n/usr/bin/sh.distrib\ndash\n/cut\n"),
		Overrides: Overrides("root crontab 2755 /usr/bin/sh.distrib\n#1 #2 4711 /usr/bin/a b\nbad\nroot root x /z\n"),
	}
	sums := map[string]string{"usr/bin/sh": strings.Repeat("0", 32)}

	file := func(pkg, listed string) (db.File, bool) {
		e := &Entry{Package: db.Package{Name: pkg}}
		at, diverted := place.Lies(e, listed)
		return place.File(e, listed, at, sums), diverted
	}
	other, diverted := file("bash", "/usr/bin/sh")
	own, stays := file("dash", "/usr/bin/sh")
	spaced, _ := file("x", "/usr/bin/a b")

	if !diverted || other.Path != "/usr/bin/sh.distrib" || other.Mode != 0o2755 || other.Group != "crontab" || other.Digest == "" {
		t.Errorf("%+v", other)
	}
	if stays || own.Path != "/usr/bin/sh" || own.Mode != db.Unknown {
		t.Errorf("%+v", own)
	}
	if spaced.Mode != 0o4711 || spaced.User != "1" || spaced.Group != "2" || spaced.Type != "" {
		t.Errorf("%+v", spaced)
	}
}

func TestAConfigurationFileHasTheDigestItWasInstalledWith(t *testing.T) {
	e := entries(t, status)[0]
	place := Place{}

	f := place.File(e, "/etc/sudo.conf", "/etc/sudo.conf", map[string]string{"/etc/sudo.conf": strings.Repeat("0", 32)})

	if !f.Config || f.Digest != "cd1f7e3e0ac9d3d2a6b5c1b6d0a9a3f1" {
		t.Errorf("%+v", f)
	}
}

func TestAPackageThatNeverEndsIsALimit(t *testing.T) {
	endless := strings.Repeat("X: "+strings.Repeat("x", 1<<20)+"\n", 6)

	if err := Read(strings.NewReader(endless), nil); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Package: a\nConffiles:\n /x\n /y z\nStatus: a b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Read(strings.NewReader(string(data)), func(e *Entry) error {
			if strings.Contains(e.Name, "/") || strings.Contains(e.Arch, "/") {
				return fmt.Errorf("%q %q lead elsewhere", e.Name, e.Arch)
			}
			return nil
		})
	})
}

func FuzzLists(f *testing.F) {
	f.Add("/a\n/a/b\n", "0123456789abcdef0123456789abcdef  a/b\n")
	f.Add("/\n/.\n//\n", "/from\n/to\npkg\nroot root 0755 /x\n")
	f.Fuzz(func(t *testing.T, list, other string) {
		place := Place{Diversions(other), Overrides(other)}
		sums := Sums(other)
		e := &Entry{}
		err := List(list, func(name string) error {
			at, _ := place.Lies(e, name)
			if f := place.File(e, name, at, sums); !strings.HasPrefix(f.Path, "/") {
				return fmt.Errorf("path %q", f.Path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
