package collect

import (
	"slices"
	"testing"
)

func TestCovers(t *testing.T) {
	cases := []struct {
		name  string
		scope Scope
		path  string
		want  bool
	}{
		{"the path itself", Scope{Paths: []string{"/tmp"}, MaxDepth: 0}, "/tmp", true},
		{"an entry directly in it at depth 0", Scope{Paths: []string{"/tmp"}, MaxDepth: 0}, "/tmp/a", true},
		{"one level further at depth 0", Scope{Paths: []string{"/tmp"}, MaxDepth: 0}, "/tmp/a/b", false},
		{"one level further at depth 1", Scope{Paths: []string{"/tmp"}, MaxDepth: 1}, "/tmp/a/b", true},
		{"any depth", Scope{Paths: []string{"/tmp"}, MaxDepth: -1}, "/tmp/a/b/c/d", true},
		{"a name that only starts alike", Scope{Paths: []string{"/tmp"}, MaxDepth: -1}, "/tmpfile", false},
		{"a directory above", Scope{Paths: []string{"/tmp/x"}, MaxDepth: -1}, "/tmp", false},
		{"a wildcard component", Scope{Paths: []string{"/home/*/.ssh"}, MaxDepth: -1}, "/home/eve/.ssh/config", true},
		{"a wildcard does not cross a slash", Scope{Paths: []string{"/home/*/.ssh"}, MaxDepth: -1}, "/home/a/b/.ssh", false},
		{"depth counts below the pattern", Scope{Paths: []string{"/home/*"}, MaxDepth: 0}, "/home/eve/x", true},
		{"no paths means everything", Scope{MaxDepth: -1}, "/any/thing", true},
		{"root with depth 0", Scope{Paths: []string{"/"}, MaxDepth: 0}, "/etc", true},
		{"root with depth 0, deeper", Scope{Paths: []string{"/"}, MaxDepth: 0}, "/etc/passwd", false},
		{"an excluded tree", Scope{Paths: []string{"/var"}, Exclude: []string{"/var/lib/docker"}, MaxDepth: -1}, "/var/lib/docker/x", false},
		{"an excluded pattern", Scope{Paths: []string{"/var"}, Exclude: []string{"/var/*/docker"}, MaxDepth: -1}, "/var/lib/docker", false},
		{"beside the excluded", Scope{Paths: []string{"/var"}, Exclude: []string{"/var/lib/docker"}, MaxDepth: -1}, "/var/lib/dockers", true},
		{"a trailing slash in the pattern", Scope{Paths: []string{"/tmp/"}, MaxDepth: -1}, "/tmp/a", true},
		{"an escaped star", Scope{Paths: []string{`/tmp/\*`}, MaxDepth: -1}, "/tmp/a", false},
	}
	for _, c := range cases {
		if got := c.scope.Covers(c.path); got != c.want {
			t.Errorf("%s: Covers(%q) = %v", c.name, c.path, got)
		}
	}
}

func TestDescends(t *testing.T) {
	scope := Scope{Paths: []string{"/home/*/.ssh", "/tmp"}, Exclude: []string{"/tmp/skip"}, MaxDepth: 1}
	want := map[string]bool{
		"/": true, "/home": true, "/home/eve": true, "/home/eve/.ssh": true, "/home/eve/.ssh/a": true,
		"/home/eve/.ssh/a/b": false, "/home/eve/Mail": false, "/usr": false, "/tmp": true, "/tmp/a": true,
		"/tmp/a/b": false, "/tmp/skip": false,
	}
	for dir, expected := range want {
		if got := scope.Descends(dir); got != expected {
			t.Errorf("Descends(%q) = %v", dir, got)
		}
	}
}

func TestRootsAreTheLiteralStartsWithoutNestedOnes(t *testing.T) {
	got := Roots([]Scope{{Paths: []string{"/home/*/.ssh", "/tmp", "/tmp/x", "/tmp-x"}}, {Paths: []string{`/a\*b/c?`}}})

	if want := []string{"/a*b", "/home", "/tmp", "/tmp-x"}; !slices.Equal(got, want) {
		t.Errorf("Roots = %q, want %q", got, want)
	}
}

func TestRootsOfAScopeWithoutPathsIsTheRoot(t *testing.T) {
	if got := Roots([]Scope{{Paths: []string{"/tmp"}}, {}}); !slices.Equal(got, []string{"/"}) {
		t.Errorf("Roots = %q", got)
	}
}

func TestCoversDoesNotAllocate(t *testing.T) {
	scope := Scope{Paths: []string{"/home/*/.ssh", "/usr/bin"}, Exclude: []string{"/var"}, MaxDepth: -1}

	if n := testing.AllocsPerRun(100, func() { scope.Covers("/usr/bin/python3") }); n != 0 {
		t.Errorf("Covers allocates %v times", n)
	}
}
