package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
)

// Numbers of netlink(7), include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h.
const (
	netlinkNetfilter = 12
	subsystemNft     = 10
	newChain         = 3
	getChain         = 4
	messageError     = 2
	messageDone      = 3
	flagRequest      = 1
	flagDump         = 0x300
	headerBytes      = 16
	familyBytes      = 4
	answerSeconds    = 3

	chainTable  = 1
	chainName   = 3
	chainHook   = 4
	chainPolicy = 5
	chainUse    = 6
	hookNumber  = 1
	hookRank    = 2
)

var families = map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// hookNames are the places of a packet's way; netdev has others.
var hookNames = []string{"prerouting", "input", "forward", "output", "postrouting"}

// packetFilters are the chains of nf_tables (nft and today's iptables), tables of the old iptables, and for each of
// IPv4 and IPv6 whether anything filters what comes in. What the kernel does not tell without root is unknown.
func packetFilters(v *visit) ([]*entry, error) {
	if !v.fs.IsLive() {
		return nil, nil
	}
	var chains []*entry
	var err error
	if v.hasNft() {
		if chains, err = askChains(); err != nil {
			chains = append(chains, &entry{kind: "filter_chain", err: err})
		}
	}
	legacy := map[string]error{}
	for family, file := range map[string]string{"ipv4": "/proc/net/ip_tables_names", "ipv6": "/proc/net/ip6_tables_names"} {
		names, readErr := v.rows(file)
		if legacy[family] = readErr; readErr == nil && len(names) > 0 {
			legacy[family] = errors.New("tables of the old iptables are in use; their rules are not read")
		}
		for _, words := range names {
			chains = append(chains, &entry{kind: "filter_chain", name: "legacy " + family + " " + words[0], path: file})
		}
	}
	found := append(chains, inputFilter("ipv4", "ip ", chains, errors.Join(err, legacy["ipv4"])),
		inputFilter("ipv6", "ip6 ", chains, errors.Join(err, legacy["ipv6"])))
	sortEntries(found)
	return found, nil
}

// inputFilter sums up the chains that see what comes in over one protocol. Its answer is unknown only where no chain
// that is known filters.
func inputFilter(name, family string, chains []*entry, err error) *entry {
	e := &entry{kind: "input_filter", name: name, policy: "accept", rules: new(int64), filters: mark(false)}
	for _, c := range chains {
		if c.hook != "input" || !strings.HasPrefix(c.name, family) && !strings.HasPrefix(c.name, "inet ") || c.rules == nil {
			continue
		}
		*e.rules += *c.rules
		if c.policy == "drop" {
			e.policy = "drop"
		}
	}
	if *e.filters = e.policy == "drop" || *e.rules > 0; !*e.filters {
		e.err = err
	}
	return e
}

// hasNft says whether the kernel can answer without loading a module, which would change the host.
func (v *visit) hasNft() bool {
	if v.exists("/sys/module/nf_tables") || !v.exists("/proc/modules") {
		return true // a kernel without modules has what it has
	}
	release, err := v.fs.ReadText("/proc/sys/kernel/osrelease")
	if err != nil || strings.Contains(release, "/") {
		return false
	}
	builtin, err := v.fs.ReadText("/lib/modules/" + release + "/modules.builtin")
	return err == nil && strings.Contains(builtin, "/nf_tables.ko")
}

// askChains asks the kernel for all chains of the network the probe runs in.
func askChains() ([]*entry, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkNetfilter)
	if errors.Is(err, syscall.EPROTONOSUPPORT) || errors.Is(err, syscall.EAFNOSUPPORT) {
		return nil, nil // a kernel without netfilter
	}
	if err != nil {
		return nil, fmt.Errorf("nf_tables: %w", err)
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: answerSeconds}); err != nil {
		return nil, fmt.Errorf("nf_tables: %w", err)
	}
	if _, err := syscall.Write(fd, chainRequest()); err != nil {
		return nil, fmt.Errorf("nf_tables: %w", err)
	}
	var found []*entry
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(fd, buf)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("nf_tables: %w", err)
		}
		chains, done, err := parseChains(buf[:max(n, 0)])
		found = append(found, chains...)
		if done || err != nil {
			return found, err
		}
		if len(found) > maxRecords {
			return found, fmt.Errorf("more than %d chains: %w", maxRecords, collect.ErrLimit)
		}
	}
}

func chainRequest() []byte {
	b := make([]byte, headerBytes+familyBytes)
	o := binary.NativeEndian
	o.PutUint32(b, uint32(len(b)))
	o.PutUint16(b[4:], subsystemNft<<8|getChain)
	o.PutUint16(b[6:], flagRequest|flagDump)
	o.PutUint32(b[8:], 1)
	return b
}

// parseChains reads the messages of one answer and says whether it was the last.
func parseChains(b []byte) (found []*entry, done bool, err error) {
	o := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < headerBytes {
			return found, false, fmt.Errorf("nf_tables: %w answer", errMalformed)
		}
		length, kind := int(o.Uint32(b)), o.Uint16(b[4:])
		if length < headerBytes || length > len(b) {
			return found, false, fmt.Errorf("nf_tables: %w answer", errMalformed)
		}
		body := b[headerBytes:length]
		switch {
		case kind == messageDone:
			return found, true, nil
		case kind == messageError:
			if len(body) < 4 {
				return found, true, fmt.Errorf("nf_tables: %w answer", errMalformed)
			}
			return found, true, kernelError(syscall.Errno(-int32(o.Uint32(body))))
		case kind == subsystemNft<<8|newChain && len(body) >= familyBytes:
			found = append(found, parseChain(body[0], body[familyBytes:]))
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return found, false, nil
}

// kernelError is what a kernel answers; one without nf_tables has no chains, which is no error.
func kernelError(errno syscall.Errno) error {
	switch errno {
	case 0, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.ENOENT, syscall.EAFNOSUPPORT:
		return nil
	}
	return fmt.Errorf("nf_tables: %w", errno)
}

// parseChain reads the attributes of a chain; their numbers are in network order.
func parseChain(family byte, b []byte) *entry {
	e := &entry{kind: "filter_chain"}
	table, name := "", ""
	for kind, value := range attributes(b) {
		switch kind {
		case chainTable:
			table = strings.TrimRight(string(value), "\x00")
		case chainName:
			name = strings.TrimRight(string(value), "\x00")
		case chainUse:
			e.rules = bigEndian(value)
		case chainPolicy:
			if policy := bigEndian(value); policy != nil {
				e.policy = map[int64]string{0: "drop", 1: "accept"}[*policy]
			}
		case chainHook:
			for kind, value := range attributes(value) {
				number := bigEndian(value)
				switch {
				case number == nil:
				case kind == hookRank:
					rank := int64(int32(*number))
					e.priority = &rank
				case kind == hookNumber && family == 5:
					e.hook = map[int64]string{0: "ingress", 1: "egress"}[*number]
				case kind == hookNumber && *number < int64(len(hookNames)):
					e.hook = hookNames[*number]
				}
			}
		}
	}
	e.name = families[family] + " " + table + " " + name
	return e
}

// attributes calls yield with each attribute of struct nlattr; flags in its type are left out.
func attributes(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		o := binary.NativeEndian
		for len(b) >= 4 {
			length, kind := int(o.Uint16(b)), o.Uint16(b[2:])&0x3fff
			if length < 4 || length > len(b) || !yield(kind, b[4:length]) {
				return
			}
			b = b[min(len(b), (length+3)&^3):]
		}
	}
}

func bigEndian(b []byte) *int64 {
	if len(b) < 4 {
		return nil
	}
	number := int64(binary.BigEndian.Uint32(b))
	return &number
}
