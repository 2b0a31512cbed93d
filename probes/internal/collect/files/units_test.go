package files

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

func TestUnitFilesAreReadAsSystemdDoes(t *testing.T) {
	u := parseUnit("# comment\n; other\nStray=1\n[Unit]\nDescription = A  thing \n\n[Service]\nExecStart=/old\nExecStart=\n" +
		"ExecStart=@-/bin/sh sh \\\n# not part\n  -c 'echo; id'\nEnvironment=\"A=b c\" D=e\nEnvironment=F=g\nUser=nobody\r\n" +
		"ExecStartPre=+!!/usr/bin/pre\nexecstop=|/bin/stop\n[Install]\nWantedBy=a.target b.target\nbroken line\n[Timer]\nOnCalendar=daily")

	checks := map[string][]string{
		"description": u.all(unitSection, "description"), "user": u.all(execSections, "user"),
		"start": u.all(execSections, "execstart"), "paths": u.execPaths(), "environment": u.words(execSections, "environment"),
		"wanted": u.words(installTable, "wantedby"), "calendar": u.all(timerSection, "oncalendar"),
	}
	want := map[string][]string{
		"description": {"A  thing"}, "user": {"nobody"}, "start": {"@-/bin/sh sh    -c 'echo; id'"},
		"paths": {"/usr/bin/pre", "/bin/sh", "/bin/stop"}, "environment": {"A=b c", "D=e", "F=g"},
		"wanted": {"a.target", "b.target"}, "calendar": {"daily"},
	}
	for name, expected := range want {
		if !slices.Equal(checks[name], expected) {
			t.Errorf("%s: %q", name, checks[name])
		}
	}
}

func TestAMillionContinuationsAreReadInOneGo(t *testing.T) {
	within(t, 10*time.Second, func() {
		u := parseUnit("[Service]\nExecStart=/bin/x \\\n" + strings.Repeat("\\\n", 500_000) + "end")
		if got := u.all(execSections, "execstart"); len(got) != 1 || !strings.HasSuffix(got[0], "end") {
			t.Errorf("%d values", len(got))
		}
	})
}

func TestTheProgramOfAnExecLineLosesItsPrefixesAndQuotes(t *testing.T) {
	for line, want := range map[string]string{
		"/bin/a b": "/bin/a", "-/bin/a": "/bin/a", "@:+!!/bin/a x": "/bin/a", `"/opt/my app/run" -x`: "/opt/my app/run",
		"/bin//../bin/a": "/bin/a", "sh -c x": "sh", "": "", "-": "", `/opt/a\x20b`: `/opt/a\x20b`, `/opt/a\ b c`: "/opt/a b",
	} {
		if got := execProgram(line); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestUnitNamesHaveTypesAndTemplates(t *testing.T) {
	for name, want := range map[string]string{"a.service": "service", "a.timer": "timer", ".service": "", "a.conf": "", "a": "", "a.b.mount": "mount"} {
		if got := unitType(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, want := range map[string]string{"getty@tty1.service": "getty@.service", "getty@.service": "", "a.service": "", "a.b@c": ""} {
		if got := templateOf(name); got != want {
			t.Errorf("template of %s: %q", name, got)
		}
	}
}

func unitsTree(t *testing.T) string {
	t.Helper()
	root := tree(t, map[string]string{
		"/usr/lib/systemd/system/app.service":            "[Service]\nExecStart=/usr/bin/app\nExecStartPre=/gone/pre\nExecStop=%h/x\nExecReload=app\n",
		"/usr/lib/systemd/system/tty@.service":           "[Service]\nExecStart=/usr/bin/app %i\n",
		"/usr/lib/systemd/system/off.service":            "[Service]\nExecStart=/usr/bin/app\n",
		"/lib":                                           "-> usr/lib",
		"/usr/bin/app":                                   "x",
		"/etc/systemd/system/off.service":                "-> /dev/null",
		"/etc/systemd/system/empty.service":              "",
		"/etc/systemd/system/dangling.service":           "-> /nowhere/x.service",
		"/etc/systemd/system/app.service.d/over.conf":    "[Service]\nExecStart=\nExecStart=/tmp/evil\n",
		"/etc/systemd/system/app.service.d/README":       "no drop-in",
		"/etc/systemd/system/m.wants/app.service":        "-> /usr/lib/systemd/system/app.service",
		"/etc/systemd/system/m.requires/tty@1.service":   "-> /usr/lib/systemd/system/tty@.service",
		"/etc/systemd/system/.hidden.service":            "[Service]\nExecStart=/usr/bin/app\n",
		"/run/systemd/generator/gen.mount":               "[Mount]\nWhat=/dev/x\n",
		"/etc/passwd":                                    "eve:x:1000:1000::/home/eve:/bin/sh\n",
		"/home/eve/.config/systemd/user/mine.timer":      "[Timer]\nOnBootSec=5min\nOnCalendar=*-*-* 3:00\nUnit=mine.service\n",
		"/run/user/1000/systemd/transient/run-1.service": "[Service]\nExecStart=/usr/bin/app\n",
		"/etc/systemd/system/s.socket":                   "[Socket]\nListenStream=0.0.0.0:22\nListenDatagram=53\nService=app.service\n",
	})
	must(t, os.Chmod(filepath.Join(root, "usr/bin/app"), 0o777))
	return root
}

func TestUnitsOfAllDirectoriesAreRecordedOnce(t *testing.T) {
	records, status := run(t, unitsCollector(), unitsTree(t), "systemd_unit")

	want := []string{
		"/etc/systemd/system/.hidden.service", "/etc/systemd/system/app.service.d/over.conf", "/etc/systemd/system/dangling.service",
		"/etc/systemd/system/empty.service", "/etc/systemd/system/off.service", "/etc/systemd/system/s.socket",
		"/home/eve/.config/systemd/user/mine.timer", "/run/systemd/generator/gen.mount",
		"/run/user/1000/systemd/transient/run-1.service", "/usr/lib/systemd/system/app.service",
		"/usr/lib/systemd/system/off.service", "/usr/lib/systemd/system/tty@.service",
	}
	if got := column(records, "path"); !slices.Equal(got, want) || len(status.Parts) != 0 {
		t.Errorf("%q\n%v", got, status.Parts)
	}
	for _, r := range records {
		if len(r.errs) != 0 && r.text("path") != "/etc/systemd/system/dangling.service" && r.text("path") != "/etc/systemd/system/off.service" {
			t.Errorf("%s: %v", r.text("path"), r.errs)
		}
	}
}

func TestStatesOfUnits(t *testing.T) {
	records, _ := run(t, unitsCollector(), unitsTree(t), "systemd_unit")
	state := func(path string) string {
		r := find(t, records, "path", path)
		return spaced(r.text("name"), r.values["is_enabled"], r.values["is_masked"], r.values["is_generated"], r.values["is_dropin"],
			r.values["is_symlink"], r.values["hidden"], r.text("scope"), r.values["username"], r.values["drop_ins"])
	}

	for path, want := range map[string]string{
		"/usr/lib/systemd/system/app.service":            "app.service true false false false false false system <nil> [/etc/systemd/system/app.service.d/over.conf]",
		"/usr/lib/systemd/system/tty@.service":           "tty@.service true false false false false false system <nil> <nil>",
		"/etc/systemd/system/app.service.d/over.conf":    "app.service true false false true false false system <nil> <nil>",
		"/etc/systemd/system/off.service":                "off.service false true false false true false system <nil> <nil>",
		"/etc/systemd/system/empty.service":              "empty.service false true false false false false system <nil> <nil>",
		"/etc/systemd/system/dangling.service":           "dangling.service false false false false true false system <nil> <nil>",
		"/etc/systemd/system/.hidden.service":            ".hidden.service false false false false false true system <nil> <nil>",
		"/run/systemd/generator/gen.mount":               "gen.mount false false true false false false system <nil> <nil>",
		"/home/eve/.config/systemd/user/mine.timer":      "mine.timer false false false false false false user eve <nil>",
		"/run/user/1000/systemd/transient/run-1.service": "run-1.service false false false false false false user eve <nil>",
	} {
		if got := state(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestProgramsOfUnitsAreLookedAt(t *testing.T) {
	records, _ := run(t, unitsCollector(), unitsTree(t), "systemd_unit")

	app := find(t, records, "path", "/usr/lib/systemd/system/app.service")
	if got := spaced(app.values["exec_paths"], app.values["exec_missing"], app.values["exec_world_writable"]); got != "[/gone/pre /usr/bin/app app %h/x] [/gone/pre] [/usr/bin/app app]" {
		t.Errorf("%s %v", got, app.errs)
	}
	over := find(t, records, "path", "/etc/systemd/system/app.service.d/over.conf")
	if got := spaced(over.values["exec_start"], over.values["exec_missing"], over.values["type"]); got != "[/tmp/evil] [/tmp/evil] service" {
		t.Errorf("drop-in: %s", got)
	}
}

func TestTimersAndSocketsSayWhatTheyStart(t *testing.T) {
	records, _ := run(t, unitsCollector(), unitsTree(t), "systemd_unit")

	timer := find(t, records, "type", "timer")
	if got := spaced(timer.values["on_calendar"], timer.values["on_boot"], timer.values["unit"]); got != "[*-*-* 3:00] 5min mine.service" {
		t.Errorf("timer: %s", got)
	}
	socket := find(t, records, "type", "socket")
	if got := spaced(socket.values["listen"], socket.values["unit"]); got != "[0.0.0.0:22 53] app.service" {
		t.Errorf("socket: %s", got)
	}
}

func TestAUnitThatMayNotBeReadIsThereWithUnknownFields(t *testing.T) {
	root := tree(t, map[string]string{"/etc/systemd/system/x.service": "[Service]\nExecStart=/x\n"})
	must(t, os.Chmod(filepath.Join(root, "etc/systemd/system/x.service"), 0o600))
	asNobody(t, root)

	records, _ := run(t, unitsCollector(), root, "systemd_unit")

	r := find(t, records, "path", "/etc/systemd/system/x.service")
	if collect.Reason(r.errs["exec_start"]) != "needs_root" || collect.Reason(r.errs["exec_missing"]) != "needs_root" {
		t.Errorf("%v %v", r.values, r.errs)
	}
}

func TestAUnitWithTooManySettingsIsUnknownAndNotCut(t *testing.T) {
	root := tree(t, map[string]string{"/etc/systemd/system/x.service": "[Service]\n" + strings.Repeat("Environment=a=b\n", maxUnitValues) + "ExecStart=/x"})

	records, _ := run(t, unitsCollector(), root, "systemd_unit")

	if err := records[0].errs["exec_start"]; collect.Reason(err) != "limit" {
		t.Errorf("%v %v", records[0].values["exec_start"], err)
	}
}

func TestAFIFOAmongUnitsDoesNotBlock(t *testing.T) {
	root := tree(t, map[string]string{"/etc/systemd/system/x.service": "-> pipe"})
	fifo(t, filepath.Join(root, "etc/systemd/system/pipe"))
	fifo(t, filepath.Join(root, "etc/systemd/system/y.service"))

	within(t, 10*time.Second, func() {
		records, _ := run(t, unitsCollector(), root, "systemd_unit")
		if got := column(records, "path"); !slices.Equal(got, []string{"/etc/systemd/system/x.service"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestThisMachinesUnitsAreReadWithoutErrors(t *testing.T) {
	records, _ := run(t, unitsCollector(), "/", "systemd_unit")

	for _, r := range records {
		if err := r.errs["exec_start"]; err != nil && collect.Reason(err) != "needs_root" {
			t.Errorf("%s: %v", r.text("path"), err)
		}
	}
}

// FuzzUnit holds the parser to: no panic, no empty value, and programs without quotes or blanks at the ends.
func FuzzUnit(f *testing.F) {
	for _, s := range []string{"[Service]\nExecStart=-/bin/sh \\\n x\n", "[", "[]", "=", "\\", "[a]\n=x\nb=\\", "[Service]\nExecStart=\"a b\" c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		u := parseUnit(data)
		for key, values := range u.values {
			if len(values) == 0 || slices.Contains(values, "") || !strings.Contains(key, ".") {
				t.Errorf("%q: %q", key, values)
			}
		}
		if slices.Contains(u.execPaths(), "") {
			t.Error("an empty program")
		}
		u.words(execSections, "environment")
	})
}
