package store

import (
	"fmt"
	"io"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/db"
	"sandfly/probes/internal/collect/packages/dpkg"
)

const (
	dpkgRoot = "/var/lib/dpkg"
	maxList  = 32 << 20 // bytes of one list of files; linux-headers have 1 MB
)

func (h *Host) dpkg(use func(*Package) error) error {
	place, err := h.dpkgPlace()
	if err != nil {
		return h.outcome(err)
	}
	return h.outcome(h.stream(dpkgRoot+"/status", func(in io.Reader) error {
		return dpkg.Read(in, guard(func(e *dpkg.Entry) error {
			p := &Package{Package: e.Package, env: h.env, info: h.dpkgInfo(e)}
			p.files = func(keep func(string) bool, use func(*File) error) error {
				return h.dpkgFiles(p, e, place, keep, use)
			}
			return use(p)
		}))
	}))
}

// dpkgPlace reads diversions and overrides, which a host need not have.
func (h *Host) dpkgPlace() (*dpkg.Place, error) {
	diversions, err := h.optional(dpkgRoot + "/diversions")
	if err != nil {
		return nil, err
	}
	overrides, err := h.optional(dpkgRoot + "/statoverride")
	if err != nil {
		return nil, err
	}
	place := &dpkg.Place{Diverted: dpkg.Diversions(diversions), Overrides: map[string]dpkg.Override{}}
	for name, override := range dpkg.Overrides(overrides) {
		place.Overrides[h.aliases.Canonical(name)] = override
	}
	return place, nil
}

func (h *Host) optional(name string) (string, error) {
	data, err := content.ReadFile(h.env, name, maxList)
	if content.IsAbsent(err) {
		return "", nil
	}
	return string(data), err
}

// dpkgInfo is the beginning of the names of a package's files in the directory info: with the architecture for those
// of which several may be installed beside each other.
func (h *Host) dpkgInfo(e *dpkg.Entry) string {
	plain := dpkgRoot + "/info/" + e.Name
	if e.MultiArch && e.Arch != "" {
		return plain + ":" + e.Arch
	}
	return plain
}

// dpkgFiles goes through a package's list. Packages of which only configuration is left have one too.
func (h *Host) dpkgFiles(p *Package, e *dpkg.Entry, place *dpkg.Place, keep func(string) bool, use func(*File) error) error {
	if held := h.passed.listed(p); held != nil {
		return held.each(keep, use)
	}
	list, err := content.ReadFile(h.env, p.info+".list", maxList)
	if err != nil {
		if content.IsAbsent(err) && !p.IsInstalled() {
			return nil
		}
		h.gap(fmt.Errorf("dpkg: list of %s: %w", e.Name, err))
		return nil
	}
	var sums map[string]string
	return dpkg.List(string(list), func(listed string) error {
		lies, diverted := place.Lies(e, listed)
		canonical := h.aliases.ofClean(lies)
		if !keep(canonical) {
			return nil
		}
		if sums == nil {
			sums = h.dpkgSums(p)
		}
		return use(&File{File: place.File(e, listed, canonical, sums), Listed: listed, Diverted: diverted})
	})
}

func (h *Host) dpkgSums(p *Package) map[string]string {
	text, err := h.optional(p.info + ".md5sums")
	if err != nil {
		h.sumsGap(fmt.Errorf("dpkg: digests of %s: %w", p.Name, err))
	}
	return dpkg.Sums(text)
}

// InstalledAt is when the package was installed, or last changed: what the database says, or for dpkg the time of its
// list of files. db.Unknown when nothing tells.
func (p *Package) InstalledAt() (int64, error) {
	if p.info == "" || p.InstallTime != db.Unknown {
		return p.InstallTime, nil
	}
	st, err := content.StatPath(p.env, p.info+".list")
	if content.IsAbsent(err) {
		return db.Unknown, nil
	}
	if err != nil {
		return db.Unknown, err
	}
	p.InstallTime = st.Mtime
	return st.Mtime, nil
}

// ScriptNames are the scripts that the package manager runs for the package; none are known for apk, which keeps them
// in an archive.
func (p *Package) ScriptNames() ([]string, error) {
	if p.info == "" {
		return p.Scripts, nil
	}
	var names []string
	for _, name := range dpkg.Scripts {
		_, err := content.StatPath(p.env, p.info+"."+name)
		if err == nil {
			names = append(names, name)
		} else if !content.IsAbsent(err) {
			return nil, err
		}
	}
	return names, nil
}
