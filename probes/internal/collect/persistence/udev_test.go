package persistence

import (
	"fmt"
	"strings"
	"testing"
)

func TestUdevRulesAreDividedIntoKeys(t *testing.T) {
	cases := map[string]string{
		`ACTION=="add", KERNEL!="sd*", RUN+="/bin/x -a \"b\", c"`: `[{ACTION == add} {KERNEL != sd*} {RUN += /bin/x -a "b", c}]`,
		`ENV{A}=e"x\"y",GOTO="end"`:                               `[{ENV{A} = x"y} {GOTO = end}]`,
		`IMPORT{program}="ata_id $devnode"`:                       `[{IMPORT{program} = ata_id $devnode}]`,
		`RUN:="x`:                                                 `[{RUN := x}]`,
		`NAME=eth0, MODE=0660`:                                    `[{NAME = eth0} {MODE = 0660}]`,
		`# RUN="x"`:                                               `[]`,
		`nonsense`:                                                `[]`,
		`="x"`:                                                    `[]`,
	}
	for line, want := range cases {
		if got := fmt.Sprint(parseUdevLine(line)); got != want {
			t.Errorf("%q: %s", line, got)
		}
	}
}

func TestProgramsOfUdevRulesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/udev/rules.d/99-x.rules":     "# c\nACTION==\"add\", \\\n RUN+=\"/tmp/x -a\", PROGRAM==\"ata_id $d\"\nRUN{builtin}=\"kmod load\"\n",
		"/usr/lib/udev/rules.d/50-a.rules": "IMPORT{program}=\"$env{X} y\", LABEL=\"e\"\n",
		"/lib":                             "-> usr/lib",
		"/etc/udev/rules.d/note.txt":       "RUN=\"x\"\n",
		"/etc/udev/rules.d/pipe.rules":     "|",
		"/usr/lib/udev/ata_id":             "elf",
	})

	var records []seen
	within(t, func() { records, _ = run(t, udevCollector(), root) })

	equal(t, strings.Join(column(records, "command"), ";"), "/tmp/x -a;ata_id $d;$env{X} y")
	equal(t, find(t, records, "key", "RUN").show("path", "line_number", "operator", "matches", "program", "program_exists"), "/etc/udev/rules.d/99-x.rules|2|+=|[ACTION==add PROGRAM==ata_id $d]|/tmp/x|false")
	run := find(t, records, "key", "RUN").values
	if changed, age := run["file_ctime"].(int64), run["file_ctime_age_s"].(int64); changed+age != 1_800_000_000 {
		t.Errorf("changed at %d, %d s ago", changed, age)
	}
	equal(t, find(t, records, "key", "PROGRAM").show("program", "program_exists", "program_mode"), "/usr/lib/udev/ata_id|true|0644")
	equal(t, find(t, records, "key", "IMPORT{program}").show("program", "program_exists"), "<nil>|<nil>")
}

// FuzzUdevLine holds the parser to: it ends, and keys have names.
func FuzzUdevLine(f *testing.F) {
	for _, s := range []string{`A=="b",C+="d"`, `A=e"\"`, `A==`, `,,,A="`, `A{b}!="c" D="e"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		keys := parseUdevLine(line)
		for _, k := range keys {
			if k.Key == "" && strings.TrimSpace(line) == "" {
				t.Errorf("%+v", keys)
			}
		}
	})
}
