package logs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

const passwd = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/sh\n"

func logins(t *testing.T, files map[string]string) ([]seen, *collect.Status) {
	t.Helper()
	files["etc/passwd"] = passwd
	return run(t, loginCollector(), tree(t, files))
}

func TestALoginHasItsUserPlaceAndEnd(t *testing.T) {
	records, _ := logins(t, map[string]string{"var/log/wtmp": utmpRecord(7, 900, "pts/0", "ann", "gate.example", 1_799_999_000, 203, 0, 113, 9) +
		utmpRecord(8, 900, "pts/0", "", "", 1_799_999_600)})

	if len(records) != 1 {
		t.Fatalf("%v", records)
	}
	expect(t, records[0], map[string]any{
		"source": "wtmp", "path": "/var/log/wtmp", "username": "ann", "tty": "pts/0", "pid": int64(900), "type": int64(7),
		"type_name": "normal", "time": int64(1_799_999_000), "age_s": int64(1000), "host": "gate.example", "address": "203.0.113.9",
		"is_remote_private": false, "logout_time": int64(1_799_999_600), "duration_s": int64(600), "is_active": false,
		"is_failed": false, "uid": int64(1000), "shell": "/bin/sh", "is_local_user": true, "service": nil,
	})
}

func TestALoginWithoutAnEndIsActive(t *testing.T) {
	records, _ := logins(t, map[string]string{"var/log/wtmp": utmpRecord(7, 900, "pts/0", "ann", "10.0.0.5", 1_799_999_000)})

	expect(t, records[0], map[string]any{"is_active": true, "logout_time": nil, "address": "10.0.0.5", "is_remote_private": true})
}

func TestAStartOfTheHostEndsTheLoginsBeforeIt(t *testing.T) {
	records, _ := logins(t, map[string]string{"var/log/wtmp": utmpRecord(7, 900, "tty1", "ann", "", 1_799_990_000) +
		utmpRecord(2, 0, "~", "reboot", "6.1.0", 1_799_995_000)})

	expect(t, records[1], map[string]any{"username": "ann", "is_active": false, "logout_time": int64(1_799_995_000)})
	expect(t, records[0], map[string]any{"type_name": "boot-time", "host": "6.1.0", "is_local_user": false})
}

func TestFailedLoginsComeFromBtmpAndItsRotations(t *testing.T) {
	records, status := logins(t, map[string]string{
		"var/log/btmp":   utmpRecord(6, 1, "ssh:notty", "admin", "198.51.100.1", 1_799_999_999),
		"var/log/btmp.1": utmpRecord(6, 1, "ssh:notty", "test", "198.51.100.2", 1_799_000_000),
		"var/log/btmp-20270101.gz": gzipped(t,
			utmpRecord(6, 1, "ssh:notty", "oracle", "198.51.100.3", 1_798_000_000)),
		"var/log/btmp.old.txt": "not one",
	})

	names := column(records, "username")
	slices.SortFunc(names, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	if !slices.Equal(names, []any{"admin", "oracle", "test"}) || len(status.Parts["login"]) > 0 {
		t.Errorf("%v %v", names, status.Parts)
	}
	expect(t, records[0], map[string]any{"is_failed": true, "source": "btmp"})
}

func TestOnlyTheNewestLoginsOfAFileAreRead(t *testing.T) {
	var b strings.Builder
	for i := range maxLogins + 300 {
		b.WriteString(utmpRecord(7, i+1, "pts/0", "ann", "", 1_700_000_000+int64(i)))
	}

	records, _ := logins(t, map[string]string{"var/log/wtmp": b.String()})

	if len(records) != maxLogins || records[0].values["time"] != int64(1_700_000_000+maxLogins+299) {
		t.Errorf("%d, first %v", len(records), records[0].values["time"])
	}
}

func TestWhoIsOnNowIsReadOnceWhicheverWayTheDirectoryLeads(t *testing.T) {
	root := tree(t, map[string]string{"run/utmp": utmpRecord(7, 3, "pts/1", "root", "", 1_799_999_000)})
	must(t, os.MkdirAll(filepath.Join(root, "var"), 0o755))
	must(t, os.Symlink("/run", filepath.Join(root, "var/run")))

	records, _ := run(t, loginCollector(), root)

	if len(records) != 1 {
		t.Fatal(records)
	}
	expect(t, records[0], map[string]any{"source": "utmp", "is_active": true})
}

func TestLastLoginsAreThoseOfLocalUsers(t *testing.T) {
	records, _ := logins(t, map[string]string{"var/log/lastlog": lastlogRecords(1000, 1_799_000_000, "pts/2", "203.0.113.7")})

	if len(records) != 1 {
		t.Fatal(records)
	}
	expect(t, records[0], map[string]any{"source": "lastlog", "username": "ann", "tty": "pts/2", "address": "203.0.113.7", "time": int64(1_799_000_000)})
}

func TestAFileThatIsNoDatabaseIsSaidToBeUnreadable(t *testing.T) {
	_, status := logins(t, map[string]string{"var/lib/lastlog/lastlog2.db": strings.Repeat("junk", 100)})

	if parts := status.Parts["login"]; len(parts) != 1 || !strings.Contains(parts[0].Error(), "lastlog2.db") {
		t.Errorf("%v", parts)
	}
}

func TestACompressionThatIsNotReadIsSaid(t *testing.T) {
	_, status := logins(t, map[string]string{"var/log/wtmp.1.lz4": "\x04\x22\x4d\x18"})

	if parts := status.Parts["login"]; len(parts) != 1 || !errors.Is(parts[0], collect.ErrLimit) {
		t.Errorf("%v", parts)
	}
}

func TestRotatedNamesAreTold(t *testing.T) {
	for name, want := range map[string]bool{
		"wtmp.1": true, "wtmp-20260101": true, "wtmp.2.gz": true, "wtmp": false, "wtmpx": false, "wtmp.db": false, "wtmp-2026-01-01.zst": true,
	} {
		if isRotated(name, "wtmp") != want {
			t.Error(name)
		}
	}
}
