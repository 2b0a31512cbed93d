package system

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

// row is one line of an internet table.
type row struct {
	local, remote string
	state         int
	inode         int
}

// hexEndpoint writes an address as the kernel of this machine would.
func hexEndpoint(text string, isIPv6 bool) string {
	if text == "" {
		text = "0.0.0.0:0"
		if isIPv6 {
			text = "[::]:0"
		}
	}
	endpoint := netip.MustParseAddrPort(text)
	var out strings.Builder
	for raw := endpoint.Addr().AsSlice(); len(raw) > 0; raw = raw[4:] {
		fmt.Fprintf(&out, "%08X", binary.NativeEndian.Uint32(raw))
	}
	return fmt.Sprintf("%s:%04X", out.String(), endpoint.Port())
}

func tcpTable(rows ...row) string {
	var out strings.Builder
	out.WriteString("  sl  local_address rem_address   st\n")
	for i, r := range rows {
		isIPv6 := strings.HasPrefix(r.local, "[")
		fmt.Fprintf(&out, "%4d: %s %s %02X 00000000:00000000 00:00000000 00000000  1000        0 %d 1 0\n", i,
			hexEndpoint(r.local, isIPv6), hexEndpoint(r.remote, isIPv6), r.state, r.inode)
	}
	return out.String()
}

func TestConnectionHasItsHolder(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{"0": "socket:[12]"}
	p.exe = "/tmp/nc (deleted)"
	f.process(p)
	q := p
	q.pid = 75
	f.process(q)
	f.write("/proc/net/tcp", tcpTable(row{local: "10.0.0.5:40000", remote: "203.0.113.9:443", state: 1, inode: 12}))

	with(t, f.env(), "socket", "inode", int64(12), func(r record) {
		r.expect(map[string]any{"family": "inet", "protocol": "tcp", "state": "ESTABLISHED", "local_address": "10.0.0.5",
			"local_port": int64(40000), "remote_address": "203.0.113.9", "remote_port": int64(443), "uid": int64(1000),
			"is_listening": false, "on_loopback": false, "is_remote_private": false, "path": nil, "pid": int64(70),
			"pids": []int64{70, 75}, "process.name": "bash", "process.path": "/tmp/nc", "process.cmdline": "bash -i",
			"process.uid": int64(33), "process.exe_deleted": true})
	})
}

func TestListeningSocketHasNoRemoteSide(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/tcp6", tcpTable(row{local: "[::1]:22", state: 10, inode: 5}))

	with(t, f.env(), "socket", "inode", int64(5), func(r record) {
		r.expect(map[string]any{"family": "inet6", "state": "LISTEN", "is_listening": true, "local_address": "::1",
			"on_loopback": true, "remote_address": nil, "remote_port": nil, "is_remote_private": nil, "pid": nil, "process.path": nil})
	})
}

func TestMappedIPv4AddressIsWrittenAsIPv4(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/tcp6", tcpTable(row{local: "[::ffff:127.0.0.1]:80", remote: "[::ffff:10.1.2.3]:5000", state: 1, inode: 5}))

	with(t, f.env(), "socket", "inode", int64(5), func(r record) {
		r.expect(map[string]any{"family": "inet6", "local_address": "127.0.0.1", "on_loopback": true,
			"remote_address": "10.1.2.3", "is_remote_private": true})
	})
}

func TestDatagramSocketsListenUntilConnected(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/udp", tcpTable(row{local: "0.0.0.0:53", state: 7, inode: 5},
		row{local: "10.0.0.5:5353", remote: "10.0.0.1:53", state: 1, inode: 6}))

	with(t, f.env(), "socket", "inode", int64(5), func(r record) {
		r.expect(map[string]any{"protocol": "udp", "is_listening": true, "state": "UNCONNECTED"})
	})
	with(t, f.env(), "socket", "inode", int64(6), func(r record) {
		r.expect(map[string]any{"is_listening": false, "state": "ESTABLISHED"})
	})
}

func TestRawSocketHasAProtocolAndNoPort(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/raw", tcpTable(row{local: "0.0.0.0:1", state: 7, inode: 5}))

	with(t, f.env(), "socket", "inode", int64(5), func(r record) {
		r.expect(map[string]any{"protocol": "raw", "socket_type": "raw", "ip_protocol": int64(1), "local_port": nil,
			"is_listening": false})
	})
}

func TestUnixPacketAndNetlinkSocketsAreRecords(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/unix", "Num\n0: 00000002 00000000 00010000 0001 01 5 /run/my sock\n0: 2 0 0 0002 01 6\n")
	f.write("/proc/net/packet", "sk\nffff8 3 3 0003 2 1 0 0 7\n")
	f.write("/proc/net/netlink", "sk\nffff9 9 4711 00000000 0 0 0 2 0 8\nffff9 0 0 00000000 0 0 0 2 0 9\n")

	with(t, f.env(), "socket", "inode", int64(5), func(r record) {
		r.expect(map[string]any{"family": "unix", "protocol": "unix", "path": "/run/my sock", "state": "LISTEN",
			"is_listening": true, "socket_type": "stream", "local_address": nil, "local_port": nil, "uid": nil, "on_loopback": nil})
	})
	with(t, f.env(), "socket", "inode", int64(6), func(r record) {
		r.expect(map[string]any{"path": nil, "state": "UNCONNECTED", "socket_type": "dgram"})
	})
	with(t, f.env(), "socket", "inode", int64(7), func(r record) {
		r.expect(map[string]any{"family": "packet", "packet_protocol": "0003", "socket_type": "raw", "interface_index": int64(2),
			"state": nil, "uid": int64(0)})
	})
	with(t, f.env(), "socket", "inode", int64(8), func(r record) {
		r.expect(map[string]any{"family": "netlink", "netlink_protocol": int64(9), "uid": nil})
	})
}

func TestSocketsOfOtherNetworkNamespacesAreRecordsOnce(t *testing.T) {
	f := newFixture(t)
	f.link("/proc/self/ns/net", "net:[1]")
	f.write("/proc/net/tcp", tcpTable(row{local: "0.0.0.0:22", state: 10, inode: 5}))
	for pid, ns := range map[int]string{70: "net:[1]", 80: "net:[2]", 81: "net:[2]"} {
		f.process(facts{pid: pid, name: "x", exe: "/x", netns: ns})
		f.write(fmt.Sprintf("/proc/%d/net/tcp", pid), tcpTable(row{local: "0.0.0.0:80", state: 10, inode: 6}))
	}
	found := map[any]any{}

	collectAll(t, f.env(), "socket", func(r record) {
		if _, twice := found[r.get("local_port")]; twice {
			t.Error("twice")
		}
		found[r.get("local_port")] = r.get("netns")
	})

	if len(found) != 2 || found[int64(22)] != int64(1) || found[int64(80)] != int64(2) {
		t.Error(found)
	}
}

func TestClosedConnectionHasNoHolderEvenWithoutRights(t *testing.T) {
	denied := &holderMap{problem: fs.ErrPermission}
	closed, open := &socket{inode: 0, holders: denied}, &socket{inode: 9, holders: denied}

	if pids, err := closed.pids(); err != nil || pids != nil {
		t.Error(pids, err)
	}
	if _, err := open.pids(); !errors.Is(err, collect.ErrNeedsRoot) {
		t.Error("a holder nobody may see is unknown, not none:", err)
	}
}

func TestMalformedTableMakesTheSubjectPartialAndKeepsTheRest(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/tcp", tcpTable(row{local: "0.0.0.0:22", state: 10, inode: 5})+"garbage\n")
	f.write("/proc/net/udp", tcpTable(row{local: "0.0.0.0:53", state: 7, inode: 6}))
	count := 0

	status := collectAll(t, f.env(), "socket", func(record) { count++ })

	if count != 2 || len(status.Parts["socket"]) != 1 {
		t.Error(count, status.Parts)
	}
}

func TestHoldersAreLookedForOnlyWhenAFieldNeedsThem(t *testing.T) {
	if needsHolder(collect.Want{Fields: map[string]bool{"local_port": true, "state": true, "pid": false}}) {
		t.Error("these fields stand in the table")
	}
	for _, name := range []string{"pid", "pids", "process.path"} {
		if !needsHolder(collect.Want{Fields: map[string]bool{name: true}}) {
			t.Error(name)
		}
	}
}

func TestSocketThatClosesBeforeItsHolderIsFoundIsDropped(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	sockets := newSocketTable(environment("/"))
	if err := sockets.readOwn(); err != nil {
		t.Fatal(err)
	}
	listener.Close()
	list, err := readTable(environment("/"))
	if err != nil {
		t.Fatal(err)
	}

	holders := &holderMap{pids: map[uint64][]int64{}}
	if err := dropClosed(list, sockets, holders); err != nil {
		t.Fatal(err)
	}

	for _, k := range sockets.list {
		if k.protocol == protoTCP && k.isListening && k.local.Port() == port {
			t.Error("a closed socket would look like one that nobody holds")
		}
	}
}

func TestAHolderThatOnlyTheMachineSeesIsUnknownInAContainer(t *testing.T) {
	f := newFixture(t)
	f.link("/proc/self/ns/pid", "pid:[4026532999]")
	holders, err := readHolders(&table{env: environment(f.root), fs: tree(environment(f.root))})
	if err != nil {
		t.Fatal(err)
	}

	_, err = (&socket{inode: 9, holders: holders}).pids()

	if !errors.Is(err, collect.ErrNotEntered) {
		t.Error(err)
	}
}
