// Package db is what the package databases of dpkg, rpm and apk have in common: a package, and a file that it brought.
package db

import (
	"errors"
	"path"
	"strings"
)

// ErrMalformed tells of a database that contradicts its own format.
var ErrMalformed = errors.New("malformed package database")

// Unknown marks a number that the database does not hold.
const Unknown = -1

// Names of the databases, as the field source has them.
const (
	Dpkg = "dpkg"
	RPM  = "rpm"
	APK  = "apk"
)

// Package is one package of a database. Texts are "" and numbers Unknown where the database says nothing.
type Package struct {
	Source       string // Dpkg, RPM or APK
	Name         string
	Version      string
	Arch         string
	Status       string // installed, half-installed, unpacked, half-configured, triggers-awaited …, config-files
	Origin       string // source package that it was built from
	Maintainer   string
	Vendor       string
	Section      string
	InstallTime  int64 // epoch seconds
	BuildTime    int64 // epoch seconds
	Size         int64 // bytes when installed
	Essential    bool
	Held         bool
	ReinstReq    bool // dpkg wants it installed again: something went wrong half-way
	Signed       bool // rpm only
	Scripts      []string
	Dependencies int64
}

// IsInstalled tells that the package's files should be there.
func (p *Package) IsInstalled() bool {
	switch p.Status {
	case "not-installed", "config-files", "half-installed":
		return false
	}
	return true
}

// Types of a file, where the database tells.
const (
	Regular   = "regular"
	Directory = "directory"
	Symlink   = "symlink"
	Other     = "other" // device, FIFO, socket
)

// File is a path that a package brought, with what the database knows about it.
type File struct {
	Path      string // as the database has it, absolute
	Type      string // Regular …; "" when the database does not tell
	Digest    string // lower-case hex
	Algorithm string // md5, sha1, sha256 …
	Size      int64  // bytes, or Unknown
	Mode      int64  // permission bits with SUID, SGID and sticky, or Unknown
	User      string // a name (rpm) or a number (apk); "" when not told
	Group     string
	Target    string // of a symbolic link
	Config    bool   // meant to be changed by the administrator
	Docs      bool   // documentation, which may be left out; see also IsDocumentation
	Ghost     bool   // belongs to the package but is made later, if at all
	Optional  bool   // may be missing
	Absent    bool   // the package manager did not put it there, or gave its place to another package
	NoVerify  bool   // the packager said that content changes
}

// Clean is path.Clean for the absolute paths of a database, nearly all of which are clean already.
func Clean(name string) string {
	if strings.HasPrefix(name, "/") && IsClean(name[1:]) {
		return name
	}
	return path.Clean(name)
}

// IsClean tells, without looking closer, that path.Clean would leave a path as it is; one that begins with a slash, or
// has a name that begins with a dot, is never said to be clean.
func IsClean(name string) bool {
	after := byte('/')
	for i := range len(name) {
		c := name[i]
		if after == '/' && (c == '/' || c == '.') {
			return false
		}
		after = c
	}
	return after != '/'
}
