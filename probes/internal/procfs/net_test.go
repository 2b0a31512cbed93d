package procfs

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func line(local, remote, state string) string {
	return "   0: " + local + " " + remote + " " + state + " 00000000:00000000 00:00000000 00000000  1000        0 1499 1 0 100 0\n"
}

func parseTable(text string, order byteOrder) (rows []InetSocket, err error) {
	err = parseInetSockets(strings.NewReader(text), "tcp", order, func(s InetSocket) { rows = append(rows, s) })
	return rows, err
}

func TestAddressesAreNumbersOfTheHostInEitherByteOrder(t *testing.T) {
	want := netip.MustParseAddrPort("192.0.2.1:8080")
	for text, order := range map[string]byteOrder{"010200C0:1F90": binary.LittleEndian, "C0000201:1F90": binary.BigEndian} {
		rows, err := parseTable(heading+line(text, text, "01"), order)
		if err != nil || len(rows) != 1 || rows[0].Local != want || rows[0].Remote != want {
			t.Errorf("%s: got %+v, %v", text, rows, err)
		}
	}
}

func TestIPv6AddressesAreFourNumbers(t *testing.T) {
	want := netip.MustParseAddrPort("[2001:db8::1]:22")
	for text, order := range map[string]byteOrder{
		"B80D0120000000000000000001000000:0016": binary.LittleEndian,
		"20010DB8000000000000000000000001:0016": binary.BigEndian,
	} {
		rows, err := parseTable(heading+line(text, text, "0A"), order)
		if err != nil || len(rows) != 1 || rows[0].Local != want {
			t.Errorf("%s: got %+v, %v", text, rows, err)
		}
	}
}

func TestSocketLineGivesStateUserAndInode(t *testing.T) {
	rows, err := parseTable(heading+line("0100007F:0016", "00000000:0000", "0A"), binary.LittleEndian)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}

	if rows[0].State != 10 || rows[0].UID != 1000 || rows[0].Inode != 1499 {
		t.Errorf("%+v", rows[0])
	}
}

func TestMalformedSocketLineIsAnErrorAfterTheGoodOnes(t *testing.T) {
	good := heading + line("0100007F:0016", "00000000:0000", "0A")
	for _, bad := range []string{"x\n", line("0100007F", "00000000:0000", "0A"), line("0100007:0016", "00000000:0000", "0A"),
		line("0100007F:00016", "00000000:0000", "0A"), line("0100007F:0016", "00000000:0000", "1FF"),
		line("+100007F:0016", "00000000:0000", "0A"), strings.Replace(line("0100007F:0016", "00000000:0000", "0A"), "1499", "-1", 1)} {
		rows, err := parseTable(good+bad, binary.LittleEndian)
		if !errors.Is(err, ErrParse) || len(rows) != 1 {
			t.Errorf("%q: got %d rows, %v", bad, len(rows), err)
		}
	}
}

func TestUnixSocketPathsMayHoldSpaces(t *testing.T) {
	for text, want := range map[string]UnixSocket{
		"00000000716b306a: 00000003 00000000 00000000 0001 03  1495":                  {1, 3, false, 1495, ""},
		"0000000000000000: 00000002 00000000 00010000 0001 01 23001 /run/my sock":     {1, 1, true, 23001, "/run/my sock"},
		"0000000000000000: 00000002 00000000 00010000 0005 01 7 @/tmp/.X11-unix/X0@@": {5, 1, true, 7, "@/tmp/.X11-unix/X0@@"},
	} {
		got, err := parseUnixSocket([]byte(text))
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func parseUnix(text string) (rows []UnixSocket, err error) {
	err = parseUnixSockets(strings.NewReader("Num\n"+text), func(s UnixSocket) { rows = append(rows, s) })
	return rows, err
}

func TestNewlineInAUnixSocketPathIsPartOfIt(t *testing.T) {
	rows, err := parseUnix("0: 2 0 00010000 0001 01 5 /tmp/a\n\nb c\n0: 2 0 0 0001 01 6\n")

	if err != nil || len(rows) != 2 || rows[0].Path != "/tmp/a\n\nb c" || rows[1].Inode != 6 {
		t.Errorf("got %+v, %v", rows, err)
	}
}

func TestLineThatCannotBePartOfAUnixSocketPathIsAnErrorAfterAllOthers(t *testing.T) {
	for _, text := range []string{"garbage\n0: 2 0 0 0001 01 6\n", "0: 2 0 0 0001 01 6\ngarbage\n",
		"0: 2 0 0 0001 01 6 /a\n" + strings.Repeat("x", maxUnixPath) + "\n"} {
		if rows, err := parseUnix(text); !errors.Is(err, ErrParse) || len(rows) != 1 {
			t.Errorf("%q: got %+v, %v", text, rows, err)
		}
	}
}

func TestMalformedLinesOfOtherFamiliesAreErrors(t *testing.T) {
	for _, text := range []string{"", "x", "torn path", "1: 2 3 4 5 6 x", "0 1 2", "a b c d e f g h i j k l m n"} {
		_, unix := parseUnixSocket([]byte(text))
		_, packet := parsePacketSocket([]byte(text))
		_, endpoint := parseSCTPEndpoint([]byte(text))
		_, association := parseSCTPAssociation([]byte(text))
		for name, err := range map[string]error{"unix": unix, "packet": packet, "eps": endpoint, "assocs": association} {
			if !errors.Is(err, ErrParse) {
				t.Errorf("%s %q: got %v", name, text, err)
			}
		}
	}
	for _, text := range []string{"", "x", "0 1", "0 a 1", "0 1 a", "0 1 2 3 4 5 6 7 8 x"} {
		if _, err := parseNetlinkSocket([]byte(text)); !errors.Is(err, ErrParse) {
			t.Errorf("netlink %q: got %v", text, err)
		}
	}
}

func TestPacketSocketGivesItsEthernetType(t *testing.T) {
	got, err := parsePacketSocket([]byte("ffff8 3      3    0003   2     1 0      0      24680"))

	if want := (PacketSocket{3, "0003", 2, 0, 24680}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNetlinkPortIsAnUnsignedNumberOnEveryKernel(t *testing.T) {
	for text, want := range map[string]NetlinkSocket{
		"000000003e94e0b3 4   4294963213 00000000 0 0 0 2 0 1435": {4, 4294963213, 1435},
		"c0de 15  -4083 00000001 0 0 (null) 2":                    {15, 4294963213, 0},
	} {
		if got, err := parseNetlinkSocket([]byte(text)); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestSCTPAssociationHasBothSides(t *testing.T) {
	text := "ffff88 ffff99 2 1 3 0 1 0 0 0 5555 5000 40000 *192.0.2.1 10.0.0.1 <-> *198.51.100.7 7500 10 10 0 0"

	got, err := parseSCTPAssociation([]byte(text))

	want := SCTPSocket{netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("198.51.100.7:40000"), 0, 5555}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFibTrieGivesOwnAddressesOnce(t *testing.T) {
	text := "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        |-- 192.0.2.2\n" +
		"           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\nLocal:\n        |-- 192.0.2.2\n" +
		"           /32 host LOCAL\n"

	if got := parseFibTrie([]byte(text)); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.0.2.2")}) {
		t.Error(got)
	}
}

func TestRoutesGiveNetworks(t *testing.T) {
	text := "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n" +
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n"

	got, err := parseRoutes([]byte(text), binary.LittleEndian)

	if err != nil || len(got) != 1 || got[0] != (Route{"eth0", netip.MustParsePrefix("192.0.2.0/24")}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseRoutes([]byte(text+"eth0 x\n"), binary.LittleEndian); !errors.Is(err, ErrParse) {
		t.Error(err)
	}
}

func TestInterfacesIPv6AreInNetworkOrder(t *testing.T) {
	got, err := parseInterfacesIPv6([]byte("fd000000000000000000000000000002 04 40 00 82     eth0\n"))

	if err != nil || len(got) != 1 || got[0] != (InterfaceIPv6{"eth0", netip.MustParseAddr("fd00::2")}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseInterfacesIPv6([]byte("fd00 04 40 00 82 eth0\n")); !errors.Is(err, ErrParse) {
		t.Error(err)
	}
}

func FuzzInetSockets(f *testing.F) {
	f.Add([]byte(heading + line("0100007F:0016", "00000000:0000", "0A")))
	f.Add([]byte(heading + line("B80D0120000000000000000001000000:0016", "00000000000000000000000000000000:0000", "07")))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := parseTable(string(data), binary.BigEndian)
		if err != nil && !errors.Is(err, ErrParse) && !errors.Is(err, collect.ErrLimit) {
			t.Error(err)
		}
		for _, row := range rows {
			if !row.Local.IsValid() || !row.Remote.IsValid() || row.UID < 0 {
				t.Errorf("%+v", row)
			}
		}
	})
}

func FuzzOtherSockets(f *testing.F) {
	f.Add([]byte("0000000000000000: 00000002 00000000 00010000 0001 01 23001 /run/my sock"))
	f.Add([]byte("ffff88 ffff99 2 1 3 0 1 0 0 0 5555 5000 40000 *192.0.2.1 <-> *198.51.100.7 7500"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, unix := parseUnixSocket(data)
		_, packet := parsePacketSocket(data)
		_, netlink := parseNetlinkSocket(data)
		_, endpoint := parseSCTPEndpoint(data)
		_, association := parseSCTPAssociation(data)
		for _, err := range []error{unix, packet, netlink, endpoint, association} {
			if err != nil && !errors.Is(err, ErrParse) {
				t.Error(err)
			}
		}
	})
}
