package persistence

import (
	"fmt"
	"strings"
	"testing"
)

func TestInitScriptsLinksAndLinesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/init.d/ssh":    "#!/bin/sh\n### BEGIN INIT INFO\n### END INIT INFO\nstart\n",
		"/etc/init.d/evil":   "\x7fELF",
		"/etc/init.d/README": "text",
		"/etc/init.d/pipe":   "|",
		"/etc/rc2.d/S05ssh":  "-> ../init.d/ssh",
		"/etc/rc3.d/S05ssh":  "-> ../init.d/ssh",
		"/etc/rc6.d/K01gone": "-> ../init.d/gone",
		"/etc/rc2.d/README":  "x",
		"/etc/rc.local":      "#!/bin/sh -e\n\n/usr/bin/x \\\n -a\nexit 0\n",
		"/etc/rc.d/rc.local": "-> ../rc.local",
		"/etc/inittab":       "# c\nid:2:initdefault:\n1:2345:respawn:/sbin/getty 38400 tty1\nbroken\n",
	})

	var records []seen
	within(t, func() { records, _ = run(t, initCollector(), root) })

	if len(records) != 9 {
		t.Fatalf("%q", column(records, "path"))
	}
	equal(t, find(t, records, "path", "/etc/init.d/ssh").show("kind", "name", "start_runlevels", "has_header", "magic", "target"), "script|ssh|[2 3]|true|script|<nil>")
	equal(t, find(t, records, "path", "/etc/init.d/evil").show("start_runlevels", "has_header", "magic", "content"), "<nil>|false|elf|<nil>")
	equal(t, find(t, records, "path", "/etc/rc2.d/S05ssh").show("kind", "runlevel", "action", "order", "service", "target", "target_exists", "content"), "link|2|start|5|ssh|/etc/init.d/ssh|true|<nil>")
	equal(t, find(t, records, "command", "/usr/bin/x  -a").show("kind", "line_number", "path"), "rc_local|3|/etc/rc.local")
	equal(t, find(t, records, "command", "/sbin/getty 38400 tty1").show("kind", "line_number", "runlevel", "action", "service"), "inittab|3|2345|respawn|1")
	// A link to nothing is a record like any other: an error here would make the engine drop it as gone.
	dangling := find(t, records, "path", "/etc/rc6.d/K01gone")
	equal(t, dangling.show("file_mode", "file_uid", "file_is_symlink", "target_exists"), "<nil>|<nil>|true|false")
	if dangling.errs["file_mode"] != nil {
		t.Error(dangling.errs["file_mode"])
	}
}

func TestAnInitDirectoryThatIsALinkIsReadOnce(t *testing.T) {
	root := tree(t, map[string]string{"/etc/rc.d/init.d/a": "x", "/etc/init.d": "-> rc.d/init.d", "/etc/rc.d/rc3.d/S01a": "-> ../init.d/a", "/etc/rc3.d": "-> rc.d/rc3.d"})

	records, _ := run(t, initCollector(), root)

	equal(t, strings.Join(column(records, "path"), " "), "/etc/rc3.d/S01a /etc/init.d/a")
	equal(t, records[1].show("start_runlevels"), "[3]")
}

func TestNamesOfRunlevelLinksAreDivided(t *testing.T) {
	for name, want := range map[string]string{"S20ssh": "{start 20 ssh} true", "K01x": "{stop 1 x} true", "S2ssh": "{ 0 } false", "README": "{ 0 } false", "S99": "{ 0 } false"} {
		l, ok := parseRCLink(name)
		equal(t, name+fmt.Sprint(l, ok), name+want)
	}
}

// FuzzInit holds the parsers of names and inittab lines to: no panic, four parts.
func FuzzInit(f *testing.F) {
	for _, s := range []string{"S20ssh", "a:b:c:d:e", "#", ":::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if l, ok := parseInittabLine(line); ok && strings.Contains(l.ID, ":") {
			t.Errorf("%+v", l)
		}
		if l, ok := parseRCLink(line); ok && l.Name == "" {
			t.Errorf("%+v", l)
		}
	})
}
