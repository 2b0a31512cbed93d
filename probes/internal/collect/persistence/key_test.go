package persistence

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// made makes a key with ssh-keygen and gives its private half and the fingerprint that the tool prints.
func made(t *testing.T, arguments ...string) (private, public, fingerprint string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "k")
	if out, err := exec.Command("ssh-keygen", append([]string{"-q", "-C", "c", "-f", file}, arguments...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	data, err := os.ReadFile(file)
	must(t, err)
	pub, err := os.ReadFile(file + ".pub")
	must(t, err)
	out, err := exec.Command("ssh-keygen", "-l", "-f", file+".pub").Output()
	must(t, err)
	return string(data), string(pub), strings.Fields(string(out))[1]
}

func TestPrivateKeysTellTheirPublicHalf(t *testing.T) {
	for name, c := range map[string]struct {
		arguments []string
		want      string // format, type, bits, encrypted
	}{
		"plain":     {[]string{"-t", "ed25519", "-N", ""}, "openssh ssh-ed25519 256 false"},
		"encrypted": {[]string{"-t", "ecdsa", "-N", "passphrase"}, "openssh ecdsa-sha2-nistp256 256 true"},
		"rsa pem":   {[]string{"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""}, "pem rsa 2048 false"},
		"pkcs8":     {[]string{"-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""}, "pkcs8 rsa 2048 false"},
	} {
		private, _, fingerprint := made(t, c.arguments...)
		k, ok := parsePrivateKey(private)
		if got := fmt.Sprint(k.Format, " ", k.Type, " ", k.Bits, " ", k.Encrypted); !ok || got != c.want || k.Fingerprint != fingerprint {
			t.Errorf("%s: %s %s, want %s", name, got, k.Fingerprint, fingerprint)
		}
	}
}

func TestEncryptedAndForeignFormatsAreKnown(t *testing.T) {
	for data, want := range map[string]string{
		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END": "{pem rsa AES-128-CBC  0 true} true",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n":                                                       "{pkcs8    0 true} true",
		"-----BEGIN EC PRIVATE KEY-----\nAAAA\n":                                                              "{pem ec   0 false} true",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n":                                                         "{openssh    0 false} true",
		"-----BEGIN PGP PRIVATE KEY BLOCK-----\n":                                                             "{pgp pgp   0 false} true",
		"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: aes256-cbc\nPublic-Lines: 99999999\n":                    "{putty ssh-rsa aes256-cbc  0 true} true",
		"-----BEGIN PUBLIC KEY-----\n":                                                                        "{    0 false} false", "-----BEGIN CERTIFICATE-----": "{    0 false} false", "": "{    0 false} false",
	} {
		k, ok := parsePrivateKey(data)
		equal(t, fmt.Sprint(k, ok), want)
	}
}

func TestPrivateKeysInHomesAndTemporaryDirectoriesAreRecorded(t *testing.T) {
	private, public, fingerprint := made(t, "-t", "ed25519", "-N", "")
	root := tree(t, map[string]string{
		"/etc/passwd":                 "bob:x:1000:1000::/home/bob:/bin/sh\n",
		"/home/bob/.ssh/work":         private,
		"/home/bob/.ssh/work.pub":     public,
		"/home/bob/a/b/id_x":          private,
		"/home/bob/a/b/notes":         private,
		"/home/bob/node_modules/id_y": private,
		"/tmp/d/anything":             private,
		"/tmp/d/cache/anything":       private,
		"/tmp/d/cache/id_z":           private,
		"/tmp/big":                    strings.Repeat("-----BEGIN ", 10_000),
		"/var/www/html/server.key":    private,
		"/var/www/html/page.html":     private,
		"/tmp/link":                   "-> /home/bob/.ssh/work",
		"/tmp/pipe":                   "|",
	})
	must(t, os.Lchown(filepath.Join(root, "home/bob/.ssh/work"), 1001, 1001))

	var records []seen
	within(t, func() { records, _ = run(t, privateKeyCollector(), root) })

	equal(t, strings.Join(column(records, "path"), " "), "/tmp/d/anything /tmp/d/cache/id_z /var/www/html/server.key /home/bob/.ssh/work /home/bob/a/b/id_x")
	equal(t, find(t, records, "path", "/home/bob/.ssh/work").show("place", "home_user", "format", "key_type", "is_encrypted", "fingerprint", "username", "is_foreign_owner", "has_public_file", "file_uid"),
		"home|bob|openssh|ssh-ed25519|false|"+fingerprint+"|<nil>|true|true|1001")
	equal(t, find(t, records, "path", "/tmp/d/anything").show("place", "home_user", "is_foreign_owner", "has_public_file"), "temporary|<nil>|<nil>|false")
	secret := strings.Split(private, "\n")[3]
	for _, r := range records {
		if strings.Contains(fmt.Sprint(r.values), secret) {
			t.Errorf("the key is in %v", r.values)
		}
	}
}

func TestKnownHostsAreRecorded(t *testing.T) {
	_, public, fingerprint := made(t, "-t", "ed25519", "-N", "")
	key := strings.Join(strings.Fields(public)[:2], " ")
	root := tree(t, map[string]string{
		"/etc/ssh/ssh_known_hosts": "@cert-authority *.example.org " + key + " CA\n# c\n\n",
		"/root/.ssh/known_hosts":   "a,10.0.0.1 " + key + "\n|1|abc=|def= " + key + "\n[b]:2222 ssh-rsa broken\n",
		"/root/.ssh/known_hosts2":  "|",
	})

	var records []seen
	within(t, func() { records, _ = run(t, knownHostCollector(), root) })

	fields := []string{"line_number", "username", "names", "name", "is_hashed", "marker", "key_type", "bits", "fingerprint", "comment", "is_valid"}
	equal(t, records[0].show(fields...), "1|<nil>|[*.example.org]|*.example.org|false|@cert-authority|ssh-ed25519|256|"+fingerprint+"|CA|true")
	equal(t, records[1].show(fields...), "1|root|[a 10.0.0.1]|a|false|<nil>|ssh-ed25519|256|"+fingerprint+"|<nil>|true")
	equal(t, records[2].show(fields...), "2|root|<nil>|<nil>|true|<nil>|ssh-ed25519|256|"+fingerprint+"|<nil>|true")
	equal(t, find(t, records, "name", "[b]:2222").show("is_valid", "key_type"), "false|ssh-rsa")
}

// FuzzKeys holds the parsers to: no panic, and nothing of the file's body in the facts but names.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=", "-----BEGIN PRIVATE KEY-----\nMIIB", "PuTTY-User-Key-File-2: x\nPublic-Lines: 3\na", "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA", "@revoked a ssh-rsa AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		if k, ok := parsePrivateKey(data); ok && k.Format == "" || k.Bits < 0 {
			t.Errorf("%+v", k)
		}
		parseKnownHostLine(data)
		rsaFacts([]byte(data))
		parsePKCS8([]byte(data))
		parseOpenSSHKey([]byte(opensshMagic + data))
	})
}
