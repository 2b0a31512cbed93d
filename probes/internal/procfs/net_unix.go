package procfs

import (
	"bytes"
	"errors"
	"io"
	"strconv"
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

// maxUnixPath is the size of sun_path, see unix(7).
const maxUnixPath = 108

// ReadUnixSockets reads the table of the network namespace whose net directory is given.
func (fs FS) ReadUnixSockets(dir string, use func(UnixSocket)) error {
	fd, err := open(fs.Path(dir + "/unix"))
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return parseUnixSockets(fdReader(fd), use)
}

// parseUnixSockets reads a table. The kernel does not escape newlines in a socket's path, which any user can choose:
// a line that is none goes on with the path before it. What cannot be that is an error after all others were used.
func parseUnixSockets(r io.Reader, use func(UnixSocket)) error {
	var held *UnixSocket
	var malformed error
	err := scanTable(r, "unix", func(line []byte) error {
		s, err := parseUnixSocket(line)
		switch {
		case err == nil && held != nil:
			use(*held)
			fallthrough
		case err == nil:
			held = &s
		case held != nil && held.Path != "" && len(held.Path)+len(line) < maxUnixPath:
			held.Path += "\n" + string(line)
		case malformed == nil:
			malformed = err
		}
		return nil
	})
	if held != nil {
		use(*held)
	}
	return errors.Join(err, malformed)
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
