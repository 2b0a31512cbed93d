package apk

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

const installed = `C:Q1abc=
P:busybox
V:1.36.1-r29
A:x86_64
S:1234
I:946176
T:Size optimized toolbox
o:busybox
m:Ann Packager <ann@example.org>
t:1700000000
D:so:libc.musl-x86_64.so.1 scanelf
F:bin
R:busybox
a:0:0:755
Z:Q1AQEBAQEBAQEBAQEBAQEBAQEBAQE=
R:sh
a:0:0:777
Z:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=
F:etc
M:0:0:755
R:securetty
Z:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=

P:half
V:1
f:f

`

func packages(t *testing.T, text string) (all []db.Package, files []db.File) {
	t.Helper()
	err := Read(strings.NewReader(text), func(s Stanza) error {
		all = append(all, s.Package())
		return s.Files(func(f *db.File) error { files = append(files, *f); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, files
}

func TestPackagesAreRead(t *testing.T) {
	got, _ := packages(t, installed)

	want := []db.Package{
		{Source: "apk", Name: "busybox", Version: "1.36.1-r29", Arch: "x86_64", Status: "installed", Origin: "busybox",
			Maintainer: "Ann Packager <ann@example.org>", InstallTime: -1, BuildTime: 1700000000, Size: 946176, Dependencies: 2},
		{Source: "apk", Name: "half", Version: "1", Status: "half-installed", InstallTime: -1, BuildTime: -1, Size: -1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFilesHaveDigestOwnerAndMode(t *testing.T) {
	_, got := packages(t, installed)

	zeros := strings.Repeat("0", 40)
	want := []db.File{
		{Path: "/bin/busybox", Algorithm: "sha1", Digest: strings.Repeat("01", 20), Size: -1, Mode: 0o755, User: "0", Group: "0"},
		{Path: "/bin/sh", Algorithm: "sha1", Digest: zeros, Size: -1, Mode: 0o777, User: "0", Group: "0"},
		{Path: "/etc/securetty", Algorithm: "sha1", Digest: zeros, Size: -1, Mode: 0o644, User: "0", Group: "0", Config: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDigestsOfAllForms(t *testing.T) {
	for value, want := range map[string]string{
		"Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=":                 "sha1 " + strings.Repeat("0", 40),
		"Q2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": "sha256 " + strings.Repeat("0", 64),
		strings.Repeat("aB", 16):                         "md5 " + strings.Repeat("ab", 16),
		"Q1AAAA":                                         " ",
		"Q1%%%":                                          " ",
		"":                                               " ",
	} {
		algorithm, sum := digest(value)
		if algorithm+" "+sum != want {
			t.Errorf("%q: %q %q", value, algorithm, sum)
		}
	}
}

func TestMalformedRightsAreUnknown(t *testing.T) {
	for _, value := range []string{"", "0:0", "0:0:999", "0:0:99999999"} {
		if _, _, mode := rights(value); mode != db.Unknown {
			t.Errorf("%q: %o", value, mode)
		}
	}
}

func TestAPackageThatNeverEndsIsALimit(t *testing.T) {
	endless := strings.Repeat("F:"+strings.Repeat("x", 1<<20)+"\n", 18)

	err := Read(strings.NewReader(endless), func(Stanza) error { return nil })

	if !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(installed))
	f.Add([]byte("R:x\na:0:0:644\nZ:Q1\nF:\nR:..\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Read(strings.NewReader(string(data)), func(s Stanza) error {
			_ = s.Package()
			return s.Files(func(f *db.File) error {
				if !strings.HasPrefix(f.Path, "/") || strings.Contains(f.Path, "/../") {
					return fmt.Errorf("path %q", f.Path)
				}
				return nil
			})
		})
	})
}
