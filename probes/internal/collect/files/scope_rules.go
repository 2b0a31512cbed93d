package files

import (
	"reflect"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
)

// rule is one scope of one subject. Each directory of a walk carries the rules that are still of interest in it.
type rule struct {
	subject string
	collect.Scope
	family []collect.Scope // the scopes that come with it and answer for the same rules
	bases  []string        // literal beginnings of its patterns
}

func newRule(subject string, s collect.Scope) rule {
	r := rule{subject: subject, Scope: s, family: family(s)}
	for _, pattern := range s.Paths {
		r.bases = append(r.bases, collect.Base(pattern))
	}
	return r
}

// family gives the scopes that serve the same rules as s: the defaults stand together, any other stands alone.
func family(s collect.Scope) []collect.Scope {
	for _, d := range defaultScopes {
		if reflect.DeepEqual(s, d) {
			return defaultScopes
		}
	}
	return []collect.Scope{s}
}

func roots(rules []rule) []string {
	var scopes []collect.Scope
	for _, r := range rules {
		scopes = append(scopes, r.Scope)
	}
	return collect.Roots(scopes)
}

// descending keeps the rules that are interested in what lies in a directory.
func descending(rules []rule, dir string) []rule {
	kept := make([]rule, 0, len(rules))
	for _, r := range rules {
		if r.Descends(dir) {
			kept = append(kept, r)
		}
	}
	return kept
}

// crossing keeps the rules that go on into a mounted file system: into every local one, wherever it is mounted, since
// what was mounted over a place is what runs and is read there.
func crossing(rules []rule, kind string) []rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r rule) bool {
		return isKernelType(kind) || isNetworkType(kind) && !r.CrossMounts
	})
}

// names tells whether the directory is on the way to a pattern of the scope, or fits one: then a file system mounted
// there that is not entered is a gap in what the rule asks for. Below a pattern it is not.
func (r rule) names(dir string) bool {
	return collect.Scope{Paths: r.Paths, Exclude: r.Exclude, MaxDepth: 0}.Descends(dir)
}

// writes tells whether a path stands in the literal beginning of one of the scope's patterns.
func (r rule) writes(name string) bool {
	return slices.ContainsFunc(r.bases, func(base string) bool {
		return strings.HasPrefix(base, name) && (len(base) == len(name) || base[len(name)] == '/')
	})
}

// wholes gives the subjects of which every entry directly in dir is covered, so that entries need not be compared one
// by one: a rule without exclusions that covers dir itself and still has depth left.
func wholes(rules []rule, dir string) map[string]bool {
	whole := map[string]bool{}
	for _, r := range rules {
		if !whole[r.subject] && len(r.Exclude) == 0 && r.Covers(dir) && r.Covers(join(dir, "\x00\x00")) {
			whole[r.subject] = true
		}
	}
	return whole
}
