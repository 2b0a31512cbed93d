// Package crypt tells whether a word is the password behind a hash of crypt(5). It knows what a guess would cost before
// it is made, since both hash and cost factor were chosen by the host. It never makes hashes for anybody else.
package crypt

import (
	"bytes"
	"errors"
	"strings"
	"time"
)

// Why a hash cannot be tried.
var (
	ErrUnknown   = errors.New("a scheme that is not known here")
	ErrMalformed = errors.New("no hash that crypt(3) could have made")
)

// MaxText bounds the text of a hash; crypt(5) allows 384 characters.
const MaxText = 384

// MaxPassword is the longest word that is tried, in bytes; the sha schemes take time by its square.
const MaxPassword = 128

// Hash is one hash, taken apart.
type Hash struct {
	Memory int64         // bytes that one guess takes
	Time   time.Duration // what one guess is likely to take on a machine of 2020; the order of magnitude counts

	want    string
	compute func(run *Run, password []byte) ([]byte, error)
}

// Run is what the guesses of one audit share. It is for one goroutine.
type Run struct {
	// Tick is called before each guess and then every few milliseconds; its error ends the guess and is returned.
	Tick func() error

	blocks []uint64 // scrypt's and yescrypt's memory, kept from guess to guess
	boxes  *blowfish
}

// schemes are the prefixes of crypt(5) that are known here; what has none is one of DES.
var schemes = []struct {
	prefix string
	parse  func(prefix, rest string) (*Hash, error)
}{
	{"$1$", parseMD5}, {"$apr1$", parseMD5}, {"$5$", parseSHA256}, {"$6$", parseSHA512},
	{"$2a$", parseBcrypt}, {"$2b$", parseBcrypt}, {"$2x$", parseBcrypt}, {"$2y$", parseBcrypt},
	{"$7$", parseScrypt}, {"$y$", parseYescrypt}, {"$3$", parseNT}, {"_", parseExtendedDES},
}

// Parse takes a hash apart. Errors: ErrUnknown, ErrMalformed; they never hold any of the text.
func Parse(text string) (*Hash, error) {
	if len(text) > MaxText {
		return nil, ErrMalformed
	}
	for _, s := range schemes {
		if rest, ok := strings.CutPrefix(text, s.prefix); ok {
			return s.parse(s.prefix, rest)
		}
	}
	if strings.HasPrefix(text, "$") {
		return nil, ErrUnknown
	}
	return parseDES(text)
}

// Matches says whether the word is the password. The error is that of run.Tick.
func (h *Hash) Matches(run *Run, word []byte) (bool, error) {
	// crypt(3) takes text that ends at a NUL byte: what holds one cannot be typed as a password.
	if len(word) > MaxPassword || bytes.IndexByte(word, 0) >= 0 {
		return false, nil
	}
	if err := run.Tick(); err != nil {
		return false, err
	}
	got, err := h.compute(run, word)
	return err == nil && string(got) == h.want, err
}

// alphabet is that of all schemes but bcrypt.
const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// isText says whether all characters are of the alphabet.
func isText(text, alphabet string) bool { return strings.Trim(text, alphabet) == "" }

// appendBits appends the low bits of a number in groups of six, lowest group first.
func appendBits(out []byte, bits uint32, groups int) []byte {
	for range groups {
		out = append(out, alphabet[bits&0x3f])
		bits >>= 6
	}
	return out
}

// appendBytes appends bytes as three to four characters, first byte lowest, as yescrypt and scrypt do.
func appendBytes(out, data []byte) []byte {
	for len(data) > 0 {
		n := min(3, len(data))
		var bits uint32
		for i, b := range data[:n] {
			bits |= uint32(b) << (8 * i)
		}
		out = appendBits(out, bits, n+1)
		data = data[n:]
	}
	return out
}

// decodeBytes undoes appendBytes; false for what that cannot have written.
func decodeBytes(text string) ([]byte, bool) {
	var out []byte
	for len(text) > 0 {
		n := min(4, len(text))
		var bits uint32
		for i := range n {
			at := strings.IndexByte(alphabet, text[i])
			if at < 0 {
				return nil, false
			}
			bits |= uint32(at) << (6 * i)
		}
		if n == 1 || bits>>(8*(n-1)) != 0 {
			return nil, false
		}
		for i := range n - 1 {
			out = append(out, byte(bits>>(8*i)))
		}
		text = text[n:]
	}
	return out, true
}
