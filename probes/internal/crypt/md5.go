package crypt

import (
	"crypto/md5"
	"strings"
	"time"
)

const (
	md5Rounds  = 1000
	md5Salt    = 8
	md5Text    = 22 // characters of the encoded digest
	tickRounds = 512
)

// parseMD5 reads `salt$digest` of FreeBSD's scheme of 1994, and of Apache's, which differs by its prefix alone.
func parseMD5(prefix, rest string) (*Hash, error) {
	salt, digest, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > md5Salt || len(digest) != md5Text || !isText(digest, alphabet) {
		return nil, ErrMalformed
	}
	return &Hash{
		Time: 130 * time.Microsecond, want: digest,
		compute: func(run *Run, password []byte) ([]byte, error) { return md5Crypt(run, prefix, salt, password) },
	}, nil
}

func md5Crypt(run *Run, prefix, salt string, password []byte) ([]byte, error) {
	sum := md5Start(prefix, salt, password)
	text := make([]byte, 0, 2*MaxPassword+md5Salt+md5.Size)
	for i := range md5Rounds {
		if i%tickRounds == 0 {
			if err := run.Tick(); err != nil {
				return nil, err
			}
		}
		text = mixRound(text[:0], i, password, []byte(salt), sum[:])
		sum = md5.Sum(text)
	}
	var out []byte
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		out = appendBits(out, uint32(sum[i])<<16|uint32(sum[i+6])<<8|uint32(sum[last]), 4)
	}
	return appendBits(out, uint32(sum[11]), 2), nil
}

// md5Start is the digest that the rounds begin with.
func md5Start(prefix, salt string, password []byte) [md5.Size]byte {
	inner := md5.Sum([]byte(string(password) + salt + string(password)))
	text := append(append(append([]byte{}, password...), prefix...), salt...)
	for left := len(password); left > 0; left -= md5.Size {
		text = append(text, inner[:min(left, md5.Size)]...)
	}
	for bits := len(password); bits > 0; bits >>= 1 {
		if bits&1 != 0 {
			text = append(text, 0)
		} else {
			text = append(text, password[0])
		}
	}
	return md5.Sum(text)
}

// mixRound appends what round i of the md5 and sha schemes hashes.
func mixRound(text []byte, i int, password, salt, sum []byte) []byte {
	first, last := sum, password
	if i&1 != 0 {
		first, last = password, sum
	}
	text = append(text, first...)
	if i%3 != 0 {
		text = append(text, salt...)
	}
	if i%7 != 0 {
		text = append(text, password...)
	}
	return append(text, last...)
}
