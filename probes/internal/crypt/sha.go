package crypt

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"strconv"
	"strings"
	"time"
)

// Bounds of Drepper's "Unix crypt using SHA-256 and SHA-512".
const (
	shaSalt      = 16
	shaRounds    = 5000
	shaMinRounds = 1000
	shaMaxRounds = 999999999
)

// shaScheme is what the two sizes differ in.
type shaScheme struct {
	size  int
	text  int // characters of the encoded digest
	sum   func(out, data []byte) []byte
	order func(i int) (a, b, c int) // which bytes group i of the encoding holds
	round time.Duration
}

var sha256Scheme = &shaScheme{
	size: sha256.Size, text: 43, round: 250 * time.Nanosecond,
	sum: func(out, data []byte) []byte { s := sha256.Sum256(data); return append(out, s[:]...) },
	order: func(i int) (a, b, c int) {
		rotated := [3]int{i, i + 10, i + 20}
		return rotated[2*i%3], rotated[(2*i+1)%3], rotated[(2*i+2)%3]
	},
}

var sha512Scheme = &shaScheme{
	size: sha512.Size, text: 86, round: 350 * time.Nanosecond,
	sum: func(out, data []byte) []byte { s := sha512.Sum512(data); return append(out, s[:]...) },
	order: func(i int) (a, b, c int) {
		rotated := [3]int{i, i + 21, i + 42}
		return rotated[i%3], rotated[(i+1)%3], rotated[(i+2)%3]
	},
}

func parseSHA256(_, rest string) (*Hash, error) { return sha256Scheme.parse(rest) }
func parseSHA512(_, rest string) (*Hash, error) { return sha512Scheme.parse(rest) }

// parse reads `[rounds=N$]salt$digest`. What crypt(3) would change (a long salt, few rounds) can never be equal to what
// it makes of it.
func (s *shaScheme) parse(rest string) (*Hash, error) {
	rounds := shaRounds
	if text, ok := strings.CutPrefix(rest, "rounds="); ok {
		number, after, cut := strings.Cut(text, "$")
		n, err := strconv.Atoi(number)
		if err != nil || !cut || n < shaMinRounds || n > shaMaxRounds || strconv.Itoa(n) != number {
			return nil, ErrMalformed
		}
		rounds, rest = n, after
	}
	salt, digest, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > shaSalt || len(digest) != s.text || !isText(digest, alphabet) {
		return nil, ErrMalformed
	}
	return &Hash{
		Time: time.Duration(rounds) * s.round, want: digest,
		compute: func(run *Run, password []byte) ([]byte, error) { return s.crypt(run, rounds, salt, password) },
	}, nil
}

func (s *shaScheme) crypt(run *Run, rounds int, salt string, password []byte) ([]byte, error) {
	sum := s.start(salt, password)
	p := stretch(s.sum(nil, bytes.Repeat(password, len(password))), len(password))
	d := stretch(s.sum(nil, bytes.Repeat([]byte(salt), 16+int(sum[0]))), len(salt))
	text := make([]byte, 0, 2*MaxPassword+shaSalt+s.size)
	for i := range rounds {
		if i%tickRounds == 0 {
			if err := run.Tick(); err != nil {
				return nil, err
			}
		}
		text = mixRound(text[:0], i, p, d, sum)
		sum = s.sum(sum[:0], text)
	}
	return s.encode(sum), nil
}

// start is the digest that the rounds begin with.
func (s *shaScheme) start(salt string, password []byte) []byte {
	inner := s.sum(nil, []byte(string(password)+salt+string(password)))
	text := append(append([]byte{}, password...), salt...)
	text = append(text, stretch(inner, len(password))...)
	for bits := len(password); bits > 0; bits >>= 1 {
		if bits&1 != 0 {
			text = append(text, inner...)
		} else {
			text = append(text, password...)
		}
	}
	return s.sum(nil, text)
}

// stretch repeats a digest to a length.
func stretch(sum []byte, length int) []byte {
	return bytes.Repeat(sum, length/len(sum)+1)[:length]
}

func (s *shaScheme) encode(sum []byte) []byte {
	var out []byte
	for i := range s.size / 3 {
		a, b, c := s.order(i)
		out = appendBits(out, uint32(sum[a])<<16|uint32(sum[b])<<8|uint32(sum[c]), 4)
	}
	if s.size%3 == 2 {
		return appendBits(out, uint32(sum[31])<<8|uint32(sum[30]), 3)
	}
	return appendBits(out, uint32(sum[63]), 2)
}
