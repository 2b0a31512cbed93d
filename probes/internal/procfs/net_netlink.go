package procfs

import (
	"strconv"
)

// NetlinkSocket is one line of /proc/net/netlink, see netlink(7).
type NetlinkSocket struct {
	Protocol int    // NETLINK_ROUTE …
	PortID   uint32 // 0: the kernel's own end
	Inode    uint64
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
