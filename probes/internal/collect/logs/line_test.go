package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// stamp writes a time of so many seconds before the visit as syslog does.
func stamp(before int) string {
	return now.Add(-time.Duration(before) * time.Second).UTC().Format("Jan _2 15:04:05")
}

func logLines(t *testing.T, files map[string]string) ([]seen, *collect.Status) {
	t.Helper()
	return run(t, lineCollector(), tree(t, files))
}

func TestALineHasItsKindTimeProgramAndText(t *testing.T) {
	raw := stamp(60) + " web sshd[7]: Accepted password for root from 203.0.113.9 port 4711 ssh2"
	records, status := logLines(t, map[string]string{"var/log/auth.log": "\n" + raw + "\n"})

	if len(records) != 1 || len(records[0].errs) > 0 || len(status.Parts) > 0 {
		t.Fatalf("%v %v", records, status.Parts)
	}
	expect(t, records[0], map[string]any{
		"log": "auth", "path": "/var/log/auth.log", "offset": int64(1), "time": now.Unix() - 60, "age_s": int64(60), "hostname": "web", "program": "sshd",
		"pid": int64(7), "message": "Accepted password for root from 203.0.113.9 port 4711 ssh2", "text": raw, "is_truncated": false,
		"username": "root", "remote_address": "203.0.113.9", "is_remote_private": false, "unit": nil, "priority": nil,
		"pattern": "Accepted password for root from #.#.#.# port # #", "ssh.event": "accepted", "ssh.method": "password",
		"ssh.username": "root", "ssh.port": int64(4711), "sudo.command": nil, "audit.type": nil, "web.status": nil,
	})
}

func TestOnlyTheLastDayIsLookedAt(t *testing.T) {
	old := stamp(26*3600) + " web a: old\n"
	records, _ := logLines(t, map[string]string{"var/log/syslog": old + "  belongs to the old one\n" + stamp(5) + " web a: new\n  belongs to the new one\n"})

	if got := fmt.Sprint(column(records, "message")); got != "[new   belongs to the new one]" {
		t.Error(got)
	}
}

func TestTheBeginningOfTheDayIsFoundInALongLog(t *testing.T) {
	var b strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&b, "%s web a[%d]: an old line that says nothing of interest\n", stamp(40*3600-i/10), i)
	}
	b.WriteString(stamp(5) + " web a: new\n")

	records, status := logLines(t, map[string]string{"var/log/syslog": b.String()})

	if len(records) != 1 || len(status.Parts) > 0 {
		t.Errorf("%d %v", len(records), status.Parts)
	}
}

func TestRotatedAndPackedLogsAreReadWhenTheyReachIntoTheDay(t *testing.T) {
	root := tree(t, map[string]string{
		"var/log/auth.log.1":           stamp(3600) + " web a: one\n",
		"var/log/auth.log.2.gz":        gzipped(t, stamp(7200)+" web a: two\n"),
		"var/log/auth.log.3.xz":        xzed(t, stamp(8000)+" web a: packed as xz\n"),
		"var/log/secure-20270114":      stamp(9000) + " web a: three\n",
		"var/log/auth.log.old":         stamp(9000) + " web a: not a log\n",
		"var/log/nginx/x.access.log.1": `192.0.2.1 - - [15/Jan/2027:07:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"` + "\n",
	})

	records, _ := run(t, lineCollector(), root)

	if got := fmt.Sprint(column(records, "message")); !strings.HasPrefix(got, "[one two packed as xz three 192.0.2.1 -") {
		t.Error(got)
	}
	expect(t, records[4], map[string]any{"log": "web", "web.method": "GET", "web.status": int64(200), "remote_address": "192.0.2.1"})
}

func TestALineBeyondAllBoundsIsCutAndTheNextIsWhole(t *testing.T) {
	records, _ := logLines(t, map[string]string{
		"var/log/syslog": stamp(5) + " web a: " + strings.Repeat("x", 3<<20) + "\n" + stamp(4) + " web a: after\n",
	})

	if len(records) != 2 || len(records[0].text("text")) != maxLine {
		t.Fatalf("%d", len(records))
	}
	expect(t, records[0], map[string]any{"is_truncated": true})
	expect(t, records[1], map[string]any{"is_truncated": false, "message": "after"})
}

func TestASparseLogOfManyGigabytesIsReadFromItsEndOnly(t *testing.T) {
	root := tree(t, map[string]string{"var/log/syslog": ""})
	file := filepath.Join(root, "var/log/syslog")
	must(t, os.Truncate(file, 8<<30))
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("\n" + stamp(5) + " web a: end\n")
	must(t, err)
	must(t, f.Close())
	must(t, os.Chtimes(file, now, now))

	records, status := run(t, lineCollector(), root)

	if len(records) != 1 || records[0].text("message") != "end" {
		t.Errorf("%d", len(records))
	}
	if parts := status.Parts["log_line"]; len(parts) != 1 || !errors.Is(parts[0], collect.ErrLimit) {
		t.Errorf("%v", parts)
	}
}

func TestWhatIsNoFileIsNeverWaitedFor(t *testing.T) {
	root := tree(t, map[string]string{"var/log/auth.log": stamp(1) + " web a: x\n"})
	must(t, syscall.Mkfifo(filepath.Join(root, "var/log/syslog"), 0o644))
	must(t, os.Symlink("/dev/null", filepath.Join(root, "var/log/messages")))
	must(t, os.MkdirAll(filepath.Join(root, "var/log/secure"), 0o755))

	records, status := run(t, lineCollector(), root)

	if len(records) != 1 || len(status.Parts) > 0 {
		t.Errorf("%d %v", len(records), status.Parts)
	}
}

func TestABrokenPackedLogIsSaid(t *testing.T) {
	text := strings.Repeat(stamp(9)+" web a: x\n", 500)
	gz, xz := gzipped(t, text), xzed(t, text)
	_, status := logLines(t, map[string]string{"var/log/syslog.1.gz": gz[:len(gz)-20], "var/log/syslog.2.gz": "nothing packed",
		"var/log/syslog.3.xz": xz[:len(xz)-20], "var/log/syslog.4.xz": "nothing packed", "var/log/syslog.5.lz4": "not read"})

	if parts := status.Parts["log_line"]; len(parts) != 5 {
		t.Errorf("%v", parts)
	}
}

func TestNULsBeforeALineAreLeftOut(t *testing.T) {
	records, _ := logLines(t, map[string]string{"var/log/syslog": strings.Repeat("\x00", 100_000) + stamp(5) + " web a: x\n"})

	expect(t, records[0], map[string]any{"program": "a", "message": "x"})
}

func TestTimesWithoutAZoneAreInThatOfTheHost(t *testing.T) {
	zone, err := os.ReadFile("/usr/share/zoneinfo/Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	local := now.Add(time.Hour).UTC().Format("Jan _2 15:04:05")
	records, _ := logLines(t, map[string]string{"etc/localtime": string(zone), "var/log/syslog": local + " web a: x\n"})

	expect(t, records[0], map[string]any{"time": now.Unix()})
}

func TestEveryKindOfLineIsTakenApart(t *testing.T) {
	text := strings.Join([]string{
		"sudo: ann : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
		"su[3]: (to root) ann on pts/0",
		"useradd[4]: new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/bash",
		"CRON[5]: (root) CMD (/tmp/x)",
		"sshd[6]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root",
	}, "\n"+stamp(5)+" web ")
	records, _ := logLines(t, map[string]string{
		"var/log/auth.log":        stamp(5) + " web " + text + "\n",
		"var/log/audit/audit.log": fmt.Sprintf("type=SYSCALL msg=audit(%d.1:77): arch=c000003e syscall=175 success=yes auid=1000 uid=0 exe=\"/usr/bin/kmod\" key=\"modules\"\n", now.Unix()),
		"var/log/dpkg.log":        now.UTC().Format("2006-01-02 15:04:05") + " install nmap:amd64 <none> 7.93\n",
	})

	expect(t, records[0], map[string]any{"sudo.username": "ann", "sudo.runas": "root", "sudo.command": "/bin/sh", "sudo.is_denied": false})
	expect(t, records[1], map[string]any{"su.username": "ann", "su.target": "root", "username": "ann"})
	expect(t, records[2], map[string]any{"account.action": "user_added", "account.name": "eve", "account.uid": int64(0), "account.shell": "/bin/bash"})
	expect(t, records[3], map[string]any{"cron.username": "root", "cron.command": "/tmp/x"})
	expect(t, records[4], map[string]any{"pam.event": "failure", "pam.service": "sshd", "remote_address": "203.0.113.9", "ssh.event": nil})
	expect(t, records[5], map[string]any{"package.action": "install", "package.name": "nmap", "package.version": "7.93"})
	expect(t, records[6], map[string]any{"audit.type": "SYSCALL", "audit.syscall": "init_module", "audit.auid": int64(1000),
		"audit.exe": "/usr/bin/kmod", "audit.key": "modules", "audit.success": "yes", "audit.serial": int64(77)})
}

func TestNamesOfRotatedLogs(t *testing.T) {
	for name, want := range map[string]string{
		"auth.log": "auth.log", "auth.log.1": "auth.log", "auth.log.12.gz": "auth.log", "secure-20270114": "secure", "cron-20270114.gz": "cron",
		"audit.log.3": "audit.log", "x.log-2027-01-14": "x.log", "1": "1", "-1": "-1", "": "", "log": "log",
	} {
		if got := unrotated(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}
