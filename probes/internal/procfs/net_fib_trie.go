package procfs

import (
	"net/netip"
	"strings"

	"sandfly/probes/internal/seq"
)

// ReadLocalIPv4 reads the host's own IPv4 addresses from /proc/net/fib_trie.
func (fs FS) ReadLocalIPv4() (addresses []netip.Addr, err error) {
	err = withFile(fs.Path("/proc/net/fib_trie"), maxText, func(data []byte) error {
		addresses = parseFibTrie(data)
		return nil
	})
	return addresses, err
}

// parseFibTrie takes each leaf "|-- 192.0.2.2" that is followed by "/32 host LOCAL"; every table lists them again.
func parseFibTrie(data []byte) []netip.Addr {
	var addresses []netip.Addr
	seen := map[netip.Addr]bool{}
	leaf := netip.Addr{}
	for line := range seq.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if text, isLeaf := strings.CutPrefix(line, "|-- "); isLeaf {
			leaf, _ = netip.ParseAddr(text)
		} else if line == "/32 host LOCAL" && leaf.IsValid() && !seen[leaf] {
			seen[leaf] = true
			addresses = append(addresses, leaf)
		}
	}
	return addresses
}
