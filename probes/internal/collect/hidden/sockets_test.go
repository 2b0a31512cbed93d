package hidden

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"sandfly/probes/internal/collect/fact/facttest"
)

// message is one answer of sock_diag.
func message(kind uint16, body []byte) []byte {
	b := make([]byte, headerBytes+len(body))
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	copy(b[headerBytes:], body)
	return b
}

func response(inode uint32) []byte {
	b := make([]byte, responseBytes)
	b[0], b[1] = syscall.AF_INET, stateListen
	binary.BigEndian.PutUint16(b[4:], 4444)
	copy(b[8:], []byte{10, 0, 0, 1})
	binary.NativeEndian.PutUint32(b[68:], inode)
	return b
}

func TestAnswersAreRead(t *testing.T) {
	found := map[uint64]socket{}
	done, err := parseMessages(append(message(diagByFamily, response(7)), message(messageDone, make([]byte, 4))...), "tcp", found)

	want := socket{"tcp", netip.MustParseAddrPort("10.0.0.1:4444"), netip.MustParseAddrPort("0.0.0.0:0"), stateListen, 7}
	if err != nil || !done || found[7] != want {
		t.Error(found, done, err)
	}
}

func TestAnswerCutShortIsAnError(t *testing.T) {
	whole := message(diagByFamily, response(7))
	for _, b := range [][]byte{whole[:10], whole[:40], message(messageError, nil)} {
		if _, err := parseMessages(b, "tcp", map[uint64]socket{}); err == nil {
			t.Errorf("%d bytes pass for a whole answer", len(b))
		}
	}
}

func TestBothSidesKnowAListenerOfOurs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	v := visitOf(facttest.Env("/"))
	asked, err := v.askSockets("tcp")
	if err != nil {
		t.Fatal(err)
	}
	listed, err := v.listSockets("tcp")
	if err != nil {
		t.Fatal(err)
	}
	for side, sockets := range map[string]map[uint64]socket{"sock_diag": asked, "proc_net": listed} {
		found := false
		for _, s := range sockets {
			found = found || s.local.Port() == port && s.state == stateListen
		}
		if !found {
			t.Error(side, "does not know it")
		}
	}
}

func TestModuleIsNeverLoadedByAsking(t *testing.T) {
	f := facttest.NewTree(t)
	f.Write("/proc/modules", "ext4 1 0 - Live 0x0\n")
	f.Write("/proc/sys/kernel/osrelease", "6.1.0\n")
	v := visitOf(f.Env())

	if v.hasDiag("tcp") {
		t.Error("asking would load tcp_diag")
	}
	f.Write("/lib/modules/6.1.0/modules.builtin", "kernel/net/ipv4/tcp_diag.ko\n")
	if !v.hasDiag("tcp") || v.hasDiag("udp") {
		t.Error("what is built in can be asked")
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(message(diagByFamily, response(7)))
	f.Add(message(messageError, []byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		found := map[uint64]socket{}
		if _, err := parseMessages(b, "tcp", found); err == nil && len(found) > len(b)/responseBytes {
			t.Error(len(found))
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add([]byte("ffffffffc0 t ext4_init\t[ext4]"))
	f.Add([]byte("[x] [ "))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, c := range tag(line) {
			if !isNameByte(c) {
				t.Errorf("%q", line)
			}
		}
	})
}
