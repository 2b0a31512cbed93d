package system

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/procfs"
)

// defaultEphemeral is the kernel's default of net.ipv4.ip_local_port_range.
const defaultEphemeral = 32768

// hostListening are the ports open on the host: TCP that listens, and UDP that is bound below the range from which
// the kernel takes ports for clients.
func hostListening(h *host) (any, error) {
	low, err := h.fs.ReadInt("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		low = defaultEphemeral
	}
	numbers := []int64{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		err := h.fs.ReadInetSockets("/proc/net", table, func(row procfs.InetSocket) {
			port := int64(row.Local.Port())
			isServer := strings.HasPrefix(table, "tcp") && row.State == tcpListen ||
				strings.HasPrefix(table, "udp") && row.State == tcpClose && port < low
			if isServer && port != 0 {
				numbers = append(numbers, port)
			}
		})
		if err != nil && !procfs.IsAbsent(err) {
			return nil, err
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// interfaces gives "name=address" for each address of the host. The kernel's text files do not say which interface an
// IPv4 address is on, so the routes do; "?" where none fits.
func interfaces(h *host) (any, error) {
	found := []string{}
	addresses, err := h.fs.ReadLocalIPv4()
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	routes, err := h.fs.ReadRoutes()
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	for _, address := range addresses {
		found = append(found, interfaceOf(address, routes)+"="+address.String())
	}
	others, err := h.fs.ReadInterfacesIPv6()
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	for _, other := range others {
		found = append(found, other.Interface+"="+other.Address.String())
	}
	slices.Sort(found)
	return found, nil
}

// interfaceOf picks the interface with the smallest network around the address; the default route says nothing.
func interfaceOf(address netip.Addr, routes []procfs.Route) string {
	if address.IsLoopback() {
		return "lo"
	}
	name, bits := "?", 0
	for _, r := range routes {
		if r.Network.Bits() > bits && r.Network.Contains(address) {
			name, bits = r.Interface, r.Network.Bits()
		}
	}
	return name
}

const netDirectory = "/sys/class/net"

// eachInterface collects what use finds in the file of each interface's directory.
func eachInterface(h *host, file string, use func(name, value string) (string, bool)) (any, error) {
	names, err := h.fs.ReadNames(netDirectory)
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	found := []string{}
	for _, name := range names {
		v, err := h.fs.ReadText(netDirectory + "/" + name + "/" + file)
		if procfs.IsAbsent(err) {
			continue // bonding_masters is a file, and interfaces go
		}
		if err != nil {
			return nil, err
		}
		if entry, ok := use(name, v); ok && !slices.Contains(found, entry) {
			found = append(found, entry)
		}
	}
	return found, nil
}

func macAddresses(h *host) (any, error) {
	return eachInterface(h, "address", func(_, address string) (string, bool) {
		return address, strings.Trim(address, "0:") != ""
	})
}

// flagPromiscuous is IFF_PROMISC. This file also shows it when a program asked for it through a packet socket, which
// ip(8) and ifconfig(8) do not.
const flagPromiscuous = 0x100

func promiscuousInterfaces(h *host) (any, error) {
	return eachInterface(h, "flags", func(name, value string) (string, bool) {
		flags, err := strconv.ParseUint(strings.TrimPrefix(value, "0x"), 16, 64)
		return name, err == nil && flags&flagPromiscuous != 0
	})
}
