package hidden

import (
	"net/netip"
	"testing"

	"sandfly/probes/internal/collect/fact/facttest"
)

func TestASocketTellsWhereItIsBound(t *testing.T) {
	r := facttest.Record{T: t, Subject: subject, Rec: &finding{kind: "socket", seenBy: []string{"sock_diag"}, socket: &socket{
		protocol: "tcp", local: netip.MustParseAddrPort("192.0.2.10:4444"), remote: netip.MustParseAddrPort("0.0.0.0:0"),
		state: stateListen, inode: 77,
	}}}

	r.Typed()
	r.Expect(map[string]any{"protocol": "tcp", "local_address": "192.0.2.10", "local_port": int64(4444),
		"remote_address": "0.0.0.0", "remote_port": int64(0), "is_listening": true, "inode": int64(77), "size_read": nil})
}

func TestAFileTellsWhatEachWayOfReadingGives(t *testing.T) {
	r := facttest.Record{T: t, Subject: subject, Rec: &finding{kind: "file_content", path: "/etc/ld.so.preload",
		sizes: &sizes{stat: 20, read: 0, mapped: pointer(int64(20))}}}

	r.Typed()
	r.Expect(map[string]any{"path": "/etc/ld.so.preload", "size_stat": int64(20), "size_read": int64(0),
		"size_mapped": int64(20), "protocol": nil, "pid": nil})
}

func TestAProcessTellsWhatCouldBeReadOfIt(t *testing.T) {
	r := facttest.Record{T: t, Subject: subject, Rec: &finding{kind: "process", name: "x", pid: pointer(int64(9)), uid: pointer(int64(0)),
		program: "/tmp/x", cmdline: "/tmp/x -d", beyond: pointer(true), missingFrom: []string{"proc_listing"}}}

	r.Typed()
	r.Expect(map[string]any{"pid": int64(9), "uid": int64(0), "program": "/tmp/x", "cmdline": "/tmp/x -d", "beyond_allocated": true})
}
