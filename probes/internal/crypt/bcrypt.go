package crypt

import (
	"encoding/binary"
	"strings"
	"time"
)

const (
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	bcryptSaltText = 22
	bcryptText     = 31
	bcryptSize     = 23 // of the 24 bytes encrypted; the original dropped one
	bcryptKeyBytes = 72
	bcryptRounds   = 64
	bcryptTime     = 70 * time.Microsecond // two key schedules and more
)

// parseBcrypt reads `CC$salt digest` of Provos and Mazières' scheme, CC the binary logarithm of its rounds. The prefixes
// a, b and y are one scheme here; x repeats a fault of 2011, by which characters beyond ASCII spoil those before them.
func parseBcrypt(prefix, rest string) (*Hash, error) {
	if len(rest) != 3+bcryptSaltText+bcryptText || rest[2] != '$' || !isText(rest[:2], "0123456789") ||
		!isText(rest[3:], bcryptAlphabet) {
		return nil, ErrMalformed
	}
	cost := int(rest[0]-'0')*10 + int(rest[1]-'0')
	if cost < 4 || cost > 31 {
		return nil, ErrMalformed
	}
	var salt [4]uint32
	for i := range salt {
		salt[i] = binary.BigEndian.Uint32(bcryptDecode(rest[3 : 3+bcryptSaltText])[4*i:])
	}
	isFaulty := prefix == "$2x$"
	return &Hash{
		Time: bcryptTime << cost, want: rest[3+bcryptSaltText:],
		compute: func(run *Run, password []byte) ([]byte, error) {
			return bcryptCrypt(run, bcryptKey(password, isFaulty), salt, 1<<cost)
		},
	}, nil
}

// bcryptKey repeats the password with its NUL byte to eighteen words.
func bcryptKey(password []byte, isFaulty bool) *[18]uint32 {
	key := append(append([]byte{}, password[:min(len(password), bcryptKeyBytes)]...), 0)
	var words [18]uint32
	at := 0
	for i := range words {
		for range 4 {
			b := uint32(key[at])
			if isFaulty {
				b = uint32(int32(int8(key[at])))
			}
			words[i] = words[i]<<8 | b
			at = (at + 1) % len(key)
		}
	}
	return &words
}

func bcryptCrypt(run *Run, key *[18]uint32, salt [4]uint32, rounds int) ([]byte, error) {
	if run.boxes == nil {
		boxes, err := newBlowfish(run.Tick)
		if err != nil {
			return nil, err
		}
		run.boxes = boxes
	}
	state := *run.boxes
	state.key(key)
	state.mix(&salt)
	var salted [18]uint32
	var none [4]uint32
	for i := range salted {
		salted[i] = salt[i%4]
	}
	for i := range rounds {
		if i%8 == 0 {
			if err := run.Tick(); err != nil {
				return nil, err
			}
		}
		state.key(key)
		state.mix(&none)
		state.key(&salted)
		state.mix(&none)
	}
	return bcryptEncode(state.seal()), nil
}

// seal encrypts the scheme's constant text.
func (b *blowfish) seal() []byte {
	const text = "OrpheanBeholderScryDoubt"
	out := make([]byte, 0, len(text))
	for at := 0; at < len(text); at += 8 {
		l, r := binary.BigEndian.Uint32([]byte(text[at:])), binary.BigEndian.Uint32([]byte(text[at+4:]))
		for range bcryptRounds {
			l, r = b.encrypt(l, r)
		}
		out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, l), r)
	}
	return out[:bcryptSize]
}

// bcryptEncode writes bytes in base 64, highest bits first.
func bcryptEncode(data []byte) []byte {
	var out []byte
	for i := 0; i*6 < len(data)*8; i++ {
		out = append(out, bcryptAlphabet[sixBits(data, i*6)])
	}
	return out
}

func sixBits(data []byte, bit int) byte {
	word := uint16(data[bit/8]) << 8
	if bit/8+1 < len(data) {
		word |= uint16(data[bit/8+1])
	}
	return byte(word>>(10-bit%8)) & 63
}

// bcryptDecode undoes bcryptEncode; bits beyond the last whole byte are dropped.
func bcryptDecode(text string) []byte {
	var out []byte
	var word uint32
	for i := range len(text) {
		word = word<<6 | uint32(strings.IndexByte(bcryptAlphabet, text[i]))
		if have := (i + 1) * 6 % 8; have < 6 {
			out = append(out, byte(word>>have))
		}
	}
	return out
}
