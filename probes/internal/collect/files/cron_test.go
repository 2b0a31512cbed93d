package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

func TestCronLinesAreReadAsCronDoes(t *testing.T) {
	cases := []struct {
		line     string
		withUser bool
		want     string // schedule, event, user, command, interval
	}{
		{"*/5 * * * * root  /bin/x -a  b", true, "*/5 * * * *||root|/bin/x -a  b|300"},
		{"0 3 * * *\tcmd % stdin", false, "0 3 * * *|||cmd % stdin|86400"},
		{"@reboot root curl x | sh", true, "@reboot|reboot|root|curl x | sh|0"},
		{"@Hourly cmd", false, "@Hourly|hourly||cmd|3600"},
		{"17 *  * * * cmd", false, "17 * * * *|||cmd|3600"},
		{"0,30 9-17 * * mon-fri cmd", false, "0,30 9-17 * * mon-fri|||cmd|1800"},
		{"0 4 * * 0 cmd", false, "0 4 * * 0|||cmd|604800"},
		{"0 4 * * 1,3,7 cmd", false, "0 4 * * 1,3,7|||cmd|86400"},
		{"0 4 1 * * cmd", false, "0 4 1 * *|||cmd|0"},
		{"0 4 1 jan * cmd", false, "0 4 1 jan *|||cmd|0"},
		{"55-59/2 23 * * * cmd", false, "55-59/2 23 * * *|||cmd|120"},
		{"0~59 1~3 * * * cmd", false, "0~59 1~3 * * *|||cmd|86400"},
		{"-*/2 * * * * root cmd", true, "*/2 * * * *||root|cmd|120"},
		{"* * * * * A=1 cmd", false, "* * * * *|||A=1 cmd|60"},
		{"5/10 * * * * cmd", false, "5/10 * * * *|||cmd|600"},
	}
	for _, c := range cases {
		got, ok := parseCronLine(c.line, c.withUser)
		text := strings.Join([]string{got.Schedule, got.Event, got.Username, got.Command, spaced(got.Interval)}, "|")
		if !ok || !got.Valid || text != c.want {
			t.Errorf("%q: %s, valid %v", c.line, text, got.Valid)
		}
	}
}

func TestLinesThatCronDoesNotTakeKeepTheirText(t *testing.T) {
	for _, line := range []string{
		"* * * * cmd", "61 * * * * cmd", "* 24 * * * cmd", "* * 0 * * cmd", "* * * 13 * cmd", "* * * * 8 cmd", "*/0 * * * * cmd",
		"5-1 * * * * cmd", "@never cmd", "@reboot", "* * * * *", "a b c d e f", "1, * * * * cmd", "curl http://x | sh", "** * * * * x",
		"9999999999999999999999 * * * * x",
	} {
		if got, ok := parseCronLine(line, false); !ok || got.Valid || got.Command != line {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestCommentsAndVariablesAreNoJobs(t *testing.T) {
	for _, line := range []string{"", "  ", "# * * * * * x", "\t#"} {
		if _, ok := parseCronLine(line, false); ok {
			t.Errorf("%q is a line", line)
		}
	}
	for line, want := range map[string]string{
		"PATH=/bin:/sbin": "PATH=/bin:/sbin", ` SHELL = "/bin/sh" `: "SHELL=/bin/sh", `"A"='b c'`: "A=b c", "MAILTO=": "MAILTO=",
	} {
		if got, _ := parseCronLine(line, true); got.Variable != want {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestAnacronLinesRunAsRoot(t *testing.T) {
	for line, want := range map[string]string{
		"7 25 cron.weekly nice run-parts /etc/cron.weekly": "7 25|root|nice run-parts /etc/cron.weekly|604800|true",
		"@monthly 45 cron.monthly x":                       "@monthly 45|root|x|0|true",
		"x 1 id cmd":                                       "||x 1 id cmd|0|false",
		"1 5 id":                                           "||1 5 id|0|false",
	} {
		got, _ := parseAnacronLine(line)
		if text := strings.Join([]string{got.Schedule, got.Username, got.Command, spaced(got.Interval), spaced(got.Valid)}, "|"); text != want {
			t.Errorf("%q: %s", line, text)
		}
	}
}

func TestJobsOfAllPlacesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/crontab":                 "PATH=/bin\n17 * * * * root run\nPATH=/tmp\nbroken\n",
		"/etc/cron.d/app":              "@daily eve job\n",
		"/etc/cron.d/old.dpkg-old":     "@daily eve job\n",
		"/etc/cron.d/.placeholder":     "# nothing\n",
		"/var/spool/cron/crontabs/bob": "* * * * * bobs\n",
		"/var/spool/cron/alice":        "@reboot alices\n",
		"/etc/cron.daily/clean":        "#!/bin/sh\necho hi\n",
		"/etc/anacrontab":              "1 5 cron.daily run-parts /etc/cron.daily\n",
	})
	must(t, os.Chmod(filepath.Join(root, "etc/cron.daily/clean"), 0o755))

	records, status := run(t, cronCollector(), root, "cron_job")

	if len(records) != 8 || len(status.Parts) != 0 {
		t.Fatalf("%d records %q, %v", len(records), column(records, "command"), status.Parts)
	}
	system := find(t, records, "command", "run")
	if got := spaced(system.values["source"], system.values["username"], system.values["line_number"], system.values["environment"]); got != "system root 2 [PATH=/bin]" {
		t.Errorf("system: %s", got)
	}
	if broken := find(t, records, "command", "broken"); broken.values["is_valid"] != false {
		t.Errorf("broken: %v", broken.values)
	}
	for command, want := range map[string]string{"bobs": "user bob <nil>", "alices": "user alice reboot"} {
		r := find(t, records, "command", command)
		if got := spaced(r.values["source"], r.values["username"], r.values["event"]); got != want {
			t.Errorf("%s: %s", command, got)
		}
	}
	script := find(t, records, "command", "/etc/cron.daily/clean")
	if got := spaced(script.values["source"], script.values["username"], script.values["line_number"], script.values["is_ignored"],
		script.values["interval_s"], script.text("script_content")); got != "daily root <nil> false 86400 #!/bin/sh\necho hi\n" {
		t.Errorf("script: %s %v", got, script.errs)
	}
	if old := find(t, records, "path", "/etc/cron.d/old.dpkg-old"); old.values["is_ignored"] != true {
		t.Errorf("old: %v", old.values)
	}
}

func TestASpoolThatIsALinkIsReadOnce(t *testing.T) {
	root := tree(t, map[string]string{"/etc/crontabs/root": "@daily x\n", "/var/spool/cron/crontabs": "-> /etc/crontabs"})

	if records, _ := run(t, cronCollector(), root, "cron_job"); len(records) != 1 {
		t.Errorf("%q", column(records, "path"))
	}
}

func TestAFIFOAmongCrontabsDoesNotBlock(t *testing.T) {
	root := tree(t, map[string]string{"/etc/cron.d/ok": "@daily root x\n"})
	fifo(t, filepath.Join(root, "etc/cron.d/pipe"))
	fifo(t, filepath.Join(root, "etc/cron.daily/pipe"))

	within(t, 10*time.Second, func() {
		records, _ := run(t, cronCollector(), root, "cron_job")
		if script := find(t, records, "path", "/etc/cron.daily/pipe"); script.values["is_ignored"] != true || script.values["script_content"] != nil {
			t.Errorf("%v", script.values)
		}
	})
}

func TestACrontabWithTooManyLinesSaysSo(t *testing.T) {
	root := tree(t, map[string]string{"/etc/crontab": strings.Repeat("#\n", maxCronLines) + "@daily root last\n"})

	records, status := run(t, cronCollector(), root, "cron_job")

	if parts := status.Parts["cron_job"]; len(records) != 0 || len(parts) != 1 || collect.Reason(parts[0]) != "limit" {
		t.Errorf("%d records, %v", len(records), parts)
	}
}

func TestACrontabWithTooManyVariablesSaysSo(t *testing.T) {
	var b strings.Builder
	for i := range maxCronVariable + 1 {
		fmt.Fprintf(&b, "V%d=x\n", i)
	}
	root := tree(t, map[string]string{"/etc/crontab": b.String() + "@daily root last\n"})

	_, status := run(t, cronCollector(), root, "cron_job")

	if parts := status.Parts["cron_job"]; len(parts) != 1 || collect.Reason(parts[0]) != "limit" {
		t.Errorf("%v", parts)
	}
}

func TestASpoolThatMayNotBeReadIsAPartialAnswer(t *testing.T) {
	root := tree(t, map[string]string{"/var/spool/cron/crontabs/root": "@daily x\n"})
	must(t, os.Chmod(filepath.Join(root, "var/spool/cron/crontabs"), 0o700))
	asNobody(t, root)

	records, status := run(t, cronCollector(), root, "cron_job")

	if parts := status.Parts["cron_job"]; len(records) != 0 || len(parts) != 1 || collect.Reason(parts[0]) != "needs_root" {
		t.Errorf("%d records, %v", len(records), status.Parts)
	}
}

// FuzzCronLine holds both parsers to: no panic, a command for every job, and no interval below a minute.
func FuzzCronLine(f *testing.F) {
	for _, s := range []string{"*/5 * * * * root x", "@reboot x", "A=b", "1-5/2,7 ~ 1~ ~9 mon x", "7 5 id cmd", "-", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, withUser := range []bool{true, false} {
			c, ok := parseCronLine(line, withUser)
			if ok && c.Variable == "" && c.Command == "" || c.Interval != 0 && c.Interval < 60 {
				t.Errorf("%+v", c)
			}
		}
		if c, ok := parseAnacronLine(line); ok && c.Variable == "" && c.Command == "" {
			t.Errorf("%+v", c)
		}
	})
}
