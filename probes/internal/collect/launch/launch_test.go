package launch

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

func TestScriptIsTheFirstArgumentThatIsNoOption(t *testing.T) {
	for text, want := range map[string]string{
		"python3 x.py": "x.py", "python3.11 -u x.py arg": "x.py", "python3 -W ignore x.py": "x.py", "python3 -c code x": "",
		"python3 -m http.server": "", "bash": "", "bash -i": "", "bash --norc x.sh": "x.sh", "sh -c id": "", "sh -ec id": "",
		"bash -o pipefail x.sh": "x.sh", "perl -e 1 x": "", "perl -w x.pl": "x.pl", "sh -- -x": "-x", "python3 -": "",
		"node --inspect app.js": "app.js", "sh +x a.sh": "a.sh",
	} {
		argv := strings.Fields(text)
		name, valued, inline := Interpreter(argv[0])
		if got := Argument(argv, valued, inline); name == "" || got != want {
			t.Errorf("%s: got %q", text, got)
		}
	}
	for _, program := range []string{"/usr/sbin/sshd", "/usr/bin/pythonista", "", "shred", "/usr/bin/luac"} {
		if name, _, _ := Interpreter(program); name != "" {
			t.Errorf("%s counts as %s", program, name)
		}
	}
}

func TestCandidatesAreWhatACommandLineRuns(t *testing.T) {
	for text, want := range map[string]string{
		"/opt/run.sh --fast":                      "/opt/run.sh",
		"bash /opt/run.sh":                        "/opt/run.sh!",
		"/bin/sh -c '/opt/a.sh; exec /opt/b.sh'":  "/opt/a.sh /opt/b.sh",
		`/bin/sh -ec "cd /srv/app && ./start.sh"`: "/srv/app/start.sh",
		"sh -c \"sh -c 'sh -c /opt/deep.sh'\"":    "/opt/deep.sh",
		"run.sh":                                  "run.sh",
		"python3 job.py":                          "/srv/dir/job.py!",
		"~/bin/x; $HOME/y; ${HOME}/z":             "/home/u/bin/x /home/u/y /home/u/z",
		"cd; ./x":                                 "/home/u/x",
		". /opt/env && source ./more":             "/opt/env! /srv/dir/more!",
		"A=1 B=2 nice -n 10 timeout 5m flock -n /run/x.lock /opt/a": "/run/x.lock /opt/a",
		"sudo -u www bash -x /opt/a":                                "/opt/a!",
		"su - www -c '/opt/a --now'":                                "/opt/a",
		"bash < /opt/in; cat < /opt/no":                             "/opt/in! cat",
		"[ -x /opt/a ] && if true; then /opt/a; fi":                 "[ true /opt/a fi",
		"/opt/a >/dev/null 2>&1 & /opt/b &>> /opt/log":              "/opt/a /opt/b",
		"/opt/a >> /opt/log 2>&1":                                   "/opt/a",
		"(/opt/a) | { /opt/b; } # /opt/c":                           "/opt/a /opt/b }",
		"echo $(/opt/a)":                                            "echo /opt/a",
		"sh <<END":                                                  "",
		"/opt/with\\ blank '/opt/two words'/x":                      "/opt/with blank",
		"'/opt/two words/x'":                                        "/opt/two words/x",
		"/opt/%i/x; /opt/*.sh; $PROGRAM; /opt/$X":                   "",
		"bash -c":                                       "",
		"python3 -c 'import x' /opt/a":                  "",
		"perl -w /opt/a.pl /opt/b":                      "/opt/a.pl!",
		"/usr/bin/env -i PATH=/bin /opt/a":              "/opt/a",
		"busybox sh /opt/a":                             "/opt/a!",
		"start-stop-daemon --start --exec /opt/a -- -d": "/opt/a",
		"/opt/a; /opt/a":                                "/opt/a",
		"/opt/../etc/a":                                 "/etc/a",
		"'unclosed /opt/a":                              "/srv/dir/unclosed /opt/a",
		"":                                              "", ";;&|": "", "<": "", ">": "", "\\": "\\", "env": "", "cd": "",
	} {
		var got []string
		for _, c := range Candidates(Line{Text: text, Dir: "/srv/dir", Home: "/home/u"}) {
			if c.Given {
				c.Path += "!"
			}
			got = append(got, c.Path)
		}
		if found := strings.Join(got, " "); found != want {
			t.Errorf("%s: %q, not %q", text, found, want)
		}
	}
	if got := Candidates(Line{Text: "bash x.sh; ./y; ~/z; $HOME/a"}); got != nil {
		t.Errorf("without a directory and a home: %v", got)
	}
}

func TestQuotedPathsAreOneWord(t *testing.T) {
	name := "/opt/it's; a $(b) \\ \"c\"\n"
	if got := split(Quote(name)); len(got) != 1 || len(got[0]) != 1 || got[0][0] != name {
		t.Errorf("%q", got)
	}
}

func TestLongLinesAreBounded(t *testing.T) {
	many := strings.Repeat("/opt/x; ", 1000) + strings.Repeat("sh -c '", 1000)
	if got := Candidates(Line{Text: many}); len(got) != 1 {
		t.Errorf("%v", got)
	}
	var different strings.Builder
	for i := range 1000 {
		different.WriteString("/opt/" + strings.Repeat("x", i+1) + " && ")
	}
	if got := Candidates(Line{Text: different.String()}); len(got) != maxCandidates {
		t.Errorf("%d", len(got))
	}
}

type freely struct{}

func (freely) Pause() error { return nil }

// runs is a record of the tests: command lines in a tree.
type runs struct {
	env     *collect.Env
	scripts Scripts
	lines   []Line
}

func (r *runs) Launches() (*collect.Env, *Scripts, []Line, error) {
	return r.env, &r.scripts, r.lines, nil
}

func field(t *testing.T, r *runs, name string) any {
	t.Helper()
	s := collect.NewSubject("x", "", nil, nil, Fields[*runs]())
	v, err := s.Get(r, s.Index(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func tree(t *testing.T, files map[string]string) *collect.Env {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &collect.Env{Root: root, Now: time.Now(), UID: 0, Throttle: freely{}, MaxValue: 1 << 20}
}

func TestScriptsAreFilesThatBeginAsSuchOrAreGivenToAnInterpreter(t *testing.T) {
	env := tree(t, map[string]string{
		"opt/a.sh": "#!/bin/sh\necho a\n", "opt/elf": "\x7fELF\x00\x01", "opt/b": "echo b\n", "usr/bin/tool": "#!/bin/sh\ntool\n",
		"opt/off": "#!/bin/sh\n", "opt/dir/x": "x", "usr/lib/udev/tool": "#!/bin/sh\nudev\n",
	})
	if err := os.Chmod(filepath.Join(env.Root, "opt/off"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]any{
		"/opt/a.sh; /opt/elf; /opt/b; /opt/off; /opt/gone; /opt/dir": []string{"/opt/a.sh"},
		"sh /opt/b; sh /opt/elf; sh /opt/off":                        []string{"/opt/b", "/opt/off"},
		"tool --x":                                                   []string{"/usr/bin/tool"},
		"/opt/elf":                                                   nil,
	} {
		if got := field(t, &runs{env: env, lines: []Line{{Text: text}}}, "script.path"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", text, got)
		}
	}
	got := field(t, &runs{env: env, lines: []Line{{Text: "tool", Path: []string{"/usr/lib/udev"}}, {Text: "sh /opt/b"}}}, "script.content")
	if !reflect.DeepEqual(got, []string{"#!/bin/sh\nudev\n", "echo b\n"}) {
		t.Errorf("%q", got)
	}
}

func TestScriptsTellOwnerBitsTimesAndPackage(t *testing.T) {
	env := tree(t, map[string]string{
		"opt/mine": "#!/bin/sh\n", "opt/open/x": "#!/bin/sh\n", "tmp/x": "#!/bin/sh\n", "opt/bits": "#!/bin/sh\n", "usr/bin/packed": "#!/bin/sh\n",
		"var/lib/dpkg/status":         "Package: p\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
		"var/lib/dpkg/info/p.list":    "/.\n/usr\n/usr/bin\n/usr/bin/packed\n",
		"var/lib/dpkg/info/p.md5sums": "",
	})
	for name, mode := range map[string]os.FileMode{"opt/open": 0o777, "tmp": 0o777 | os.ModeSticky, "opt/bits": 0o757} {
		if err := os.Chmod(filepath.Join(env.Root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/usr/bin/packed", filepath.Join(env.Root, "opt/link")); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(filepath.Join(env.Root, "opt/mine"), at, at); err != nil {
		t.Fatal(err)
	}
	r := &runs{env: env, lines: []Line{{Text: "/opt/mine; /opt/open/x; /tmp/x; /opt/bits; /opt/link"}}}

	for name, want := range map[string]any{
		"script.path":           []string{"/opt/mine", "/opt/open/x", "/tmp/x", "/opt/bits", "/opt/link"},
		"script.world_writable": []string{"/opt/open/x", "/opt/bits"},
		"script.unpackaged":     []string{"/opt/mine", "/opt/open/x", "/tmp/x", "/opt/bits"},
		"script.mode":           []string{"0755", "0755", "0755", "0757", "0755"},
	} {
		if got := field(t, r, name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	mtimes, _ := field(t, r, "script.mtime").([]int64)
	uids, _ := field(t, r, "script.uid").([]int64)
	ages, _ := field(t, r, "script.ctime_age_s").([]int64)
	if len(mtimes) != 5 || mtimes[0] != at.Unix() || len(uids) != 5 || uids[0] != int64(os.Getuid()) || len(ages) != 5 || ages[0] > 3600 {
		t.Errorf("%v %v %v", mtimes, uids, ages)
	}
}

func FuzzCandidates(f *testing.F) {
	for _, text := range []string{"A=1 sh -c '/opt/a; . b' >x 2>&1 <y", "su - x -c \"cd ~ && ./a\" | b", "$(x) `y` <<E", "a\\\nb # c"} {
		f.Add(text, "/dir", "/home/x")
	}
	f.Fuzz(func(t *testing.T, text, dir, home string) {
		got := Candidates(Line{Text: text, Dir: dir, Home: home})
		if len(got) > maxCandidates {
			t.Errorf("%d candidates", len(got))
		}
		for _, c := range got {
			if c.Path == "" || strings.ContainsAny(c.Path, unexpanded) {
				t.Errorf("%q", c.Path)
			}
		}
	})
}
