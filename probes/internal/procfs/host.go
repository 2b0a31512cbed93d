package procfs

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// KernelStat holds what is used of /proc/stat, see proc_stat(5).
type KernelStat struct {
	BootTime int64 // epoch seconds
	CPUs     int
}

// ReadKernelStat reads /proc/stat.
func (fs FS) ReadKernelStat() (s KernelStat, err error) {
	err = withFile(fs.Path("/proc/stat"), maxText, func(data []byte) error {
		s, err = parseKernelStat(data)
		return err
	})
	return s, err
}

func parseKernelStat(data []byte) (KernelStat, error) {
	var s KernelStat
	err := lines(data, func(line []byte) error {
		var words [2][]byte
		split(line, words[:])
		switch key := string(words[0]); {
		case key == "btime":
			n, ok := parseUint(words[1])
			if !ok {
				return errParse("stat", "btime is no number")
			}
			s.BootTime = int64(n)
		case strings.HasPrefix(key, "cpu") && key != "cpu":
			s.CPUs++
		}
		return nil
	})
	if err == nil && s.BootTime == 0 {
		err = errParse("stat", "no btime line")
	}
	return s, err
}

// ReadFloats reads the numbers a file such as /proc/loadavg or /proc/uptime begins with.
func (fs FS) ReadFloats(path string, count int) ([]float64, error) {
	text, err := fs.ReadText(path)
	if err != nil {
		return nil, err
	}
	return parseFloats(path, text, count)
}

func parseFloats(path, text string, count int) ([]float64, error) {
	words := strings.Fields(text)
	if len(words) < count {
		return nil, errParse(path, "too few fields")
	}
	numbers := make([]float64, count)
	for i := range numbers {
		n, err := strconv.ParseFloat(words[i], 64)
		// A float of JSON is finite.
		if err != nil || n != n || n > 1e15 || n < -1e15 {
			return nil, errParse(path, "no number: "+clip(words[i]))
		}
		numbers[i] = n
	}
	return numbers, nil
}

// ReadMemory reads /proc/meminfo as name → bytes.
func (fs FS) ReadMemory() (memory map[string]int64, err error) {
	err = withFile(fs.Path("/proc/meminfo"), maxSmall, func(data []byte) error {
		memory = parseMemory(data)
		return nil
	})
	return memory, err
}

func parseMemory(data []byte) map[string]int64 {
	memory := map[string]int64{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		if kb, ok := parseKB([]byte(strings.TrimSpace(value))); ok && kb < 1<<52 {
			memory[key] = kb << 10
		}
	}
	return memory
}

// ReadCPU reads the first entry of /proc/cpuinfo as key → value; the keys differ by architecture.
func (fs FS) ReadCPU() (cpu map[string]string, err error) {
	err = withFile(fs.Path("/proc/cpuinfo"), maxText, func(data []byte) error {
		cpu = parseCPU(data)
		return nil
	})
	return cpu, err
}

func parseCPU(data []byte) map[string]string {
	cpu := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, found := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		if _, seen := cpu[key]; found && !seen {
			cpu[key] = strings.TrimSpace(value)
		}
	}
	return cpu
}

// Route is one line of /proc/net/route: the IPv4 networks behind each interface.
type Route struct {
	Interface string
	Network   netip.Prefix
}

// ReadRoutes reads the routes of the probe's network namespace.
func (fs FS) ReadRoutes() (routes []Route, err error) {
	err = withFile(fs.Path("/proc/net/route"), maxText, func(data []byte) error {
		routes, err = parseRoutes(data, nativeOrder)
		return err
	})
	return routes, err
}

func parseRoutes(data []byte, order byteOrder) ([]Route, error) {
	var routes []Route
	first := true
	err := lines(data, func(line []byte) error {
		if first {
			first = false
			return nil
		}
		var words [8][]byte
		if split(line, words[:]) < len(words) {
			return errParse("route", "too few fields")
		}
		address, addressOK := parseWord(words[1], order)
		mask, maskOK := parseWord(words[7], order)
		if !addressOK || !maskOK {
			return errParse("route", clip(string(line)))
		}
		routes = append(routes, Route{string(words[0]), netip.PrefixFrom(netip.AddrFrom4(address), maskBits(mask))})
		return nil
	})
	return routes, err
}

// maskBits counts the leading ones.
func maskBits(mask [4]byte) int {
	bits := 0
	for bits < 32 && mask[bits/8]>>(7-bits%8)&1 == 1 {
		bits++
	}
	return bits
}

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
	for line := range strings.Lines(string(data)) {
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

// InterfaceIPv6 is one line of /proc/net/if_inet6.
type InterfaceIPv6 struct {
	Interface string
	Address   netip.Addr
}

// ReadInterfacesIPv6 reads the IPv6 addresses of the probe's network namespace; no file means no IPv6.
func (fs FS) ReadInterfacesIPv6() (found []InterfaceIPv6, err error) {
	err = withFile(fs.Path("/proc/net/if_inet6"), maxText, func(data []byte) error {
		found, err = parseInterfacesIPv6(data)
		return err
	})
	return found, err
}

func parseInterfacesIPv6(data []byte) ([]InterfaceIPv6, error) {
	var found []InterfaceIPv6
	err := lines(data, func(line []byte) error {
		words := bytes.Fields(line)
		if len(words) < 6 {
			return errParse("if_inet6", "too few fields")
		}
		// Here the digits are in network order on every machine.
		address, ok := parseDigits(words[0])
		if !ok || !address.Is6() {
			return errParse("if_inet6", clip(string(line)))
		}
		found = append(found, InterfaceIPv6{string(words[5]), address})
		return nil
	})
	return found, err
}
