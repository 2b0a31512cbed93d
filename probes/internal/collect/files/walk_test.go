//go:build go1.26

package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

func TestEveryKindOfFileIsRecordedOnceWithItsType(t *testing.T) {
	root := tree(t, map[string]string{"/a/file": "x", "/a/link": "-> file", "/a/sub/deep": ""})
	fifo(t, filepath.Join(root, "a/pipe"))

	records, status := run(t, walkCollector(), root, "file", everything("/a"))

	got := map[string]string{}
	for _, r := range records {
		got[r.text("path")] += r.text("type")
	}
	want := map[string]string{"/a/file": "regular", "/a/link": "symlink", "/a/pipe": "fifo", "/a/sub/deep": "regular"}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(status.Parts) != 0 {
		t.Errorf("got %v, %v", got, status.Parts)
	}
}

func TestExtendedAttributesAreNamedAndTheLabelIsRead(t *testing.T) {
	root := tree(t, map[string]string{"/a/file": "x", "/a/plain": "x", "/a/link": "-> file", "/a/sub/": ""})
	names := []string{"user.note"}
	var label any
	for _, name := range []string{"a/file", "a/sub"} {
		must(t, syscall.Setxattr(filepath.Join(root, name), "user.note", []byte("v"), 0))
		if os.Getuid() == 0 { // nobody else may label files
			must(t, syscall.Setxattr(filepath.Join(root, name), "security.selinux", []byte("system_u:object_r:shadow_t:s0\x00"), 0))
			names, label = []string{"security.selinux", "user.note"}, "system_u:object_r:shadow_t:s0"
		}
	}

	records, _ := run(t, walkCollector(), root, "file", everything("/a"))
	directories, _ := run(t, walkCollector(), root, "directory", everything("/a"))

	for _, r := range []seen{find(t, records, "path", "/a/file"), find(t, directories, "path", "/a/sub")} {
		got, _ := r.values["xattrs"].([]string)
		slices.Sort(got)
		if !slices.Equal(got, names) || r.values["security_label"] != label {
			t.Errorf("%s: %q %v", r.text("path"), got, r.values["security_label"])
		}
	}
	for _, path := range []string{"/a/plain", "/a/link"} {
		r := find(t, records, "path", path)
		if r.values["xattrs"] != nil || r.values["security_label"] != nil || len(r.errs) != 0 {
			t.Errorf("%s: %v %v %v", path, r.values["xattrs"], r.values["security_label"], r.errs)
		}
	}
}

func TestFilesOfContainersAreToldWithTheirContainer(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	const layer = "/var/lib/docker/overlay2/layer1/diff"
	root := tree(t, map[string]string{
		"/var/lib/docker/image/overlay2/layerdb/mounts/" + id + "/mount-id": "layer1", layer + "/tmp/x": "", "/tmp/x": "", "/proc/1/cgroup": "0::/\n",
	})

	inside, _ := run(t, walkCollector(), root, "file", everything(layer))
	directories, _ := run(t, walkCollector(), root, "directory", everything(layer))
	outside, _ := run(t, walkCollector(), root, "file", everything("/tmp"))

	for _, r := range []seen{find(t, inside, "path", layer+"/tmp/x"), find(t, directories, "path", layer+"/tmp")} {
		if r.values["in_container"] != true || r.values["container_id"] != id {
			t.Errorf("%s: %v %v %v", r.text("path"), r.values["in_container"], r.values["container_id"], r.errs)
		}
	}
	if r := find(t, outside, "path", "/tmp/x"); r.values["in_container"] != false || r.values["container_id"] != nil {
		t.Errorf("/tmp/x: %v %v %v", r.values["in_container"], r.values["container_id"], r.errs)
	}
}

func TestDirectoriesAreRecordedWithTheirCounts(t *testing.T) {
	root := tree(t, map[string]string{"/a/one": "", "/a/two": "", "/a/.sub/": "", "/a/sub/x": ""})

	records, _ := run(t, walkCollector(), root, "directory", everything("/a"))

	if got := column(records, "path"); !slices.Equal(got, []string{"/a", "/a/.sub", "/a/sub"}) {
		t.Fatalf("paths %q", got)
	}
	a := find(t, records, "path", "/a")
	if a.values["entries"] != int64(4) || a.values["subdirectories"] != int64(2) || a.values["hidden_subdirectories"] != int64(0) {
		t.Errorf("counts of /a: %v %v %v", a.values["entries"], a.values["subdirectories"], a.values["hidden_subdirectories"])
	}
	if find(t, records, "path", "/a/.sub").values["hidden"] != true {
		t.Error("/a/.sub is not hidden")
	}
}

func TestADirectoryBelowTheBoundIsCountedByItself(t *testing.T) {
	root := tree(t, map[string]string{"/a/sub/x": "", "/a/sub/y": ""})

	records, _ := run(t, walkCollector(), root, "directory", collect.Scope{Paths: []string{"/a"}, MaxDepth: 0})

	if got := find(t, records, "path", "/a/sub").values["entries"]; got != int64(2) {
		t.Errorf("entries = %v", got)
	}
}

func TestTwoRulesOverTheSamePlaceYieldEachFileOnce(t *testing.T) {
	root := tree(t, map[string]string{"/a/b/c": "", "/a/d": ""})

	records, _ := run(t, walkCollector(), root, "file", everything("/a"), everything("/a/b"), everything("/"), everything("/a/*/c"))

	if got := column(records, "path"); !slices.Equal(got, []string{"/a/b/c", "/a/d"}) {
		t.Errorf("paths %q", got)
	}
}

func TestDepthExclusionsAndWildcardsBoundTheWalk(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"/h/eve/.ssh/id", "/h/eve/doc/x", "/h/bob/.ssh/id", "/h/bob/.ssh/old/id", "/other/y"} {
		files[name] = ""
	}
	root := tree(t, files)
	cases := []struct {
		scope collect.Scope
		want  []string
	}{
		{collect.Scope{Paths: []string{"/h/*/.ssh"}, MaxDepth: 0}, []string{"/h/bob/.ssh/id", "/h/eve/.ssh/id"}},
		{collect.Scope{Paths: []string{"/h"}, Exclude: []string{"/h/bob"}, MaxDepth: -1}, []string{"/h/eve/.ssh/id", "/h/eve/doc/x"}},
		{collect.Scope{Paths: []string{"/other/y"}, MaxDepth: 0}, []string{"/other/y"}},
		{collect.Scope{Paths: []string{"/none"}, MaxDepth: -1}, nil},
	}
	for _, c := range cases {
		records, status := run(t, walkCollector(), root, "file", c.scope)
		if got := column(records, "path"); !slices.Equal(got, c.want) || len(status.Parts) != 0 {
			t.Errorf("%v: got %q, status %v", c.scope, got, status.Parts)
		}
	}
}

func TestLinkLoopsAndLinksToDirectoriesAreNotEntered(t *testing.T) {
	root := tree(t, map[string]string{"/a/loop": "-> loop", "/a/up": "-> ..", "/a/abs": "-> /a", "/a/f": ""})

	records, _ := run(t, walkCollector(), root, "file", everything("/a"))

	if got := column(records, "path"); !slices.Equal(got, []string{"/a/abs", "/a/f", "/a/loop", "/a/up"}) {
		t.Errorf("paths %q", got)
	}
	if v, ok := find(t, records, "path", "/a/loop").values["target_path"]; v != nil || !ok {
		t.Errorf("target of a loop: %v", v)
	}
	if got := find(t, records, "path", "/a/abs").text("target_path"); got != "/a" {
		t.Errorf("target of an absolute link: %q", got)
	}
}

func TestALinkThatAScopeSpellsOutIsFollowedUnderItsOwnName(t *testing.T) {
	root := tree(t, map[string]string{"/usr/lib/systemd/x": "", "/lib": "-> usr/lib"})

	records, _ := run(t, walkCollector(), root, "file", everything("/lib/systemd"))

	if got := column(records, "path"); !slices.Equal(got, []string{"/lib/systemd/x"}) {
		t.Errorf("paths %q", got)
	}
}

func TestDefaultScopesSeeMergedDirectoriesOnce(t *testing.T) {
	root := tree(t, map[string]string{"/usr/bin/su": "", "/bin": "-> usr/bin", "/usr/lib/a/b/c": "", "/etc/passwd": ""})

	records, _ := run(t, walkCollector(), root, "file")

	if got := column(records, "path"); !slices.Equal(got, []string{"/bin", "/etc/passwd", "/usr/bin/su"}) {
		t.Errorf("paths %q", got)
	}
}

func TestALinkOfSomebodyElseIsNeverFollowed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("as a normal user every link in this tree is somebody else's")
	}
	root := tree(t, map[string]string{"/secret/x": "", "/tmp/in": "-> /secret"})
	must(t, os.Lchown(filepath.Join(root, "tmp/in"), max(os.Getuid(), 1), -1))

	records, _ := run(t, walkCollector(), root, "file", everything("/tmp/in"))

	if got := column(records, "path"); !slices.Equal(got, []string{"/tmp/in"}) {
		t.Errorf("paths %q", got)
	}
}

func TestNamesMayHoldNewlinesAndInvalidUTF8(t *testing.T) {
	root := t.TempDir()
	names := []string{"line\nbreak", "bad\xff\xfe", strings.Repeat("n", 255), " ", "*", "\\"}
	for _, name := range names {
		must(t, os.WriteFile(filepath.Join(root, name), []byte("x"), 0o644))
	}

	records, _ := run(t, walkCollector(), root, "file", everything("/"))

	slices.Sort(names)
	if got := column(records, "name"); !slices.Equal(got, names) {
		t.Errorf("names %q", got)
	}
	for _, r := range records {
		if r.text("sha256") == "" {
			t.Errorf("%q was not read: %v", r.text("name"), r.errs)
		}
	}
}

func TestAFIFOInTheWayIsLookedAtAndNeverOpened(t *testing.T) {
	root := t.TempDir()
	fifo(t, filepath.Join(root, "pipe"))

	within(t, 10*time.Second, func() {
		records, _ := run(t, walkCollector(), root, "file", everything("/"))
		r := find(t, records, "path", "/pipe")
		if len(r.errs) != 0 || r.values["sha256"] != nil || r.values["magic"] != nil {
			t.Errorf("values %v, errors %v", r.values, r.errs)
		}
	})
}

func TestAHugeDirectoryIsReadInPieces(t *testing.T) {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // in memory, where so many names take a blink
	}
	root := t.TempDir()
	const many = 20_000
	for i := range many {
		must(t, os.Symlink("x", filepath.Join(root, fmt.Sprintf("f%05d", i))))
	}
	d, err := content.OpenDir(&collect.Env{Root: root, Throttle: &freely{}}, "/")
	must(t, err)
	defer d.Close()

	first, err := d.Next()
	must(t, err)
	entries, _, err := d.Count()
	must(t, err)

	if len(first) > 2000 || int(entries)+len(first) != many {
		t.Errorf("first piece %d, then %d", len(first), entries)
	}
}

func TestATreeDeeperThanTheBoundSaysSo(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, strings.Repeat("d/", maxDepth+20)), 0o755))

	_, status := run(t, walkCollector(), root, "directory", everything("/"))

	if parts := status.Parts["directory"]; len(parts) != 1 || !errors.Is(parts[0], collect.ErrLimit) {
		t.Errorf("status %v", status.Parts)
	}
}

func TestPathsLongerThanTheKernelTakesAtOnceAreStillWalked(t *testing.T) {
	root := t.TempDir()
	name := strings.Repeat("n", 250)
	at, err := os.OpenRoot(root)
	must(t, err)
	for range 20 {
		must(t, at.Mkdir(name, 0o755))
		next, err := at.OpenRoot(name)
		must(t, err)
		must(t, at.Close())
		at = next
	}
	must(t, at.WriteFile("treasure", []byte("x"), 0o644))
	must(t, at.Close())

	records, status := run(t, walkCollector(), root, "file", everything("/"))

	if len(records) != 1 || records[0].values["size"] != int64(1) || len(status.Parts) != 0 {
		t.Errorf("%d records, %v", len(records), status.Parts)
	}
}

func TestAnUnreadableDirectoryIsAPartialAnswer(t *testing.T) {
	w := &walker{status: collect.NewStatus()}

	err := w.lost([]rule{{subject: "file"}}, fmt.Errorf("open /a: %w", syscall.EACCES))

	must(t, err)
	if parts := w.status.Parts["file"]; len(parts) != 1 || collect.Reason(parts[0]) != "needs_root" {
		t.Errorf("status %v", w.status.Parts)
	}
	if len(w.status.Parts["directory"]) != 0 {
		t.Error("a subject that nobody asked for is partial")
	}
}

func TestADirectoryThatMayNotBeReadIsAPartialAnswer(t *testing.T) {
	root := tree(t, map[string]string{"/open/x": "", "/closed/y": ""})
	must(t, os.Chmod(filepath.Join(root, "closed"), 0o700))
	asNobody(t, root)

	records, status := run(t, walkCollector(), root, "file", everything("/"))

	if got := column(records, "path"); !slices.Equal(got, []string{"/open/x"}) {
		t.Errorf("paths %q", got)
	}
	parts := status.Parts["file"]
	if len(parts) != 1 || collect.Reason(parts[0]) != "needs_root" || !strings.Contains(parts[0].Error(), "/closed") {
		t.Errorf("status %v", status.Parts)
	}
}

func TestAVanishedDirectoryIsNothingToReport(t *testing.T) {
	w := &walker{status: collect.NewStatus()}

	must(t, w.lost([]rule{{subject: "file"}}, collect.ErrGone))

	if len(w.status.Parts) != 0 {
		t.Errorf("status %v", w.status.Parts)
	}
}

func TestTheWalkStopsWhenTheVisitMustEnd(t *testing.T) {
	root := tree(t, map[string]string{"/a/1": "", "/a/2": ""})
	stop := errors.New("stop")
	env := &collect.Env{Root: root, Throttle: &freely{}}
	emit := func(string, any) error { return stop }

	err := walkCollector().Run(context.Background(), env,
		map[string]collect.Want{"file": {Scopes: []collect.Scope{everything("/")}}}, emit, collect.NewStatus())

	if !errors.Is(err, stop) {
		t.Errorf("err = %v", err)
	}
}

func TestASetUserIDFileOfTheRunningSystemIsSeen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "su id")
	must(t, os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700))
	must(t, os.Chmod(file, os.ModeSetuid|0o755))

	records, status := run(t, walkCollector(), "/", "file", everything(dir))

	r := find(t, records, "path", file)
	if r.values["suid"] != true || r.text("mode") != "4755" || r.text("permissions") != "-rwsr-xr-x" ||
		r.text("interpreter") != "/bin/sh" || r.text("mount_point") == "" || len(status.Parts) != 0 {
		t.Errorf("record %v, errors %v, status %v", r.values, r.errs, status.Parts)
	}
}

func TestProcIsNeverEntered(t *testing.T) {
	records, _ := run(t, walkCollector(), "/", "directory", collect.Scope{Paths: []string{"/"}, MaxDepth: 1, CrossMounts: true})

	for _, r := range records {
		if p := r.text("path"); strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/") {
			t.Fatalf("%s was recorded", p)
		}
	}
}

func TestALargeSparseFileIsNotHashed(t *testing.T) {
	root := tree(t, map[string]string{"/big": ""})
	must(t, os.Truncate(filepath.Join(root, "big"), 1<<40))

	records, _ := run(t, walkCollector(), root, "file", everything("/"))

	r := find(t, records, "path", "/big")
	if !errors.Is(r.errs["sha256"], collect.ErrLimit) || r.values["entropy"] != 0.0 || r.values["size"] != int64(1<<40) {
		t.Errorf("values %v, errors %v", r.values, r.errs)
	}
}

func TestARecordKeptAfterTheWalkIsStillReadable(t *testing.T) {
	root := tree(t, map[string]string{"/a/x": "hello"})
	var kept any
	env := &collect.Env{Root: root, Throttle: &freely{}}
	emit := func(_ string, rec any) error { kept = rec; return nil }
	want := map[string]collect.Want{"file": {Scopes: []collect.Scope{everything("/")}}}
	must(t, walkCollector().Run(context.Background(), env, want, emit, collect.NewStatus()))

	r := readAll(fileSubject(), kept)

	if r.text("content") != "hello" || r.text("type") != "regular" {
		t.Errorf("values %v errors %v", r.values, r.errs)
	}
}

func TestAFileThatAProcessHoldsOpenIsTold(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"open", "closed"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	f, err := os.Open(filepath.Join(dir, "open"))
	must(t, err)
	defer f.Close()

	records, _ := run(t, walkCollector(), "/", "file", everything(dir))

	for name, want := range map[string]bool{"open": true, "closed": false} {
		r := find(t, records, "name", name)
		if err := r.errs["is_open"]; os.Getuid() != 0 && collect.Reason(err) == "needs_root" {
			continue // a normal user may not look into every process, and is told so
		}
		if r.values["is_open"] != want {
			t.Errorf("%s: %v %v", name, r.values["is_open"], r.errs["is_open"])
		}
		self, err := os.Executable()
		must(t, err)
		if holders, _ := r.values["open_by"].([]string); slices.Contains(holders, self) != want {
			t.Errorf("%s: held by %v", name, holders)
		}
	}
}

func TestAFileThatVanishesIsGone(t *testing.T) {
	root := tree(t, map[string]string{"/x": "hello"})
	n := &node{v: newVisit(&collect.Env{Root: root, Throttle: &freely{}}), dir: "/", name: "x", kind: content.TypeRegular}
	must(t, os.Remove(filepath.Join(root, "x")))

	r := readAll(fileSubject(), n)

	for _, field := range []string{"size", "sha256", "magic", "content"} {
		if !errors.Is(r.errs[field], collect.ErrGone) {
			t.Errorf("%s: %v %v", field, r.values[field], r.errs[field])
		}
	}
}

func TestAgesOfMomentsAreCountedFromTheVisit(t *testing.T) {
	root := tree(t, map[string]string{"/srv/new": "x", "/srv/ahead": "x"})
	for name, at := range map[string]int64{"srv/new": 1_800_000_000 - 90, "srv/ahead": 1_800_000_000 + 60, "srv": 1_800_000_000 - 5} {
		if err := os.Chtimes(filepath.Join(root, name), time.Unix(at-1, 0), time.Unix(at, 0)); err != nil {
			t.Fatal(err)
		}
	}
	scope := collect.Scope{Paths: []string{"/srv"}, MaxDepth: -1}

	files, _ := run(t, walkCollector(), root, "file", scope)
	directories, _ := run(t, walkCollector(), root, "directory", scope)

	for name, want := range map[string]string{"/srv/new": "90 91", "/srv/ahead": "-60 -59"} {
		r := find(t, files, "path", name)
		if got := fmt.Sprint(r.values["mtime_age_s"], " ", r.values["atime_age_s"]); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if age := find(t, directories, "path", "/srv").values["mtime_age_s"]; age != int64(5) {
		t.Errorf("%v", age)
	}
}
