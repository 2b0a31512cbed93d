package rpm

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

// The files of testdata hold one package made for these tests: rpm 4.18 wrote rpmdb.sqlite, from which tiny.header is
// taken, and db_load of Berkeley DB 5.3 wrote Packages in both byte orders, with a second header of a name alone.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return data
}

// ndb builds a database of ndb's form with one blob a package.
func ndb(blobs ...[]byte) []byte {
	le := binary.LittleEndian
	out := make([]byte, ndbPage)
	copy(out, "RpmP")
	le.PutUint32(out[12:], 1)
	for i, blob := range blobs {
		number, block := uint32(i+1), uint32(len(out)/ndbBlock)
		record := le.AppendUint32(append([]byte("BlbS"), le.AppendUint32(nil, number)...), 1)
		record = append(le.AppendUint32(record, uint32(len(blob))), blob...)
		record = append(record, make([]byte, (16-(len(record)+12)%16)%16+12)...) // room and a tail that is not looked at
		slot := out[ndbHeader+i*ndbSlot:]
		copy(slot, "Slot")
		le.PutUint32(slot[4:], number)
		le.PutUint32(slot[8:], block)
		le.PutUint32(slot[12:], uint32(len(record)/ndbBlock))
		out = append(out, record...)
	}
	return out
}

// names reads a database and gives the packages' names, and what was broken.
func names(form string, data []byte) (got []string, bad []error, err error) {
	err = Read(form, bytes.NewReader(data), int64(len(data)),
		func(h *Header) error { got = append(got, h.Package().Name); return nil },
		func(err error) { bad = append(bad, err) })
	return got, bad, err
}

func TestAHeaderIsAPackage(t *testing.T) {
	h, err := Parse(fixture(t, "tiny.header"))
	if err != nil {
		t.Fatal(err)
	}

	got := h.Package()

	if got.InstallTime < 1_700_000_000 || got.BuildTime < 1_700_000_000 {
		t.Errorf("times %d %d", got.InstallTime, got.BuildTime)
	}
	want := db.Package{
		Source: "rpm", Name: "tiny", Version: "2:1.0-3", Arch: "noarch", Status: "installed", Origin: "tiny-1.0-3.src.rpm",
		Vendor: "Example Works", Section: "Tests", InstallTime: got.InstallTime, BuildTime: got.BuildTime,
		Size: got.Size, Scripts: []string{"post"}, Dependencies: got.Dependencies,
	}
	if !reflect.DeepEqual(got, want) || got.Size != 28 || got.Dependencies != 5 {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFilesOfAHeaderHaveDigestModeOwnerAndFlags(t *testing.T) {
	h, err := Parse(fixture(t, "tiny.header"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = h.Files(func(f *db.File) error {
		got = append(got, fmt.Sprintf("%s %s %o %s:%s %d %s %.8s to=%q config=%t docs=%t ghost=%t", f.Path, f.Type, f.Mode,
			f.User, f.Group, f.Size, f.Algorithm, f.Digest, f.Target, f.Config, f.Docs, f.Ghost))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	want := []string{
		`/etc/tiny.conf regular 640 root:adm 10 sha256 d5c5f09b to="" config=true docs=false ghost=false`,
		`/usr/bin/tiny regular 4755 root:root 6 sha256 5891b5b5 to="" config=false docs=false ghost=false`,
		`/usr/bin/tiny-link symlink -1 root:root -1   to="tiny" config=false docs=false ghost=false`,
		`/usr/share/doc/tiny/README regular 644 root:root 8 sha256 65ce01fc to="" config=false docs=true ghost=false`,
		`/var/log/tiny.log regular -1 : -1   to="" config=false docs=false ghost=true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEveryFormOfDatabaseIsRead(t *testing.T) {
	header := fixture(t, "tiny.header")
	for name, c := range map[string]struct {
		form string
		data []byte
		want string
	}{
		"sqlite of rpm":         {SQLite, fixture(t, "rpmdb.sqlite.gz"), "tiny"},
		"ndb":                   {NDB, ndb(header, header), "tiny tiny"},
		"bdb, little endian":    {Berkeley, fixture(t, "Packages.little.gz"), "key1 tiny"},
		"bdb, big endian":       {Berkeley, fixture(t, "Packages.big.gz"), "key1 tiny"},
		"ndb without a package": {NDB, ndb(), ""},
	} {
		got, bad, err := names(c.form, c.data)
		slices.Sort(got)
		if err != nil || bad != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, broken %v, %v", name, got, bad, err)
		}
	}
}

func TestFilesOfAnotherKindAreMalformed(t *testing.T) {
	for _, form := range []string{SQLite, NDB, Berkeley} {
		for _, data := range [][]byte{nil, []byte("short"), bytes.Repeat([]byte("x"), 8192)} {
			if _, _, err := names(form, data); err == nil {
				t.Errorf("%s of %d bytes was taken", form, len(data))
			}
		}
	}
}

func TestADatabaseCutOffIsNotTakenForAWholeOne(t *testing.T) {
	for form, data := range map[string][]byte{
		NDB: ndb(fixture(t, "tiny.header")), Berkeley: fixture(t, "Packages.little.gz"), SQLite: fixture(t, "rpmdb.sqlite.gz"),
	} {
		got, bad, err := names(form, data[:len(data)/2])
		if len(got) == 0 && err == nil && bad == nil {
			t.Errorf("%s: half of it looks like an empty database", form)
		}
	}
}

func TestOneBrokenPackageDoesNotHideTheOthers(t *testing.T) {
	data := ndb(fixture(t, "tiny.header"), []byte("\xff\xff\xff\xff\xff\xff\xff\xff"), fixture(t, "tiny.header"))

	got, bad, err := names(NDB, data)

	if err != nil || len(got) != 2 || len(bad) != 1 || !errors.Is(bad[0], db.ErrMalformed) {
		t.Errorf("%q %v %v", got, bad, err)
	}
}

func TestAChainOfPagesThatLeadsToItselfEnds(t *testing.T) {
	data := bytes.Clone(fixture(t, "Packages.little.gz"))
	for page := 4096; page < len(data); page += 4096 {
		if data[page+25] == bdbOverflow {
			binary.LittleEndian.PutUint32(data[page+16:], uint32(page/4096)) // the next page is this one
			binary.LittleEndian.PutUint16(data[page+22:], 1)
		}
	}

	_, _, err := names(Berkeley, data)

	if err != nil && !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

// build makes a header of entries with texts and numbers.
func build(entries map[uint32]any) []byte {
	be := binary.BigEndian
	var index, data []byte
	for tag, v := range entries {
		kind, count := uint32(typeList), 0
		for len(data)%4 != 0 {
			data = append(data, 0)
		}
		at := len(data)
		switch v := v.(type) {
		case []string:
			count = len(v)
			for _, s := range v {
				data = append(append(data, s...), 0)
			}
		case []uint32:
			kind, count = typeInt32, len(v)
			for _, n := range v {
				data = be.AppendUint32(data, n)
			}
		}
		for _, n := range []uint32{tag, kind, uint32(at), uint32(count)} {
			index = be.AppendUint32(index, n)
		}
	}
	head := be.AppendUint32(be.AppendUint32(nil, uint32(len(entries))), uint32(len(data)))
	return append(append(head, index...), data...)
}

func TestHeadersOfRPM3HaveWholeNames(t *testing.T) {
	h, err := Parse(build(map[uint32]any{tagOldNames: []string{"/bin/a", "/bin/b"}, tagDigests: []string{"", strings.Repeat("AB", 16)}}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = h.Files(func(f *db.File) error { got = append(got, f.Path); return nil })

	if err != nil || !slices.Equal(got, []string{"/bin/a", "/bin/b"}) {
		t.Errorf("%q %v", got, err)
	}
}

func TestListsOfUnequalLengthEndWithTheShortest(t *testing.T) {
	h, err := Parse(build(map[uint32]any{
		tagBaseNames: []string{"a", "b", "c"}, tagDirNames: []string{"/x/"}, tagDirIndexes: []uint32{0, 7},
	}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = h.Files(func(f *db.File) error { got = append(got, f.Path); return nil })

	if err != nil || !slices.Equal(got, []string{"/x/a"}) {
		t.Errorf("%q %v", got, err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(fixture(f, "tiny.header"))
	f.Add(build(map[uint32]any{tagName: []string{"n"}, tagBaseNames: []string{"a"}, tagDirNames: []string{"../"}, tagDirIndexes: []uint32{0}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Parse(data)
		if err != nil {
			return
		}
		_ = h.Package()
		err = h.Files(func(file *db.File) error {
			if !strings.HasPrefix(file.Path, "/") {
				return fmt.Errorf("path %q", file.Path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(byte(0), ndb(fixture(f, "tiny.header")))
	f.Add(byte(1), fixture(f, "Packages.little.gz"))
	f.Add(byte(1), fixture(f, "Packages.big.gz"))
	f.Fuzz(func(t *testing.T, form byte, data []byte) {
		_, _, _ = names([]string{NDB, Berkeley, SQLite}[form%3], data)
	})
}
