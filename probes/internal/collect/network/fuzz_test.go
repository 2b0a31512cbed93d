package network

import (
	"net/netip"
	"strings"
	"testing"
)

func FuzzRouteIPv6(f *testing.F) {
	f.Add("20010db8000000000000000000000000 20 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0")
	f.Add("00000000000000000000000000000000 ff x 00 y 0 0 0 0 lo")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseRouteIPv6(strings.Fields(line))
		if e == nil {
			return
		}
		if _, prefixErr := netip.ParsePrefix(e.name); err != nil || prefixErr != nil || e.device == "" {
			t.Errorf("%+v, %v, %v", e, err, prefixErr)
		}
	})
}
