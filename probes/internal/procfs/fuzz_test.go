package procfs

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

func expected(err error) bool {
	return err == nil || errors.Is(err, ErrParse) || errors.Is(err, collect.ErrLimit)
}

func FuzzHostFiles(f *testing.F) {
	for _, seed := range []string{
		"processor\t: 0\nmodel name\t: CPU @ 2GHz\n\n", "cpu  1 2\ncpu0 1 2\nbtime 1700000000\n", "btime x",
		"0.10 0.20 1e3 1/100 42\n", "nan inf 0", "MemTotal:  16 kB\nMemFree: -1\n",
		"loop 16384 2 a,b,[permanent], Live 0xffffffffc0000000 (OE)\nx 1 - - Unloading 0x0\n",
		"  |-- 192.0.2.2\n     /32 host LOCAL\n  |-- x\n     /32 host LOCAL\n",
		"00000000000000000000000000000001 01 80 10 80 lo\n",
		"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t0002000A\t0\t1\t0\t0\t0\t00FFFFFF\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for key := range parseCPU(data) {
			if strings.ContainsAny(key, ":\n") {
				t.Errorf("key %q", key)
			}
		}
		if s, err := parseKernelStat(data); !expected(err) || err == nil && s.BootTime == 0 {
			t.Error(s, err)
		}
		numbers, err := parseFloats("x", string(data), 3)
		for _, n := range numbers {
			if math.IsNaN(n) || math.IsInf(n, 0) {
				t.Error(n)
			}
		}
		modules, other := parseModules(data)
		for _, m := range modules {
			if m.Name == "" {
				t.Errorf("%+v", m)
			}
		}
		for _, a := range parseFibTrie(data) {
			if !a.IsValid() {
				t.Error("an address that is none")
			}
		}
		addresses, third := parseInterfacesIPv6(data)
		for _, a := range addresses {
			if !a.Address.Is6() {
				t.Error(a)
			}
		}
		_, fourth := parseRoutes(data, binary.BigEndian)
		for _, err := range []error{err, other, third, fourth} {
			if !expected(err) {
				t.Error(err)
			}
		}
		parseMemory(data)
	})
}

func FuzzProcessFiles(f *testing.F) {
	f.Add([]byte("12:pids:/docker/" + strings.Repeat("a", 64) + "\n0::/\n"))
	f.Add([]byte("sh\x00-c\x00id\x00\x00\x00"))
	f.Add([]byte("Num RefCount Protocol Flags Type St Inode Path\n0: 00000002 0 00010000 0001 01 5 @x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		groups, err := parseCgroup(data)
		if !expected(err) {
			t.Error(err)
		}
		if id := ContainerID(groups); id != "" && len(id) != 64 {
			t.Errorf("container %q", id)
		}
		CgroupPath(groups)
		raw := parseCmdline(data)
		if strings.HasSuffix(raw, "\x00") || len(raw) > len(data) {
			t.Errorf("%q", raw)
		}
		if _, err := SplitStrings(raw); !expected(err) {
			t.Error(err)
		}
		if err := parseUnixSockets(strings.NewReader(string(data)), func(UnixSocket) {}); !expected(err) {
			t.Error(err)
		}
	})
}
