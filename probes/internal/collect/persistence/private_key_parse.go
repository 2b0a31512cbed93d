package persistence

import (
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"strings"

	"sandfly/probes/internal/collect/files"
)

// keyFacts are what may be told of a private key: never the key itself.
type keyFacts struct {
	Format, Type, Cipher, Fingerprint string
	Bits                              int64
	Encrypted                         bool
}

const opensshMagic = "openssh-key-v1\x00"

// parsePrivateKey reads a file that may hold a private key; ok is false when it does not.
func parsePrivateKey(data string) (k keyFacts, ok bool) {
	data = strings.TrimLeft(data, "\ufeff \t\r\n")
	switch {
	case strings.HasPrefix(data, "PuTTY-User-Key-File-"):
		return parsePuTTY(data), true
	case strings.HasPrefix(data, "SSH PRIVATE KEY FILE FORMAT"):
		return keyFacts{Format: "ssh1", Type: "rsa1"}, true
	}
	at := strings.Index(data, "-----BEGIN ")
	if at < 0 {
		return keyFacts{}, false
	}
	label, body, found := strings.Cut(data[at+len("-----BEGIN "):], "-----")
	if !found || !strings.HasSuffix(label, "PRIVATE KEY") && label != "PGP PRIVATE KEY BLOCK" || len(label) > 40 {
		return keyFacts{}, false
	}
	body, _, _ = strings.Cut(body, "-----END ")
	switch label {
	case "OPENSSH PRIVATE KEY":
		return parseOpenSSHKey(decodeBody(body)), true
	case "PGP PRIVATE KEY BLOCK":
		return keyFacts{Format: "pgp", Type: "pgp"}, true
	case "ENCRYPTED PRIVATE KEY":
		return keyFacts{Format: "pkcs8", Encrypted: true}, true
	case "PRIVATE KEY":
		return parsePKCS8(decodeBody(body)), true
	}
	k = keyFacts{Format: "pem", Type: strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(label, "PRIVATE KEY"), " "))}
	if _, info, has := strings.Cut(body, "DEK-Info:"); has || strings.Contains(body, "ENCRYPTED") {
		k.Encrypted = true
		k.Cipher, _, _ = strings.Cut(strings.TrimSpace(info), ",")
		return k, true
	}
	if k.Type == "rsa" {
		k.Bits, k.Fingerprint = rsaFacts(decodeBody(body))
	}
	return k, true
}

// decodeBody takes the base64 lines between the markers, up to the first that is none.
func decodeBody(body string) []byte {
	joined := strings.Join(strings.Fields(body), "")
	raw, err := base64.StdEncoding.DecodeString(joined)
	if err != nil {
		raw, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(joined, "="))
	}
	return raw
}

// sshField takes one length-prefixed field (RFC 4251, section 5).
func sshField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// parseOpenSSHKey reads cipher, key derivation, number of keys and the public half (PROTOCOL.key of OpenSSH); it does
// not look at the private half.
func parseOpenSSHKey(raw []byte) keyFacts {
	k := keyFacts{Format: "openssh"}
	rest, isKey := strings.CutPrefix(string(raw), opensshMagic)
	cipher, after, ok := sshField([]byte(rest))
	if !isKey || !ok {
		return k
	}
	k.Cipher, k.Encrypted = string(cipher), string(cipher) != "none"
	for range 2 { // name and options of the key derivation
		if _, after, ok = sshField(after); !ok {
			return k
		}
	}
	if len(after) < 4 {
		return k
	}
	blob, _, ok := sshField(after[4:])
	if !ok {
		return k
	}
	k.setPublic(blob)
	return k
}

// setPublic fills in what the public half tells.
func (k *keyFacts) setPublic(blob []byte) {
	kind, _, ok := sshField(blob)
	if !ok || len(kind) > 64 {
		return
	}
	if bits, valid := files.PublicKeyBits(string(kind), blob); valid {
		k.Type, k.Bits, k.Fingerprint = string(kind), bits, files.Fingerprint(blob)
	}
}

// parsePuTTY reads the header of a .ppk file and the public lines.
func parsePuTTY(data string) keyFacts {
	k := keyFacts{Format: "putty"}
	lines := strings.Split(data, "\n")
	for i, line := range lines {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(name, "PuTTY-User-Key-File-"):
			k.Type = v
		case name == "Encryption":
			k.Cipher, k.Encrypted = v, v != "none"
		case name == "Public-Lines":
			n := int64(0)
			for _, c := range v {
				if n = n*10 + int64(c-'0'); c < '0' || c > '9' || n > 1000 {
					return k
				}
			}
			k.setPublic(decodeBody(strings.Join(lines[i+1:min(i+1+int(n), len(lines))], "")))
			return k
		}
	}
	return k
}

// derElement takes one element of DER: its tag, content and what follows.
func derElement(b []byte) (tag byte, content, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	size, head := uint64(b[1]), 2
	if size >= 0x80 {
		count := int(size & 0x7f)
		if count == 0 || count > 4 || len(b) < 2+count {
			return 0, nil, nil, false
		}
		size = 0
		for _, c := range b[2 : 2+count] {
			size = size<<8 | uint64(c)
		}
		head += count
	}
	if size > uint64(len(b)-head) {
		return 0, nil, nil, false
	}
	return b[0], b[head : head+int(size)], b[head+int(size):], true
}

// rsaFacts gives length and fingerprint of the public half of an RSAPrivateKey (RFC 8017): version, modulus, exponent.
func rsaFacts(der []byte) (bits int64, fingerprint string) {
	tag, sequence, _, ok := derElement(der)
	if !ok || tag != 0x30 {
		return 0, ""
	}
	var numbers [3][]byte
	for i := range numbers {
		if tag, numbers[i], sequence, ok = derElement(sequence); !ok || tag != 0x02 {
			return 0, ""
		}
	}
	blob := []byte("\x00\x00\x00\x07ssh-rsa")
	for _, n := range [][]byte{numbers[2], numbers[1]} {
		blob = append(binary.BigEndian.AppendUint32(blob, uint32(len(n))), n...)
	}
	return int64(new(big.Int).SetBytes(numbers[1]).BitLen()), files.Fingerprint(blob)
}

// Object identifiers of key algorithms, as DER has them.
var keyOIDs = map[string]string{
	"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01": "rsa", "\x2a\x86\x48\xce\x3d\x02\x01": "ec", "\x2b\x65\x70": "ed25519", "\x2a\x86\x48\xce\x38\x04\x01": "dsa",
}

// parsePKCS8 reads the algorithm (RFC 5208) and, of RSA, the public half.
func parsePKCS8(der []byte) keyFacts {
	k := keyFacts{Format: "pkcs8"}
	_, sequence, _, ok := derElement(der)
	if !ok {
		return k
	}
	_, _, sequence, ok = derElement(sequence) // version
	if !ok {
		return k
	}
	_, algorithm, rest, ok := derElement(sequence)
	if !ok {
		return k
	}
	if _, oid, _, ok := derElement(algorithm); ok {
		k.Type = keyOIDs[string(oid)]
	}
	if _, inner, _, ok := derElement(rest); ok && k.Type == "rsa" {
		k.Bits, k.Fingerprint = rsaFacts(inner)
	}
	return k
}
