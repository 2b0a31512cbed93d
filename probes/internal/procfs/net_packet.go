package procfs

import (
	"strings"
)

// PacketSocket is one line of /proc/net/packet, see packet(7).
type PacketSocket struct {
	Type      int    // SOCK_RAW or SOCK_DGRAM
	Protocol  string // four hex digits of the Ethernet type, "0003" for all
	Interface int    // 0: every interface
	UID       int64
	Inode     uint64
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
