package files

import (
	"testing"

	"sandfly/probes/internal/collect"
)

func TestNetworkAndKernelFileSystemsAreToldByTheirType(t *testing.T) {
	for kind, network := range map[string]bool{"nfs4": true, "fuse.sshfs": true, "cifs": true, "fuseblk": false, "ext4": false, "tmpfs": false} {
		if isNetworkType(kind) != network {
			t.Errorf("%s", kind)
		}
	}
	if !isKernelType("proc") || isKernelType("tmpfs") {
		t.Error("kernel types")
	}
}

func TestRulesCrossIntoMountsOnlyWhereTheyNameThem(t *testing.T) {
	homes, all, net := rule{Scope: everything("/home/*")}, rule{Scope: everything("/")}, rule{Scope: everything("/")}
	net.CrossMounts = true
	cases := []struct {
		dir, kind string
		want      int
	}{
		{"/home/eve", "ext4", 2}, {"/home/eve", "nfs", 1}, {"/home/eve/deep", "ext4", 1}, {"/proc", "proc", 0}, {"/mnt", "xfs", 1},
	}
	for _, c := range cases {
		if got := crossing([]rule{homes, all, net}, c.dir, c.kind); len(got) != c.want {
			t.Errorf("%s on %s: %d rules go on", c.kind, c.dir, len(got))
		}
	}
}

func TestARuleThatNamesANetworkFileSystemIsToldThatItWasNotEntered(t *testing.T) {
	w := &walker{status: collect.NewStatus()}
	before := []rule{{subject: "file", Scope: everything("/home")}}

	must(t, w.refused(before, crossing(before, "/home", "nfs"), "/home"))

	if parts := w.status.Parts["file"]; len(parts) != 1 || collect.Reason(parts[0]) != "limit" {
		t.Errorf("status %v", w.status.Parts)
	}
}
