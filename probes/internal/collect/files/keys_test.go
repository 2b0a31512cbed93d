package files

import (
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// Public keys made for these tests, with the fingerprints that ssh-keygen -l gives them.
const (
	ed25519Key  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9UbdLuwQjjnLaHOe4iCFwfDi5fd0eEkbFPm6VKLyZX"
	ed25519Mark = "SHA256:S5bz0pUynqXuW3tiaT5Smi/QF9wZdigS9bj7LDoxwCU"
	ecdsaKey    = "ecdsa-sha2-nistp384 " +
		"AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBGLDqBoEmJA+ZJfhdfd8pVnvDDKtZJfwa2e0l9Sq0yjX8WKTmKhkE7+Dap1M+BeDlBcadSra9eeegll6HWUDUR9LTrKH2SNne6KQsbvgfKt/fs9B5EVfIRKToIDbx6THrA=="
	ecdsaMark = "SHA256:ZdsqAoYqLpXU1mYZqlGG77RmvQhl0OpK106oUtEtiBw"
	rsaKey    = "ssh-rsa " +
		"AAAAB3NzaC1yc2EAAAADAQABAAABAQDdkDVmlYVLb8NexA1dWHemE2g7TmrlXPl62JsJwAkCZcsqPmQo13MPjr7CSb7UEgzaKrFSVWelBx/JAqwZyyuYq2fUelbpH4pCvOHKbKLdotiIaG9QtoFPlkyJvEuHdSQ4qq1HSQSTFT1uLN7K/h5IUdLruOQIDYkLbeNm0rAdcPebdIJlgxzhDQfBgW/WVO7FYgcafzZIVf1WsUs7JKbqsNSbiDp3zOcz04aESNiIUDTZky+qGcWmJN+9wmD6o7QaTaDsFeQP6KCh9VkJYgk7AVq5b4nMXrOpUE5ibhVtmjsAjWIw8nDQGGPvbSSwJ9/0RHwRB6y9beQ/Z643Y7Ov"
	rsaMark = "SHA256:8RH8NDNHsxUDWTU44zNv4RPqv4WMGUWac/LyBXV+Edk"
)

func TestKeyLinesAreReadAsSSHKeygenDoes(t *testing.T) {
	cases := []struct {
		line, mark, comment string
		bits                int64
		options             []string
	}{
		{ed25519Key + " me@host", ed25519Mark, "me@host", 256, nil},
		{"  " + rsaKey + "\t two words \r", rsaMark, "two words", 2048, nil},
		{ecdsaKey, ecdsaMark, "", 384, nil},
		{"no-pty " + ed25519Key, ed25519Mark, "", 256, []string{"no-pty"}},
		{
			`command="echo \"a, b\"; id",no-pty,from="10.0.0.0/8,!10.1.*" ` + ed25519Key + " c", ed25519Mark, "c", 256,
			[]string{`command="echo \"a, b\"; id"`, "no-pty", `from="10.0.0.0/8,!10.1.*"`},
		},
	}
	for _, c := range cases {
		k, ok := parseKeyLine(c.line)
		if !ok || !k.Valid || k.Fingerprint != c.mark || k.Comment != c.comment || k.Bits != c.bits || !slices.Equal(k.Options, c.options) {
			t.Errorf("%s: %+v", c.line, k)
		}
	}
}

func TestOptionsLoseTheirQuotes(t *testing.T) {
	k, _ := parseKeyLine(`Command="echo \"hi\" , x",from="a,b" ` + ed25519Key)

	command, _ := k.option("command")
	from, _ := k.option("from")
	if _, has := k.option("no-pty"); command != `echo "hi" , x` || from != "a,b" || has {
		t.Errorf("command %q, from %q", command, from)
	}
}

func TestCommentsAreNoLinesAndBrokenKeysAreInvalid(t *testing.T) {
	for _, line := range []string{"", "   ", "# " + ed25519Key, "\t#x"} {
		if _, ok := parseKeyLine(line); ok {
			t.Errorf("%q is a line", line)
		}
	}
	other := strings.Replace(ed25519Key, "ssh-ed25519 ", "ssh-rsa ", 1)
	for _, line := range []string{"junk", "ssh-rsa", "ssh-rsa !!!", ed25519Key[:60], other, "root:$6$salt$hash:19000::::::", `command="open ` + ed25519Key} {
		if k, ok := parseKeyLine(line); !ok || k.Valid {
			t.Errorf("%q: %v %+v", line, ok, k)
		}
	}
}

func TestSecurityKeysAndCertificatesAreValid(t *testing.T) {
	field := func(parts ...string) string {
		var b []byte
		for _, p := range parts {
			b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
			b = append(b, p...)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	key := strings.Repeat("k", 32)
	for kind, blob := range map[string]string{
		"sk-ssh-ed25519@openssh.com":          field("sk-ssh-ed25519@openssh.com", key, "ssh:"),
		"sk-ecdsa-sha2-nistp256@openssh.com":  field("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", key, "ssh:"),
		"ssh-ed25519-cert-v01@openssh.com":    field("ssh-ed25519-cert-v01@openssh.com", "nonce", key),
		"sk-ssh-ed25519-cert-v01@openssh.com": field("sk-ssh-ed25519-cert-v01@openssh.com", "nonce", key),
	} {
		if k, _ := parseKeyLine(kind + " " + blob); !k.Valid || k.Bits != 256 {
			t.Errorf("%s: %+v", kind, k)
		}
	}
}

func TestConfigurationLinesAreSplitIntoWords(t *testing.T) {
	cases := map[string]string{
		"AuthorizedKeysFile  a b": "authorizedkeysfile|a|b", "authorizedkeysfile=a": "authorizedkeysfile|a",
		`AuthorizedKeysFile = "/k y/%u" c # d`: "authorizedkeysfile|/k y/%u|c", "# x": "", "": "", "UsePAM": "usepam",
		`Include "unclosed`: "include|unclosed",
	}
	for line, want := range cases {
		if got := strings.Join(ConfigWords(line), "|"); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestKeyFilesAreThoseThatSSHDIsToldToRead(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/ssh/sshd_config":          "Include sshd_config.d/*.conf\nAuthorizedKeysFile ignored\nMatch User x\n AuthorizedKeysFile /match/%u\n",
		"/etc/ssh/sshd_config.d/1.conf": "AuthorizedKeysFile /keys/%u .ssh/own%%\n",
		"/etc/ssh/sshd_config.d/.2":     "AuthorizedKeysFile hidden\n",
	})

	patterns, errs := readKeyFiles(&collect.Env{Root: root, Throttle: &freely{}})

	if want := []string{"/keys/%u", ".ssh/own%%", "/match/%u"}; !slices.Equal(patterns, want) || len(errs) != 0 {
		t.Errorf("%q %v", patterns, errs)
	}
	name, err := expand(".ssh/own%%", owner{name: "eve", home: "/home/eve/"})
	if name != "/home/eve/.ssh/own%" || err != nil {
		t.Errorf("%q %v", name, err)
	}
	if name, _ := expand("/keys/%u-%U%h", owner{name: "eve", uid: 7, home: "/h"}); name != "/keys/eve-7/h" {
		t.Errorf("%q", name)
	}
}

func TestAConfigurationThatIncludesItselfEnds(t *testing.T) {
	root := tree(t, map[string]string{"/etc/ssh/sshd_config": "Include sshd_config\nInclude sshd_config\n"})

	within(t, 10*time.Second, func() {
		patterns, errs := readKeyFiles(&collect.Env{Root: root, Throttle: &freely{}})
		if !slices.Equal(patterns, defaultKeyFiles) || len(errs) == 0 || collect.Reason(errs[0]) != "limit" {
			t.Errorf("%q %v", patterns, errs)
		}
	})
}

func TestKeysOfUsersAndOfStrayHomesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":                     "root:x:0:0::/root:/bin/sh\neve:x:1000:1000::/home/eve:/bin/sh\nsvc:x:9:9:::\n",
		"/root/.ssh/authorized_keys":      "# none\n" + `command="id" ` + ed25519Key + " admin\n" + "nonsense\n",
		"/root/.ssh/authorized_keys2":     ed25519Key + " again\n",
		"/home/eve/.ssh/authorized_keys":  "-> /shared/keys",
		"/shared/keys":                    rsaKey + "\n",
		"/home/left/.ssh/authorized_keys": ecdsaKey + "\n", "/etc/dropbear/authorized_keys": rsaKey,
	})

	records, status := run(t, keysCollector(), root, "authorized_key")

	if len(records) != 6 || len(status.Parts) != 0 {
		t.Fatalf("%d records, %v", len(records), status.Parts)
	}
	first := records[0]
	if first.text("forced_command") != "id" || first.text("fingerprint") != ed25519Mark || first.values["line_number"] != int64(2) ||
		first.values["uid"] != int64(0) || first.text("file_mode") != "0644" || first.values["is_duplicate"] != false {
		t.Errorf("first: %v %v", first.values, first.errs)
	}
	if junk := records[1]; junk.values["is_valid"] != false || junk.values["comment"] != nil || junk.values["fingerprint"] != nil || junk.values["copies"] != nil || junk.values["public_key"] != nil {
		t.Errorf("invalid line: %v", junk.values)
	}
	if again := records[2]; again.values["is_duplicate"] != true || again.text("path") != "/root/.ssh/authorized_keys2" {
		t.Errorf("duplicate: %v", again.values)
	}
	if first.values["copies"] != int64(2) || first.text("public_key") != strings.Fields(ed25519Key)[1] {
		t.Errorf("copies and the key itself: %v", first.values)
	}
	if eve := find(t, records, "username", "eve"); eve.values["copies"] != int64(1) {
		t.Errorf("another user's copies: %v", eve.values)
	}
	if eve := find(t, records, "username", "eve"); eve.values["file_is_symlink"] != true || eve.values["bits"] != int64(2048) {
		t.Errorf("linked: %v", eve.values)
	}
	if left := find(t, records, "username", "left"); left.values["uid"] != nil {
		t.Errorf("stray home: %v", left.values)
	}
}

func TestAKeyFileOfSomethingElseGivesFewRecordsAndSaysSo(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd": "root:x:0:0::/root:\n", "/root/.ssh/authorized_keys": strings.Repeat("junk\n", 500) + ed25519Key,
	})

	records, status := run(t, keysCollector(), root, "authorized_key")

	if len(records) != maxInvalidPerFile+1 || len(status.Parts["authorized_key"]) != 1 {
		t.Errorf("%d records, %v", len(records), status.Parts)
	}
}

func TestAFIFOInPlaceOfAKeyFileDoesNotBlock(t *testing.T) {
	root := tree(t, map[string]string{"/etc/passwd": "root:x:0:0::/root:\n"})
	fifo(t, filepath.Join(root, "root/.ssh/authorized_keys"))

	within(t, 10*time.Second, func() {
		if records, status := run(t, keysCollector(), root, "authorized_key"); len(records) != 0 || len(status.Parts) != 0 {
			t.Errorf("%v %v", records, status.Parts)
		}
	})
}

func TestAKeyFileThatMayNotBeReadIsAPartialAnswer(t *testing.T) {
	root := tree(t, map[string]string{"/etc/passwd": "root:x:0:0::/root:\n", "/root/.ssh/authorized_keys": ed25519Key})
	must(t, os.Chmod(filepath.Join(root, "root/.ssh"), 0o700))
	asNobody(t, root)

	_, status := run(t, keysCollector(), root, "authorized_key")

	if parts := status.Parts["authorized_key"]; len(parts) == 0 || collect.Reason(parts[0]) != "needs_root" {
		t.Errorf("status %v", status.Parts)
	}
}

// FuzzKeyLine holds the parser to: no panic, and a fingerprint for everything that is valid.
func FuzzKeyLine(f *testing.F) {
	for _, s := range []string{ed25519Key, rsaKey + " c", `command="a\"b",no-pty ` + ecdsaKey, `"`, `a="\`, "ssh-rsa AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		k, ok := parseKeyLine(line)
		if !ok && k.Valid || k.Valid && (k.Bits <= 0 || !strings.HasPrefix(k.Fingerprint, "SHA256:") || !isKeyType(k.Type)) {
			t.Errorf("%+v", k)
		}
		ConfigWords(line)
	})
}
