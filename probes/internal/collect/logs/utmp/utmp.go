// Package utmp decodes the records of utmp(5), wtmp, btmp and lastlog in every layout that glibc has written: 384 bytes
// (times of 32 bits, also on most 64-bit machines), 400 bytes (times of 64 bits, such as on arm64), both byte orders.
package utmp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Types of records, ut_type of utmp(5).
const (
	Empty        = 0
	RunLevel     = 1
	BootTime     = 2
	NewTime      = 3
	OldTime      = 4
	InitProcess  = 5
	LoginProcess = 6
	UserProcess  = 7
	DeadProcess  = 8
	Accounting   = 9
)

var typeNames = [...]string{"empty", "run-lvl", "boot-time", "new-time", "old-time", "init", "login", "normal", "dead", "accounting"}

// TypeName is the name of a type as osquery's table `last` has it; "" for none.
func TypeName(t int) string {
	if t < 0 || t >= len(typeNames) {
		return ""
	}
	return typeNames[t]
}

// Layout says how records are stored.
type Layout struct {
	Size  int // 384 or 400 for utmp, 292 or 296 for lastlog
	Order binary.ByteOrder
}

// Record is one record of utmp, wtmp or btmp. Time is in epoch seconds. Texts end at their first NUL.
type Record struct {
	Type    int
	PID     int64
	Line    string
	ID      string
	User    string
	Host    string
	Session int64
	Time    int64
	Address netip.Addr // not valid when the record has none
	Zero    bool       // every byte is zero
}

// Parse decodes one record; data has at least l.Size bytes, else the record counts as all zero.
func (l Layout) Parse(data []byte) Record {
	if len(data) < l.Size {
		return Record{Zero: true}
	}
	data = data[:l.Size]
	r := Record{
		Type: int(int16(l.Order.Uint16(data))), PID: int64(int32(l.Order.Uint32(data[4:]))),
		Line: text(data[8:40]), ID: text(data[40:44]), User: text(data[44:76]), Host: text(data[76:332]),
		Zero: isZero(data),
	}
	address := data[348:364]
	if l.Size == 400 {
		r.Session, r.Time, address = int64(l.Order.Uint64(data[336:])), int64(l.Order.Uint64(data[344:])), data[360:376]
	} else {
		// The kernel's 32 bits are read without sign, as glibc 2.40 does: they then last until 2106.
		r.Session, r.Time = int64(int32(l.Order.Uint32(data[336:]))), int64(l.Order.Uint32(data[340:]))
	}
	r.Address = parseAddress(address)
	return r
}

// parseAddress reads ut_addr_v6, which is in network order; an IPv4 address is in the first four bytes.
func parseAddress(b []byte) netip.Addr {
	if isZero(b) {
		return netip.Addr{}
	}
	if isZero(b[4:]) {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// layouts are those of utmp(5), likeliest first.
var layouts = []Layout{
	{384, binary.LittleEndian}, {400, binary.LittleEndian}, {384, binary.BigEndian}, {400, binary.BigEndian},
}

// Detect finds the layout of a file from its first bytes (a few KiB will do) and its size. It is the likeliest one for
// a file that fits none.
func Detect(head []byte, size, now int64) Layout {
	best, most := layouts[0], -1
	for _, l := range layouts {
		points := 0
		for at := 0; at+l.Size <= len(head); at += l.Size {
			points += plausible(l.Parse(head[at:]), now)
		}
		// Per byte looked at, so that a smaller record does not win by number.
		points = points * l.Size * 4
		if size > 0 && size%int64(l.Size) == 0 {
			points += l.Size
		}
		if points > most {
			best, most = l, points
		}
	}
	return best
}

// plausible is 0 to 3: how much a record looks like one.
func plausible(r Record, now int64) int {
	const day, year1990 = 86400, 631152000
	if r.Zero || r.Type < Empty || r.Type > Accounting {
		return 0
	}
	points := 1
	if r.PID >= 0 && r.PID <= 1<<22 {
		points++
	}
	if r.Type != Empty && r.Time > year1990 && r.Time <= now+400*day {
		points++
	}
	return points
}

// LastLog is one record of lastlog; its place in the file is the uid.
type LastLog struct {
	Time int64
	Line string
	Host string
}

// DetectLastLog finds the layout of lastlog from its size alone: 292 bytes a record, 296 where times have 64 bits.
// order is that of the machine.
func DetectLastLog(size int64, order binary.ByteOrder, wide bool) Layout {
	fits292, fits296 := size%292 == 0, size%296 == 0
	if fits292 != fits296 {
		wide = fits296
	}
	if wide {
		return Layout{296, order}
	}
	return Layout{292, order}
}

// ParseLastLog decodes one record of lastlog; data has at least l.Size bytes, else the record is empty.
func (l Layout) ParseLastLog(data []byte) LastLog {
	if len(data) < l.Size {
		return LastLog{}
	}
	head := 4
	when := int64(l.Order.Uint32(data))
	if l.Size == 296 {
		head, when = 8, int64(l.Order.Uint64(data))
	}
	return LastLog{Time: when, Line: text(data[head : head+32]), Host: text(data[head+32 : head+288])}
}
