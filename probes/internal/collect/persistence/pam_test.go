package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestPAMLinesAreDividedAsLibpamDoes(t *testing.T) {
	cases := map[string]string{
		"auth\t[success=1 default=ignore]\tpam_unix.so nullok": "auth|[success=1 default=ignore]|pam_unix.so|[nullok]||false|true",
		"-session optional pam_systemd.so":                     "session|optional|pam_systemd.so|[]||true|true",
		"@include common-auth":                                 "|@include||[]|common-auth|false|true",
		"AUTH substack password-auth # x":                      "auth|substack|password-auth|[]|password-auth|false|true",
		"auth required pam_x.so [a b] c":                       "auth|required|pam_x.so|[a b c]||false|true",
		"auth [broken":                                         "auth|[broken||[]||false|false",
		"nonsense":                                             "nonsense|||[]||false|false",
		"auth required":                                        "auth|required||[]||false|false",
	}
	for line, want := range cases {
		p, ok := parsePAMLine(line, false)
		if got := fmt.Sprintf("%s|%s|%s|%v|%s|%v|%v", p.Type, p.Control, p.Module, p.Arguments, p.Include, p.Silent, p.Valid); !ok || got != want {
			t.Errorf("%q: %s", line, got)
		}
	}
	if _, ok := parsePAMLine("  # x", false); ok {
		t.Error("a comment is a line")
	}
	if p, _ := parsePAMLine("sshd auth required pam_unix.so", true); p.Service != "sshd" || p.Type != "auth" {
		t.Errorf("%+v", p)
	}
}

func TestPAMRulesSayWhereTheirModulesLie(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/pam.d/sshd": "auth required pam_unix.so\nauth sufficient pam_backdoor.so\nauth optional /tmp/x.so\n" +
			"auth optional pam_exec.so quiet expose_authtok /usr/local/bin/log a\n@include common-auth\n",
		"/etc/pam.conf": "login auth required \\\n  /usr/lib/security/pam_old.so\n",
		"/usr/lib/x86_64-linux-gnu/security/pam_unix.so": "elf",
		"/usr/local/bin/log":                             "#!/bin/sh\n",
	})
	must(t, os.Chmod(filepath.Join(root, "usr/local/bin/log"), 0o757))

	records, status := run(t, pamCollector(), root)

	if len(records) != 6 || len(status.Parts) != 0 {
		t.Fatalf("%q %v", column(records, "module"), status.Parts)
	}
	fields := []string{"service", "module_path", "module_exists", "in_module_directory", "module_size"}
	equal(t, find(t, records, "module", "pam_unix.so").show(fields...), "sshd|/usr/lib/x86_64-linux-gnu/security/pam_unix.so|true|<nil>|3")
	equal(t, find(t, records, "module", "pam_backdoor.so").show(fields...), "sshd|<nil>|false|<nil>|<nil>")
	equal(t, find(t, records, "module", "/tmp/x.so").show(fields...), "sshd|/tmp/x.so|false|false|<nil>")
	equal(t, find(t, records, "module", "/usr/lib/security/pam_old.so").show("service", "line_number", "in_module_directory"), "login|1|true")
	equal(t, find(t, records, "module", "pam_exec.so").show("command", "program_writable", "arguments_text"),
		"/usr/local/bin/log a|true|quiet expose_authtok /usr/local/bin/log a")
	equal(t, find(t, records, "control", "@include").show("include", "module_exists"), "common-auth|<nil>")
}

// FuzzPAMLine holds the parser to: no panic, and a valid line has a type and a module, or an include.
func FuzzPAMLine(f *testing.F) {
	for _, s := range []string{"auth [a=b] m x [y z", "@include", "-", "a b c d", "auth [", "password include x"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, line string, withService bool) {
		p, _ := parsePAMLine(line, withService)
		if p.Valid && p.Include == "" && (p.Module == "" || !pamTypes[p.Type]) {
			t.Errorf("%+v", p)
		}
		p.command()
	})
}
