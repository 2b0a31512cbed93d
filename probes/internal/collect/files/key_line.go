package files

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"strings"
)

// keyLine is one line of an authorized_keys file, see sshd(8).
type keyLine struct {
	Options     []string // as written, without the commas between them
	Type        string
	Fingerprint string // SHA256:…, as ssh-keygen -l prints it
	PublicKey   string // base64 with padding, of a Valid line
	Comment     string
	Bits        int64 // 0: the type does not tell
	Valid       bool
}

// keyTypes are the key types that sshd takes in authorized_keys.
var keyTypes = map[string]bool{
	"ssh-rsa": true, "ssh-dss": true, "ssh-ed25519": true, "ssh-ed448": true,
	"ecdsa-sha2-nistp256": true, "ecdsa-sha2-nistp384": true, "ecdsa-sha2-nistp521": true,
	"sk-ssh-ed25519@openssh.com": true, "sk-ecdsa-sha2-nistp256@openssh.com": true,
	"webauthn-sk-ecdsa-sha2-nistp256@openssh.com": true,
}

// certSuffix ends the type of a certificate, whose blob begins with a nonce.
const certSuffix = "-cert-v01@openssh.com"

func isKeyType(word string) bool {
	if plain, isCert := strings.CutSuffix(word, certSuffix); isCert {
		return keyTypes[plain] || keyTypes[plain+"@openssh.com"]
	}
	return keyTypes[word]
}

// parseKeyLine reads one line. ok is false for an empty line or a comment; a line that is neither and holds no key
// that sshd would take is not Valid.
func parseKeyLine(line string) (k keyLine, ok bool) {
	line = strings.Trim(line, " \t\r")
	if line == "" || line[0] == '#' {
		return keyLine{}, false
	}
	rest := line
	if word, _ := nextWord(rest); !isKeyType(word) {
		var options string
		options, rest = cutOptions(line)
		k.Options = splitUnquoted(options)
	}
	k.Type, rest = nextWord(rest)
	if !isKeyType(k.Type) {
		// Not a key line at all: what stood in front need not have been options either.
		return keyLine{}, true
	}
	var blob string
	blob, rest = nextWord(rest)
	k.Comment = strings.TrimSpace(rest)
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(blob)
	}
	if err != nil || len(raw) == 0 {
		return k, true
	}
	sum := sha256.Sum256(raw)
	k.Fingerprint = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	if k.Bits, k.Valid = keyBits(k.Type, raw); k.Valid {
		k.PublicKey = base64.StdEncoding.EncodeToString(raw)
	}
	return k, true
}

func nextWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t")
	if at := strings.IndexAny(s, " \t"); at >= 0 {
		return s[:at], s[at:]
	}
	return s, ""
}

// scanQuoted calls at for every byte outside double quotes; inside them a backslash protects a quote. It stops where
// at returns false and gives that place, or the length.
func scanQuoted(s string, at func(i int) bool) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && !at(i):
			return i
		}
	}
	return len(s)
}

// cutOptions divides a line at the first blank outside quotes.
func cutOptions(line string) (options, rest string) {
	end := scanQuoted(line, func(i int) bool { return line[i] != ' ' && line[i] != '\t' })
	return line[:end], line[end:]
}

// splitUnquoted divides options at commas outside quotes.
func splitUnquoted(options string) []string {
	var out []string
	for options != "" {
		end := scanQuoted(options, func(i int) bool { return options[i] != ',' })
		if end > 0 {
			out = append(out, options[:end])
		}
		options = strings.TrimPrefix(options[end:], ",")
	}
	return out
}

// option gives the value of an option without its quotes; found is false when the line does not have it.
func (k *keyLine) option(name string) (value string, found bool) {
	for _, o := range k.Options {
		key, v, _ := strings.Cut(o, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			v = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(v), `"`), `"`)
			return strings.ReplaceAll(v, `\"`, `"`), true
		}
	}
	return "", false
}

// blobReader takes length-prefixed fields off a key blob (RFC 4251, section 5).
type blobReader struct {
	rest []byte
	bad  bool
}

func (b *blobReader) next() []byte {
	if len(b.rest) < 4 {
		b.bad = true
		return nil
	}
	n := binary.BigEndian.Uint32(b.rest)
	if uint64(n) > uint64(len(b.rest)-4) {
		b.bad = true
		return nil
	}
	field := b.rest[4 : 4+n]
	b.rest = b.rest[4+n:]
	return field
}

const ed25519Bytes = 32

// keyBits gives the length of a key and whether the blob is whole and of the type that the line says.
func keyBits(kind string, blob []byte) (bits int64, valid bool) {
	b := blobReader{rest: blob}
	if string(b.next()) != kind {
		return 0, false
	}
	if plain, isCert := strings.CutSuffix(kind, certSuffix); isCert {
		b.next() // nonce
		kind = plain
	}
	switch {
	case kind == "ssh-rsa":
		b.next() // public exponent
		bits = int64(new(big.Int).SetBytes(b.next()).BitLen())
	case kind == "ssh-dss":
		bits = int64(new(big.Int).SetBytes(b.next()).BitLen())
	case strings.Contains(kind, "ecdsa-sha2-nistp"):
		bits = curveBits[string(b.next())]
		b.next() // point
	case strings.Contains(kind, "ssh-ed25519"):
		if len(b.next()) == ed25519Bytes {
			bits = 8 * ed25519Bytes
		}
	case kind == "ssh-ed448":
		b.next()
		bits = 456
	}
	return bits, !b.bad && bits > 0
}

var curveBits = map[string]int64{"nistp256": 256, "nistp384": 384, "nistp521": 521}
