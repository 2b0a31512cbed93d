package persistence

import (
	"fmt"
	"strings"
	"testing"
)

const atJobText = "#!/bin/sh\n# atrun uid=1000 gid=100\n# mail bob 0\numask 22\nSHELL=/bin/bash; export SHELL\nA=b\\ c; export A\n" +
	"cd /home/bob\\ x || {\n\t echo 'Execution directory inaccessible' >&2\n\t exit 1\n}\n"

func TestAtNamesTellQueueNumberAndTime(t *testing.T) {
	for name, want := range map[string]string{
		"a0000101c4e8f2": "{a 1 1780914360 false} true", "=0001f01c4e8f2": "{= 31 1780914360 true} true", "b00001ffffffff": "{b 1 257698037700 false} true",
		"a00001": "{ 0 0 false} false", "a0000101c4e8g2": "{ 0 0 false} false", "10000101c4e8f2": "{ 0 0 false} false", "a+000101c4e8f2": "{ 0 0 false} false",
	} {
		a, ok := parseAtName(name)
		if got := fmt.Sprint(a, ok); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAtScriptsAreTakenApart(t *testing.T) {
	for name, body := range map[string]string{
		"old": atJobText + "run me\nnow\n",
		"new": atJobText + "${SHELL:-/bin/sh} << 'marcinDELIMITER1a2b3c4d'\nrun me\nnow\nmarcinDELIMITER1a2b3c4d\n",
	} {
		s := parseAtScript(body)
		equal(t, name+fmt.Sprintf(" %d %d %v %s %q %s|%s", s.UID, s.GID, s.HasIDs, s.Mail, s.Environment, s.Directory, s.Command),
			name+` 1000 100 true bob ["SHELL=/bin/bash" "A=b c"] /home/bob x|run me`+"\nnow")
	}
	if s := parseAtScript("curl x | sh\n"); s.HasIDs || s.Command != "curl x | sh" {
		t.Errorf("%+v", s)
	}
	if s := parseAtScript("#!/bin/sh\n# atrun uid=-1 gid=x\nfoo\n"); s.HasIDs || s.Command != "foo" {
		t.Errorf("%+v", s)
	}
}

func TestAtJobsOfAllSpoolsAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":                           "bob:x:1000:1000::/home/bob:/bin/bash\n",
		"/var/spool/cron/atjobs/a0000101c4e8f2": atJobText + "run\n",
		"/var/spool/cron/atjobs/.SEQ":           "00001\n",
		"/var/spool/at/b0000201c00000":          atJobText + "late \xff\n",
		"/var/spool/at/odd":                     "something else\n",
		"/var/spool/at/pipe":                    "|",
		"/var/spool/at/spool/":                  "",
	})

	var records []seen
	within(t, func() { records, _ = run(t, atCollector(), root) })

	equal(t, strings.Join(column(records, "command"), ";"), "run;late \xff;something else")
	equal(t, find(t, records, "command", "run").show("username", "uid", "gid", "queue", "job_id", "run_time", "is_overdue", "is_valid", "mail_user", "directory"),
		"bob|1000|100|a|1|1780914360|true|true|bob|/home/bob x")
	equal(t, find(t, records, "command", "something else").show("username", "uid", "queue", "run_time", "is_valid", "is_overdue"), "<nil>|<nil>|<nil>|<nil>|false|<nil>")
}

// FuzzAtScript holds the parsers to: no panic, bounded environment, and no carriage of the header into the command.
func FuzzAtScript(f *testing.F) {
	for _, s := range []string{atJobText, "cd x || {\n}\n${SHELL:-/bin/sh} << 'd'\nx\nd\n", "# atrun uid=1", "cd ", "A=1; export A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		s := parseAtScript(data)
		if len(s.Environment) > maxAtVariables || len(s.Command) > len(data) || s.UID < 0 {
			t.Errorf("%+v", s)
		}
		parseAtName(data)
	})
}
