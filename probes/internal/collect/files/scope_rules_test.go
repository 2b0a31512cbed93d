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

func TestRulesCrossIntoLocalMountsAndOnlyWhenToldIntoNetworkOnes(t *testing.T) {
	local, net := rule{Scope: everything("/home/*")}, rule{Scope: everything("/")}
	net.CrossMounts = true
	for kind, want := range map[string]int{"ext4": 2, "tmpfs": 2, "nfs": 1, "fuse.sshfs": 1, "proc": 0} {
		if got := crossing([]rule{local, net}, kind); len(got) != want {
			t.Errorf("%s: %d rules go on", kind, len(got))
		}
	}
}

func TestARuleThatNamesANetworkFileSystemIsToldThatItWasNotEntered(t *testing.T) {
	w := &walker{status: collect.NewStatus()}
	before := []rule{{subject: "file", Scope: everything("/home")}}

	must(t, w.refused(before, crossing(before, "nfs"), "/home"))

	if parts := w.status.Parts["file"]; len(parts) != 1 || collect.Reason(parts[0]) != "not_entered" {
		t.Errorf("status %v", w.status.Parts)
	}
}
