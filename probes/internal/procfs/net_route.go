package procfs

import (
	"net/netip"
)

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
