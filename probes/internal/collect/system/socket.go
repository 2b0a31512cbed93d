package system

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

var socketSubject = collect.NewSubject("socket",
	"A socket of any network namespace: internet, unix, packet or netlink.",
	[]string{"protocol", "family", "local_address", "local_port", "path", "process.path", "process.name"},
	[]string{"protocol", "state", "local_address", "local_port", "remote_address", "remote_port", "pid", "process.name",
		"process.path", "process.cmdline"},
	slices.Concat(socketBasics, socketHolder))

// needsHolder says whether any of the wanted fields takes the pass over all descriptors.
func needsHolder(want collect.Want) bool {
	for name, wanted := range want.Fields {
		if wanted && (strings.HasPrefix(name, "process.") || name == "pid" || name == "pids") {
			return true
		}
	}
	return false
}

// emitSockets completes the table with the other namespaces and yields its records.
func emitSockets(ctx context.Context, t *table, sockets *socketTable, want collect.Want, emit collect.Emit,
	status *collect.Status) error {
	if err := sockets.readOthers(t); err != nil {
		return err
	}
	holders := &holderMap{}
	if needsHolder(want) {
		var err error
		if holders, err = findHolders(t, sockets); err != nil {
			return err
		}
	}
	if sockets.problem != nil {
		status.Partial("socket", sockets.problem)
	}
	for _, k := range sockets.list {
		if err := ctx.Err(); err != nil {
			return err
		}
		k.processes, k.holders = t, holders
		if err := emit("socket", k); err != nil {
			return err
		}
	}
	return nil
}

// findHolders maps sockets to processes.
func findHolders(t *table, sockets *socketTable) (*holderMap, error) {
	holders, err := readHolders(t)
	if err != nil || holders.problem != nil || !sockets.fs.IsLive() {
		return holders, err
	}
	return holders, dropClosed(t, sockets, holders)
}

// dropClosed looks once more for the holders of sockets that seem to have none: sockets come, go and change hands
// while they are read. Those without holder are looked for in new processes, and dropped when they are closed by now.
func dropClosed(t *table, sockets *socketTable, holders *holderMap) error {
	orphan := func(k *socket) bool { return k.inode != 0 && len(holders.pids[k.inode]) == 0 }
	if !slices.ContainsFunc(sockets.list, orphan) {
		return nil
	}
	if err := holders.addNew(t); err != nil {
		return err
	}
	again := newSocketTable(t.env)
	if err := errors.Join(again.readOwn(), again.readOthers(t)); err != nil {
		return err
	}
	if again.problem != nil && !errors.Is(again.problem, collect.ErrNeedsRoot) {
		return nil // what is missing in the second look may only not have been read
	}
	sockets.list = slices.DeleteFunc(sockets.list, func(k *socket) bool {
		return orphan(k) && again.byInode[k.inode] == nil
	})
	return nil
}

// pids are the processes that hold the socket; none for sockets of the kernel and closed connections.
func (k *socket) pids() ([]int64, error) {
	if k.inode == 0 || k.holders == nil {
		return nil, nil
	}
	pids := k.holders.pids[k.inode]
	if len(pids) == 0 && k.holders.problem != nil {
		if procfs.IsDenied(k.holders.problem) {
			return nil, collect.ErrNeedsRoot
		}
		return nil, k.holders.problem
	}
	return pids, nil
}

// ofHolder makes a getter of a fact of the first process that holds the socket; absent when none does.
func ofHolder(get func(p *process) (any, error)) func(k *socket) (any, error) {
	return func(k *socket) (any, error) {
		pids, err := k.pids()
		if err != nil {
			return nil, err
		}
		for _, pid := range pids {
			if p := k.processes.byPID[int(pid)]; p != nil {
				return get(p)
			}
		}
		return nil, nil
	}
}

func socketFamily(k *socket) any {
	switch {
	case k.protocol == protoUnix, k.protocol == protoPacket, k.protocol == protoNetlink:
		return k.protocol.String()
	case k.isIPv6:
		return "inet6"
	}
	return "inet"
}

// hasPorts is false for protocols that have none.
func (k *socket) hasPorts() bool { return k.protocol <= protoUDPLite || k.protocol == protoSCTP }

func localAddress(k *socket) any {
	if !k.local.IsValid() {
		return nil
	}
	return k.local.Addr().Unmap().String()
}

func localPort(k *socket) any {
	if !k.hasPorts() {
		return nil
	}
	return int64(k.local.Port())
}

// hasRemote is false for sockets that are not connected.
func (k *socket) hasRemote() bool {
	return k.remote.IsValid() && !(k.remote.Addr().IsUnspecified() && k.remote.Port() == 0)
}

func remoteAddress(k *socket) any {
	if !k.hasRemote() {
		return nil
	}
	return k.remote.Addr().Unmap().String()
}

func remotePort(k *socket) any {
	if !k.hasRemote() || !k.hasPorts() {
		return nil
	}
	return int64(k.remote.Port())
}

func isLoopback(k *socket) any {
	if !k.local.IsValid() {
		return nil
	}
	return k.local.Addr().Unmap().IsLoopback()
}

func isRemotePrivate(k *socket) any {
	if !k.hasRemote() {
		return nil
	}
	addr := k.remote.Addr().Unmap()
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast()
}

// tcpStates are the names of include/net/tcp_states.h, from 1.
var tcpStates = [...]string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
	"CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"}

// unixStates are the names of enum socket_state, from 1.
var unixStates = [...]string{"", "UNCONNECTED", "CONNECTING", "CONNECTED", "DISCONNECTING"}

func socketState(k *socket) any {
	switch {
	case k.protocol == protoPacket, k.protocol == protoNetlink:
		return nil
	case k.isListening && k.protocol != protoUDP && k.protocol != protoUDPLite:
		return "LISTEN"
	case k.protocol == protoSCTP:
		return "ESTABLISHED"
	case k.protocol == protoUnix && int(k.state) < len(unixStates):
		return text(unixStates[k.state])
	case k.protocol == protoUnix || int(k.state) >= len(tcpStates):
		return nil
	case k.protocol != protoTCP && k.state == tcpClose:
		return "UNCONNECTED"
	}
	return text(tcpStates[k.state])
}

func socketType(k *socket) any {
	switch k.protocol {
	case protoTCP, protoSCTP:
		return "stream"
	case protoUDP, protoUDPLite, protoICMP:
		return "dgram"
	case protoRaw, protoNetlink:
		return "raw"
	}
	switch k.kind {
	case syscall.SOCK_STREAM:
		return "stream"
	case syscall.SOCK_DGRAM:
		return "dgram"
	case syscall.SOCK_RAW:
		return "raw"
	case syscall.SOCK_SEQPACKET:
		return "seqpacket"
	}
	return nil
}

// numberOf makes a getter of the number that sockets of one protocol have.
func numberOf(p protocol) func(k *socket) (any, error) {
	return value(func(k *socket) any {
		if k.protocol != p {
			return nil
		}
		return int64(k.number)
	})
}

// internetSockets are those of the process that stand in the internet tables.
func (p *process) internetSockets() ([]*socket, error) {
	inodes, err := p.socketInodes()
	if err != nil || len(inodes) == 0 {
		return nil, err
	}
	known, err := p.sockets.get(func() (*socketTable, error) { return readSocketTable(p.table) })
	if err != nil {
		return nil, err
	}
	var found []*socket
	for _, n := range inodes {
		if k := known.byInode[n]; k != nil && k.local.IsValid() {
			found = append(found, k)
		}
	}
	return found, nil
}

// readSocketTable reads the sockets of all namespaces. What is missing of them makes the fields unknown.
func readSocketTable(t *table) (*socketTable, error) {
	s := newSocketTable(t.env)
	if err := errors.Join(s.readOwn(), s.readOthers(t)); err != nil {
		return nil, err
	}
	if s.problem != nil && !errors.Is(s.problem, collect.ErrNeedsRoot) {
		return nil, s.problem
	}
	return s, nil
}

func remoteAddresses(p *process) (any, error) {
	sockets, err := p.internetSockets()
	addresses := []string{}
	for _, k := range sockets {
		if k.hasRemote() {
			addresses = append(addresses, k.remote.Addr().Unmap().String())
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses), err
}

// ports gives one port of each socket that counts, sorted.
func ports(p *process, port func(k *socket) (number uint16, counts bool)) (any, error) {
	sockets, err := p.internetSockets()
	numbers := []int64{}
	for _, k := range sockets {
		if n, counts := port(k); counts && k.hasPorts() {
			numbers = append(numbers, int64(n))
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), err
}

func remotePorts(p *process) (any, error) {
	return ports(p, func(k *socket) (uint16, bool) { return k.remote.Port(), k.hasRemote() })
}

func listeningPorts(p *process) (any, error) {
	return ports(p, func(k *socket) (uint16, bool) { return k.local.Port(), k.isListening })
}
