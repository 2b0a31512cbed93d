package rpm

import (
	"errors"
	"fmt"
	"io"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/sqlite"
)

// Bounds of one database.
const (
	maxBlob     = 16 << 20 // bytes of one header; kernel-devel has about 3 MB
	maxPackages = 100_000
	maxBytes    = 1 << 30 // read of one database
)

// Forms of a database.
const (
	SQLite   = "sqlite"
	NDB      = "ndb"
	Berkeley = "bdb"
)

// Directories are where databases may lie, the places in use today first.
var Directories = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"}

// Files are the databases that a directory may hold, by what rpm itself would take.
var Files = []struct{ Name, Form string }{{"rpmdb.sqlite", SQLite}, {"Packages.db", NDB}, {"Packages", Berkeley}}

// Read calls use with the header of every package until use returns an error, which it gives back; one header that is
// malformed or too long goes to broken and the rest is read all the same. The blob that a header holds is its own.
func Read(form string, file io.ReaderAt, size int64, use func(*Header) error, broken func(error)) error {
	count := 0
	each := func(blob []byte) error {
		if count++; count > maxPackages {
			return fmt.Errorf("rpm: more than %d packages: %w", maxPackages, collect.ErrLimit)
		}
		h, err := Parse(blob)
		if err != nil {
			broken(err)
			return nil
		}
		return use(h)
	}
	switch form {
	case SQLite:
		return readSQLite(file, each)
	case NDB:
		return readNDB(file, size, each, broken)
	case Berkeley:
		return readBerkeley(file, size, each, broken)
	}
	return fmt.Errorf("rpm: form %q: %w", form, errors.ErrUnsupported)
}

func readSQLite(file io.ReaderAt, use func(blob []byte) error) error {
	store, err := sqlite.OpenWithin(file, sqlite.Limits{Bytes: maxBytes, Row: maxBlob})
	if err != nil {
		return fmt.Errorf("rpm: %w", err)
	}
	return store.Rows("Packages", func(_ int64, row sqlite.Row) error {
		blob, ok := row["blob"].([]byte)
		if !ok {
			return nil
		}
		return use(blob)
	})
}

// readExactly reads size bytes at an offset; false when the file is shorter.
func readExactly(file io.ReaderAt, at int64, size int) ([]byte, bool, error) {
	buf := make([]byte, size)
	n, err := file.ReadAt(buf, at)
	if n == size {
		return buf, true, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, false, nil
	}
	return nil, false, err
}
