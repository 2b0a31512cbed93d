package crypt

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strings"
)

// Flags of yescrypt 1.0 ("yescrypt - scalable KDF and password hashing scheme", Openwall). Of its modes with boxes only
// the one exists that has six rounds, four gathers, two lanes and boxes of 12 KiB.
const (
	flagWorm      = 1
	flagReadWrite = 2
	flagStandard  = 0xb6
	flagPrehash   = 0x10000000
)

const (
	boxLanes    = 2
	boxEntries  = 256
	boxSize     = boxEntries * boxLanes // words of 64 bits in one of the three boxes
	boxMask     = 0xff0                 // picks an entry by its place in bytes
	formRounds  = 6
	formWords   = 8 // words of 64 bits in one block of pwxform
	tickWords   = 8192
	yescryptMax = 64 // bytes of salt
)

func (c *params) isReadWrite() bool { return c.flags&flagReadWrite != 0 }

func parseYescrypt(_, rest string) (*Hash, error) {
	c, salt, digest, err := yescryptFields(rest)
	if err != nil {
		return nil, err
	}
	return newMemoryHard(c, salt, digest)
}

// yescryptFields reads `parameters$salt$digest`. ErrUnknown: a read-only memory, or a hash that was upgraded in place.
func yescryptFields(rest string) (c params, salt []byte, digest string, err error) {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return c, nil, "", ErrMalformed
	}
	if c, err = yescryptParams(fields[0]); err != nil {
		return c, nil, "", err
	}
	salt, ok := decodeBytes(fields[1])
	if !ok || len(salt) > yescryptMax {
		return c, nil, "", ErrMalformed
	}
	return c, salt, fields[2], nil
}

func yescryptParams(text string) (params, error) {
	read := reader{text: text}
	flavor, logN, r := read.number(0), read.number(1), read.number(1)
	c := params{flags: uint32(flavor), n: 1 << min(logN, 63), r: r, p: 1}
	if flavor >= flagReadWrite {
		c.flags = uint32(flagReadWrite + (flavor-flagReadWrite)<<2)
	}
	if read.text != "" {
		have := read.number(1)
		if have&1 != 0 {
			c.p = read.number(2)
		}
		if have&2 != 0 {
			c.t = read.number(1)
		}
		if have&^3 != 0 {
			return c, ErrUnknown
		}
	}
	switch {
	case read.failed || read.text != "" || logN > 63 || c.flags == 0 && c.t != 0:
		return c, ErrMalformed
	case c.flags != 0 && c.flags != flagWorm && c.flags != flagStandard:
		return c, ErrUnknown
	}
	return c, nil
}

// reader takes numbers of variable length off a text: the first character says how many follow.
type reader struct {
	text   string
	failed bool
}

func (r *reader) digit() uint64 {
	at := -1
	if r.text != "" {
		at = strings.IndexByte(alphabet, r.text[0])
	}
	if at < 0 {
		r.failed = true
		return 0
	}
	r.text = r.text[1:]
	return uint64(at)
}

func (r *reader) number(least uint64) uint64 {
	value, start, end, shift := least, uint64(0), uint64(47), 0
	first := r.digit()
	for first > end {
		value += (end + 1 - start) << shift
		start, end = end+1, end+1+(62-end)/2
		shift += 6
	}
	value += (first - start) << shift
	for shift > 0 {
		shift -= 6
		value += r.digit() << shift
	}
	return value
}

// crypt gives 32 bytes. What costs much is hashed once at a sixty-fourth of the cost first.
func (c *params) crypt(run *Run, password, salt []byte) ([]byte, error) {
	if c.isReadWrite() && c.n/c.p >= 0x100 && c.n/c.p*c.r >= 0x20000 {
		first := params{flags: c.flags | flagPrehash, n: c.n >> 6, r: c.r, p: c.p}
		sum, err := first.derive(run, password, salt)
		if err != nil {
			return nil, err
		}
		password = sum
	}
	return c.derive(run, password, salt)
}

func (c *params) derive(run *Run, password, salt []byte) ([]byte, error) {
	if c.flags != 0 {
		key := "yescrypt"
		if c.flags&flagPrehash != 0 {
			key = "yescrypt-prehash"
		}
		password = hmac([]byte(key), password)
	}
	b := pbkdf2(password, salt, int(128*c.r*c.p))
	secret := password
	if c.flags != 0 {
		secret = append([]byte{}, b[:sha256.Size]...)
	}
	if need := 16 * int(c.r*c.n); len(run.blocks) < need {
		run.blocks = nil // before there are two
		run.blocks = make([]uint64, need)
	}
	m := &mixer{params: c, tick: run.Tick, v: run.blocks[:16*c.r*c.n], secret: secret}
	if err := m.mixAll(b); err != nil {
		return nil, err
	}
	out := pbkdf2(m.secret, b, sha256.Size)
	if c.flags != 0 && c.flags&flagPrehash == 0 {
		sum := sha256.Sum256(hmac(out, []byte("Client Key")))
		out = sum[:]
	}
	return out, nil
}

// mixer is the memory-hard part. Blocks are of 128 r bytes, held as words of 64 bits in the order in which SIMD units
// like those of 32 bits: word i of a sub-block of sixteen is word 5 i mod 16 of RFC 7914.
type mixer struct {
	*params
	tick   func() error
	v      []uint64
	secret []byte // what the last PBKDF2 takes for its password
	mixed  int    // words since the last tick
	lanes  []*boxes
}

// boxes are the three of pwxform; each call renews parts of one and then turns them around.
type boxes struct {
	s0, s1, s2 *[boxSize]uint64
	at         int
}

func (m *mixer) mixAll(b []byte) error {
	if m.p == 1 || m.isReadWrite() {
		return m.mixLanes(b, m.p)
	}
	size := 128 * m.r
	for i := range m.p {
		if err := m.mixLanes(b[i*size:(i+1)*size], 1); err != nil {
			return err
		}
	}
	return nil
}

// loops gives how often the second phase reads, and how often it also writes.
func (m *mixer) loops(lanes uint64) (all, writing uint64) {
	all = m.n / lanes
	switch {
	case m.isReadWrite() && m.t <= 1:
		all = (all*(1+m.t) + 2) / 3
	case m.isReadWrite():
		all *= m.t - 1
	case m.t == 1:
		all += (all + 1) / 2
	case m.t > 1:
		all *= m.t
	}
	if m.isReadWrite() {
		writing = all / lanes
	}
	return (all + 1) &^ 1, (writing + 1) &^ 1
}

func (m *mixer) mixLanes(b []byte, lanes uint64) error {
	all, writing := m.loops(lanes)
	chunk, size := m.n/lanes&^1, 128*m.r
	m.lanes = make([]*boxes, lanes)
	for i := range lanes {
		own, count := b[i*size:(i+1)*size], chunk
		if i == lanes-1 {
			count = m.n - chunk*i
		}
		if m.isReadWrite() {
			if err := m.makeBoxes(i, own); err != nil {
				return err
			}
		}
		v := m.v[16*m.r*chunk*i:]
		if err := m.fill(own, m.r, count, v, m.lanes[i], m.isReadWrite()); err != nil {
			return err
		}
		if err := m.stir(own, floorPower(count), writing, v, m.lanes[i], m.isReadWrite()); err != nil {
			return err
		}
	}
	for i := range lanes {
		if err := m.stir(b[i*size:(i+1)*size], m.n, all-writing, m.v, m.lanes[i], false); err != nil {
			return err
		}
	}
	return nil
}

// makeBoxes fills the boxes of a lane from the first 128 bytes of its block, by classic scrypt.
func (m *mixer) makeBoxes(lane uint64, b []byte) error {
	words := make([]uint64, 3*boxSize)
	if err := m.fill(b[:128], 1, 3*boxSize/16, words, nil, false); err != nil {
		return err
	}
	m.lanes[lane] = &boxes{
		s2: (*[boxSize]uint64)(words), s1: (*[boxSize]uint64)(words[boxSize:]), s0: (*[boxSize]uint64)(words[2*boxSize:]),
	}
	if lane == 0 {
		m.secret = hmac(b[len(b)-64:], m.secret)
	}
	return nil
}

// fill is the first phase: it writes count blocks.
func (m *mixer) fill(b []byte, r, count uint64, v []uint64, lane *boxes, isReadWrite bool) error {
	size := 16 * r
	x, spare := load(b), make([]uint64, size)
	for i := range count {
		copy(v[i*size:], x)
		if isReadWrite && i > 1 {
			power := floorPower(i)
			from := integerify(x)&(power-1) + i - power
			xor(x, v[from*size:(from+1)*size])
		}
		if err := m.blockMix(x, spare, lane); err != nil {
			return err
		}
	}
	store(b, x)
	return nil
}

// stir is the second phase: it reads blocks by turns that the password decides, and writes them back in that mode.
func (m *mixer) stir(b []byte, n, loops uint64, v []uint64, lane *boxes, isReadWrite bool) error {
	if loops == 0 {
		return nil
	}
	size := 16 * m.r
	x, spare := load(b), make([]uint64, size)
	for range loops {
		from := integerify(x) & (n - 1)
		block := v[from*size : (from+1)*size]
		xor(x, block)
		if isReadWrite {
			copy(block, x)
		}
		if err := m.blockMix(x, spare, lane); err != nil {
			return err
		}
	}
	store(b, x)
	return nil
}

// floorPower is the largest power of two that is not above n.
func floorPower(n uint64) uint64 { return 1 << (bits.Len64(n) - 1) }

func integerify(x []uint64) uint64 {
	last := x[len(x)-8:]
	return last[6]&^0xffffffff | last[0]&0xffffffff
}

func xor(x, y []uint64) {
	for i := range y {
		x[i] ^= y[i]
	}
}

// load and store change between bytes and the order of words.
func load(b []byte) []uint64 {
	x := make([]uint64, len(b)/8)
	for i := range len(b) / 4 {
		word := uint64(binary.LittleEndian.Uint32(b[4*(i&^15+i*5%16):]))
		x[i/2] |= word << (i & 1 * 32)
	}
	return x
}

func store(b []byte, x []uint64) {
	for i := range len(b) / 4 {
		binary.LittleEndian.PutUint32(b[4*(i&^15+i*5%16):], uint32(x[i/2]>>(i&1*32)))
	}
}

// blockMix changes x; spare is as long.
func (m *mixer) blockMix(x, spare []uint64, lane *boxes) error {
	if m.mixed += len(x); m.mixed >= tickWords {
		m.mixed = 0
		if err := m.tick(); err != nil {
			return err
		}
	}
	if lane != nil {
		lane.mix(x)
		return nil
	}
	copy(spare, x)
	var block [8]uint64
	copy(block[:], x[len(x)-8:])
	half := len(x) / 16
	for i := range 2 * half {
		xor(block[:], spare[8*i:8*i+8])
		salsa(&block, 8)
		// Even ones go to the first half, odd ones to the second.
		copy(x[8*(i/2+i%2*half):], block[:])
	}
	return nil
}

// mix is yescrypt's BlockMix_pwxform.
func (s *boxes) mix(x []uint64) {
	var block [formWords]uint64
	copy(block[:], x[len(x)-formWords:])
	for at := 0; at < len(x); at += formWords {
		own := (*[formWords]uint64)(x[at:])
		for i := range block {
			block[i] ^= own[i]
		}
		s.form(&block)
		*own = block
	}
	salsa((*[8]uint64)(x[len(x)-8:]), 2)
}

// form is pwxform: multiplications and look-ups in two boxes; the third takes what comes out.
func (s *boxes) form(x *[formWords]uint64) {
	s0, s1, s2, at := s.s0, s.s1, s.s2, s.at
	for round := range formRounds {
		for j := 0; j < formWords; j += boxLanes {
			first, second := x[j], x[j+1]
			p0, p1 := first&boxMask>>3, first>>32&boxMask>>3
			first = (first>>32*(first&0xffffffff) + s0[p0]) ^ s1[p1]
			second = (second>>32*(second&0xffffffff) + s0[p0|1]) ^ s1[p1|1]
			x[j], x[j+1] = first, second
			if round != 0 && round != formRounds-1 {
				s2[at&(boxSize-2)], s2[at&(boxSize-2)|1] = first, second
				at += boxLanes
			}
		}
	}
	s.s0, s.s1, s.s2, s.at = s2, s0, s1, at&(boxSize-1)
}

// salsa is the core of Salsa20 with that many rounds, added to its input.
func salsa(block *[8]uint64, rounds int) {
	var x, in [16]uint32
	for i := range 16 {
		in[i*5%16] = uint32(block[i/2] >> (i & 1 * 32))
	}
	x = in
	quarter := func(a, b, c, d int) {
		x[b] ^= bits.RotateLeft32(x[a]+x[d], 7)
		x[c] ^= bits.RotateLeft32(x[b]+x[a], 9)
		x[d] ^= bits.RotateLeft32(x[c]+x[b], 13)
		x[a] ^= bits.RotateLeft32(x[d]+x[c], 18)
	}
	for range rounds / 2 {
		for i := range 4 {
			quarter(5*i%16, (5*i+4)%16, (5*i+8)%16, (5*i+12)%16)
		}
		for i := range 4 {
			quarter(5*i, i*4+(i+1)%4, i*4+(i+2)%4, i*4+(i+3)%4)
		}
	}
	for i := range 8 {
		low, high := x[2*i*5%16]+in[2*i*5%16], x[(2*i+1)*5%16]+in[(2*i+1)*5%16]
		block[i] = uint64(high)<<32 | uint64(low)
	}
}
