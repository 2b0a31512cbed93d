package db

import (
	"path"
	"testing"
)

func TestPathsOfADatabaseAreCleanedAsPathsAre(t *testing.T) {
	parts := []string{"/", "a", ".", "..", "/a", "//", "/.b", ".b", "/./", "/../", ""}
	for _, one := range parts {
		for _, two := range parts {
			for _, three := range parts {
				if name := "/" + one + two + three; Clean(name) != path.Clean(name) {
					t.Errorf("%q: %q, not %q", name, Clean(name), path.Clean(name))
				}
			}
		}
	}
}
