package unpack

// The range decoder and the symbols of LZMA, as the LZMA specification of 7-Zip and xz's own documentation tell them.
// It decodes one LZMA2 chunk at a time, which lies in memory as a whole.

const (
	lzmaStates   = 12
	posStates    = 16
	literalStep  = 0x300
	maxLiterals  = literalStep << 4 // LZMA2 allows lc + lp up to 4
	probStart    = 1 << 10
	moveBits     = 5
	topValue     = 1 << 24
	matchMin     = 2
	specialSlots = 115
)

// rangeDecoder reads bits with the probabilities that they had so far.
type rangeDecoder struct {
	in    []byte
	code  uint32
	width uint32
	short bool // the chunk ended too early
}

func (d *rangeDecoder) start(in []byte) bool {
	if len(in) < 5 || in[0] != 0 {
		return false
	}
	*d = rangeDecoder{in: in[5:], width: 1<<32 - 1,
		code: uint32(in[1])<<24 | uint32(in[2])<<16 | uint32(in[3])<<8 | uint32(in[4])}
	return true
}

func (d *rangeDecoder) isFinished() bool { return d.code == 0 && len(d.in) == 0 && !d.short }

func (d *rangeDecoder) normalize() {
	if d.width >= topValue {
		return
	}
	d.width <<= 8
	d.code <<= 8
	if len(d.in) == 0 {
		d.short = true
		return
	}
	d.code |= uint32(d.in[0])
	d.in = d.in[1:]
}

func (d *rangeDecoder) bit(p *uint16) uint32 {
	d.normalize()
	bound := d.width >> 11 * uint32(*p)
	if d.code < bound {
		d.width = bound
		*p += (1<<11 - *p) >> moveBits
		return 0
	}
	d.width -= bound
	d.code -= bound
	*p -= *p >> moveBits
	return 1
}

func (d *rangeDecoder) direct(bits int) (value uint32) {
	for range bits {
		d.normalize()
		d.width >>= 1
		bit := uint32(0)
		if d.code >= d.width {
			d.code -= d.width
			bit = 1
		}
		value = value<<1 | bit
	}
	return value
}

// tree reads a number of so many bits, the highest first.
func (d *rangeDecoder) tree(probs []uint16, bits int) uint32 {
	symbol := uint32(1)
	for range bits {
		symbol = symbol<<1 | d.bit(&probs[symbol])
	}
	return symbol - 1<<bits
}

// reverse reads a number of so many bits, the lowest first; probs[0] is that of the first bit.
func (d *rangeDecoder) reverse(probs []uint16, bits int) (value uint32) {
	symbol := uint32(1)
	for i := range bits {
		bit := d.bit(&probs[symbol-1])
		symbol = symbol<<1 | bit
		value |= bit << i
	}
	return value
}

// lengths are the probabilities of the lengths of matches.
type lengths struct {
	choice, choice2 uint16
	low, mid        [posStates][8]uint16
	high            [256]uint16
}

func (l *lengths) read(d *rangeDecoder, posState uint32) int {
	switch {
	case d.bit(&l.choice) == 0:
		return matchMin + int(d.tree(l.low[posState][:], 3))
	case d.bit(&l.choice2) == 0:
		return matchMin + 8 + int(d.tree(l.mid[posState][:], 3))
	}
	return matchMin + 16 + int(d.tree(l.high[:], 8))
}

func (l *lengths) reset() {
	l.choice, l.choice2 = probStart, probStart
	for i := range l.low {
		fill(l.low[i][:])
		fill(l.mid[i][:])
	}
	fill(l.high[:])
}

func fill(probs []uint16) {
	for i := range probs {
		probs[i] = probStart
	}
}

// lzma is the state of one stream of symbols.
type lzma struct {
	rangeDecoder
	lc, lp, pb uint32
	state      int
	back       [4]uint32 // distances of the last matches, less one
	matches    [lzmaStates * posStates]uint16
	long0      [lzmaStates * posStates]uint16
	reps       [lzmaStates * 4]uint16 // is a repeated match, is not the last, is not the one before, nor that before it
	slots      [4][64]uint16
	special    [specialSlots]uint16
	align      [16]uint16
	length     lengths
	repLength  lengths
	literals   [maxLiterals]uint16
}

// setProperties takes the byte that says how literals and positions are told apart.
func (z *lzma) setProperties(b byte) bool {
	if b > (4*5+4)*9+8 {
		return false
	}
	z.lc, z.lp, z.pb = uint32(b%9), uint32(b/9%5), uint32(b/45)
	return z.lc+z.lp <= 4
}

func (z *lzma) reset() {
	z.state, z.back = 0, [4]uint32{}
	for _, probs := range [][]uint16{z.matches[:], z.long0[:], z.reps[:], z.special[:], z.align[:], z.literals[:]} {
		fill(probs)
	}
	for i := range z.slots {
		fill(z.slots[i][:])
	}
	z.length.reset()
	z.repLength.reset()
}

// decode appends size bytes to out; matches reach back to out[0] at most. ok is false when the chunk is malformed.
// position is how many bytes of the dictionary's time lie before out[0].
func (z *lzma) decode(out []byte, size int, position uint32) (all []byte, ok bool) {
	end := len(out) + size
	for len(out) < end && !z.short {
		posState := (position + uint32(len(out))) & (1<<z.pb - 1)
		if z.bit(&z.matches[z.state*posStates+int(posState)]) == 0 {
			out = append(out, z.literal(out, position))
			continue
		}
		length := z.match(posState)
		if int64(z.back[0]) >= int64(len(out)) || length > end-len(out) {
			return out, false
		}
		out = repeat(out, int(z.back[0])+1, length)
	}
	z.normalize()
	return out, z.isFinished()
}

// literal reads one byte. After a match the byte that would have followed it is a hint.
func (z *lzma) literal(out []byte, position uint32) byte {
	before := uint32(0)
	if len(out) > 0 {
		before = uint32(out[len(out)-1])
	}
	place := (position+uint32(len(out)))&(1<<z.lp-1)<<z.lc | before>>(8-z.lc)
	probs := z.literals[place*literalStep:][:literalStep]
	symbol := uint32(1)
	if z.state >= 7 && int64(z.back[0]) < int64(len(out)) {
		hint := uint32(out[len(out)-1-int(z.back[0])])
		for symbol < 0x100 {
			hinted := hint >> 7 & 1
			hint <<= 1
			bit := z.bit(&probs[(1+hinted)<<8+symbol])
			symbol = symbol<<1 | bit
			if bit != hinted {
				break
			}
		}
	}
	for symbol < 0x100 {
		symbol = symbol<<1 | z.bit(&probs[symbol])
	}
	switch {
	case z.state < 4:
		z.state = 0
	case z.state < 10:
		z.state -= 3
	default:
		z.state -= 6
	}
	return byte(symbol)
}

// after gives the state after a match: a when the last symbol was a literal, else b.
func (z *lzma) after(a, b int) {
	if z.state < 7 {
		z.state = a
	} else {
		z.state = b
	}
}

// match reads a match and leaves its distance in back[0].
func (z *lzma) match(posState uint32) (length int) {
	reps := z.reps[z.state*4:][:4]
	if z.bit(&reps[0]) == 0 {
		copy(z.back[1:], z.back[:3])
		length = z.length.read(&z.rangeDecoder, posState)
		z.back[0] = z.distance(length)
		z.after(7, 10)
		return length
	}
	if z.bit(&reps[1]) == 0 {
		if z.bit(&z.long0[z.state*posStates+int(posState)]) == 0 {
			z.after(9, 11)
			return 1
		}
	} else {
		which := 1
		if z.bit(&reps[2]) != 0 {
			which = 2 + int(z.bit(&reps[3]))
		}
		again := z.back[which]
		copy(z.back[1:which+1], z.back[:which])
		z.back[0] = again
	}
	z.after(8, 11)
	return z.repLength.read(&z.rangeDecoder, posState)
}

// distance reads how far back a new match lies, less one.
func (z *lzma) distance(length int) uint32 {
	slot := z.tree(z.slots[min(length-matchMin, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := int(slot>>1 - 1)
	value := (2 | slot&1) << bits
	if slot < 14 {
		return value + z.reverse(z.special[value-slot:], bits)
	}
	return value + z.direct(bits-4)<<4 + z.reverse(z.align[:], 4)
}
