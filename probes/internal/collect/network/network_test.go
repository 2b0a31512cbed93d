package network

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sandfly/probes/internal/collect/fact/facttest"
)

func read(t *testing.T, files map[string]string) map[string]facttest.Record {
	t.Helper()
	tree := facttest.NewTree(t)
	for path, text := range files {
		tree.Write(path, text)
	}
	found := map[string]facttest.Record{}
	status := facttest.Collect(t, Collectors(), tree.Env(), "network", func(r facttest.Record) {
		e := r.Rec.(*entry)
		found[e.kind+" "+e.name] = r
	})
	if len(status.Parts) != 0 {
		t.Errorf("%v", status.Parts)
	}
	return found
}

// native writes an address as /proc/net/route has it on this machine.
func native(a, b, c, d byte) string {
	const digits = "0123456789ABCDEF"
	number := binary.NativeEndian.Uint32([]byte{a, b, c, d})
	var text strings.Builder
	for shift := 28; shift >= 0; shift -= 4 {
		text.WriteByte(digits[number>>shift&15])
	}
	return text.String()
}

func TestInterfacesRoutesAndNeighboursAreRecorded(t *testing.T) {
	zero := native(0, 0, 0, 0)
	found := read(t, map[string]string{
		"/sys/class/net/eth0/flags": "0x1103\n", "/sys/class/net/eth0/address": "02:00:00:00:00:01\n",
		"/sys/class/net/eth0/operstate": "up\n", "/sys/class/net/eth0/mtu": "1500\n", "/sys/class/net/eth0/device/x": "",
		"/sys/class/net/wlan0/flags": "0x1002\n", "/sys/class/net/wlan0/wireless/x": "",
		"/sys/class/net/bonding_masters": "bond0\n",
		"/proc/net/route": "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n" +
			"eth0 " + zero + " " + native(192, 0, 2, 1) + " 0003 0 0 100 " + zero + " 0 0 0\n" +
			"eth0 " + native(192, 0, 2, 0) + " " + zero + " 0001 0 0 0 " + native(255, 255, 255, 0) + " 0 0 0\n",
		"/proc/net/ipv6_route": "20010db8000000000000000000000000 20 " + strings.Repeat("0", 32) + " 00 fe800000000000000000000000000001 00000400 0 0 00000003 eth0\n" +
			strings.Repeat("0", 32) + " 00 " + strings.Repeat("0", 32) + " 00 " + strings.Repeat("0", 32) + " ffffffff 1 0 00200200 lo\n",
		"/proc/net/arp": "IP address HW type Flags HW address Mask Device\n192.0.2.1 0x1 0x2 02:00:00:00:00:05 * eth0\n192.0.2.9 0x1 0x0 00:00:00:00:00:00 * eth0\n192.0.2.7 0x1 0x6 02:00:00:00:00:07 * eth0\n",
	})

	found["interface eth0"].Expect(map[string]any{"is_up": true, "is_promiscuous": true, "is_wireless": false, "is_physical": true,
		"mac_address": "02:00:00:00:00:01", "state": "up", "mtu": int64(1500), "device": "eth0"})
	found["interface wlan0"].Expect(map[string]any{"is_up": false, "is_promiscuous": false, "is_wireless": true, "mtu": nil})
	found["route 0.0.0.0/0"].Expect(map[string]any{"gateway": "192.0.2.1", "device": "eth0", "metric": int64(100)})
	found["route 192.0.2.0/24"].Expect(map[string]any{"gateway": nil, "metric": int64(0)})
	found["route 2001:db8::/32"].Expect(map[string]any{"gateway": "fe80::1", "metric": int64(1024)})
	found["neighbour 192.0.2.1"].Expect(map[string]any{"mac_address": "02:00:00:00:00:05", "state": "complete", "device": "eth0"})
	found["neighbour 192.0.2.9"].Expect(map[string]any{"mac_address": nil, "state": "incomplete"})
	found["neighbour 192.0.2.7"].Expect(map[string]any{"state": "permanent"})
	for name := range found {
		if name == "route ::/0" || strings.Contains(name, "bonding") {
			t.Errorf("%s", name)
		}
	}
}

func TestNameResolutionIsRecorded(t *testing.T) {
	found := read(t, map[string]string{
		"/etc/resolv.conf":   "; c\nnameserver 192.0.2.53 # first\nsearch a.example b.example\noptions edns0 trust-ad\n",
		"/etc/hosts":         "127.0.0.1 localhost\n192.0.2.4 db db.example\n#x y\n",
		"/etc/nsswitch.conf": "passwd: files sss\nnonsense\n",
	})

	found["name_server 192.0.2.53"].Expect(map[string]any{"address": "192.0.2.53"})
	found["search_domain b.example"].Expect(map[string]any{"path": "/etc/resolv.conf"})
	found["resolver_options options"].Expect(map[string]any{"options": []string{"edns0", "trust-ad"}})
	found["hosts db"].Expect(map[string]any{"address": "192.0.2.4", "options": []string{"db", "db.example"}, "text": "192.0.2.4 db db.example"})
	found["name_service passwd"].Expect(map[string]any{"options": []string{"files", "sss"}})
	if len(found) != 7 {
		t.Errorf("%d records", len(found))
	}
}

// attribute is struct nlattr with its value, padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func message(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(headerBytes+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(append(b, make([]byte, 10)...), body...)
}

func number(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func chain(family byte, table, name string, parts ...[]byte) []byte {
	body := append([]byte{family, 0, 0, 0}, attribute(chainTable, []byte(table+"\x00"))...)
	body = append(body, attribute(chainName, []byte(name+"\x00"))...)
	return message(subsystemNft<<8|newChain, append(body, slices.Concat(parts...)...))
}

func TestChainsOfTheKernelsAnswerAreRead(t *testing.T) {
	hook := attribute(chainHook|0x8000, append(attribute(hookNumber, number(1)), attribute(hookRank, number(-10))...))
	answer := slices.Concat(chain(1, "filter", "input", hook, attribute(chainPolicy, number(0)), attribute(chainUse, number(12))),
		chain(2, "nat", "mine", attribute(chainUse, number(1))), message(messageDone, number(0)))

	chains, done, err := parseChains(answer)

	if err != nil || !done || len(chains) != 2 {
		t.Fatalf("%v %v %v", chains, done, err)
	}
	first := facttest.Record{T: t, Subject: subject, Rec: chains[0]}
	first.Expect(map[string]any{"name": "inet filter input", "hook": "input", "priority": int64(-10), "policy": "drop", "rules": int64(12)})
	facttest.Record{T: t, Subject: subject, Rec: chains[1]}.Expect(map[string]any{"name": "ip nat mine", "hook": nil, "policy": nil})
}

func TestAnAnswerThatIsCutShortIsAnError(t *testing.T) {
	whole := chain(1, "filter", "input")
	for _, size := range []int{1, headerBytes - 1, len(whole) - 1} {
		if _, _, err := parseChains(whole[:size]); err == nil {
			t.Errorf("%d bytes are an answer", size)
		}
	}
}

func TestARefusalIsUnknownAndAKernelWithoutTablesHasNoChains(t *testing.T) {
	refused := message(messageError, binary.NativeEndian.AppendUint32(nil, uint32(^uint32(syscall.EPERM)+1)))
	if _, _, err := parseChains(refused); !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v", err)
	}
	missing := message(messageError, binary.NativeEndian.AppendUint32(nil, uint32(^uint32(syscall.EOPNOTSUPP)+1)))
	if chains, done, err := parseChains(missing); err != nil || !done || len(chains) != 0 {
		t.Errorf("%v %v %v", chains, done, err)
	}
}

func TestAnInputFilterDropsByDefaultOrHasRules(t *testing.T) {
	rules := func(n int64) *int64 { return &n }
	drop := &entry{kind: "filter_chain", name: "inet f input", hook: "input", policy: "drop", rules: rules(0)}
	some := &entry{kind: "filter_chain", name: "ip filter INPUT", hook: "input", policy: "accept", rules: rules(3)}
	empty := &entry{kind: "filter_chain", name: "ip filter INPUT", hook: "input", policy: "accept", rules: rules(0)}
	forward := &entry{kind: "filter_chain", name: "ip filter FORWARD", hook: "forward", policy: "drop", rules: rules(9)}
	denied := errors.New("denied")

	for _, one := range []struct {
		chains []*entry
		family string
		err    error
		want   any
	}{
		{[]*entry{drop}, "ip6 ", nil, true}, {[]*entry{some}, "ip ", denied, true}, {[]*entry{some}, "ip6 ", nil, false},
		{[]*entry{empty, forward}, "ip ", nil, false}, {[]*entry{empty}, "ip ", denied, denied},
	} {
		r := facttest.Record{T: t, Subject: subject, Rec: inputFilter("x", one.family, one.chains, one.err)}
		got, err := r.Try("is_filtering")
		if err != nil {
			got = err
		}
		if got != one.want {
			t.Errorf("%v: got %v, want %v", one, got, one.want)
		}
	}
}

// FuzzChains holds the parser of the kernel's answers to: no panic, and no more chains than messages fit.
func FuzzChains(f *testing.F) {
	f.Add(chain(1, "a", "b", attribute(chainHook, attribute(hookNumber, number(99)))))
	f.Add(message(messageError, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if chains, _, _ := parseChains(b); len(chains) > len(b)/headerBytes+1 {
			t.Errorf("%d chains of %d bytes", len(chains), len(b))
		}
	})
}

func TestCountersOfAnInterfaceAreRead(t *testing.T) {
	files := map[string]string{
		"/sys/class/net/eth0/flags": "0x1003\n", "/sys/class/net/eth0/speed": "1000\n", "/sys/class/net/lo/flags": "0x9\n",
		"/sys/class/net/tun0/flags": "0x9\n", "/sys/class/net/tun0/speed": "-1\n", "/etc/hosts": "127.0.0.1 localhost\n",
	}
	names := []string{"rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped"}
	for i, name := range names {
		files["/sys/class/net/eth0/statistics/"+name] = strconv.Itoa(i+7) + "\n"
	}

	for _, r := range read(t, files) {
		for i, name := range append(names, "speed") {
			want := any(nil)
			switch {
			case r.Get("name") != "eth0":
			case name == "speed":
				want = int64(1000)
			default:
				want = int64(i + 7)
			}
			if got := r.Get(name); got != want {
				t.Errorf("%v: %s is %v", r.Get("name"), name, got)
			}
		}
	}
}
