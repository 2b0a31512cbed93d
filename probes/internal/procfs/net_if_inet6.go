package procfs

import (
	"bytes"
	"net/netip"
)

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
