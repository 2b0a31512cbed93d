// Package apk reads the database of installed packages that apk-tools keep: text, one letter a field, a blank line
// after each package (apk-tools, doc/apk-installed.5 and src/database.c).
package apk

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

// Bounds of one database.
const (
	maxStanza   = 16 << 20 // bytes of one package; linux-firmware has about 1 MB
	maxPackages = 100_000
)

// Paths are where the database may lie; only one of them exists.
var Paths = []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}

// Stanza is the text of one package, of which the files are read on demand.
type Stanza []byte

// Read calls use with every package, until use returns an error, which it gives back. Errors: collect.ErrLimit, that of
// the reader.
func Read(in io.Reader, use func(Stanza) error) error {
	reader := bufio.NewReaderSize(in, 64<<10)
	var stanza []byte
	for count := 0; ; {
		line, err := reader.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("apk: %w", err)
		}
		last := errors.Is(err, io.EOF)
		blank := len(bytes.TrimSpace(line)) == 0
		if !blank {
			stanza = append(stanza, line...)
		}
		if (blank || last) && len(stanza) > 0 {
			if count++; count > maxPackages {
				return fmt.Errorf("apk: more than %d packages: %w", maxPackages, collect.ErrLimit)
			}
			if err := use(stanza); err != nil {
				return err
			}
			stanza = stanza[:0]
		}
		if last {
			return nil
		}
		if len(stanza) > maxStanza {
			return fmt.Errorf("apk: a package of more than %d bytes: %w", maxStanza, collect.ErrLimit)
		}
	}
}

// lines calls use with the letter and value of each field until it returns false.
func (s Stanza) lines(use func(letter byte, value string) bool) {
	for len(s) > 0 {
		line, rest, _ := bytes.Cut(s, []byte("\n"))
		s = rest
		if len(line) >= 2 && line[1] == ':' && !use(line[0], string(line[2:])) {
			return
		}
	}
}

// Package gives the facts of the package; the name is "" when the text has none.
func (s Stanza) Package() db.Package {
	p := db.Package{Source: db.APK, Status: "installed", InstallTime: db.Unknown, BuildTime: db.Unknown, Size: db.Unknown}
	s.lines(func(letter byte, value string) bool {
		switch letter {
		case 'P':
			p.Name = value
		case 'V':
			p.Version = value
		case 'A':
			p.Arch = value
		case 'I':
			p.Size = number(value)
		case 'o':
			p.Origin = value
		case 'm':
			p.Maintainer = value
		case 't':
			p.BuildTime = number(value)
		case 'D':
			p.Dependencies = int64(len(strings.Fields(value)))
		case 'f': // what went wrong: f(iles), s(cripts), x(attributes)
			p.Status = "half-installed"
			if strings.Contains(value, "s") && !strings.Contains(value, "f") {
				p.Status = "half-configured"
			}
		}
		return letter != 'F' // the files begin
	})
	return p
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return db.Unknown
	}
	return n
}

// Files calls use with every file of the package; directories are left out. It stops at the error of use.
func (s Stanza) Files(use func(*db.File) error) error {
	var (
		dir  string
		file *db.File
		err  error
	)
	flush := func() bool {
		if file != nil {
			err = use(file)
			file = nil
		}
		return err == nil
	}
	s.lines(func(letter byte, value string) bool {
		switch letter {
		case 'F':
			dir = value
			return flush()
		case 'R':
			if !flush() {
				return false
			}
			// Where the database is silent a file is root's and 0644 (apk_db_read).
			file = &db.File{
				Path: path.Join("/", dir, value), Size: db.Unknown, Mode: 0o644, User: "0", Group: "0",
				Config: strings.HasPrefix(dir, "etc/") || dir == "etc",
			}
		case 'a':
			if file != nil {
				file.User, file.Group, file.Mode = rights(value)
			}
		case 'Z':
			if file != nil {
				file.Algorithm, file.Digest = digest(value)
			}
		}
		return true
	})
	if err == nil {
		flush()
	}
	return err
}

// rights reads uid:gid:mode, with the digest of extended attributes behind it.
func rights(value string) (user, group string, mode int64) {
	parts := strings.Split(value, ":")
	if len(parts) < 3 {
		return "", "", db.Unknown
	}
	n, err := strconv.ParseUint(parts[2], 8, 16)
	if err != nil {
		return parts[0], parts[1], db.Unknown
	}
	return parts[0], parts[1], int64(n) & 0o7777
}

// digest reads Q1 and SHA-1 or Q2 and SHA-256 in base 64, or MD5 in hex as the oldest databases have it.
func digest(value string) (algorithm, sum string) {
	encoded, algorithm, size := value, "", 0
	switch {
	case strings.HasPrefix(value, "Q1"):
		encoded, algorithm, size = value[2:], "sha1", 20
	case strings.HasPrefix(value, "Q2"):
		encoded, algorithm, size = value[2:], "sha256", 32
	default:
		raw, err := hex.DecodeString(value)
		if err != nil || len(raw) != 16 {
			return "", ""
		}
		return "md5", hex.EncodeToString(raw)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) != size {
		return "", ""
	}
	return algorithm, hex.EncodeToString(raw)
}
