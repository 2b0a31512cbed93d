package logs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

// logFiles collects log files by their path.
func logFiles(t *testing.T, root string) map[string]seen {
	t.Helper()
	records, status := run(t, fileCollector(), root)
	if len(status.Parts) > 0 {
		t.Errorf("%v", status.Parts)
	}
	out := map[string]seen{}
	for _, r := range records {
		out[r.text("path")] = r
	}
	return out
}

func TestALogTellsWhenItBeginsAndWhereItHasAGap(t *testing.T) {
	text := stamp(9000) + " web a: x\n" + stamp(8000) + " web a: x\n" + stamp(1000) + " web a: x\n" + stamp(1500) + " web a: x\n"
	files := logFiles(t, tree(t, map[string]string{"var/log/auth.log": text}))

	expect(t, files["/var/log/auth.log"], map[string]any{
		"log": "auth", "exists": true, "type": "regular", "size": int64(len(text)), "is_empty": false, "is_symlink": false, "is_rotated": false,
		"mode": "0644", "world_readable": true, "world_writable": false, "mtime": now.Unix(), "lines": int64(4),
		"first_time": now.Unix() - 9000, "last_time": now.Unix() - 1500, "max_gap_s": int64(7000), "gap_start": now.Unix() - 8000,
		"backward_s": int64(500), "has_nul_blocks": false, "nul_bytes": int64(0), "records": nil, "zeroed_records": nil, "journal_state": nil,
	})
}

func TestWhatWasOverwrittenWithZerosIsSeen(t *testing.T) {
	text := stamp(90) + " web a: x\n" + strings.Repeat("\x00", 70_000) + "\n" + stamp(80) + " web a: y\n\x00\x00\n"
	files := logFiles(t, tree(t, map[string]string{"var/log/syslog": text}))

	expect(t, files["/var/log/syslog"], map[string]any{"has_nul_blocks": true, "nul_bytes": int64(70_000)})
}

func TestALogThatLeadsNowhereIsSeen(t *testing.T) {
	root := tree(t, map[string]string{"var/log/syslog": ""})
	must(t, os.Symlink("/dev/null", filepath.Join(root, "var/log/wtmp")))

	files := logFiles(t, root)

	expect(t, files["/var/log/wtmp"], map[string]any{"is_symlink": true, "symlink_target": "/dev/null", "exists": true, "type": "symlink", "records": nil})
	expect(t, files["/var/log/syslog"], map[string]any{"is_empty": true, "lines": int64(0), "first_time": nil})
	expect(t, files["/var/log/btmp"], map[string]any{"exists": false, "size": nil, "is_empty": nil})
}

func TestADirectoryInTheWayOfALogIsSeen(t *testing.T) {
	root := tree(t, map[string]string{"var/log/user.log/x": "", "var/log/auth.log/x": "", "var/log/mail/x": "", "var/log/cron/x": ""})

	files := logFiles(t, root)

	expect(t, files["/var/log/user.log"], map[string]any{"exists": true, "type": "directory", "log": "user", "lines": nil})
	expect(t, files["/var/log/auth.log"], map[string]any{"exists": true, "type": "directory", "log": "auth"})
	if len(files) != 5 { // with wtmp, btmp and lastlog, which most hosts have
		t.Error("what distributions have as a directory is told as a log")
	}
}

func TestZeroedAndCutRecordsAreCounted(t *testing.T) {
	wtmp := utmpRecord(7, 1, "pts/0", "ann", "", 1_799_000_000) + strings.Repeat("\x00", 384) + utmpRecord(7, 2, "pts/1", "bob", "", 0) +
		utmpRecord(7, 3, "pts/1", "bob", "", 1_798_000_000) + utmpRecord(8, 3, "pts/1", "", "", 1_799_500_000) + "rest"
	files := logFiles(t, tree(t, map[string]string{"var/log/wtmp": wtmp}))

	expect(t, files["/var/log/wtmp"], map[string]any{
		"records": int64(5), "zeroed_records": int64(2), "truncated_bytes": int64(4), "first_time": int64(1_799_000_000),
		"last_time": int64(1_799_500_000), "backward_s": int64(1_000_000), "lines": nil,
	})
}

func TestALoginThatWtmpHasLostIsSeenInLastlog(t *testing.T) {
	history := utmpRecord(2, 0, "~", "reboot", "6.1", 1_798_000_000)
	login := utmpRecord(7, 1, "pts/0", "ann", "", 1_799_000_000)
	for wtmp, want := range map[string]any{
		history + login: nil,
		history:         []string{"ann"},
		"":              nil,
		utmpRecord(2, 0, "~", "r", "", 1_799_900_000): nil, // rotated after that login
	} {
		files := logFiles(t, tree(t, map[string]string{"etc/passwd": passwd, "var/log/wtmp": wtmp,
			"var/log/lastlog": lastlogRecords(1000, 1_799_000_000, "pts/0", "")}))

		got := files["/var/log/lastlog"].values["unmatched_users"]
		if list, _ := got.([]string); (len(list) > 0) != (want != nil) || want != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%d bytes of wtmp: %v", len(wtmp), got)
		}
	}
}

func TestAHoleInALogIsSeen(t *testing.T) {
	root := tree(t, map[string]string{"var/log/messages": "x\n"})
	must(t, os.Truncate(filepath.Join(root, "var/log/messages"), 10<<20))

	expect(t, logFiles(t, root)["/var/log/messages"], map[string]any{"is_sparse": true, "has_nul_blocks": true})
}

func TestJournalsTellTheirState(t *testing.T) {
	files := logFiles(t, tree(t, map[string]string{
		"var/log/journal/01/system.journal":  journalText([]string{"MESSAGE=x"}),
		"var/log/journal/01/user-1.journal~": "not one any more",
	}))

	expect(t, files["/var/log/journal/01/system.journal"], map[string]any{"journal_state": "archived", "journal_broken": false, "journal_sealed": false, "last_time": now.Unix(), "lines": nil})
	expect(t, files["/var/log/journal/01/user-1.journal~"], map[string]any{"journal_broken": true})
}

func TestRotatedLogsAreToldAndPackedOnesReadThrough(t *testing.T) {
	files := logFiles(t, tree(t, map[string]string{"var/log/auth.log.2.gz": gzipped(t, stamp(90)+" web a: x\n")}))

	expect(t, files["/var/log/auth.log.2.gz"], map[string]any{"is_rotated": true, "lines": int64(1), "first_time": now.Unix() - 90})
}

func TestNoSubjectNamesAFieldTwice(t *testing.T) {
	for _, c := range Collectors() {
		for _, s := range c.Subjects {
			names := map[string]bool{}
			for _, f := range s.Fields {
				if names[f.Name] || f.Doc == "" || f.Source == "" {
					t.Errorf("%s.%s", s.Name, f.Name)
				}
				names[f.Name] = true
			}
			for _, name := range append(append([]string{}, s.Identity...), s.Evidence...) {
				if s.Index(name) < 0 || s.Costs[s.Index(name)] == collect.Costly {
					t.Errorf("%s has no cheap %s", s.Name, name)
				}
			}
		}
	}
}
