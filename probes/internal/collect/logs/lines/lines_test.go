package lines

import (
	"strings"
	"testing"
	"time"
)

// newest is 2026-11-24 05:40:00 UTC.
var newest = time.Date(2026, 11, 24, 5, 40, 0, 0, time.UTC)

func TestTimesOfManyFormats(t *testing.T) {
	want := time.Date(2026, 11, 24, 5, 39, 25, 0, time.UTC).Unix()
	for _, line := range []string{
		"Nov 24 05:39:25 web sshd[1]: x",
		"<38>Nov 24 05:39:25 web sshd[1]: x",
		"2026-11-24T05:39:25.123456+00:00 web sshd[1]: x",
		"2026-11-24T06:39:25+01:00 web sshd[1]: x",
		"2026-11-24T05:39:25Z web x",
		"2026-11-24T05:39:25+0000 INFO --- logging initialized ---",
		"<34>1 2026-11-24T05:39:25.003Z web su - ID47 - x",
		"2026-11-24 05:39:25 install curl:amd64 <none> 7.88",
		"2026-11-24 05:39:25,123 fail2ban.filter [1]: INFO x",
		"[2026-11-24T05:39:25+0000] [ALPM] installed x (1)",
		"2026/11/24 05:39:25 [error] 12#12: *1 x",
		"Tue Nov 24 05:39:25 2026 [pid 2] CONNECT: Client \"::1\"",
		"[Tue Nov 24 05:39:25.123456 2026] [core:error] [pid 1] x",
		"203.0.113.9 - - [24/Nov/2026:05:39:25 +0000] \"GET / HTTP/1.1\" 200 5",
		"203.0.113.9 - - [24/Nov/2026:00:39:25 -0500] \"GET / HTTP/1.1\" 200 5",
		"type=SYSCALL msg=audit(1795498765.123:456): arch=c000003e",
		"node=web type=CWD msg=audit(1795498765.123:456): cwd=\"/\"",
		"1795498765.123    55 10.0.0.1 TCP_MISS/200 5 GET http://x/ - HIER_DIRECT/- text/html",
		"Start-Date: 2026-11-24  05:39:25",
	} {
		c := &Clock{Newest: newest}
		got, _, ok := c.Parse(line)
		if !ok || got != want {
			t.Errorf("%q: %d %v, want %d", line, got-want, ok, want)
		}
	}
}

func TestLinesWithoutATimeHaveNone(t *testing.T) {
	for _, line := range []string{"", "    continued", "Nov 24", "Xyz 24 05:39:25 a", "Commandline: apt install x", "[", "[x] y", "type=X", "9"} {
		if got, _, ok := (&Clock{Newest: newest}).Parse(line); ok {
			t.Errorf("%q: %d", line, got)
		}
	}
}

func TestTheYearIsThatOfTheFileOrTheOneBefore(t *testing.T) {
	january := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)
	for line, want := range map[string]int{"Dec 31 23:59:59 h p: x": 2026, "Jan  1 00:00:01 h p: x": 2027, "Jan  2 12:00:00 h p: x": 2027} {
		got, _, _ := (&Clock{Newest: january}).Parse(line)
		if year := time.Unix(got, 0).UTC().Year(); year != want {
			t.Errorf("%q: %d", line, year)
		}
	}
}

func TestNeighboursInAMinuteHaveTheirOwnSeconds(t *testing.T) {
	c := &Clock{Newest: newest}
	first, _, _ := c.Parse("Nov 24 05:39:01 h p: x")
	second, _, _ := c.Parse("Nov 24 05:39:59 h p: x")
	third, _, _ := c.Parse("Nov 24 05:40:00 h p: x")

	if second-first != 58 || third-second != 1 {
		t.Error(first, second, third)
	}
}

func TestTheZoneOfTheHostIsThatOfLinesWithoutOne(t *testing.T) {
	c := &Clock{Newest: newest, Zone: time.FixedZone("", 3600)}
	got, _, _ := c.Parse("Nov 24 05:39:25 h p: x")

	if got != time.Date(2026, 11, 24, 4, 39, 25, 0, time.UTC).Unix() {
		t.Error(got)
	}
}

func TestHeads(t *testing.T) {
	for line, want := range map[string]Head{
		"web sshd[123]: Accepted x":                      {"web", "sshd", 123, "Accepted x"},
		"web kernel: [ 12.3] eth0: up":                   {"web", "kernel", 0, "[ 12.3] eth0: up"},
		"web /usr/sbin/cron[9]: (root) CMD":              {"web", "cron", 9, "(root) CMD"},
		"web authpriv.info dropbear[7]: Child":           {"web", "dropbear", 7, "Child"},
		"authpriv.info dropbear[7]: Child":               {"", "dropbear", 7, "Child"},
		"sshd[1]: no host":                               {"", "sshd", 1, "no host"},
		"web systemd-logind[5]: New session 4 of user a": {"web", "systemd-logind", 5, "New session 4 of user a"},
		"web -- MARK --":                                 {"", "", 0, "web -- MARK --"},
		"":                                               {},
	} {
		if got := ParseHead(line); got != want {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestWhatSshdSays(t *testing.T) {
	for message, want := range map[string]SSH{
		"Accepted password for root from 203.0.113.9 port 4711 ssh2": {
			Event: "accepted", Method: "password", Username: "root", Address: "203.0.113.9", Port: 4711},
		"Accepted publickey for ann from 2001:db8::1 port 5 ssh2: ED25519 SHA256:abc": {
			Event: "accepted", Method: "publickey", Username: "ann", Address: "2001:db8::1", Port: 5, KeyType: "ED25519", Fingerprint: "SHA256:abc"},
		"Failed password for invalid user x from y from 203.0.113.9 port 1 ssh2": {
			Event: "invalid_user", Method: "password", Username: "x from y", Address: "203.0.113.9", Port: 1},
		"Failed none for ann from 203.0.113.9 port 1 ssh2":               {Event: "failed", Method: "none", Username: "ann", Address: "203.0.113.9", Port: 1},
		"Invalid user admin from 203.0.113.9 port 2":                     {Event: "invalid_user", Username: "admin", Address: "203.0.113.9", Port: 2},
		"Invalid user  from 203.0.113.9":                                 {Event: "invalid_user", Address: "203.0.113.9"},
		"Connection closed by authenticating user root 1.2.3.4 port 5":   {Event: "closed", Username: "root", Address: "1.2.3.4", Port: 5},
		"Connection closed by 1.2.3.4 port 5 [preauth]":                  {Event: "closed", Address: "1.2.3.4", Port: 5},
		`Connection from 1.2.3.4 port 5 on 192.0.2.1 port 22 rdomain ""`: {Event: "connection", Address: "1.2.3.4", Port: 5},
		"Disconnected from user ann 1.2.3.4 port 5":                      {Event: "disconnected", Username: "ann", Address: "1.2.3.4", Port: 5},
		"Received disconnect from 1.2.3.4 port 5:11: bye":                {Event: "disconnected", Address: "1.2.3.4", Port: 5},
		"User root from 1.2.3.4 not allowed because not listed in AllowUsers": {
			Event: "not_allowed", Username: "root", Address: "1.2.3.4"},
		"Bad protocol version identification 'GET /' from 1.2.3.4 port 5":                                       {Event: "bad_protocol", Address: "1.2.3.4", Port: 5},
		"error: maximum authentication attempts exceeded for invalid user a from 1.2.3.4 port 5 ssh2 [preauth]": {Event: "too_many", Username: "a", Address: "1.2.3.4", Port: 5},
	} {
		if got, ok := ParseSSH(message); !ok || got != want {
			t.Errorf("%q:\n%+v\n%+v", message, got, want)
		}
	}
	if _, ok := ParseSSH("Server listening on :: port 22."); ok {
		t.Error("a start is no event of a client")
	}
}

func TestWhatSudoSays(t *testing.T) {
	got, ok := ParseSudo("  ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/bin/sh -c 'a ; USER=b'")
	if want := (Sudo{"ann", "root", "pts/0", "/home/ann", "/bin/sh -c 'a ; USER=b'", "", false}); !ok || got != want {
		t.Errorf("%+v", got)
	}
	got, _ = ParseSudo("bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/ls")
	if !got.Denied || got.Reason != "user NOT in sudoers" || got.Command != "/bin/ls" {
		t.Errorf("%+v", got)
	}
	if _, ok := ParseSudo("pam_unix(sudo:session): session opened for user root(uid=0) by ann(uid=1000)"); ok {
		t.Error("PAM's line is none of sudo's")
	}
}

func TestWhatSuSays(t *testing.T) {
	for message, want := range map[string]Su{
		"(to root) ann on pts/0":           {"ann", "root", false},
		"FAILED SU (to root) ann on pts/0": {"ann", "root", true},
		"+ /dev/pts/0 ann:root":            {"ann", "root", false},
		"- /dev/pts/0 ann:root":            {"ann", "root", true},
		"Successful su for root by ann":    {"ann", "root", false},
	} {
		if got, ok := ParseSu(message); !ok || got != want {
			t.Errorf("%q: %+v", message, got)
		}
	}
}

func TestWhatPAMSays(t *testing.T) {
	for message, want := range map[string]PAM{
		"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root": {"pam_unix", "sshd", "failure", "root", "203.0.113.9"},
		"pam_unix(su-l:session): session opened for user root(uid=0) by ann(uid=1000)":                                   {"pam_unix", "su-l", "opened", "root", ""},
		"pam_unix(cron:session): session closed for user root":                                                           {"pam_unix", "cron", "closed", "root", ""},
		"pam_unix(passwd:chauthtok): password changed for ann":                                                           {"pam_unix", "passwd", "changed", "ann", ""},
	} {
		if got, ok := ParsePAM(message); !ok || got != want {
			t.Errorf("%q: %+v", message, got)
		}
	}
}

func TestWhatCronSays(t *testing.T) {
	for message, want := range map[string]Cron{
		"(root) CMD (   cd / && run-parts --report /etc/cron.hourly)": {"root", "cd / && run-parts --report /etc/cron.hourly"},
		"USER root pid  99 cmd /tmp/x":                                {"root", "/tmp/x"},
	} {
		if got, ok := ParseCron(message); !ok || got != want {
			t.Errorf("%q: %+v", message, got)
		}
	}
}

func TestWhatTheToolsForAccountsSay(t *testing.T) {
	none := func(a Account) Account { a.UID, a.GID = -1, -1; return a }
	for message, want := range map[string]Account{
		"new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/bash, from=/dev/pts/0": {"user_added", "eve", "", "/root", "/bin/bash", 0, 0},
		"new group: name=eve, GID=1001":                            {"group_added", "", "eve", "", "", -1, 1001},
		"delete user 'eve'":                                        none(Account{Action: "user_deleted", Name: "eve"}),
		"add 'eve' to group 'sudo'":                                none(Account{Action: "member_added", Name: "eve", Group: "sudo"}),
		"add 'eve' to shadow group 'sudo'":                         none(Account{Action: "member_added", Name: "eve", Group: "sudo"}),
		"user eve added by root to group docker":                   none(Account{Action: "member_added", Name: "eve", Group: "docker"}),
		"change user 'eve' UID from '1001' to '0'":                 {"user_changed", "eve", "", "", "", 0, -1},
		"change user 'games' shell from '/bin/false' to '/bin/sh'": none(Account{Action: "user_changed", Name: "games", Shell: "/bin/sh"}),
		"changed user 'games' shell to '/bin/bash'":                none(Account{Action: "user_changed", Name: "games"}),
		"pam_unix(passwd:chauthtok): password changed for root":    none(Account{Action: "password_changed", Name: "root"}),
	} {
		if got, ok := ParseAccount(message); !ok || got != want {
			t.Errorf("%q:\n%+v\n%+v", message, got, want)
		}
	}
}

func TestPackagesOfThreeManagers(t *testing.T) {
	for rest, want := range map[string]Package{
		"install curl:amd64 <none> 7.88":             {"install", "curl", "7.88", "<none>"},
		"upgrade libc6:amd64 2.36-9 2.36-10":         {"upgrade", "libc6", "2.36-10", "2.36-9"},
		"SUBDEBUG Installed: nmap-7.92-1.el9.x86_64": {"install", "nmap-7.92-1.el9.x86_64", "", ""},
		"[ALPM] installed nmap (7.94-1)":             {"install", "nmap", "", ""},
	} {
		if got, ok := ParsePackage(rest); !ok || got != want {
			t.Errorf("%q: %+v", rest, got)
		}
	}
	if _, ok := ParsePackage("status half-configured curl:amd64 7.88"); ok {
		t.Error("a status is no change")
	}
}

func TestAuditRecordsAreDecoded(t *testing.T) {
	a, ok := ParseAudit(`type=SYSCALL msg=audit(1700000000.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=10 items=2 ppid=1 pid=2 auid=4294967295 uid=0 tty=(none) comm="sh" exe=2F746D702F612062 key=(null)`+"\x1d"+`ARCH=x86_64 UID="root"`, "")

	if !ok || a.Type != "SYSCALL" || a.Serial != 456 || a.Syscall() != "execve" || a.Get("exe") != "/tmp/a b" || a.Get("key") != "" ||
		a.Get("a0") != "55d0" || a.Get("tty") != "" || a.Get("UID") != "root" {
		t.Errorf("%+v", a)
	}
	if _, ok := a.Number("auid"); ok {
		t.Error("the unset user id is a number")
	}
}

func TestArgumentsOfAProgramAreJoined(t *testing.T) {
	a, _ := ParseAudit(`type=EXECVE msg=audit(1.2:3): argc=3 a0="sh" a1="-c" a2=6375726C20687474703A2F2F78`, "")

	if got := a.CommandLine(); got != "sh -c curl http://x" {
		t.Errorf("%q", got)
	}
}

func TestTitlesAreDecodedAndMessagesWithinRead(t *testing.T) {
	title, _ := ParseAudit(`type=PROCTITLE msg=audit(1.2:3): proctitle=6C73002D6C00`, "")
	user, _ := ParseAudit(`type=USER_LOGIN msg=audit(1.2:3): pid=9 uid=0 auid=1000 ses=1 msg='op=login acct="ann" exe="/usr/sbin/sshd" hostname=h addr=203.0.113.9 terminal=ssh res=failed'`, "")

	if title.CommandLine() != "ls -l" {
		t.Errorf("%q", title.CommandLine())
	}
	if user.Get("acct") != "ann" || user.Get("addr") != "203.0.113.9" || user.Get("res") != "failed" {
		t.Errorf("%+v", user)
	}
}

func TestWebRequests(t *testing.T) {
	for line, want := range map[string]Web{
		`203.0.113.9 - ann [24/Nov/2026:05:39:25 +0000] "GET /a?b=c%20d HTTP/1.1" 200 512 "http://r/" "curl/8"`: {
			Address: "203.0.113.9", Username: "ann", Method: "GET", URI: "/a?b=c%20d", Path: "/a", Query: "b=c%20d", Protocol: "HTTP/1.1",
			Referer: "http://r/", Agent: "curl/8", Status: 200, Size: 512},
		`web.example:443 203.0.113.9 - - [24/Nov/2026:05:39:25 +0000] "POST / HTTP/2.0" 302 -`: {
			Host: "web.example:443", Address: "203.0.113.9", Method: "POST", URI: "/", Path: "/", Protocol: "HTTP/2.0", Status: 302, Size: -1},
		`203.0.113.9 - - [24/Nov/2026:05:39:25 +0000] "\x16\x03\x01" 400 150 "-" "-"`: {
			Address: "203.0.113.9", URI: `\x16\x03\x01`, Malformed: true, Status: 400, Size: 150},
		`203.0.113.9 - - [24/Nov/2026:05:39:25 +0000] "GET http://x.example/y?z HTTP/1.1" 200 1 "-" "a \"quoted\" b"`: {
			Host: "x.example", Address: "203.0.113.9", Method: "GET", URI: "http://x.example/y?z", Path: "/y", Query: "z", Protocol: "HTTP/1.1",
			Agent: `a \"quoted\" b`, Status: 200, Size: 1},
	} {
		if got, ok := ParseWeb(line); !ok || got != want {
			t.Errorf("%q:\n%+v\n%+v", line, got, want)
		}
	}
}

func TestNestedEscapesAreResolvedAndBrokenOnesStay(t *testing.T) {
	for uri, want := range map[string]string{
		"/%2e%2e/%2e%2e/etc/passwd": "/../../etc/passwd", "/%252e%252e%252fetc": "/../etc", "/100%": "/100%", "/%zz%41": "/%zzA",
	} {
		if got := (&Web{URI: uri}).Decoded(); got != want {
			t.Errorf("%q: %q", uri, got)
		}
	}
}

func TestPatternsHaveNothingThatVaries(t *testing.T) {
	got := Pattern("Accepted publickey for ann from 203.0.113.9 port 4711 ssh2: RSA SHA256:aB3x", 200)

	if got != "Accepted publickey for ann from #.#.#.# port # #: RSA #:#" {
		t.Errorf("%q", got)
	}
	if len(Pattern(strings.Repeat("ab ", 1000), 50)) > 100 {
		t.Error("a pattern is not bounded")
	}
}

func FuzzLines(f *testing.F) {
	f.Add("Nov 24 05:39:25 web sshd[1]: Accepted password for root from 203.0.113.9 port 4711 ssh2")
	f.Add(`type=EXECVE msg=audit(1.2:3): argc=3 a0="sh" a1="-c" a2=6375`)
	f.Add(`203.0.113.9 - - [24/Nov/2026:05:39:25 +0000] "GET /%2e HTTP/1.1" 200 512 "-" "-"`)
	f.Add("+ /dev/pts/0 ann:root")
	f.Add("user eve added by root to group docker")
	f.Fuzz(func(t *testing.T, line string) {
		_, rest, _ := (&Clock{Newest: newest}).Parse(line)
		if len(rest) > len(line) {
			t.Error("more is left than there was")
		}
		head := ParseHead(rest)
		ParseSSH(head.Message)
		ParseSudo(head.Message)
		ParseSu(head.Message)
		ParsePAM(head.Message)
		ParseCron(head.Message)
		ParseAccount(head.Message)
		ParsePackage(rest)
		if a, ok := ParseAudit(line, ""); ok {
			a.CommandLine()
			a.Syscall()
		}
		if w, ok := ParseWeb(line); ok {
			w.Decoded()
		}
		if got := Pattern(line, 50); len(got) > 100 {
			t.Errorf("a pattern of %d bytes", len(got))
		}
	})
}
