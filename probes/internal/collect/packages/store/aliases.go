package store

import (
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/db"
)

// aliased are directories that distributions made links to another one, while packages still list the old path.
var aliased = []string{
	"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32", "/usr/sbin", "/usr/lib64", "/usr/tmp",
	"/var/run", "/var/lock",
}

// Aliases knows which of these directories are links on a host.
type Aliases struct{ to map[string]string }

// FindAliases looks at the directories once.
func FindAliases(env *collect.Env) *Aliases {
	a := &Aliases{to: map[string]string{}}
	for _, dir := range aliased {
		st, err := content.Lstat(env, dir)
		if err != nil || st.Type() != syscall.S_IFLNK {
			continue
		}
		if target, err := content.Resolve(env, dir); err == nil && target != "/" {
			a.to[dir] = target
		}
	}
	return a
}

// Canonical gives the path without such links: /bin/ls becomes /usr/bin/ls where /bin leads to /usr/bin.
func (a *Aliases) Canonical(name string) string {
	if len(a.to) == 0 {
		return name
	}
	return a.ofClean(db.Clean(name))
}

// ofClean is Canonical for a path that is clean.
func (a *Aliases) ofClean(name string) string {
	if len(a.to) == 0 {
		return name
	}
	first := end(name, 1)
	if target, ok := a.to[name[:first]]; ok {
		return target + name[first:]
	}
	if first < len(name) {
		second := end(name, first+1)
		if target, ok := a.to[name[:second]]; ok {
			return target + name[second:]
		}
	}
	return name
}

// end is where the component that begins at a place ends.
func end(name string, start int) int {
	if start > len(name) {
		return len(name)
	}
	if i := strings.IndexByte(name[start:], '/'); i >= 0 {
		return start + i
	}
	return len(name)
}
