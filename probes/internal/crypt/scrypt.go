package crypt

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
)

// params are the cost parameters of scrypt (RFC 7914) and yescrypt; they are bounded by parse, and Hash.Memory and
// Hash.Time say whether they can be afforded.
type params struct {
	flags uint32 // yescrypt's; 0: classic scrypt
	n     uint64
	r, p  uint64
	t     uint64
}

const (
	scryptText = 43 // characters of 32 encoded bytes
	maxCost    = 1 << 40
	maxBlock   = 1 << 20 // bytes of all lanes; sane parameters take some thousand

	// What mixing 64 bytes takes once, by Salsa20/8 and by pwxform.
	salsaTime = 180 * time.Nanosecond
	formTime  = 75 * time.Nanosecond
)

// fixedNumber reads a value of a fixed count of characters, the lowest first.
func fixedNumber(text string) (n uint64) {
	for i := range len(text) {
		n |= uint64(strings.IndexByte(alphabet, text[i])) << (6 * i)
	}
	return n
}

// parseScrypt reads `NrrrrrpppppSalt$digest` of the scheme $7$: one character for the logarithm of N, five for r and p.
func parseScrypt(_, rest string) (*Hash, error) {
	const head = 1 + 5 + 5
	cut := strings.LastIndexByte(rest, '$')
	if cut < head || !isText(rest[:head], alphabet) {
		return nil, ErrMalformed
	}
	return newMemoryHard(params{n: 1 << fixedNumber(rest[:1]), r: fixedNumber(rest[1:6]), p: fixedNumber(rest[6:head])},
		[]byte(rest[head:cut]), rest[cut+1:])
}

// newMemoryHard refuses what the scheme refuses, and counts memory and time.
func newMemoryHard(c params, salt []byte, digest string) (*Hash, error) {
	if len(digest) != scryptText || !isText(digest, alphabet) {
		return nil, ErrMalformed
	}
	if c.n < 2 || c.r < 1 || c.p < 1 || c.r*c.p >= 1<<30 || c.isReadWrite() && c.n/c.p <= 1 {
		return nil, ErrMalformed
	}
	h := &Hash{
		want: digest,
		compute: func(run *Run, password []byte) ([]byte, error) {
			sum, err := c.crypt(run, password, salt)
			return appendBytes(nil, sum), err
		},
	}
	h.Memory, h.Time = c.memory(), c.time()
	return h, nil
}

// memory and time are capped: the parameters are the host's, and a product that wraps would look cheap.
func (c *params) memory() int64 {
	block := product(128*c.r, c.p)
	if block > maxBlock {
		return maxCost
	}
	need := product(128*c.r, c.n) + block
	if c.isReadWrite() {
		need += product(3*8*boxSize, c.p)
	}
	return int64(min(need, maxCost))
}

func (c *params) time() time.Duration {
	mixes, unit := product(4*c.r, product(c.n, max(c.t, 1))), salsaTime
	if c.isReadWrite() {
		mixes, unit = mixes+product(c.p, 3*boxSize), formTime
	} else {
		mixes = product(mixes, c.p)
	}
	return time.Duration(min(mixes, maxCost)) * unit
}

// product multiplies and stops at the largest cost.
func product(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high != 0 {
		return maxCost
	}
	return min(low, maxCost)
}

// hmac is HMAC-SHA-256 (RFC 2104).
func hmac(key []byte, texts ...[]byte) []byte {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	var inner, outer [sha256.BlockSize]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	h := sha256.New()
	h.Write(inner[:])
	for _, text := range texts {
		h.Write(text)
	}
	sum := h.Sum(nil)
	h.Reset()
	h.Write(outer[:])
	h.Write(sum)
	return h.Sum(nil)
}

// pbkdf2 is PBKDF2-HMAC-SHA-256 (RFC 8018) with one iteration, which is all that scrypt asks for.
func pbkdf2(password, salt []byte, length int) []byte {
	var out []byte
	for block := uint32(1); len(out) < length; block++ {
		out = append(out, hmac(password, salt, binary.BigEndian.AppendUint32(nil, block))...)
	}
	return out[:length]
}
