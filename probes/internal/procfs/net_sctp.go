package procfs

import (
	"bytes"
	"net/netip"
	"strconv"
)

// SCTPSocket is one line of /proc/net/sctp/eps or assocs, see Documentation/networking/sctp.rst.
type SCTPSocket struct {
	Local  netip.AddrPort // the first of its addresses
	Remote netip.AddrPort // not valid for an end point without association
	UID    int64
	Inode  uint64
}

// ReadSCTPSockets reads end points (listening) and associations of a network namespace.
func (fs FS) ReadSCTPSockets(dir string, use func(SCTPSocket)) error {
	err := fs.readSCTP(dir+"/sctp/eps", parseSCTPEndpoint, use)
	if err != nil {
		return err
	}
	return fs.readSCTP(dir+"/sctp/assocs", parseSCTPAssociation, use)
}

func (fs FS) readSCTP(path string, parse func(line []byte) (SCTPSocket, error), use func(SCTPSocket)) error {
	return fs.readTable(path, func(line []byte) error {
		s, err := parse(line)
		if err == nil {
			use(s)
		}
		return err
	})
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
