package files

import (
	"crypto/sha256"
	"encoding/base64"

	"sandfly/probes/internal/collect"
)

// NetworkMounts gives a test for paths that lie on a file system that may not answer.
func NetworkMounts(env *collect.Env) func(path string) bool { return newVisit(env).onNetwork }

// Fingerprint is that of a public key blob as ssh-keygen -l prints it.
func Fingerprint(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// PublicKeyBits gives the length of a key from its public blob, and whether the blob is whole and of that type.
func PublicKeyBits(kind string, blob []byte) (bits int64, valid bool) { return keyBits(kind, blob) }
