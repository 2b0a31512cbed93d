package procfs

import (
	"bytes"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// UnixSocket is one line of /proc/net/unix, see proc_net(5).
type UnixSocket struct {
	Type      int // SOCK_STREAM …
	State     int // 1 unconnected, 2 connecting, 3 connected, 4 disconnecting
	Listening bool
	Inode     uint64
	Path      string // "" when it has no name; '@' first for an abstract one
}

// flagAcceptConnections is __SO_ACCEPTCON of include/linux/net.h.
const flagAcceptConnections = 1 << 16

// PacketSocket is one line of /proc/net/packet, see packet(7).
type PacketSocket struct {
	Type      int    // SOCK_RAW or SOCK_DGRAM
	Protocol  string // four hex digits of the Ethernet type, "0003" for all
	Interface int    // 0: every interface
	UID       int64
	Inode     uint64
}

// NetlinkSocket is one line of /proc/net/netlink, see netlink(7).
type NetlinkSocket struct {
	Protocol int    // NETLINK_ROUTE …
	PortID   uint32 // 0: the kernel's own end
	Inode    uint64
}

// SCTPSocket is one line of /proc/net/sctp/eps or assocs, see Documentation/networking/sctp.rst.
type SCTPSocket struct {
	Local  netip.AddrPort // the first of its addresses
	Remote netip.AddrPort // not valid for an end point without association
	UID    int64
	Inode  uint64
}

// readTable streams a table and calls use with each line after the heading.
func (fs FS) readTable(path string, use func(line []byte) error) error {
	fd, err := open(fs.Path(path))
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return scanTable(fdReader(fd), path, use)
}

func scanTable(r io.Reader, name string, use func(line []byte) error) error {
	first := true
	return scanLines(r, name, maxNetBytes, func(line []byte) error {
		if first {
			first = false
			return nil
		}
		return use(line)
	})
}

// ReadUnixSockets reads the table of the network namespace whose net directory is given. A socket's path may hold
// newlines, so a line can be forged or torn: the first line that is none ends in an error, after all others were used.
func (fs FS) ReadUnixSockets(dir string, use func(UnixSocket)) error {
	var torn error
	err := fs.readTable(dir+"/unix", func(line []byte) error {
		s, err := parseUnixSocket(line)
		if err == nil {
			use(s)
		} else if torn == nil {
			torn = err
		}
		return nil
	})
	if err == nil {
		err = torn
	}
	return err
}

// parseUnixSocket reads "address: references protocol flags type state inode[ path]"; the path may hold spaces.
func parseUnixSocket(line []byte) (UnixSocket, error) {
	var words [7][]byte
	rest := line
	for i := range words {
		rest = bytes.TrimLeft(rest, " ")
		words[i], rest, _ = bytes.Cut(rest, []byte(" "))
	}
	flags, flagsOK := parseHex(words[3])
	kind, kindErr := strconv.ParseUint(string(words[4]), 16, 16)
	state, stateErr := strconv.ParseUint(string(words[5]), 16, 8)
	inode, inodeOK := parseUint(words[6])
	if !bytes.HasSuffix(words[0], []byte(":")) || !flagsOK || kindErr != nil || stateErr != nil || !inodeOK {
		return UnixSocket{}, errParse("unix", clip(string(line)))
	}
	return UnixSocket{int(kind), int(state), flags&flagAcceptConnections != 0, inode, string(rest)}, nil
}

// ReadPacketSockets reads the table of the network namespace whose net directory is given.
func (fs FS) ReadPacketSockets(dir string, use func(PacketSocket)) error {
	return fs.readTable(dir+"/packet", func(line []byte) error {
		s, err := parsePacketSocket(line)
		if err == nil {
			use(s)
		}
		return err
	})
}

// parsePacketSocket reads "address references type protocol interface running memory uid inode".
func parsePacketSocket(line []byte) (PacketSocket, error) {
	var words [9][]byte
	n := split(line, words[:])
	if n < len(words) {
		return PacketSocket{}, errParse("packet", "too few fields")
	}
	kind, kindOK := parseInt(words[2])
	_, protocolOK := parseHex(words[3])
	iface, ifaceOK := parseInt(words[4])
	uid, uidOK := parseUint(words[7])
	inode, inodeOK := parseUint(words[8])
	if !kindOK || !protocolOK || !ifaceOK || !uidOK || uid > 1<<32-1 || !inodeOK {
		return PacketSocket{}, errParse("packet", clip(string(line)))
	}
	return PacketSocket{kind, strings.ToLower(string(words[3])), iface, int64(uid), inode}, nil
}

// ReadNetlinkSockets reads the table of the network namespace whose net directory is given.
func (fs FS) ReadNetlinkSockets(dir string, use func(NetlinkSocket)) error {
	return fs.readTable(dir+"/netlink", func(line []byte) error {
		s, err := parseNetlinkSocket(line)
		if err == nil {
			use(s)
		}
		return err
	})
}

// parseNetlinkSocket reads "address protocol port groups rmem wmem dump locks drops inode"; old kernels have no inode
// column, there it is 0. The port is printed with a sign on 32-bit kernels.
func parseNetlinkSocket(line []byte) (NetlinkSocket, error) {
	var words [10][]byte
	n := split(line, words[:])
	if n < 3 {
		return NetlinkSocket{}, errParse("netlink", "too few fields")
	}
	protocol, protocolOK := parseInt(words[1])
	port, portErr := strconv.ParseInt(string(words[2]), 10, 64)
	s := NetlinkSocket{Protocol: protocol, PortID: uint32(port)}
	inodeOK := true
	if n == len(words) {
		s.Inode, inodeOK = parseUint(words[9])
	}
	if !protocolOK || portErr != nil || !inodeOK {
		return NetlinkSocket{}, errParse("netlink", clip(string(line)))
	}
	return s, nil
}

// ReadSCTPSockets reads end points (listening) and associations of a network namespace.
func (fs FS) ReadSCTPSockets(dir string, use func(SCTPSocket)) error {
	for table, parse := range map[string]func([]byte) (SCTPSocket, error){
		"eps": parseSCTPEndpoint, "assocs": parseSCTPAssociation,
	} {
		err := fs.readTable(dir+"/sctp/"+table, func(line []byte) error {
			s, err := parse(line)
			if err == nil {
				use(s)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// parseSCTPEndpoint reads "endpoint socket style state bucket port uid inode addresses…".
func parseSCTPEndpoint(line []byte) (SCTPSocket, error) {
	var words [9][]byte
	if split(line, words[:]) < 8 {
		return SCTPSocket{}, errParse("sctp/eps", "too few fields")
	}
	port, portErr := strconv.ParseUint(string(words[5]), 10, 16)
	uid, uidOK := parseUint(words[6])
	inode, inodeOK := parseUint(words[7])
	if portErr != nil || !uidOK || !inodeOK {
		return SCTPSocket{}, errParse("sctp/eps", clip(string(line)))
	}
	return SCTPSocket{Local: sctpAddress(words[8], port), UID: int64(uid), Inode: inode}, nil
}

// parseSCTPAssociation reads "association socket style sst st bucket id tx rx uid inode lport rport local… <-> remote…".
func parseSCTPAssociation(line []byte) (SCTPSocket, error) {
	words := bytes.Fields(line)
	if len(words) < 14 {
		return SCTPSocket{}, errParse("sctp/assocs", "too few fields")
	}
	uid, uidOK := parseUint(words[9])
	inode, inodeOK := parseUint(words[10])
	local, localErr := strconv.ParseUint(string(words[11]), 10, 16)
	remote, remoteErr := strconv.ParseUint(string(words[12]), 10, 16)
	if !uidOK || !inodeOK || localErr != nil || remoteErr != nil {
		return SCTPSocket{}, errParse("sctp/assocs", clip(string(line)))
	}
	s := SCTPSocket{Local: sctpAddress(words[13], local), UID: int64(uid), Inode: inode}
	for i, word := range words {
		if string(word) == "<->" && i+1 < len(words) {
			s.Remote = sctpAddress(words[i+1], remote)
		}
	}
	return s, nil
}

// sctpAddress reads an address in its usual form; '*' marks the primary one.
func sctpAddress(word []byte, port uint64) netip.AddrPort {
	addr, err := netip.ParseAddr(string(bytes.Trim(word, "*")))
	if err != nil {
		addr = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(addr, uint16(port))
}
