package network

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

func FuzzRoutes(f *testing.F) {
	f.Add("20010db8000000000000000000000000 20 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0")
	f.Add("eth0 000200C0 00000000 0001 0 0 100 00FFFFFF 0 0 0")
	f.Add("00000000000000000000000000000000 ff x 00 y 0 0 0 0 lo")
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		four, err := parseRoute(words, binary.BigEndian)
		six, sixErr := parseRouteIPv6(words)
		if four != nil && err != nil || six != nil && sixErr != nil {
			t.Error("a route beside an error:", err, sixErr)
		}
		for _, e := range []*entry{four, six} {
			if e == nil {
				continue
			}
			if _, err := netip.ParsePrefix(e.name); err != nil || e.device == "" {
				t.Errorf("%+v, %v", e, err)
			}
		}
		if n, err := parseHex(line); err == nil && n > 1<<63 && len(line) < 16 {
			t.Error(n)
		}
	})
}
