package collect

import (
	"slices"
	"strings"

	"sandfly/probes/internal/glob"
)

// everything is the pattern of a scope that names no path.
const everything = "/"

// Covers says whether the path lies in the scope.
//
// A pattern is an absolute path whose components may hold `*` and `?`; wildcards never cross a slash. It covers the
// path itself and what is below it: MaxDepth 0 only the entries directly in it, -1 all. Exclude wins.
func (s Scope) Covers(path string) bool {
	return s.any(func(pattern string) bool {
		below, ok := below(pattern, path)
		return ok && (s.MaxDepth < 0 || below-1 <= s.MaxDepth)
	}) && !s.Excludes(path)
}

// Descends says whether anything inside the directory may lie in the scope: a walk goes no further where it is false.
func (s Scope) Descends(dir string) bool {
	return s.any(func(pattern string) bool {
		if leads(pattern, dir) {
			return true
		}
		below, ok := below(pattern, dir)
		return ok && (s.MaxDepth < 0 || below <= s.MaxDepth)
	}) && !s.Excludes(dir)
}

// Excludes says whether the path or a directory above it is excluded.
func (s Scope) Excludes(path string) bool {
	return slices.ContainsFunc(s.Exclude, func(pattern string) bool {
		_, ok := below(pattern, path)
		return ok
	})
}

func (s Scope) any(fits func(pattern string) bool) bool {
	if len(s.Paths) == 0 {
		return fits(everything)
	}
	return slices.ContainsFunc(s.Paths, fits)
}

// Base is the literal directory (or file) a pattern starts from: the components before the first wildcard.
func Base(pattern string) string {
	base := ""
	for rest := pattern; ; {
		var name string
		if name, rest = cut(rest); name == "" || glob.HasWildcard(name) {
			break
		}
		base += "/" + glob.Unescape(name)
	}
	if base == "" {
		return "/"
	}
	return base
}

// Roots are the literal paths from which walks of all scopes start, sorted; one that lies below another is left out,
// since the walk from above comes by (Descends keeps it short).
func Roots(scopes []Scope) []string {
	var bases, roots []string
	for _, s := range scopes {
		for _, pattern := range s.Paths {
			bases = append(bases, Base(pattern))
		}
		if len(s.Paths) == 0 {
			bases = append(bases, everything)
		}
	}
	slices.Sort(bases)
	for _, base := range bases {
		inside := func(root string) bool { return root == "/" || base == root || strings.HasPrefix(base, root+"/") }
		if !slices.ContainsFunc(roots, inside) {
			roots = append(roots, base)
		}
	}
	return roots
}

// cut takes the first component off a path; it is "" at the end.
func cut(path string) (name, rest string) {
	path = strings.TrimLeft(path, "/")
	name, rest, _ = strings.Cut(path, "/")
	return name, rest
}

// below says how many levels under the pattern the path lies (0: the pattern fits the path itself).
func below(pattern, path string) (levels int, ok bool) {
	for {
		var want, name string
		want, pattern = cut(pattern)
		if want == "" {
			break
		}
		if name, path = cut(path); name == "" || !glob.Match(want, name) {
			return 0, false
		}
	}
	for {
		var name string
		if name, path = cut(path); name == "" {
			return levels, true
		}
		levels++
	}
}

// leads says whether the directory is on the way to what the pattern fits.
func leads(pattern, dir string) bool {
	for {
		var want, name string
		if name, dir = cut(dir); name == "" {
			want, _ = cut(pattern)
			return want != ""
		}
		if want, pattern = cut(pattern); want == "" || !glob.Match(want, name) {
			return false
		}
	}
}
