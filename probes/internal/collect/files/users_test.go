package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

// secretHash must never come out of a record.
const secretHash = "$6$canary$NeverToBeSeenAnywhere"

func accountsTree(t *testing.T) string {
	t.Helper()
	root := tree(t, map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\neve:x:1000:1000:Eve:/home/eve:\n" +
			"svc:*:9:9::/nonexistent:/usr/sbin/nologin\nold:" + secretHash + ":10:9:::\nopen::11:9:::\nlost:x:12:9:::\n",
		"/etc/group":                     "root:x:0:\neve:x:1000:\nsudo:x:27:eve,svc\nalso:x:27:\nopen::28:\n",
		"/etc/shadow":                    "root:!" + secretHash + ":19000:0:99999:7:::\ntoor:" + secretHash + ":0:::::20000:\neve::19000::::::\n",
		"/etc/gshadow":                   "root:*::\nsudo:" + secretHash + "::\n",
		"/home/eve/.ssh/authorized_keys": ed25519Key + "\njunk\n" + rsaKey,
	})
	must(t, os.Chmod(filepath.Join(root, "home/eve"), 0o711))
	return root
}

func TestUsersAreRecordedWithWhatTheirFilesSay(t *testing.T) {
	records, status := run(t, accountsCollector(), accountsTree(t), "user")

	if len(records) != 7 || len(status.Failed) != 0 {
		t.Fatalf("%d records, %v", len(records), status.Failed)
	}
	eve := find(t, records, "username", "eve")
	got := spaced(eve.values["uid"], eve.values["groups"], eve.values["shell"], eve.values["has_login_shell"],
		eve.values["home_mode"], eve.values["is_admin_group_member"], eve.values["authorized_keys_count"], eve.values["uid_twins"])
	if got != "1000 [eve sudo] <nil> true 0711 true 2 <nil>" {
		t.Errorf("eve: %s %v", got, eve.errs)
	}
	root := find(t, records, "username", "root")
	if spaced(root.values["uid_twins"], root.values["password_last_change"], root.values["password_max_days"]) != "[toor] 1641600000 99999" {
		t.Errorf("root: %v", root.values)
	}
	svc := find(t, records, "username", "svc")
	if svc.values["has_login_shell"] != false || svc.values["home_exists"] != false || svc.values["home_mode"] != nil {
		t.Errorf("svc: %v", svc.values)
	}
}

func TestPasswordStatusIsToldWhereverThePasswordIsKept(t *testing.T) {
	records, _ := run(t, accountsCollector(), accountsTree(t), "user")

	want := map[string]string{
		"root": "locked sha512 true", "toor": "set sha512 true", "eve": "empty <nil> true", "svc": "locked <nil> false",
		"old": "set sha512 false", "open": "empty <nil> false", "lost": "none <nil> false",
	}
	for name, expected := range want {
		r := find(t, records, "username", name)
		if got := spaced(r.values["password_status"], r.values["password_hash_type"], r.values["in_shadow"]); got != expected {
			t.Errorf("%s: %s %v", name, got, r.errs)
		}
	}
}

func TestNoHashLeavesTheAccounts(t *testing.T) {
	root := accountsTree(t)
	users, _ := run(t, accountsCollector(), root, "user")
	groups, _ := run(t, accountsCollector(), root, "group")

	if all := fmt.Sprint(users, groups); strings.Contains(all, "canary") || strings.Contains(all, "NeverToBe") {
		t.Error("a hash is in a record")
	}
}

func TestWithoutRightsShadowFactsAreUnknownAndWithoutTheFileAbsent(t *testing.T) {
	root := accountsTree(t)
	must(t, os.Chmod(filepath.Join(root, "etc/shadow"), 0o600))
	asNobody(t, root)

	closed, _ := run(t, accountsCollector(), root, "user")
	eve := find(t, closed, "username", "eve")
	for _, field := range []string{"password_status", "password_hash_type", "password_max_days", "in_shadow"} {
		if collect.Reason(eve.errs[field]) != "needs_root" {
			t.Errorf("%s: %v %v", field, eve.values[field], eve.errs[field])
		}
	}
	if find(t, closed, "username", "open").text("password_status") != "empty" {
		t.Error("what passwd itself says needs no rights")
	}
}

func TestAHostWithoutShadowHasNoShadowFacts(t *testing.T) {
	root := tree(t, map[string]string{"/etc/passwd": "eve:x:1:1:::\n"})

	records, _ := run(t, accountsCollector(), root, "user")

	for _, field := range []string{"password_status", "password_last_change", "in_shadow"} {
		if v, ok := records[0].values[field]; v != nil || !ok {
			t.Errorf("%s: %v %v", field, v, records[0].errs[field])
		}
	}
}

func TestGroupsAreRecordedWithTwinsAndPasswords(t *testing.T) {
	records, _ := run(t, accountsCollector(), accountsTree(t), "group")

	want := map[string]string{
		"root": "0 <nil> <nil> false", "sudo": "27 [eve svc] [also] true", "also": "27 <nil> [sudo] false", "open": "28 <nil> <nil> false",
	}
	for name, expected := range want {
		r := find(t, records, "groupname", name)
		if got := spaced(r.values["gid"], r.values["members"], r.values["gid_twins"], r.values["has_password"]); got != expected {
			t.Errorf("%s: %s %v", name, got, r.errs)
		}
	}
}

func TestAPasswdThatCannotBeReadFailsTheSubject(t *testing.T) {
	root := tree(t, map[string]string{"/etc/passwd": ""})
	must(t, os.Truncate(filepath.Join(root, "etc/passwd"), 1<<30))

	records, status := run(t, accountsCollector(), root, "user")

	if len(records) != 0 || collect.Reason(status.Failed["user"]) != "limit" {
		t.Errorf("%d records, %v", len(records), status.Failed)
	}
}

func TestThisMachinesRootIsRecorded(t *testing.T) {
	records, _ := run(t, accountsCollector(), "/", "user")

	if r := find(t, records, "username", "root"); r.values["uid"] != int64(0) || r.text("directory") != "/root" {
		t.Errorf("%v", r.values)
	}
}
