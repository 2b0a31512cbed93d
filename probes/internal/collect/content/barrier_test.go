package content

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"sandfly/probes/internal/collect"
)

// barredTree has a directory that stands for the mount point of a dead server, and links that lead there and elsewhere.
func barredTree(t *testing.T) (root string, b *barrier) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"dead/home", "deadline", "alive"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"link": "dead/home", "far": root + "/dead/home/file", "chain": "link", "fine": "alive", "alive/up": "../dead",
		"round": "round", "broken": "nothing",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root, &barrier{own: []string{root + "/dead"}, seen: map[string][]string{}, clear: map[string]string{}}
}

func TestNoPathLeadsIntoAFileSystemThatMayHang(t *testing.T) {
	root, b := barredTree(t)
	for name, follow := range map[string]bool{
		"dead": false, "dead/home/file": false, "link": true, "link/file": false, "far": true, "chain": true, "chain/.ssh/x": false,
		"alive/up": true, "alive/up/home": false, "fine/up/x": false,
	} {
		if err := b.path(root+"/"+name, follow); !errors.Is(err, collect.ErrNotEntered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOtherPathsAreLookedAt(t *testing.T) {
	root, b := barredTree(t)
	for name, follow := range map[string]bool{
		"deadline": true, "deadline/x": true, "alive/x": true, "fine": true, "fine/x": true, "link": false, "chain": false, "far": false,
		"alive/up": false, "round": true, "broken": true, "broken/x": true, "none/at/all": true,
	} {
		if err := b.path(root+"/"+name, follow); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLinksOfAProcessAreFollowedInItsOwnViewOfMounts(t *testing.T) {
	root, b := barredTree(t)
	child := exec.Command("/bin/sleep", "100")
	child.Dir = root + "/dead/home"
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	pid := strconv.Itoa(child.Process.Pid)
	ns, err := os.Readlink("/proc/" + pid + "/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	b.seen[ns], b.own = b.own, nil

	for name, barred := range map[string]bool{
		"cwd": true, "cwd/x": true, "exe": false, "root": false, "root" + root + "/dead/x": true, "root" + root + "/alive": false,
		"status": false, "fd/0": false, "fd": false, "environ": false,
	} {
		if err := b.process("/proc/" + pid + "/" + name); errors.Is(err, collect.ErrNotEntered) != barred {
			t.Errorf("%s: %v", name, err)
		}
	}
}
