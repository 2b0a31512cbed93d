package procfs

import (
	"bytes"
	"strconv"
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
