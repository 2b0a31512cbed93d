package crypt

import (
	"math/bits"
	"strings"
	"sync"
	"time"
)

const (
	desSaltText = 2
	desText     = 11 // characters of the encrypted block
	desRounds   = 25
	desTime     = 250 * time.Nanosecond // of one encryption
	desExtHead  = 8                     // characters of count and salt of the extended form
	desTicks    = 128                   // encryptions between two ticks
)

// The tables of FIPS 46-3; places count from 1, the highest bit. The initial permutation changes nothing here, since
// what is encrypted is all zeros.
var (
	desPC1 = [56]byte{
		57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
		63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
	}
	desPC2 = [48]byte{
		14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
		41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
	}
	desP = [32]byte{
		16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
		2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
	}
	// desS has a string for each box: four rows of sixteen hexadecimal digits.
	desS = [8]string{
		"e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
		"f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
		"a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
		"7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
		"2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
		"c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
		"4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
		"d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
	}
)

// desBoxes are the boxes with the permutation P behind them.
var desBoxes = sync.OnceValue(func() *[8][64]uint32 {
	var boxes [8][64]uint32
	for box, rows := range desS {
		for in := range 64 {
			row, column := in>>4&2|in&1, in>>1&15
			digit := uint64(strings.IndexByte("0123456789abcdef", rows[16*row+column]))
			boxes[box][in] = uint32(permute(digit<<(28-4*box), 32, desP[:]))
		}
	}
	return &boxes
})

// permute picks bits of a number that has `width` of them.
func permute(in uint64, width int, places []byte) (out uint64) {
	for _, place := range places {
		out = out<<1 | in>>(width-int(place))&1
	}
	return out
}

// desKeys are the round keys, in two halves of 24 bits.
type desKeys [16][2]uint32

// newDESKeys makes them of eight characters: seven bits of each, above the bit for parity.
func newDESKeys(key uint64) (keys desKeys) {
	const half = 1<<28 - 1
	mixed := permute(key, 64, desPC1[:])
	c, d := mixed>>28, mixed&half
	for i := range keys {
		shift := 2
		if i < 2 || i == 8 || i == 15 {
			shift = 1
		}
		c, d = (c<<shift|c>>(28-shift))&half, (d<<shift|d>>(28-shift))&half
		picked := permute(c<<28|d, 56, desPC2[:])
		keys[i] = [2]uint32{uint32(picked >> 24), uint32(picked & (1<<24 - 1))}
	}
	return keys
}

// desKey packs up to eight characters.
func desKey(password []byte) (key uint64) {
	for i := range 8 {
		key <<= 8
		if i < len(password) {
			key |= uint64(password[i]) << 1 & 0xfe
		}
	}
	return key
}

// desEncrypt encrypts count times in a row; halves are those between the initial and the final permutation. Bits of the
// salt swap bits between the halves of what a round expands.
func desEncrypt(run *Run, keys *desKeys, salt uint32, l, r uint32, count int) (uint32, uint32, error) {
	boxes := desBoxes()
	for n := range count {
		if n%desTicks == 0 {
			if err := run.Tick(); err != nil {
				return 0, 0, err
			}
		}
		for i := range keys {
			turned := uint64(r>>1 | r<<31)
			turned |= turned << 32
			u, v := expand(turned>>16), expand(turned)
			swap := (u ^ v) & salt
			u ^= swap ^ keys[i][0]
			v ^= swap ^ keys[i][1]
			f := boxes[0][u>>18] | boxes[1][u>>12&63] | boxes[2][u>>6&63] | boxes[3][u&63] |
				boxes[4][v>>18] | boxes[5][v>>12&63] | boxes[6][v>>6&63] | boxes[7][v&63]
			l, r = r, l^f
		}
		l, r = r, l
	}
	return l, r, nil
}

// expand gives four groups of six bits, each of which shares two bits with the next.
func expand(turned uint64) uint32 {
	var out uint32
	for i := range 4 {
		out = out<<6 | uint32(turned>>(42-4*i))&63
	}
	return out
}

// desFinal is the final permutation.
func desFinal(l, r uint32) uint64 {
	var places [64]byte
	for i := range places {
		row, column := i/8, i%8
		places[i] = byte(8*(column/2+1) - row)
		if column%2 == 0 {
			places[i] += 32
		}
	}
	return permute(uint64(l)<<32|uint64(r), 64, places[:])
}

// desNumber reads characters of six bits each, the lowest first.
func desNumber(text string) (n uint32) {
	for i := range len(text) {
		n |= uint32(strings.IndexByte(alphabet, text[i])) << (6 * i)
	}
	return n
}

// desMask turns a salt around: its lowest bit swaps the highest of a half.
func desMask(salt uint32) uint32 { return bits.Reverse32(salt) >> 8 }

func parseDES(text string) (*Hash, error) {
	if len(text) != desSaltText+desText || !isText(text, alphabet) {
		return nil, ErrMalformed
	}
	mask := desMask(desNumber(text[:desSaltText]))
	return &Hash{
		Time: desRounds * desTime, want: text[desSaltText:],
		compute: func(run *Run, password []byte) ([]byte, error) {
			return desCrypt(run, desKey(password), mask, desRounds)
		},
	}, nil
}

// parseExtendedDES reads `CCCCSSSSdigest` of BSDi's form: a count, a longer salt and all of the password.
func parseExtendedDES(_, rest string) (*Hash, error) {
	if len(rest) != desExtHead+desText || !isText(rest, alphabet) {
		return nil, ErrMalformed
	}
	count, mask := desNumber(rest[:4]), desMask(desNumber(rest[4:desExtHead]))
	if count == 0 {
		return nil, ErrMalformed
	}
	return &Hash{
		Time: time.Duration(count) * desTime, want: rest[desExtHead:],
		compute: func(run *Run, password []byte) ([]byte, error) {
			key := desKey(password)
			for len(password) > 8 {
				password = password[8:]
				keys := newDESKeys(key)
				l, r := desStart(key)
				l, r, err := desEncrypt(run, &keys, 0, l, r, 1)
				if err != nil {
					return nil, err
				}
				key = desFinal(l, r) ^ desKey(password)
			}
			return desCrypt(run, key, mask, int(count))
		},
	}, nil
}

// desStart is the initial permutation, which undoes desFinal.
func desStart(block uint64) (l, r uint32) {
	var out uint64
	for bit := range 64 {
		one := uint64(1) << bit
		if desFinal(uint32(one>>32), uint32(one))&block != 0 {
			out |= one
		}
	}
	return uint32(out >> 32), uint32(out)
}

// desCrypt encrypts a block of zeros and writes it as text, highest bits first.
func desCrypt(run *Run, key uint64, mask uint32, count int) ([]byte, error) {
	keys := newDESKeys(key)
	l, r, err := desEncrypt(run, &keys, mask, 0, 0, count)
	if err != nil {
		return nil, err
	}
	block := desFinal(l, r)
	out := make([]byte, desText)
	for i := range desText - 1 {
		out[i] = alphabet[block>>(58-6*i)&63]
	}
	out[desText-1] = alphabet[block<<2&63]
	return out, nil
}
