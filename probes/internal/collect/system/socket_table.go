package system

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// maxSockets bounds what is kept of all tables together, about 30 MB.
const maxSockets = 150_000

// protocol says which table a socket stands in.
type protocol uint8

const (
	protoTCP protocol = iota
	protoUDP
	protoUDPLite
	protoRaw
	protoICMP
	protoSCTP
	protoUnix
	protoPacket
	protoNetlink
)

func (p protocol) String() string {
	return [...]string{"tcp", "udp", "udplite", "raw", "icmp", "sctp", "unix", "packet", "netlink"}[p]
}

// socket is one line of a table under /proc/net.
type socket struct {
	processes      *table
	holders        *holderMap
	local, remote  netip.AddrPort // not valid for other families
	path           string         // of unix sockets
	packetProtocol string
	inode          uint64
	uid            int64 // procfs.Absent where the table has none
	netns          uint64
	protocol       protocol
	isIPv6         bool
	isListening    bool
	state, kind    uint8
	number         int32 // protocol of raw and netlink sockets, interface of packet sockets
}

// socketTable holds the sockets of every network namespace that was read.
type socketTable struct {
	env     *collect.Env
	fs      procfs.FS
	ownNS   uint64
	list    []*socket
	byInode map[uint64]*socket
	problem error // why some are missing, nil when none are
}

func newSocketTable(env *collect.Env) *socketTable {
	s := &socketTable{env: env, fs: tree(env), byInode: map[uint64]*socket{}}
	s.ownNS, _ = s.fs.ReadNamespace("self", "net")
	return s
}

// readOwn reads the tables of the probe's own network namespace.
func (s *socketTable) readOwn() error { return s.readNamespace("/proc/net", s.ownNS) }

// readOthers reads the tables of the network namespaces that other processes are in, through one of them.
func (s *socketTable) readOthers(t *table) error {
	seen := map[uint64]bool{s.ownNS: true}
	for _, p := range t.list {
		if !p.hasMemory() {
			continue // kernel threads are in the first namespace; zombies have left theirs
		}
		ns, err := s.fs.ReadNamespace(p.dir, "net")
		if procfs.IsDenied(err) {
			s.fail(fmt.Errorf("network namespace of process %d: %w", p.pid, collect.ErrNeedsRoot))
		}
		if err != nil || seen[ns] {
			continue
		}
		if err := s.readNamespace("/proc/"+p.dir+"/net", ns); err != nil {
			return err
		}
		// When the process ended meanwhile, another one of the namespace is tried.
		seen[ns] = p.isAlive()
	}
	return nil
}

// fail keeps the first problem.
func (s *socketTable) fail(err error) {
	if s.problem == nil {
		s.problem = err
	}
}

var errFull = fmt.Errorf("more than %d sockets: %w", maxSockets, collect.ErrLimit)

// add keeps a socket unless it is known already or the table is full.
func (s *socketTable) add(k socket) {
	if _, known := s.byInode[k.inode]; known && k.inode != 0 {
		return
	}
	if len(s.list) >= maxSockets {
		s.fail(errFull)
		return
	}
	s.list = append(s.list, &k)
	if k.inode != 0 {
		s.byInode[k.inode] = &k
	}
}

// readNamespace reads each table of one namespace; tables the kernel does not have are none. The error is the
// throttle's, those of tables end in problem.
func (s *socketTable) readNamespace(dir string, ns uint64) error {
	for _, read := range []func(dir string, ns uint64) error{s.readInet, s.readSCTP, s.readUnix, s.readPacket, s.readNetlink} {
		err := read(dir, ns)
		if err != nil && !procfs.IsAbsent(err) && !errors.Is(err, syscall.EINVAL) {
			s.fail(err)
		}
		if err := s.env.Throttle.Pause(); err != nil {
			return err
		}
	}
	return nil
}

// inetTables are the tables of one form, with and without "6".
var inetTables = []struct {
	name     string
	protocol protocol
}{{"tcp", protoTCP}, {"udp", protoUDP}, {"raw", protoRaw}, {"icmp", protoICMP}, {"udplite", protoUDPLite}}

func (s *socketTable) readInet(dir string, ns uint64) error {
	var failed error
	for _, table := range inetTables {
		for _, suffix := range []string{"", "6"} {
			err := s.fs.ReadInetSockets(dir, table.name+suffix, func(row procfs.InetSocket) {
				s.add(inetSocket(row, table.protocol, suffix == "6", ns))
			})
			if err != nil && !procfs.IsAbsent(err) && failed == nil {
				failed = err
			}
		}
	}
	return failed
}

// States of include/net/tcp_states.h that matter here.
const (
	tcpListen = 10
	tcpClose  = 7
)

func inetSocket(row procfs.InetSocket, p protocol, isIPv6 bool, ns uint64) socket {
	k := socket{protocol: p, isIPv6: isIPv6, local: row.Local, remote: row.Remote, state: row.State, uid: row.UID,
		inode: row.Inode, netns: ns}
	switch p {
	case protoTCP:
		k.isListening = row.State == tcpListen
	case protoUDP, protoUDPLite:
		k.isListening = row.State == tcpClose && row.Local.Port() != 0
	case protoRaw, protoICMP:
		// What stands in the port's place is the IP protocol, or the id of echo requests.
		k.number = int32(row.Local.Port())
		k.local = netip.AddrPortFrom(row.Local.Addr(), 0)
	}
	return k
}

func (s *socketTable) readSCTP(dir string, ns uint64) error {
	return s.fs.ReadSCTPSockets(dir, func(row procfs.SCTPSocket) {
		s.add(socket{protocol: protoSCTP, isIPv6: row.Local.Addr().Is6(), local: row.Local, remote: row.Remote, uid: row.UID,
			inode: row.Inode, isListening: !row.Remote.IsValid(), netns: ns})
	})
}

func (s *socketTable) readUnix(dir string, ns uint64) error {
	return s.fs.ReadUnixSockets(dir, func(row procfs.UnixSocket) {
		s.add(socket{protocol: protoUnix, path: row.Path, state: uint8(row.State), kind: uint8(row.Type), uid: procfs.Absent,
			inode: row.Inode, isListening: row.Listening, netns: ns})
	})
}

func (s *socketTable) readPacket(dir string, ns uint64) error {
	return s.fs.ReadPacketSockets(dir, func(row procfs.PacketSocket) {
		s.add(socket{protocol: protoPacket, packetProtocol: row.Protocol, kind: uint8(row.Type), uid: row.UID,
			number: int32(row.Interface), inode: row.Inode, netns: ns})
	})
}

// readNetlink leaves out the kernel's own ends, of which there is one for each protocol.
func (s *socketTable) readNetlink(dir string, ns uint64) error {
	return s.fs.ReadNetlinkSockets(dir, func(row procfs.NetlinkSocket) {
		if row.PortID != 0 {
			s.add(socket{protocol: protoNetlink, number: int32(row.Protocol), uid: procfs.Absent, inode: row.Inode, netns: ns})
		}
	})
}

// holderMap says which processes hold a socket.
type holderMap struct {
	pids    map[uint64][]int64
	problem error // why a holder may be missing, nil when all were looked at
}

// readHolders goes through the descriptors of all processes once.
func readHolders(t *table) (*holderMap, error) {
	h := &holderMap{pids: map[uint64][]int64{}}
	for _, p := range t.list {
		if err := t.env.Throttle.Pause(); err != nil {
			return nil, err
		}
		h.add(p)
	}
	if t.unread != nil && h.problem == nil {
		h.problem = t.unread
	}
	if h.problem == nil && seesPartOfProcesses(t) {
		h.problem = fmt.Errorf("other pid namespaces: %w", collect.ErrNotEntered)
	}
	return h, nil
}

// initialPIDNamespace is the number of the namespace that sees every process (PROC_PID_INIT_INO, linux/proc_ns.h).
const initialPIDNamespace = 0xeffffffc

// seesPartOfProcesses tells a visit to a container: its sockets may be held by processes that only the machine sees.
func seesPartOfProcesses(t *table) bool {
	ns, err := t.fs.ReadNamespace("self", "pid")
	return err == nil && ns != initialPIDNamespace
}

func (h *holderMap) add(p *process) {
	inodes, err := p.socketInodes()
	if err != nil && !errors.Is(err, collect.ErrGone) && h.problem == nil {
		h.problem = err
	}
	for _, n := range inodes {
		h.pids[n] = append(h.pids[n], int64(p.pid))
	}
}

// addNew looks at the processes that were started after the list was read: a socket may have gone over to one.
func (h *holderMap) addNew(t *table) error {
	pids, err := t.fs.ReadPIDs()
	if err != nil {
		return nil
	}
	for _, pid := range pids {
		if _, known := t.byPID[pid]; known {
			continue
		}
		if err := t.env.Throttle.Pause(); err != nil {
			return err
		}
		if p := t.add(pid); p != nil {
			h.add(p)
		}
	}
	return nil
}
