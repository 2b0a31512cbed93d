package report

import (
	"strings"
	"testing"
)

func TestKeysAndHashesNeverLeaveTheHost(t *testing.T) {
	for name, text := range map[string]string{
		"sha512":         "root:$6$salt$CANARYCANARYCANARYCANARYCANARYCANARY:19000:0:",
		"rounds":         "root:$5$rounds=5000$salt$CANARYCANARYCANARYCANARY:19000:0:",
		"yescrypt":       "x $y$j9T$CANARYCANARYCANARYCANARY y",
		"bcrypt":         "chpasswd -e <<< 'web:$2y$10$CANARYCANARYCANARYCANARYCANARY'",
		"md5 of apache":  "web:$apr1$saltsalt$CANARYCANARYCANARYCANA",
		"argon2":         "$argon2id$v=19$m=65536,t=3,p=4$CANARYCANARYCANARY",
		"DES":            "daemon:*:1::\nroot:CANARYCANARY1:19000:0:",
		"OpenSSH key":    "-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY\nCANARY\n-----END OPENSSH PRIVATE KEY-----\n",
		"key cut short":  "x\n-----BEGIN RSA PRIVATE KEY-----\nCANARY",
		"key on a line":  `echo "-----BEGIN EC PRIVATE KEY-----\nCANARY\n-----END EC PRIVATE KEY-----"`,
		"OpenPGP":        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nCANARY\n-----END PGP PRIVATE KEY BLOCK-----",
		"PuTTY":          "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nCANARY\nPrivate-MAC: 00",
		"two keys":       "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n-----BEGIN PRIVATE KEY-----\nCANARY\n",
		"hash in a list": "a $1$CANARYCA$CANARYCANARYCANARYCANA,b",
	} {
		if shown := conceal(text); strings.Contains(shown, "CANARY") || !strings.Contains(shown, concealed) {
			t.Errorf("%s: %q", name, shown)
		}
	}
}

func TestWhatIsNoSecretStaysAsItIs(t *testing.T) {
	for _, text := range []string{
		"", `grep -r "-----BEGIN RSA PRIVATE KEY-----" /home`, "$1 $2 $HOME/.ssh", "awk '{print $1}' /etc/passwd", "root:x:0:0:root:/root:/bin/bash", "root:*:19000:0:99999:7:::",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK6Dl web",
		"Nov 24 12:00:00 host sshd[1]: Accepted publickey for root from 198.51.100.7 port 50022", "a:b:c", "10:00:00:00:00:01",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "cat $5/file $y/etc",
	} {
		if shown := conceal(text); shown != text {
			t.Errorf("%q: %q", text, shown)
		}
	}
}
