package dpkg

import (
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect/packages/db"
	"sandfly/probes/internal/seq"
)

// List calls use with every path of a .list file, until use returns an error, which it gives back. A directory of
// which something else is listed is left out; one without content cannot be told from a file here.
func List(text string, use func(name string) error) error {
	held := ""
	for line := range seq.Split(text, "\n") {
		if !strings.HasPrefix(line, "/") {
			continue
		}
		name := db.Clean(line)
		if name == "/" {
			continue
		}
		if held != "" && !isBelow(name, held) {
			if err := use(held); err != nil {
				return err
			}
		}
		held = name
	}
	if held == "" {
		return nil
	}
	return use(held)
}

func isBelow(name, dir string) bool {
	return len(name) > len(dir) && name[len(dir)] == '/' && strings.HasPrefix(name, dir)
}

// Sums reads a .md5sums file as path without its first slash → MD5; lines of another form are passed over. A backslash in front of the digest
// tells that backslashes and newlines in the path are escaped, see md5sum(1).
func Sums(text string) map[string]string {
	out := make(map[string]string, strings.Count(text, "\n"))
	for line := range seq.Split(text, "\n") {
		line, escaped := strings.CutPrefix(line, `\`)
		sum, name, ok := strings.Cut(line, " ")
		if !ok || !isMD5(sum) {
			continue
		}
		name = strings.TrimLeft(name, " *")
		if escaped {
			name = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(name)
		}
		if !db.IsClean(name) {
			name = strings.TrimPrefix(path.Clean("/"+name), "/")
		}
		if name != "" {
			out[name] = sum
		}
	}
	return out
}

// Diversion says that files at From were moved to To, but for those of one package, see dpkg-divert(1).
type Diversion struct {
	To      string
	Package string // whose file stays at From; ":" when the administrator's does
}

// Diversions reads the file diversions: three lines each, by the path that is diverted.
func Diversions(text string) map[string]Diversion {
	out := map[string]Diversion{}
	lines := strings.Split(text, "\n")
	for ; len(lines) >= 3; lines = lines[3:] {
		if strings.HasPrefix(lines[0], "/") && strings.HasPrefix(lines[1], "/") {
			out[path.Clean(lines[0])] = Diversion{path.Clean(lines[1]), lines[2]}
		}
	}
	return out
}

// Override is what the administrator, or a package's script, said about owner and mode of a path.
type Override struct {
	User, Group string
	Mode        int64
}

// Overrides reads the file statoverride: user, group, mode and path a line. Names that begin with # are numbers.
func Overrides(text string) map[string]Override {
	out := map[string]Override{}
	for line := range seq.Split(text, "\n") {
		parts := strings.SplitN(line, " ", 4)
		if len(parts) < 4 || !strings.HasPrefix(parts[3], "/") {
			continue
		}
		mode, err := strconv.ParseUint(parts[2], 8, 16)
		if err != nil {
			continue
		}
		out[path.Clean(parts[3])] = Override{
			strings.TrimPrefix(parts[0], "#"), strings.TrimPrefix(parts[1], "#"), int64(mode) & 0o7777,
		}
	}
	return out
}

// Place applies a diversion and an override to a path of a package's list.
type Place struct {
	Diverted  map[string]Diversion
	Overrides map[string]Override
}

// Lies gives where a listed path lies: elsewhere when it was diverted and the package is not the one it was for.
func (p *Place) Lies(e *Entry, listed string) (at string, diverted bool) {
	if d, ok := p.Diverted[listed]; ok && d.Package != e.Name {
		return d.To, true
	}
	return listed, false
}

// File gives what is known of one listed path that lies at a place.
func (p *Place) File(e *Entry, listed, at string, sums map[string]string) db.File {
	f := db.File{Path: at, Size: db.Unknown, Mode: db.Unknown}
	sum, isConf := e.Conffiles[listed]
	if f.Config = isConf; !isConf {
		sum = sums[strings.TrimPrefix(listed, "/")]
	}
	if sum != "" {
		f.Digest, f.Algorithm, f.Type = sum, "md5", db.Regular
	}
	// An override is for the name at which the file lies (dpkg-statoverride(1)).
	if o, ok := p.Overrides[at]; ok {
		f.User, f.Group, f.Mode = o.User, o.Group, o.Mode
	}
	return f
}

// Scripts are the maintainer scripts that dpkg runs, see deb-postinst(5) and its like.
var Scripts = []string{"config", "postinst", "postrm", "preinst", "prerm"}
