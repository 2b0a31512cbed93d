package accounts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

type freely struct{}

func (freely) Pause() error { return nil }

func TestPasswdLinesAreReadAsTheCLibraryDoes(t *testing.T) {
	const text = "root:x:0:0:root:/root:/bin/bash\n" +
		"# comment:x:0:0:::\n\n" +
		"  eve:x: 0:00:Eve, too:/:\n" +
		"+nis::::::\n-no::0:0:::\n:x:0:0:::\n" +
		"noid:x::5:::\nword:x:zero:0:::\nhex:x:0x0:0:::\nsign:x:--1:0:::\n" +
		"short:x:7:8\n" +
		"huge:x:99999999999:1:::\nminus:x:-1:1:::\n" +
		"open::9:9::/home/open:/bin/sh:extra\n"

	users, malformed := ParsePasswd(text)

	var got []string
	for _, u := range users {
		got = append(got, fmt.Sprintf("%s %d %d %s %s %s", u.Name, u.UID, u.GID, u.Home, u.Shell, u.Secret.Status))
	}
	want := []string{
		"root 0 0 /root /bin/bash shadowed", "eve 0 0 /  shadowed", "short 7 8   shadowed",
		"huge 4294967295 1   shadowed", "minus 4294967295 1   shadowed", "open 9 9 /home/open /bin/sh:extra empty",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || malformed != 4 {
		t.Errorf("malformed %d, users:\n%s", malformed, strings.Join(got, "\n"))
	}
}

func TestPasswordFieldsAreClassifiedAndNotKept(t *testing.T) {
	cases := map[string]Secret{
		"":                                   {"empty", ""},
		"x":                                  {Shadowed, ""},
		"*":                                  {"locked", ""},
		"!":                                  {"locked", ""},
		"!!":                                 {"locked", ""},
		"!*":                                 {"locked", ""},
		"*LK*":                               {"locked", ""},
		"$6$salt$hash":                       {"set", "sha512"},
		"!$6$salt$hash":                      {"locked", "sha512"},
		"$y$j9T$salt$hash":                   {"set", "yescrypt"},
		"$1$salt$hash":                       {"set", "md5"},
		"$5$salt$hash":                       {"set", "sha256"},
		"$2b$12$abcdefghijklmnopqrstuv":      {"set", "bcrypt"},
		"$gy$j9T$salt$hash":                  {"set", "gost_yescrypt"},
		"$7$CU..../....salt":                 {"set", "scrypt"},
		"ab01CD23ef45.":                      {"set", "des"},
		"_J9..rasmBYk8r9AiWNc":               {"set", "bsdi_des"},
		"not a hash of any kind in crypt(5)": {"locked", ""},
	}
	for field, want := range cases {
		if got := classify(field); got != want {
			t.Errorf("%q: %+v, want %+v", field, got, want)
		}
	}
}

func TestShadowNumbersThatAreNotSetAreNil(t *testing.T) {
	entries, malformed := ParseShadow("a:$6$x$y:19000:0:90:7::20000:\nb:!:0::-1:::x:\nc\nd:x\n")

	if len(entries) != 3 || malformed != 1 {
		t.Fatalf("%d entries, %d malformed", len(entries), malformed)
	}
	a, b, d := entries[0], entries[1], entries[2]
	if *a.LastChange != 19000 || *a.MaxDays != 90 || *a.Expires != 20000 {
		t.Errorf("a: %+v", a)
	}
	if *b.LastChange != 0 || b.MaxDays != nil || b.Expires != nil {
		t.Errorf("b: %+v", b)
	}
	if d.Secret.Status != "locked" {
		t.Errorf("an x in shadow is %q", d.Secret.Status)
	}
}

func TestGroupMembersAreNamesOnly(t *testing.T) {
	groups, malformed := ParseGroup("adm:x:4:syslog, eve,,bob\nnone:x:5:\nbad:x:y:\nshort:x:6\n")

	if len(groups) != 3 || malformed != 1 || strings.Join(groups[0].Members, "|") != "syslog|eve|bob" || len(groups[1].Members) != 0 {
		t.Errorf("%d malformed, %+v", malformed, groups)
	}
}

func TestTheFirstLineOfAnIDGivesItsName(t *testing.T) {
	root := t.TempDir()
	write(t, root, "passwd", "root:x:0:0:::\ntoor:x:0:0:::\n")
	write(t, root, "group", "wheel:x:10:\nadmin:x:10:\n")

	a := Load(&collect.Env{Root: root, Throttle: freely{}})

	user, _ := a.Username(0)
	group, _ := a.Groupname(10)
	if _, unknown := a.Username(77); user != "root" || group != "wheel" || unknown {
		t.Errorf("user %q, group %q", user, group)
	}
}

func TestAMissingPasswdHasNoNamesAndAnUnreadableOneIsUnknown(t *testing.T) {
	env := &collect.Env{Root: t.TempDir(), Throttle: freely{}}
	if name, err := Load(env).UsernameField(0); name != nil || err != nil {
		t.Errorf("missing: %v, %v", name, err)
	}
	if err := os.MkdirAll(filepath.Join(env.Root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(write(t, env.Root, "passwd", ""), maxBytes+1); err != nil {
		t.Fatal(err)
	}

	if _, err := Load(env).UsernameField(0); collect.Reason(err) != "limit" {
		t.Errorf("too large: %v", err)
	}
}

func TestALinkThatLeavesTheRootIsReadInsideIt(t *testing.T) {
	root := t.TempDir()
	write(t, root, "real", "inside:x:0:0:::\n")
	if err := os.Symlink("/etc/real", filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}

	if name, _ := Load(&collect.Env{Root: root, Throttle: freely{}}).Username(0); name != "inside" {
		t.Errorf("uid 0 is %q", name)
	}
}

func TestThisMachineHasARoot(t *testing.T) {
	if name, ok := Load(&collect.Env{Root: "/", Throttle: freely{}}).Username(0); !ok || name != "root" {
		t.Errorf("uid 0 is %q", name)
	}
}

func TestShadowFileThatIsNotThere(t *testing.T) {
	entries, exists, err := LoadShadow(&collect.Env{Root: t.TempDir(), Throttle: freely{}})

	if len(entries) != 0 || exists || err != nil {
		t.Errorf("%v %v %v", entries, exists, err)
	}
}

func write(t *testing.T, root, name, text string) string {
	t.Helper()
	file := filepath.Join(root, "etc", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// FuzzAccounts holds the parsers to: no panic, ids in range, and no hash in what they return.
func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\n")
	f.Add("a:$6$salt$SECRETSECRET:19000:0:99999:7:::\n")
	f.Add("\x00:\xff:-1:4294967296\n::::::\n+\n")
	f.Fuzz(func(t *testing.T, text string) {
		users, _ := ParsePasswd(text)
		for _, u := range users {
			if u.Name == "" || u.UID < 0 || u.UID > 1<<32-1 || u.GID < 0 || u.GID > 1<<32-1 {
				t.Errorf("%+v", u)
			}
		}
		groups, _ := ParseGroup(text)
		for _, g := range groups {
			if g.Name == "" || g.GID < 0 {
				t.Errorf("%+v", g)
			}
		}
		entries, _ := ParseShadow(text)
		for _, e := range entries {
			switch e.Secret.Status {
			case "empty", "locked", "set":
			default:
				t.Errorf("%+v", e)
			}
			if strings.Contains(e.Secret.Hash, "$") {
				t.Errorf("hash kept: %+v", e)
			}
		}
	})
}
