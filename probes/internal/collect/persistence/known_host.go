package persistence

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/files"
	"sandfly/probes/internal/seq"
)

// knownHostLine is one line of a known_hosts file, see sshd(8).
type knownHostLine struct {
	Marker      string // @cert-authority, @revoked
	Names       []string
	Hashed      bool
	Type        string
	Fingerprint string
	Bits        int64
	Comment     string
	Valid       bool
}

// parseKnownHostLine reads one line; ok is false for comments and empty lines.
func parseKnownHostLine(line string) (k knownHostLine, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return knownHostLine{}, false
	}
	if line[0] == '@' {
		k.Marker, line = cutWord(line)
	}
	names, rest := cutWord(line)
	if k.Hashed = strings.HasPrefix(names, "|1|"); !k.Hashed {
		for name := range seq.Split(names, ",") {
			if name != "" {
				k.Names = append(k.Names, name)
			}
		}
	}
	var blob string
	k.Type, rest = cutWord(rest)
	blob, k.Comment = cutWord(rest)
	raw := decodeBody(blob)
	if len(raw) == 0 {
		return k, true
	}
	k.Fingerprint = files.Fingerprint(raw)
	k.Bits, k.Valid = files.PublicKeyBits(k.Type, raw)
	return k, true
}

// knownHost is a record of the subject known_host.
type knownHost struct {
	origin *origin
	number int64
	home   home
	line   knownHostLine
}

func knownHostCollector() collect.Collector {
	return collector("known_hosts", knownHostSubject(), func(r *reader) error {
		for _, name := range []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"} {
			if err := r.knownHosts(name, home{}); err != nil {
				return err
			}
		}
		homes, err := r.homes()
		if err != nil {
			return err
		}
		for _, h := range homes {
			for _, name := range []string{".ssh/known_hosts", ".ssh/known_hosts2", ".ssh/known_hosts.old"} {
				if err := r.knownHosts(path.Join(h.path, name), h); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (r *reader) knownHosts(name string, h home) error {
	from := r.origin(name)
	return r.lines(name, false, func(number int64, line string) error {
		parsed, ok := parseKnownHostLine(line)
		if !ok {
			return nil
		}
		return r.emit(&knownHost{from, number, h, parsed})
	})
}

func knownHostSubject() *collect.Subject {
	const source = "sshd(8)"
	return collect.NewSubject("known_host", "hosts that users' ssh has met: lines of known_hosts files",
		[]string{"path", "fingerprint", "name"}, []string{"path", "line_number", "username", "names", "key_type", "fingerprint"},
		concat([]collect.Field[*knownHost]{
			free("path", "string", "known_hosts file", source, func(k *knownHost) any { return k.origin.path }),
			free("line_number", "int", "line in that file, from 1", source, func(k *knownHost) any { return k.number }),
			free("username", "string", "whose it is; none for the system's", "/etc/passwd", func(k *knownHost) any { return text(k.home.username) }),
			free("name", "string", "first name; none when hashed", source, func(k *knownHost) any { return text(strings.Join(k.line.Names[:min(1, len(k.line.Names))], "")) }),
			free("names", "strings", "names, addresses and patterns; none when hashed", source, func(k *knownHost) any { return list(k.line.Names) }),
			free("is_hashed", "bool", "the name is hashed", source, func(k *knownHost) any { return k.line.Hashed }),
			free("marker", "string", "@cert-authority or @revoked", source, func(k *knownHost) any { return text(k.line.Marker) }),
			free("key_type", "string", "ssh-ed25519, ssh-rsa …", source, func(k *knownHost) any { return text(k.line.Type) }),
			free("bits", "int", "length of the key", source, func(k *knownHost) any { return positive(k.line.Bits) }),
			free("fingerprint", "string", "SHA256:… as ssh-keygen -l prints it", source, func(k *knownHost) any { return text(k.line.Fingerprint) }),
			free("comment", "string", "rest of the line", source, func(k *knownHost) any { return text(k.line.Comment) }),
			free("is_valid", "bool", "ssh would take the line", source, func(k *knownHost) any { return k.line.Valid }),
		}, originFields(func(k *knownHost) *origin { return k.origin })))
}
