package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSudoRulesAreDividedAsSudoDoes(t *testing.T) {
	cases := map[string]string{ // users/hosts (runas users:groups) tags command; …
		"root ALL=(ALL:ALL) ALL":                        "root/ALL (ALL:ALL) [] ALL",
		"%sudo\tALL=(ALL) NOPASSWD:ALL":                 "%sudo/ALL (ALL:) [NOPASSWD] ALL",
		"a, b  h1,h2 = /bin/x -a \\, b, !/bin/su":       "a b/h1 h2 (:) [] /bin/x -a \\, b;a b/h1 h2 (:) [] !/bin/su",
		"u ALL = NOPASSWD: /a, PASSWD: /b, SETENV: /c":  "u/ALL (:) [NOPASSWD] /a;u/ALL (:) [PASSWD] /b;u/ALL (:) [PASSWD SETENV] /c",
		"u h1 = /a : h2 = (bob) NOPASSWD: NOEXEC: /b":   "u/h1 (:) [] /a;u/h2 (bob:) [NOPASSWD NOEXEC] /b",
		"u ALL=(a,b : c) /x, /y":                        "u/ALL (a b:c) [] /x;u/ALL (a b:c) [] /y",
		`"dom users" ALL=CWD=/tmp TIMEOUT=5m (root) /x`: `"dom users"/ALL (:) [] (root) /x`,
		"#1000 ALL=/x # comment":                        "#1000/ALL (:) [] /x",
		"u ALL=sha256:abcd /bin/ls":                     "u/ALL (:) [] /bin/ls",
		"u ALL=(:adm) sudoedit /etc/hosts":              "u/ALL (:adm) [] sudoedit /etc/hosts",
		`u ALL=/bin/x http\://a`:                        `u/ALL (:) [] /bin/x http\://a`,
		"! bad ALL=/x":                                  "! bad/ALL (:) [] /x",
	}
	for line, want := range cases {
		s, ok := parseSudoLine(line)
		var got []string
		for _, c := range s.Commands {
			got = append(got, fmt.Sprintf("%s/%s (%s:%s) %v %s", strings.Join(s.Users, " "), strings.Join(c.Hosts, " "),
				strings.Join(c.RunasUsers, " "), strings.Join(c.RunasGroups, " "), c.Tags, c.Text))
		}
		if text := strings.Join(got, ";"); !ok || s.Kind != "rule" || text != want {
			t.Errorf("%q: %s %s\nwant %s", line, s.Kind, text, want)
		}
	}
}

func TestLinesThatAreNoSudoRuleAreInvalid(t *testing.T) {
	for _, line := range []string{"root ALL", "= x", "root =", "ALL=(ALL) ALL", "x y z"} {
		if s, ok := parseSudoLine(line); !ok || s.Kind != "invalid" {
			t.Errorf("%q: %+v", line, s)
		}
	}
	for _, line := range []string{"", "  # x", "#includes are comments", "#include"} {
		if s, ok := parseSudoLine(line); ok {
			t.Errorf("%q: %+v", line, s)
		}
	}
}

func TestSudoDefaultsAreReadOptionByOption(t *testing.T) {
	s, _ := parseSudoLine(`Defaults:bob env_reset, !authenticate, env_keep+="LD_PRELOAD X,Y", timestamp_timeout=-1, logfile = /x`)

	equal(t, fmt.Sprint(s.Kind, s.Name, s.Options),
		"defaults:bob[{env_reset   false} {authenticate   true} {env_keep += LD_PRELOAD X,Y false} {timestamp_timeout = -1 false} {logfile = /x false}]")
}

func TestSudoRulesOfAllFilesAreRecordedWithAliasesExpanded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/sudoers": "Defaults env_reset, !tty_tickets\nOPS ALL = (root) NOPASSWD: TOOLS, \\\n  /bin/ls\n" +
			"User_Alias OPS = ann, %ops\nCmnd_Alias A = /bin/a : TOOLS = A, !/bin/b, /gone\n@includedir /etc/sudoers.d\n@include local\n",
		"/etc/sudoers.d/90-x":    "bob ALL=(ALL) NOPASSWD:ALL\n",
		"/etc/sudoers.d/old.bak": "eve ALL=ALL\n",
		"/etc/sudoers.d/README":  "# nothing\n",
		"/etc/local":             "carl ALL=(dora) /bin/c\nbroken line\n",
		"/bin/a":                 "",
	})
	must(t, os.Chmod(filepath.Join(root, "bin/a"), 0o777))

	records, status := run(t, sudoCollector(), root)

	if len(status.Parts) != 0 || len(records) != 8 {
		t.Fatalf("%q %v", column(records, "text"), status.Parts)
	}
	tools := find(t, records, "command", "TOOLS")
	equal(t, tools.show("line_number", "kind", "users", "commands", "command_paths", "commands_missing", "commands_writable", "is_nopasswd", "allows_all", "runs_as_root"),
		"2|rule|[ann %ops]|[/bin/a !/bin/b /gone]|[/bin/a /gone]|[/gone]|[/bin/a]|true|false|true")
	equal(t, find(t, records, "command", "/bin/ls").show("tags", "line_number"), "[NOPASSWD]|2")
	equal(t, find(t, records, "path", "/etc/sudoers.d/90-x").show("users", "runas_users", "allows_all", "is_nopasswd", "is_ignored"), "[bob]|[ALL]|true|true|false")
	equal(t, find(t, records, "path", "/etc/sudoers.d/old.bak").show("is_ignored", "allows_all", "runas_users"), "true|true|[root]")
	equal(t, find(t, records, "command", "/bin/c").show("runs_as_root", "runas_users"), "false|[dora]")
	equal(t, find(t, records, "option", "tty_tickets").show("kind", "is_disabled", "users", "command", "is_nopasswd"), "defaults|true|<nil>|<nil>|<nil>")
	equal(t, find(t, records, "kind", "invalid").show("text", "path"), "broken line|/etc/local")
}

func TestSudoersThatIncludeThemselvesAndAliasesThatNameThemselvesEnd(t *testing.T) {
	root := tree(t, map[string]string{"/etc/sudoers": "@include /etc/sudoers\nUser_Alias A = B, B, B, B : B = A, A, A, A\nA ALL=ALL\n"})

	within(t, func() {
		records, _ := run(t, sudoCollector(), root)
		if users := records[0].values["users"].([]string); len(records) != 1 || len(users) > maxExpanded {
			t.Errorf("%d records", len(records))
		}
	})
}

func TestAFIFOInSudoersDoesNotBlock(t *testing.T) {
	root := tree(t, map[string]string{"/etc/sudoers.d/x": "|", "/etc/sudoers": "root ALL=ALL\n"})

	within(t, func() {
		if records, _ := run(t, sudoCollector(), root); len(records) != 1 {
			t.Errorf("%d", len(records))
		}
	})
}

// FuzzSudoLine holds the parser to: no panic, and every command of a rule has a text.
func FuzzSudoLine(f *testing.F) {
	for _, s := range []string{"a ALL=(b:c) NOPASSWD: /x, !/y : h = ALL", "Defaults!x !y, z+=1", "User_Alias A=b:C=d", `#include "x"`, `a\ b "c d"=\,`, "a b=((("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, ok := parseSudoLine(line)
		for _, c := range s.Commands {
			if c.Text == "" {
				t.Errorf("%+v", s)
			}
		}
		if ok && s.Kind == "rule" && (len(s.Users) == 0 || len(s.Commands) == 0) {
			t.Errorf("%+v", s)
		}
		sudoAliases(parseSudoAliases(line)).expand(s.Users)
	})
}
