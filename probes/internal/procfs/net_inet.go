package procfs

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"strconv"
	"syscall"
)

// InetSocket is one line of /proc/net/{tcp,udp,raw,icmp,udplite}[6], see proc_net(5).
type InetSocket struct {
	Local  netip.AddrPort // the port of a raw socket is its IP protocol number
	Remote netip.AddrPort
	State  byte // TCP_… of include/net/tcp_states.h; UDP uses 1 connected, 7 not
	UID    int64
	Inode  uint64 // 0: no longer held by anybody (TIME_WAIT and the like)
}

// ReadInetSockets reads a table such as "tcp6" of the network namespace whose /proc/…/net directory is given as seen
// from the root, and calls use with each socket.
func (fs FS) ReadInetSockets(dir, table string, use func(InetSocket)) error {
	fd, err := open(fs.Path(dir + "/" + table))
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return parseInetSockets(fdReader(fd), table, nativeOrder, use)
}

// parseInetSockets reads a table. Addresses are the words of memory in network order, printed as numbers of
// the host: order says which order that is.
func parseInetSockets(r io.Reader, table string, order byteOrder, use func(InetSocket)) error {
	return scanTable(r, table, func(line []byte) error {
		socket, ok := parseInetSocket(line, order)
		if !ok {
			return errParse(table, clip(string(line)))
		}
		use(socket)
		return nil
	})
}

// parseInetSocket reads "slot: local remote state queues timer retransmits uid timeout inode …".
func parseInetSocket(line []byte, order byteOrder) (InetSocket, bool) {
	var words [10][]byte
	if split(line, words[:]) < len(words) {
		return InetSocket{}, false
	}
	var s InetSocket
	var ok [5]bool
	s.Local, ok[0] = parseEndpoint(words[1], order)
	s.Remote, ok[1] = parseEndpoint(words[2], order)
	state, err := strconv.ParseUint(string(words[3]), 16, 8)
	ok[2] = err == nil
	uid, uidOK := parseUint(words[7])
	ok[3] = uidOK && uid <= 1<<32-1
	s.Inode, ok[4] = parseUint(words[9])
	s.State, s.UID = byte(state), int64(uid)
	return s, ok == [5]bool{true, true, true, true, true}
}

// byteOrder is the part of binary.ByteOrder that addresses need.
type byteOrder interface{ PutUint32(b []byte, v uint32) }

var nativeOrder byteOrder = binary.NativeEndian

// parseEndpoint reads "0100007F:1F90" or the same with 32 digits.
func parseEndpoint(word []byte, order byteOrder) (netip.AddrPort, bool) {
	digits, port, _ := bytes.Cut(word, []byte(":"))
	number, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil || len(port) != 4 || (len(digits) != 8 && len(digits) != 32) {
		return netip.AddrPort{}, false
	}
	var raw [16]byte
	for i := 0; i < len(digits); i += 8 {
		four, ok := parseWord(digits[i:i+8], order)
		if !ok {
			return netip.AddrPort{}, false
		}
		copy(raw[i/2:], four[:])
	}
	addr, ok := netip.AddrFromSlice(raw[:len(digits)/2])
	return netip.AddrPortFrom(addr, uint16(number)), ok
}

// parseWord reads eight digits: four bytes in network order that the kernel printed as one number of the host.
func parseWord(digits []byte, order byteOrder) (four [4]byte, ok bool) {
	number, err := strconv.ParseUint(string(digits), 16, 32)
	order.PutUint32(four[:], uint32(number))
	return four, err == nil && len(digits) == 8
}

// parseDigits reads an address whose digits are in network order.
func parseDigits(digits []byte) (netip.Addr, bool) {
	raw, err := hex.DecodeString(string(digits))
	if err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(raw)
}
