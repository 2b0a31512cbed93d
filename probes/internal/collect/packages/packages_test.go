package packages

import (
	"context"
	"crypto/md5" // #nosec: what dpkg keeps
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

type freely struct{}

func (freely) Pause() error { return nil }

// seen is one record with all its fields.
type seen struct {
	values map[string]any
	errs   map[string]error
}

// show writes fields with a bar between them; <nil> is a field without a value.
func (s seen) show(fields ...string) string {
	var out []string
	for _, f := range fields {
		out = append(out, fmt.Sprint(s.values[f]))
	}
	return strings.Join(out, "|")
}

// host is a root directory with a passwd; files are added by path, "-> target" is a symbolic link.
func host(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n", "etc/group": "root:x:0:\nadm:x:4:\n",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		file := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			must(t, os.Symlink(target, file))
		} else {
			must(t, os.WriteFile(file, []byte(text), 0o644))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// collected runs the collector for one subject, by the name of each record.
func collected(t *testing.T, root, subject string, scopes ...collect.Scope) (map[string]seen, *collect.Status) {
	t.Helper()
	c := Collectors()[0]
	s := c.Subjects[slices.IndexFunc(c.Subjects, func(s *collect.Subject) bool { return s.Name == subject })]
	if scopes == nil {
		scopes = []collect.Scope{{Paths: []string{"/"}, MaxDepth: -1}}
	}
	records, status := map[string]seen{}, collect.NewStatus()
	env := &collect.Env{Root: root, Now: time.Unix(1_800_000_000, 0), Throttle: freely{}, MaxValue: 1 << 20}
	emit := func(name string, rec any) error {
		r := seen{map[string]any{}, map[string]error{}}
		for i, f := range s.Fields {
			v, err := s.Get(rec, i)
			if err != nil {
				r.errs[f.Name] = err
			} else if v != nil && !slices.Contains(types[f.Type], fmt.Sprintf("%T", v)) {
				t.Errorf("%s: %T for a field of type %s", f.Name, v, f.Type)
			}
			r.values[f.Name] = v
		}
		key := "name"
		if subject == "package_file" {
			key = "path"
		}
		records[r.values[key].(string)] = r
		return nil
	}
	must(t, c.Run(context.Background(), env, map[string]collect.Want{subject: {Scopes: scopes}}, emit, status))
	return records, status
}

var types = map[string][]string{"string": {"string"}, "int": {"int64"}, "bool": {"bool"}, "strings": {"[]string"}}

func sum(text string) string {
	digest := md5.Sum([]byte(text)) // #nosec: what dpkg keeps
	return hex.EncodeToString(digest[:])
}

// debian is a host with one package, of which nothing has changed.
func debian() map[string]string {
	return map[string]string{
		"bin": "-> usr/bin", "usr/bin/ls": "ls", "usr/bin/old": "-> ls", "usr/share/doc/base/README": "r", "etc/base.conf": "mine",
		"var/lib/base/x/.keep": "",
		"var/lib/dpkg/status": "Package: base\nStatus: hold reinstreq half-configured\nArchitecture: amd64\nVersion: 1\n" +
			"Essential: yes\nInstalled-Size: 4\nConffiles:\n /etc/base.conf " + sum("theirs") + "\n",
		"var/lib/dpkg/info/base.list": "/.\n/bin\n/bin/ls\n/usr\n/usr/bin\n/usr/bin/old\n/usr/share\n/usr/share/doc\n" +
			"/usr/share/doc/base\n/usr/share/doc/base/README\n/etc\n/etc/base.conf\n/var/lib/base/x\n",
		"var/lib/dpkg/info/base.md5sums": sum("ls") + "  bin/ls\n" + sum("r") + "  usr/share/doc/base/README\n",
		"var/lib/dpkg/info/base.prerm":   "#!/bin/sh\n",
	}
}

func TestPackageFacts(t *testing.T) {
	got, status := collected(t, host(t, debian()), "package")

	line := got["base"].show("version", "arch", "source", "status", "size", "is_essential", "is_held", "needs_reinstall",
		"is_half_configured", "is_half_installed", "scripts", "is_signed", "build_time")
	if want := "1|amd64|dpkg|half-configured|4096|true|true|true|true|false|[prerm]|<nil>|<nil>"; line != want || len(status.Parts) > 0 {
		t.Errorf("%s %v", line, status.Parts)
	}
	if at, _ := got["base"].values["install_time"].(int64); time.Since(time.Unix(at, 0)).Abs() > time.Hour {
		t.Errorf("installed at %d", at)
	}
	at, _ := got["base"].values["install_time"].(int64)
	if age, _ := got["base"].values["install_age_s"].(int64); at+age != 1_800_000_000 {
		t.Errorf("installed at %d, %d s ago", at, age)
	}
}

const verdicts = "exists is_missing type_differs digest_matches mode_matches suid_added is_config is_documentation changed_after_install"

func TestUnchangedFilesMatch(t *testing.T) {
	got, _ := collected(t, host(t, debian()), "package_file")

	want := map[string]string{
		"/usr/bin/ls":                "true|false|false|true|<nil>|<nil>|false|false|false",
		"/usr/bin/old":               "true|false|<nil>|<nil>|<nil>|<nil>|false|false|false",
		"/usr/share/doc/base/README": "true|false|false|true|<nil>|<nil>|false|true|false",
		"/etc/base.conf":             "true|false|false|false|<nil>|<nil>|true|false|false",
	}
	for path, line := range want {
		if shown := got[path].show(strings.Fields(verdicts)...); shown != line {
			t.Errorf("%s: %s", path, shown)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records: the empty directory is none", len(got))
	}
}

func TestAChangedProgramDoesNotMatch(t *testing.T) {
	files := debian()
	files["usr/bin/ls"] = "evil"

	got, _ := collected(t, host(t, files), "package_file")

	line := got["/usr/bin/ls"].show("digest_matches", "digest_expected", "digest_actual", "digest_algorithm", "listed_path", "package")
	if want := "false|" + sum("ls") + "|" + sum("evil") + "|md5|/bin/ls|base"; line != want {
		t.Error(line)
	}
}

func TestAChangeAfterInstallationIsSeenInTheInode(t *testing.T) {
	root := host(t, debian())
	yesterday := time.Now().Add(-24 * time.Hour)
	must(t, os.Chtimes(filepath.Join(root, "var/lib/dpkg/info/base.list"), yesterday, yesterday))

	must(t, os.Chtimes(filepath.Join(root, "usr/bin/ls"), yesterday, yesterday)) // which sets ctime to now
	got, _ := collected(t, root, "package_file")

	if line := got["/usr/bin/ls"].show("changed_after_install"); line != "true" {
		t.Error(line)
	}
}

func TestAProgramReplacedByALinkIsOfAnotherTypeAndHasNoDigest(t *testing.T) {
	files := debian()
	files["usr/bin/ls"] = "-> /tmp/.x/ls"

	got, _ := collected(t, host(t, files), "package_file")

	if line := got["/usr/bin/ls"].show("type", "type_differs", "link_target", "target_path", "digest_matches"); line != "symlink|true|/tmp/.x/ls|<nil>|<nil>" {
		t.Error(line)
	}
}

func TestAFileThatIsGoneIsMissing(t *testing.T) {
	files := debian()
	delete(files, "usr/bin/ls")
	files["usr/bin/other"] = ""

	got, _ := collected(t, host(t, files), "package_file")

	r := got["/usr/bin/ls"]
	if line := r.show("exists", "is_missing", "mode", "digest_matches", "changed_after_install"); line != "false|true|<nil>|<nil>|<nil>" {
		t.Error(line)
	}
	if len(r.errs) > 0 {
		t.Errorf("%v", r.errs)
	}
}

func TestADivertedFileIsComparedWhereItLies(t *testing.T) {
	files := debian()
	files["var/lib/dpkg/diversions"] = "/bin/ls\n/bin/ls.real\nother\n"
	files["usr/bin/ls.real"], files["usr/bin/ls"] = "ls", "of the other package"

	got, _ := collected(t, host(t, files), "package_file")

	if line := got["/usr/bin/ls.real"].show("is_replaced", "digest_matches"); line != "true|true" {
		t.Error(line)
	}
	if _, ok := got["/usr/bin/ls"]; ok {
		t.Error("the diverted place belongs to the other package")
	}
}

func TestAnOverrideIsTheExpectedMode(t *testing.T) {
	files := debian()
	files["var/lib/dpkg/statoverride"] = "root root 0755 /usr/bin/ls\n"
	root := host(t, files)
	must(t, os.Chmod(filepath.Join(root, "usr/bin/ls"), 0o755|fs.ModeSetuid))

	got, _ := collected(t, root, "package_file")

	if line := got["/usr/bin/ls"].show("mode_expected", "mode", "mode_matches", "is_suid", "suid_added", "owner_expected"); line != "0755|4755|false|true|true|root:root" {
		t.Error(line)
	}
}

func TestOnlyFilesInScopeAreLookedAt(t *testing.T) {
	got, _ := collected(t, host(t, debian()), "package_file", collect.Scope{Paths: []string{"/etc"}, MaxDepth: -1})

	if len(got) != 1 || got["/etc/base.conf"].values == nil {
		t.Errorf("%v", got)
	}
}

func TestAlpineFilesHaveModesOwnersAndDigestsOfLinks(t *testing.T) {
	root := host(t, map[string]string{
		// SHA-1 of "hello\n" and of "/bin/busybox"
		"lib/apk/db/installed": "P:bb\nV:1\nF:bin\nR:bb\na:0:0:755\nZ:Q19XLTlvrpIGYocU+yzgD3LpTyJY8=\nR:sh\na:0:0:777\nZ:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\n\n",
		"bin/bb":               "hello\n", "bin/sh": "-> /bin/busybox",
	})
	must(t, os.Chmod(filepath.Join(root, "bin/bb"), 0o755|fs.ModeSetuid))

	got, _ := collected(t, root, "package_file")

	line := got["/bin/bb"].show("mode_expected", "mode", "mode_matches", "suid_added", "owner_expected", "digest_algorithm", "digest_matches", "install_time", "changed_after_install")
	if line != "0755|4755|false|true|root:root|sha1|true|<nil>|true" {
		t.Error(line)
	}
	if line := got["/bin/sh"].show("digest_matches", "mode_matches", "type"); line != "true|<nil>|symlink" {
		t.Error(line)
	}
}

func TestRPMFilesAreComparedInEveryWayTheirHeaderAllows(t *testing.T) {
	header, err := os.ReadFile("rpm/testdata/tiny.header")
	must(t, err)
	root := host(t, map[string]string{
		"var/lib/rpm/Packages.db": ndb(header), "usr/bin/tiny": "hello\n", "usr/bin/tiny-link": "-> tiny",
		"etc/tiny.conf": "key=changed\n",
	})
	must(t, os.Chmod(filepath.Join(root, "usr/bin/tiny"), 0o755))

	got, status := collected(t, root, "package_file")

	fields := strings.Fields("is_missing type_differs size_matches digest_matches mode_expected mode_matches suid_added is_config is_ghost")
	for path, want := range map[string]string{
		"/usr/bin/tiny":              "false|false|true|true|4755|false|false|false|false",
		"/usr/bin/tiny-link":         "false|false|<nil>|<nil>|<nil>|<nil>|<nil>|false|false",
		"/etc/tiny.conf":             "false|false|false|false|0640|false|false|true|false",
		"/usr/share/doc/tiny/README": "true|<nil>|<nil>|<nil>|0644|<nil>|<nil>|false|false",
		"/var/log/tiny.log":          "false|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|false|true",
	} {
		if line := got[path].show(fields...); line != want {
			t.Errorf("%s: %s", path, line)
		}
	}
	if line := got["/etc/tiny.conf"].show("owner_expected"); line != "root:adm" || len(status.Parts) > 0 {
		t.Error(line, status.Parts)
	}
}

// ndb is a database of rpm's own form with one package.
func ndb(blob []byte) string {
	number := func(n int) string { return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}) }
	page := "RpmP" + number(0) + number(1) + number(1) + strings.Repeat("\x00", 16) +
		"Slot" + number(1) + number(256) + number(len(blob)/16+3)
	return page + strings.Repeat("\x00", 4096-len(page)) + "BlbS" + number(1) + number(1) + number(len(blob)) + string(blob)
}

func TestADatabaseThatCannotBeReadMakesBothSubjectsPartial(t *testing.T) {
	files := debian()
	delete(files, "var/lib/dpkg/info/base.list")
	c := Collectors()[0]
	env := &collect.Env{Root: host(t, files), Throttle: freely{}}
	status := collect.NewStatus()
	want := map[string]collect.Want{"package": {}, "package_file": {Scopes: []collect.Scope{{Paths: []string{"/usr/bin"}}}}}

	err := c.Run(context.Background(), env, want, func(string, any) error { return nil }, status)

	if err != nil || len(status.Parts["package"]) != 1 || len(status.Parts["package_file"]) != 1 {
		t.Errorf("%v %v", err, status.Parts)
	}
	var at *fs.PathError
	if errors.As(status.Parts["package_file"][0], &at) {
		t.Error("a gap in the database concerns every rule, wherever it looks")
	}
}

func TestTheVisitCanStopTheCollector(t *testing.T) {
	stop := errors.New("stop")
	env := &collect.Env{Root: host(t, debian()), Throttle: freely{}}
	want := map[string]collect.Want{"package_file": {Scopes: []collect.Scope{{Paths: []string{"/"}, MaxDepth: -1}}}}

	err := Collectors()[0].Run(context.Background(), env, want, func(string, any) error { return stop }, collect.NewStatus())

	if !errors.Is(err, stop) {
		t.Error(err)
	}
}
