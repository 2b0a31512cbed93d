package hidden

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// socket is one TCP or UDP socket as both sides tell it.
type socket struct {
	protocol      string
	local, remote netip.AddrPort
	state         byte
	inode         uint64
}

// States of TCP, include/net/tcp_states.h.
const (
	stateSynReceived = 3
	stateTimeWait    = 6
	stateListen      = 10
	stateNewSyn      = 12
)

// compareSockets holds the tables of /proc/net against what sock_diag(7) answers. It is a question to the kernel over a
// local netlink socket: nothing is sent to any network.
func compareSockets(v *visit) ([]*finding, error) {
	if !v.fs.IsLive() {
		return nil, unavailable("the tree is not the running system")
	}
	var odd []*finding
	for _, protocol := range []string{"tcp", "udp"} {
		if !v.hasDiag(protocol) {
			return nil, unavailable(protocol + "_diag is not loaded, and asking would load it")
		}
		found, err := v.compareProtocol(protocol)
		if err != nil {
			return odd, fmt.Errorf("%s: %w", protocol, err)
		}
		odd = append(odd, found...)
	}
	return odd, nil
}

// hasDiag says whether the kernel can answer without loading a module, which would change the host.
func (v *visit) hasDiag(protocol string) bool {
	name := protocol + "_diag"
	if _, err := v.fs.ReadNames("/sys/module/" + name); err == nil {
		return true
	}
	if _, err := os.Lstat(v.fs.Path("/proc/modules")); procfs.IsAbsent(err) {
		return true // a kernel without modules has what it has
	}
	release, err := v.fs.ReadText("/proc/sys/kernel/osrelease")
	if err != nil || strings.Contains(release, "/") {
		return false
	}
	builtin, err := v.fs.ReadText("/lib/modules/" + release + "/modules.builtin")
	return err == nil && strings.Contains(builtin, "/"+name+".ko")
}

func (v *visit) compareProtocol(protocol string) ([]*finding, error) {
	odd, err := v.oddSockets(protocol)
	if err != nil {
		return nil, err
	}
	return persists(v, odd, func(before []*finding) ([]*finding, error) {
		again, err := v.oddSockets(protocol)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(again, func(f *finding) bool {
			return !slices.ContainsFunc(before, func(b *finding) bool { return b.socket.inode == f.socket.inode })
		}), nil
	})
}

// oddSockets reads the tables, then asks, then reads the tables again: what one side shows and the other does not at
// both ends did not just come or go.
func (v *visit) oddSockets(protocol string) ([]*finding, error) {
	before, err := v.listSockets(protocol)
	if err != nil {
		return nil, err
	}
	asked, err := v.askSockets(protocol)
	if err != nil {
		return nil, err
	}
	after, err := v.listSockets(protocol)
	if err != nil {
		return nil, err
	}
	var odd []*finding
	for inode, s := range asked {
		_, earlier := before[inode]
		if _, later := after[inode]; !earlier && !later && len(odd) < maxFindings {
			odd = append(odd, socketFinding(s, "sock_diag", "proc_net"))
		}
	}
	for inode, s := range before {
		_, stays := after[inode]
		if _, known := asked[inode]; !known && stays && len(odd) < maxFindings {
			odd = append(odd, socketFinding(s, "proc_net", "sock_diag"))
		}
	}
	return odd, nil
}

func socketFinding(s socket, seen, missing string) *finding {
	return &finding{kind: "socket", name: s.protocol, socket: &s, seenBy: []string{seen}, missingFrom: []string{missing},
		detail: fmt.Sprintf("%s socket %s → %s is known to %s and not to %s", s.protocol, s.local, s.remote, seen, missing)}
}

// maxSockets bounds each side; a proxy has a few hundred thousand.
const maxSockets = 1 << 18

// listSockets reads both tables of a protocol, by inode. Sockets that nobody holds any more have none and are left out.
func (v *visit) listSockets(protocol string) (map[uint64]socket, error) {
	found := map[uint64]socket{}
	for _, table := range []string{protocol, protocol + "6"} {
		err := v.fs.ReadInetSockets("/proc/self/net", table, func(s procfs.InetSocket) {
			if s.Inode != 0 && comparedStates>>s.State&1 == 1 {
				found[s.Inode] = socket{protocol, s.Local, s.Remote, s.State, s.Inode}
			}
		})
		if err != nil && !(procfs.IsAbsent(err) && table != protocol) {
			return nil, err
		}
	}
	if len(found) > maxSockets {
		return nil, fmt.Errorf("more than %d sockets: %w", maxSockets, collect.ErrLimit)
	}
	return found, v.pause()
}

// Numbers of netlink(7) and sock_diag(7).
const (
	netlinkDiag   = 4
	diagByFamily  = 20
	messageDone   = 3
	messageError  = 2
	flagRequest   = 1
	flagDump      = 0x300
	headerBytes   = 16
	requestBytes  = 56
	responseBytes = 72
	answerSeconds = 3
)

func (v *visit) askSockets(protocol string) (map[uint64]socket, error) {
	found := map[uint64]socket{}
	for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
		if err := v.dump(family, protocol, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// dump asks for all sockets of a family and protocol.
func (v *visit) dump(family byte, protocol string, found map[uint64]socket) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkDiag)
	if err != nil {
		return unavailable("no netlink: " + err.Error())
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: answerSeconds}); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if _, err := syscall.Write(fd, request(family, protocol)); err != nil {
		return unavailable("no sock_diag: " + err.Error())
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(fd, buf)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sock_diag: %w", err)
		}
		done, err := parseMessages(buf[:max(n, 0)], protocol, found)
		if done || err != nil {
			return err
		}
		if len(found) > maxSockets {
			return fmt.Errorf("more than %d sockets: %w", maxSockets, collect.ErrLimit)
		}
		if err := v.pause(); err != nil {
			return err
		}
	}
}

// comparedStates are the states that both sides show: not what is half open or waits for its end, nor what is bound and
// does nothing, which the tables never have.
const comparedStates = 1<<stateNewSyn - 1 - 1<<stateTimeWait - 1<<stateSynReceived - 1

// request is struct nlmsghdr with struct inet_diag_req_v2: all sockets, but for TIME_WAIT and half open ones.
func request(family byte, protocol string) []byte {
	o := binary.NativeEndian
	b := make([]byte, headerBytes+requestBytes)
	o.PutUint32(b, uint32(len(b)))
	o.PutUint16(b[4:], diagByFamily)
	o.PutUint16(b[6:], flagRequest|flagDump)
	o.PutUint32(b[8:], 1)
	b[headerBytes] = family
	b[headerBytes+1] = syscall.IPPROTO_TCP
	if protocol == "udp" {
		b[headerBytes+1] = syscall.IPPROTO_UDP
	}
	o.PutUint32(b[headerBytes+4:], comparedStates)
	return b
}

// parseMessages reads the messages of one answer into found and says whether it was the last. An answer that is cut
// short is an error: what is missing would look hidden.
func parseMessages(b []byte, protocol string, found map[uint64]socket) (done bool, err error) {
	o := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < headerBytes {
			return false, errors.New("sock_diag: answer cut short")
		}
		length, kind := int(o.Uint32(b)), o.Uint16(b[4:])
		if length < headerBytes || length > len(b) {
			return false, errors.New("sock_diag: answer cut short")
		}
		switch kind {
		case messageDone:
			return true, nil
		case messageError:
			return true, diagError(b[headerBytes:length])
		case diagByFamily:
			if s, ok := parseResponse(b[headerBytes:length], protocol); ok && s.inode != 0 {
				found[s.inode] = s
			}
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return false, nil
}

// diagError is the error a kernel answers with; one that does not know the protocol cannot be asked.
func diagError(b []byte) error {
	if len(b) < 4 {
		return errors.New("sock_diag: answer cut short")
	}
	errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(b)))
	if errno == syscall.ENOENT || errno == syscall.EOPNOTSUPP || errno == syscall.EINVAL || errno == syscall.EPERM {
		return unavailable("sock_diag: " + errno.Error())
	}
	return fmt.Errorf("sock_diag: %w", errno)
}

// parseResponse reads struct inet_diag_msg; ports and addresses are in network order.
func parseResponse(b []byte, protocol string) (socket, bool) {
	if len(b) < responseBytes {
		return socket{}, false
	}
	address := func(at int) netip.Addr {
		if b[0] == syscall.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16]))
	}
	return socket{
		protocol: protocol, state: b[1],
		local:  netip.AddrPortFrom(address(8), binary.BigEndian.Uint16(b[4:])),
		remote: netip.AddrPortFrom(address(24), binary.BigEndian.Uint16(b[6:])),
		inode:  uint64(binary.NativeEndian.Uint32(b[68:])),
	}, true
}
