package utmp

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// build writes a record as glibc lays it out.
func build(l Layout, typ int, pid int32, line, user, host string, when int64, addr []byte) []byte {
	b := make([]byte, l.Size)
	l.Order.PutUint16(b, uint16(typ))
	l.Order.PutUint32(b[4:], uint32(pid))
	copy(b[8:40], line)
	copy(b[44:76], user)
	copy(b[76:332], host)
	if l.Size == 400 {
		l.Order.PutUint64(b[344:], uint64(when))
		copy(b[360:], addr)
	} else {
		l.Order.PutUint32(b[340:], uint32(when))
		copy(b[348:], addr)
	}
	return b
}

func TestARecordIsReadInEveryLayout(t *testing.T) {
	for _, l := range layouts {
		b := build(l, UserProcess, 4711, "pts/3", "ann", "host.example", 1_700_000_000, []byte{203, 0, 113, 9})

		r := l.Parse(b)

		if r.Type != UserProcess || r.PID != 4711 || r.Line != "pts/3" || r.User != "ann" || r.Host != "host.example" ||
			r.Time != 1_700_000_000 || r.Address != netip.MustParseAddr("203.0.113.9") || r.Zero {
			t.Errorf("%d %v: %+v", l.Size, l.Order, r)
		}
	}
}

func TestTheLayoutIsFoundFromTheRecords(t *testing.T) {
	for _, l := range layouts {
		var data []byte
		for i := range 12 {
			data = append(data, build(l, UserProcess, int32(100+i), "pts/0", "root", "", 1_700_000_000+int64(i), nil)...)
		}

		if got := Detect(data, int64(len(data)), 1_800_000_000); got != l {
			t.Errorf("%d %v taken for %d %v", l.Size, l.Order, got.Size, got.Order)
		}
	}
}

func TestAnIPv6AddressIsReadAndAMappedOneIsIPv4(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::7").As16()
	mapped := netip.MustParseAddr("::ffff:192.0.2.1").As16()

	if got := parseAddress(v6[:]); got.String() != "2001:db8::7" {
		t.Error(got)
	}
	if got := parseAddress(mapped[:]); got.String() != "192.0.2.1" {
		t.Error(got)
	}
	if parseAddress(make([]byte, 16)).IsValid() {
		t.Error("no address is an address")
	}
}

func TestTimesAfter2038AreNotNegative(t *testing.T) {
	b := build(layouts[0], UserProcess, 1, "", "", "", 1<<31+5, nil)

	if got := layouts[0].Parse(b).Time; got != 1<<31+5 {
		t.Error(got)
	}
}

func TestAZeroedRecordIsToldFromAnEmptyOne(t *testing.T) {
	if r := layouts[0].Parse(make([]byte, 384)); !r.Zero {
		t.Error("zeros are not seen")
	}
	if r := layouts[0].Parse(build(layouts[0], Empty, 5, "", "", "", 9, nil)); r.Zero {
		t.Error("an empty record with a time is no zeroed one")
	}
}

func TestLastLogIsReadInBothLayouts(t *testing.T) {
	for _, size := range []int{292, 296} {
		l := DetectLastLog(int64(size*3), binary.BigEndian, size != 296)
		b := make([]byte, size)
		head := size - 288
		if head == 8 {
			l.Order.PutUint64(b, 1_700_000_001)
		} else {
			l.Order.PutUint32(b, 1_700_000_001)
		}
		copy(b[head:], "pts/1")
		copy(b[head+32:], "203.0.113.4")

		got := l.ParseLastLog(b)

		if l.Size != size || got != (LastLog{1_700_000_001, "pts/1", "203.0.113.4"}) {
			t.Errorf("%d: %d %+v", size, l.Size, got)
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(build(layouts[0], UserProcess, 7, "tty1", "root", "h", 1, nil), int64(384))
	f.Add([]byte{1, 2, 3}, int64(3))
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		l := Detect(data, size, 1_800_000_000)
		r := l.Parse(data)
		if len(r.User) > 32 || len(r.Host) > 256 || TypeName(r.Type) == "" && r.Type >= 0 && r.Type < 10 {
			t.Errorf("%+v", r)
		}
		DetectLastLog(size, binary.LittleEndian, false).ParseLastLog(data)
	})
}
