package persistence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPreloadedLibrariesAndSearchedDirectoriesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/ld.so.preload":            "# c\n/usr/local/lib/.x.so:libfoo.so /missing.so\n",
		"/etc/ld.so.conf":               "include ld.so.conf.d/*.conf\n/opt/lib # mine\nhwcap 1 nosegneg\n",
		"/etc/ld.so.conf.d/a.conf":      "/usr/lib/x86_64-linux-gnu\n/tmp/lib=libc6\nrelative\n",
		"/etc/ld.so.conf.d/b.txt":       "/never\n",
		"/etc/ld-musl-x86_64.path":      "/lib:/usr/lib\n",
		"/usr/local/lib/.x.so":          "abc",
		"/usr/lib/x86_64-linux-gnu/":    "",
		"/usr/lib/x86_64-linux-gnu/a.c": "",
	})
	must(t, os.Chmod(filepath.Join(root, "usr/local/lib/.x.so"), os.ModeSetuid|0o755))

	records, status := run(t, ldCollector(), root)

	equal(t, strings.Join(column(records, "entry"), " "), "/usr/local/lib/.x.so libfoo.so /missing.so /usr/lib/x86_64-linux-gnu /tmp/lib /opt/lib /lib /usr/lib")
	if len(status.Parts) != 0 {
		t.Errorf("%v", status.Parts)
	}
	hidden := find(t, records, "entry", "/usr/local/lib/.x.so")
	equal(t, hidden.show("kind", "line_number", "is_hidden", "in_system_directory", "target_exists", "target_mode"), "preload|2|true|false|true|4755")
	equal(t, hidden.text("target_sha256"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	equal(t, find(t, records, "entry", "libfoo.so").show("target", "target_exists", "in_system_directory"), "<nil>|<nil>|<nil>")
	equal(t, find(t, records, "entry", "/missing.so").show("target", "target_exists", "target_mode"), "/missing.so|false|<nil>")
	equal(t, find(t, records, "entry", "/tmp/lib").show("kind", "path", "in_system_directory"), "directory|/etc/ld.so.conf.d/a.conf|false")
}

func TestALinkerConfigurationThatIncludesItselfEnds(t *testing.T) {
	root := tree(t, map[string]string{"/etc/ld.so.conf": "include /etc/ld.so.conf\ninclude /etc/*.conf\n/opt/x\n"})

	if records, _ := run(t, ldCollector(), root); len(records) != 1 {
		t.Errorf("%q", column(records, "entry"))
	}
}

func TestAFIFOInPlaceOfThePreloadFileDoesNotBlock(t *testing.T) {
	root := tree(t, map[string]string{"/etc/ld.so.preload": "|", "/etc/ld.so.conf.d/x.conf": "|"})

	within(t, func() { run(t, ldCollector(), root) })
}

// FuzzLinkerLine holds the parsers to: directories are absolute, entries hold no blank.
func FuzzLinkerLine(f *testing.F) {
	for _, s := range []string{"include a b", "/lib=libc5", "hwcap 0", "/a:/b,/c # d", ":::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		directories, _ := parseLinkerLine(line)
		for _, d := range directories {
			if !strings.HasPrefix(d, "/") {
				t.Errorf("%q", d)
			}
		}
		for _, e := range parseLibraryList(line) {
			if e == "" || strings.ContainsAny(e, " :#") {
				t.Errorf("%q", e)
			}
		}
	})
}
