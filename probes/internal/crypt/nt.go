package crypt

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"strings"
	"time"
)

const ntText = 32 // hexadecimal digits of the digest

// parseNT reads `$digest`: MD4 of the password in UTF-16, without salt or rounds.
func parseNT(_, rest string) (*Hash, error) {
	digest, ok := strings.CutPrefix(rest, "$")
	if !ok || len(digest) != ntText || !isText(digest, "0123456789abcdef") {
		return nil, ErrMalformed
	}
	return &Hash{Time: time.Microsecond, want: digest, compute: ntCrypt}, nil
}

// ntCrypt takes each byte for a character, as libcrypt does.
func ntCrypt(_ *Run, password []byte) ([]byte, error) {
	wide := make([]byte, 2*len(password))
	for i, b := range password {
		wide[2*i] = b
	}
	sum := md4(wide)
	return []byte(hex.EncodeToString(sum[:])), nil
}

// md4 is the digest of RFC 1320.
func md4(text []byte) (sum [16]byte) {
	length := uint64(len(text)) * 8
	text = append(append([]byte{}, text...), 0x80)
	for len(text)%64 != 56 {
		text = append(text, 0)
	}
	text = binary.LittleEndian.AppendUint64(text, length)
	state := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	for ; len(text) > 0; text = text[64:] {
		md4Block(&state, text[:64])
	}
	for i, word := range state {
		binary.LittleEndian.PutUint32(sum[4*i:], word)
	}
	return sum
}

// md4Rounds are the added constant, the order of words and the rotations of each of the three rounds.
var md4Rounds = [3]struct {
	add   uint32
	order string
	turn  [4]int
}{
	{0, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", [4]int{3, 7, 11, 19}},
	{0x5a827999, "\x00\x04\x08\x0c\x01\x05\x09\x0d\x02\x06\x0a\x0e\x03\x07\x0b\x0f", [4]int{3, 5, 9, 13}},
	{0x6ed9eba1, "\x00\x08\x04\x0c\x02\x0a\x06\x0e\x01\x09\x05\x0d\x03\x0b\x07\x0f", [4]int{3, 9, 11, 15}},
}

func md4Block(state *[4]uint32, block []byte) {
	a, b, c, d := state[0], state[1], state[2], state[3]
	for round, r := range md4Rounds {
		for i := range 16 {
			var f uint32
			switch round {
			case 0:
				f = b&c | ^b&d
			case 1:
				f = b&c | b&d | c&d
			default:
				f = b ^ c ^ d
			}
			word := binary.LittleEndian.Uint32(block[4*r.order[i]:])
			a, b, c, d = d, bits.RotateLeft32(a+f+word+r.add, r.turn[i%4]), b, c
		}
	}
	state[0] += a
	state[1] += b
	state[2] += c
	state[3] += d
}
