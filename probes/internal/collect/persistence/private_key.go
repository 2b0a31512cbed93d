package persistence

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

const (
	maxKeyBytes   = 64 << 10
	minKeyBytes   = 50
	maxKeyEntries = 100_000 // entries looked at in all places together
	everyLevels   = 2       // levels of a directory where every small file is opened: below lie caches and builds
)

// privateKey is a record of the subject private_key.
type privateKey struct {
	r      *reader
	origin *origin
	facts  keyFacts
	place  string
	home   home
}

// keyPlace is where keys are looked for: how deep, and whether every small file is opened or only likely names.
type keyPlace struct {
	path, name string
	depth      int
	every      bool
	home       home
}

func privateKeyCollector() collect.Collector {
	return collector("private_keys", privateKeySubject(), func(r *reader) error {
		places := []keyPlace{
			{path: "/etc/ssh", name: "host", depth: 0, every: true}, {path: "/etc/dropbear", name: "host", depth: 0, every: true},
			{path: "/etc/ssl/private", name: "tls", depth: 0, every: true}, {path: "/etc/pki/tls/private", name: "tls", depth: 0, every: true},
			{path: "/tmp", name: "temporary", depth: 3, every: true}, {path: "/var/tmp", name: "temporary", depth: 3, every: true},
			{path: "/dev/shm", name: "temporary", depth: 3, every: true},
			{path: "/var/www", name: "web", depth: 4}, {path: "/usr/share/nginx/html", name: "web", depth: 3},
			{path: "/srv", name: "data", depth: 3}, {path: "/opt", name: "data", depth: 3}, {path: "/var/backups", name: "data", depth: 2},
		}
		homes, err := r.homes()
		if err != nil {
			return err
		}
		for _, h := range homes {
			places = append(places, keyPlace{path.Join(h.path, ".ssh"), "home", 1, true, h})
			if strings.HasPrefix(h.path, "/home/") || h.path == "/root" {
				places = append(places, keyPlace{h.path, "home", 3, false, h})
			}
		}
		k := &keyFinder{reader: r, seen: map[string]bool{}}
		for _, p := range places {
			if r.onNetwork(p.path) {
				continue
			}
			if err := k.walk(p, p.path, p.depth); err != nil {
				return err
			}
		}
		return nil
	})
}

type keyFinder struct {
	*reader
	seen    map[string]bool
	entered int
	full    bool
}

// heavyDirectories hold thousands of files and, if keys, those of test suites.
var heavyDirectories = map[string]bool{
	"node_modules": true, ".cache": true, ".git": true, "site-packages": true, "dist-packages": true, ".cargo": true, ".rustup": true,
	".npm": true, ".venv": true, "venv": true, ".pyenv": true, ".local": true, "go": true, ".nvm": true, "vendor": true,
	"__pycache__": true, ".tox": true, ".mozilla": true, ".vscode-server": true, ".m2": true, ".gradle": true, "snap": true,
}

func (k *keyFinder) walk(p keyPlace, dir string, depth int) error {
	if k.full || k.seen[dir] {
		return nil
	}
	k.seen[dir] = true
	entries, err := k.entries(dir)
	if err != nil {
		return err
	}
	if k.entered += len(entries); k.entered > maxKeyEntries {
		k.full = true
		k.cut(dir, "entries", maxKeyEntries)
		return nil
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Type == content.TypeDir && depth > 0 && !heavyDirectories[e.Name]:
			err = k.walk(p, name, depth-1)
		case e.Type == content.TypeRegular || e.Type == content.TypeUnknown:
			if p.every && p.depth-depth < everyLevels || isKeyName(e.Name) {
				err = k.file(p, name)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isKeyName tells names that private keys have.
func isKeyName(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "id_") || lower == "identity" {
		return !strings.HasSuffix(lower, ".pub")
	}
	for _, suffix := range []string{".pem", ".key", ".ppk", "_rsa", "_ed25519", "_ecdsa", "_dsa", ".priv", ".privkey", "_key", "-key"} {
		if strings.HasSuffix(lower, suffix) {
			return true
		}
	}
	return false
}

func (k *keyFinder) file(p keyPlace, name string) error {
	f, err := content.Open(k.env, name)
	if err != nil {
		return k.miss(err)
	}
	defer f.Close()
	if f.Size() < minKeyBytes || f.Size() > maxKeyBytes {
		return nil
	}
	head, err := f.Head(content.HeadBytes)
	if err != nil || !mayBeKey(string(head)) {
		return k.miss(err)
	}
	data, err := f.Head(maxKeyBytes)
	if err != nil {
		return k.miss(err)
	}
	facts, ok := parsePrivateKey(string(data))
	if !ok {
		return nil
	}
	return k.emit(&privateKey{r: k.reader, origin: k.origin(name), facts: facts, place: p.name, home: p.home})
}

func mayBeKey(head string) bool {
	return strings.Contains(head, "-----BEGIN ") || strings.HasPrefix(head, "PuTTY-User-Key") || strings.HasPrefix(head, "SSH PRIVATE KEY")
}

// owner is the name of the file's owner.
func (k *privateKey) owner() (any, error) {
	st, err := k.origin.stat()
	if err != nil {
		return nil, err
	}
	return k.r.accounts().UsernameField(st.UID)
}

func (k *privateKey) isForeign() (any, error) {
	if !k.home.known {
		return nil, nil
	}
	st, err := k.origin.stat()
	if err != nil {
		return nil, err
	}
	return st.UID != 0 && st.UID != k.home.uid, nil
}

func (k *privateKey) hasPublicFile() (any, error) {
	st, err := target{k.origin.env, k.origin.path + ".pub"}.stat()
	return st != nil, err
}

func privateKeySubject() *collect.Subject {
	const source = "content of the file"
	return collect.NewSubject("private_key", "files with a private key in homes, /etc/ssh, temporary and web directories; never the key itself",
		[]string{"path", "fingerprint"}, []string{"path", "format", "key_type", "is_encrypted", "fingerprint"},
		concat([]collect.Field[*privateKey]{
			free("path", "string", "file with the key", source, func(k *privateKey) any { return k.origin.path }),
			free("name", "string", "its last component", source, func(k *privateKey) any { return path.Base(k.origin.path) }),
			free("place", "string", "home, host, tls, temporary, web or data", source, func(k *privateKey) any { return k.place }),
			free("home_user", "string", "whose home it is in", "/etc/passwd", func(k *privateKey) any { return text(k.home.username) }),
			free("format", "string", "openssh, pem, pkcs8, putty, pgp or ssh1", source, func(k *privateKey) any { return k.facts.Format }),
			free("key_type", "string", "ssh-ed25519, ssh-rsa, rsa, ec …; none when it is encrypted and says nothing of it", source, func(k *privateKey) any { return text(k.facts.Type) }),
			free("bits", "int", "length, where the public half tells", source, func(k *privateKey) any { return positive(k.facts.Bits) }),
			free("is_encrypted", "bool", "a passphrase protects it", source, func(k *privateKey) any { return k.facts.Encrypted }),
			free("cipher", "string", "cipher that protects it, none for none", source, func(k *privateKey) any { return text(k.facts.Cipher) }),
			free("fingerprint", "string", "SHA256:… of the public half, as in authorized_key", source, func(k *privateKey) any { return text(k.facts.Fingerprint) }),
			{Name: "username", Type: "string", Cost: collect.Cheap, Doc: "owner of the file", Source: "stat(2), /etc/passwd", Get: (*privateKey).owner},
			{Name: "is_foreign_owner", Type: "bool", Cost: collect.Cheap, Doc: "in a home, it belongs neither to its user nor to root", Source: "stat(2)", Get: (*privateKey).isForeign},
			{Name: "has_public_file", Type: "bool", Cost: collect.Cheap, Doc: "its public half lies beside it as NAME.pub", Source: "stat(2)", Get: (*privateKey).hasPublicFile},
		}, originFields(func(k *privateKey) *origin { return k.origin })))
}
