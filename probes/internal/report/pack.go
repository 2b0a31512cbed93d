package report

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// packer writes the gzip form of RFC 1952 and RFC 1951 by its fixed codes, without what ends it: a report has its own end.
// The library's packer would make the program two hundredths larger than all of it may be.
type packer struct {
	out    io.Writer
	window []byte // what may be pointed back to, and what is packed now
	at     int    // of window: where that begins
	heads  [1 << hashBits]int32
	packed []byte
	bits   uint64
	filled uint // of bits
}

const (
	hashBits    = 13
	maxDistance = 32 << 10
	minMatch    = 4 // shorter ones hardly pay
	maxMatch    = 258
	endOfBlock  = 256
)

// gzipHead is the head of RFC 1952: deflate, no name, no time, unknown system.
const gzipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

func newPacker(out io.Writer) *packer {
	p := &packer{out: out, packed: []byte(gzipHead)}
	for i := range p.heads {
		p.heads[i] = -1
	}
	return p
}

// Write packs and passes on what fills whole bytes.
func (p *packer) Write(data []byte) (int, error) {
	taken := len(data)
	for len(data) > 0 {
		n := min(len(data), maxDistance)
		p.slide()
		p.window = append(p.window, data[:n]...)
		p.block()
		data = data[n:]
		if err := p.send(); err != nil {
			return 0, err
		}
	}
	return taken, nil
}

// Flush brings all that was written to a whole byte, by an empty block that is not packed.
func (p *packer) Flush() error {
	p.put(0, 3)
	p.put(0, (8-p.filled%8)%8)
	p.put(0xffff0000, 32)
	return p.send()
}

func (p *packer) send() error {
	_, err := p.out.Write(p.packed)
	p.packed = p.packed[:0]
	return err
}

// slide forgets what is too far back.
func (p *packer) slide() {
	if gone := len(p.window) - maxDistance; gone > 0 {
		p.window = append(p.window[:0], p.window[gone:]...)
		for i, head := range p.heads {
			p.heads[i] = max(head-int32(gone), -1)
		}
	}
	p.at = len(p.window)
}

// block packs the window from at to its end.
func (p *packer) block() {
	p.put(1<<1, 3) // not the last one, fixed codes
	w, i := p.window, p.at
	for i+minMatch <= len(w) {
		word := binary.LittleEndian.Uint32(w[i:])
		head := &p.heads[word*0x9e3779b1>>(32-hashBits)]
		from := int(*head)
		*head = int32(i)
		if from < 0 || i-from > maxDistance || binary.LittleEndian.Uint32(w[from:]) != word {
			p.literal(uint32(w[i]))
			i++
			continue
		}
		length := minMatch
		for length < maxMatch && i+length < len(w) && w[from+length] == w[i+length] {
			length++
		}
		p.match(length, i-from)
		i += length
	}
	for ; i < len(w); i++ {
		p.literal(uint32(w[i]))
	}
	p.literal(endOfBlock)
}

// literal writes the fixed code of RFC 1951, 3.2.6; the bits of a code go out in the other order than all else.
func (p *packer) literal(symbol uint32) {
	switch {
	case symbol < 144:
		p.code(0x30+symbol, 8)
	case symbol < 256:
		p.code(0x190+symbol-144, 9)
	case symbol < 280:
		p.code(symbol-256, 7)
	default:
		p.code(0xc0+symbol-280, 8)
	}
}

// match writes a length and a distance: classes of a power of two, four of lengths and two of distances, and what is more.
func (p *packer) match(length, distance int) {
	more := uint32(length - 3)
	switch {
	case length == maxMatch:
		p.literal(285)
	case more < 8:
		p.literal(257 + more)
	default:
		extra := uint(bits.Len32(more)) - 3
		p.literal(257 + uint32(extra)*4 + more>>extra)
		p.put(uint64(more&(1<<extra-1)), extra)
	}
	more = uint32(distance - 1)
	if more < 4 {
		p.code(more, 5)
		return
	}
	extra := uint(bits.Len32(more)) - 2
	p.code(uint32(extra)*2+more>>extra, 5)
	p.put(uint64(more&(1<<extra-1)), extra)
}

func (p *packer) code(code uint32, length uint) {
	p.put(uint64(bits.Reverse32(code)>>(32-length)), length)
}

// put adds bits, the lowest first.
func (p *packer) put(value uint64, length uint) {
	p.bits |= value << p.filled
	for p.filled += length; p.filled >= 8; p.filled -= 8 {
		p.packed = append(p.packed, byte(p.bits))
		p.bits >>= 8
	}
}
