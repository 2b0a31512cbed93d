package files

import (
	"testing"

	"sandfly/probes/internal/collect"
)

func TestAFileIsOwnedWhenAPackageListsIt(t *testing.T) {
	root := tree(t, map[string]string{
		"bin": "-> usr/bin", "usr/bin/ls": "ls", "usr/bin/evil": "x",
		"var/lib/dpkg/status":         "Package: base\nStatus: install ok installed\n",
		"var/lib/dpkg/info/base.list": "/.\n/bin\n/bin/ls\n",
	})
	scope := collect.Scope{Paths: []string{"/usr/bin"}, MaxDepth: -1}

	records, _ := run(t, walkCollector(), root, "file", scope)

	for name, want := range map[string]bool{"ls": true, "evil": false} {
		if got := find(t, records, "name", name).values["package_owned"]; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNothingIsSaidAboutOwnersWithoutAPackageDatabase(t *testing.T) {
	root := tree(t, map[string]string{"usr/bin/ls": "ls"})

	records, _ := run(t, walkCollector(), root, "file", collect.Scope{Paths: []string{"/usr/bin"}, MaxDepth: -1})

	if r := find(t, records, "name", "ls"); r.values["package_owned"] != nil || r.errs["package_owned"] != nil {
		t.Errorf("%v %v", r.values["package_owned"], r.errs["package_owned"])
	}
}
