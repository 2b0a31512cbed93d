package crypt

import "math/bits"

const (
	boxWords   = 18 + 4*256 // round keys and boxes of Blowfish
	guardWords = 2          // more digits than needed, since the last ones are not exact
)

// blowfish is the state of the cipher: eighteen round keys, then four boxes of 256 words.
type blowfish struct {
	p [18]uint32
	s [4][256]uint32
}

// newBlowfish gives the cipher's first state: the binary digits of pi behind the point, which take less room as a
// formula than as a table.
func newBlowfish(tick func() error) (*blowfish, error) {
	words, err := piFraction(tick)
	if err != nil {
		return nil, err
	}
	digits := make([]uint32, 0, boxWords)
	for _, word := range words {
		for shift := bits.UintSize - 32; shift >= 0; shift -= 32 {
			digits = append(digits, uint32(word>>shift))
		}
	}
	var b blowfish
	copy(b.p[:], digits)
	for i := range b.s {
		copy(b.s[i][:], digits[18+256*i:])
	}
	return &b, nil
}

// piFraction computes pi - 3 to boxWords times 32 bits, in words of the machine's size, by Machin's formula:
// pi = 16 atan(1/5) - 4 atan(1/239).
func piFraction(tick func() error) ([]uint, error) {
	const words = boxWords * 32 / bits.UintSize
	sum := make([]uint, 1+words+guardWords) // the first word is in front of the point
	if err := addArctan(sum, 16, 5, false, tick); err != nil {
		return nil, err
	}
	if err := addArctan(sum, 4, 239, true, tick); err != nil {
		return nil, err
	}
	return sum[1 : 1+words], nil
}

// addArctan adds factor * atan(1/n) to the sum, or subtracts it.
func addArctan(sum []uint, factor, n uint, subtract bool, tick func() error) error {
	power, term := make([]uint, len(sum)), make([]uint, len(sum))
	power[0] = factor
	divide(power, power, n, 0)
	for k, first := uint(1), 0; ; k += 2 {
		if err := tick(); err != nil {
			return err
		}
		for first < len(power) && power[first] == 0 {
			first++
		}
		if first == len(power) {
			return nil
		}
		divide(term, power, k, first)
		if subtract == (k%4 == 1) {
			subtractFrom(sum, term, first)
		} else {
			addTo(sum, term, first)
		}
		divide(power, power, n*n, first)
	}
}

// divide sets out to in / by; words in front of first are zero.
func divide(out, in []uint, by uint, first int) {
	var rest uint
	for i := first; i < len(in); i++ {
		out[i], rest = bits.Div(rest, in[i], by)
	}
}

func addTo(sum, term []uint, first int) {
	var carry uint
	for i := len(sum) - 1; i >= 0 && (i >= first || carry != 0); i-- {
		var t uint
		if i >= first {
			t = term[i]
		}
		sum[i], carry = bits.Add(sum[i], t, carry)
	}
}

func subtractFrom(sum, term []uint, first int) {
	var borrow uint
	for i := len(sum) - 1; i >= 0 && (i >= first || borrow != 0); i-- {
		var t uint
		if i >= first {
			t = term[i]
		}
		sum[i], borrow = bits.Sub(sum[i], t, borrow)
	}
}

// encrypt is the cipher on one block.
func (b *blowfish) encrypt(l, r uint32) (uint32, uint32) {
	s0, s1, s2, s3 := &b.s[0], &b.s[1], &b.s[2], &b.s[3]
	l ^= b.p[0]
	for i := 1; i < 17; i += 2 {
		r ^= ((s0[byte(l>>24)] + s1[byte(l>>16)]) ^ s2[byte(l>>8)]) + s3[byte(l)] ^ b.p[i]
		l ^= ((s0[byte(r>>24)] + s1[byte(r>>16)]) ^ s2[byte(r>>8)]) + s3[byte(r)] ^ b.p[i+1]
	}
	return r ^ b.p[17], l
}

// mix sets the state to what it encrypts in a row, with words of the salt mixed in by turns. The key is already in p.
func (b *blowfish) mix(salt *[4]uint32) {
	var l, r uint32
	at := 0
	for i := 0; i < len(b.p); i += 2 {
		l, r = b.encrypt(l^salt[at], r^salt[at+1])
		b.p[i], b.p[i+1] = l, r
		at ^= 2
	}
	for box := range b.s {
		words := &b.s[box]
		for i := 0; i < len(words); i += 2 {
			l, r = b.encrypt(l^salt[at&2], r^salt[at&2+1])
			words[i], words[i+1] = l, r
			at ^= 2
		}
	}
}

// key mixes eighteen words into the round keys.
func (b *blowfish) key(words *[18]uint32) {
	for i, word := range words {
		b.p[i] ^= word
	}
}
