// Package dpkg reads the database of installed packages that dpkg keeps below /var/lib/dpkg: status (deb-control(5)
// stanzas), lists of files and of their digests, diversions and overrides of owner and mode.
package dpkg

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
	"sandfly/probes/internal/seq"
)

// Bounds of one database.
const (
	maxStanza   = 4 << 20 // bytes of one package
	maxPackages = 100_000
)

// Entry is one package of the status file.
type Entry struct {
	db.Package
	Conffiles map[string]string // path → MD5, of the version that the package brought
	MultiArch bool              // Multi-Arch: same, so that its lists carry the architecture in their names
}

// Read calls use with every package of a status file, until use returns an error, which it gives back. Errors:
// collect.ErrLimit, that of the reader.
func Read(in io.Reader, use func(*Entry) error) error {
	reader := bufio.NewReaderSize(in, 64<<10)
	var stanza strings.Builder
	for count := 0; ; {
		line, err := reader.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("dpkg: %w", err)
		}
		last := errors.Is(err, io.EOF)
		blank := len(bytes.TrimSpace(line)) == 0
		if !blank {
			stanza.Write(line)
		}
		if (blank || last) && stanza.Len() > 0 {
			if count++; count > maxPackages {
				return fmt.Errorf("dpkg: more than %d packages: %w", maxPackages, collect.ErrLimit)
			}
			if e := parse(stanza.String()); e.Name != "" {
				if err := use(e); err != nil {
					return err
				}
			}
			stanza.Reset()
		}
		if last {
			return nil
		}
		if stanza.Len() > maxStanza {
			return fmt.Errorf("dpkg: a package of more than %d bytes: %w", maxStanza, collect.ErrLimit)
		}
	}
}

// parse reads one stanza: fields, whose lines go on where the next begins with a blank.
func parse(stanza string) *Entry {
	e := &Entry{Package: db.Package{Source: db.Dpkg, InstallTime: db.Unknown, BuildTime: db.Unknown, Size: db.Unknown}}
	name := ""
	for line := range seq.Split(stanza, "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if name == "conffiles" {
				e.conffile(line)
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if name = strings.ToLower(key); ok {
			e.set(name, strings.TrimSpace(value))
		}
	}
	return e
}

func (e *Entry) set(name, value string) {
	switch name {
	case "package":
		if isName(value) {
			e.Name = value
		}
	case "version":
		e.Version = value
	case "architecture":
		if isName(value) {
			e.Arch = value
		}
	case "source":
		e.Origin, _, _ = strings.Cut(value, " ")
	case "maintainer":
		e.Maintainer = value
	case "origin":
		e.Vendor = value
	case "section":
		e.Section = value
	case "essential":
		e.Essential = value == "yes"
	case "multi-arch":
		e.MultiArch = value == "same"
	case "installed-size":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 && n < 1<<40 {
			e.Size = n << 10
		}
	case "depends", "pre-depends":
		e.Dependencies = max(0, e.Dependencies) + int64(strings.Count(value, ",")) + 1
	case "status":
		e.setStatus(value)
	}
}

// setStatus reads "want flag status", such as "install ok installed" or "hold reinstreq half-installed".
func (e *Entry) setStatus(value string) {
	words := strings.Fields(value)
	if len(words) != 3 {
		return
	}
	e.Held = words[0] == "hold"
	e.ReinstReq = words[1] == "reinstreq"
	e.Status = words[2]
}

// conffile reads a line of the field Conffiles: path, MD5 and perhaps "obsolete".
func (e *Entry) conffile(line string) {
	words := strings.Fields(line)
	if len(words) < 2 || !strings.HasPrefix(words[0], "/") {
		return
	}
	if e.Conffiles == nil {
		e.Conffiles = map[string]string{}
	}
	sum := words[1]
	if !isMD5(sum) {
		sum = "" // newconffile: not installed yet
	}
	e.Conffiles[words[0]] = sum
}

// isName tells a name that may be part of a file's name.
func isName(s string) bool { return s != "" && !strings.ContainsAny(s, "/\x00 ") && s[0] != '.' }

func isMD5(s string) bool {
	if len(s) != 32 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
