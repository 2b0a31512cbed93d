package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/seq"
)

const (
	maxKeyFileBytes   = 4 << 20
	maxKeysPerFile    = 20_000
	maxInvalidPerFile = 100 // a file of something else would otherwise give a record a line
	maxStrayHomes     = 10_000
	dropbearKeys      = "/etc/dropbear/authorized_keys" // root's, on OpenWrt
)

// owner is somebody whose keys are looked for.
type owner struct {
	name   string
	uid    int64
	hasUID bool
	home   string
}

// authorizedKey is a record of the subject authorized_key.
type authorizedKey struct {
	owner     owner
	origin    *origin
	number    int64
	line      keyLine
	duplicate bool
	// How many lines each key of the user has; the same map for all of them.
	copies map[string]int64
}

// keyReader reads the key files of one user after the other.
type keyReader struct {
	v        *visit
	patterns func() ([]string, []error)
}

func newKeyReader(v *visit) *keyReader {
	return &keyReader{v: v, patterns: sync.OnceValues(func() ([]string, []error) { return readKeyFiles(v.env) })}
}

func keysCollector() collect.Collector {
	subject := keySubject()
	return collect.Collector{
		Name: "authorized_keys", Subjects: []*collect.Subject{subject},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			v := newVisit(env)
			return collectKeys(ctx, v, newKeyReader(v), emit, status)
		},
	}
}

func collectKeys(ctx context.Context, v *visit, r *keyReader, emit collect.Emit, status *collect.Status) error {
	_, errs := r.patterns()
	for _, err := range errs {
		status.Partial("authorized_key", err)
	}
	for _, o := range keyOwners(v, "authorized_key", status) {
		if err := errors.Join(ctx.Err(), v.env.Throttle.Pause()); err != nil {
			return err
		}
		keys, errs := r.read(o)
		for _, err := range errs {
			status.Partial("authorized_key", err)
		}
		for _, k := range keys {
			if err := emit("authorized_key", k); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyOwners are the users of passwd, and home directories that none of them has: sshd may learn of their users
// elsewhere (LDAP), or they were left behind.
func keyOwners(v *visit, subject string, status *collect.Status) []owner {
	var owners []owner
	homes := map[string]bool{}
	if err := v.accounts().PasswdErr; err != nil {
		status.Partial(subject, err)
	}
	for _, u := range v.accounts().Users {
		owners = append(owners, owner{name: u.Name, uid: u.UID, hasUID: true, home: u.Home})
		homes[path.Clean(u.Home)] = true
	}
	if !homes["/root"] {
		owners = append(owners, owner{name: "root", home: "/root"})
	}
	if v.onNetwork("/home") {
		status.Partial(subject, notEntered("/home"))
		return owners
	}
	entries, err := content.ReadDir(v.env, "/home", maxStrayHomes)
	if err != nil && !isAbsent(err) {
		status.Partial(subject, err)
	}
	for _, e := range entries {
		home := "/home/" + e.Name
		if (e.Type == content.TypeDir || e.Type == content.TypeUnknown) && !homes[home] {
			owners = append(owners, owner{name: e.Name, home: home})
		}
	}
	return owners
}

// read gives the keys of one user from all its files that could be read; errs says which could not.
func (r *keyReader) read(o owner) (keys []*authorizedKey, errs []error) {
	patterns, _ := r.patterns()
	if o.hasUID && o.uid == 0 {
		patterns = append(slices.Clone(patterns), dropbearKeys)
	}
	seenFiles, copies := map[string]bool{}, map[string]int64{}
	for _, pattern := range patterns {
		name, err := expand(pattern, o)
		if errors.Is(err, errNoHome) || seenFiles[name] {
			continue
		}
		seenFiles[name] = true
		some, err := r.file(o, name)
		if err != nil {
			errs = append(errs, err)
		}
		for _, k := range some {
			k.duplicate = k.line.Fingerprint != "" && copies[k.line.Fingerprint] > 0
			copies[k.line.Fingerprint]++
			k.copies = copies
			keys = append(keys, k)
		}
	}
	return keys, errs
}

func (r *keyReader) file(o owner, name string) ([]*authorizedKey, error) {
	if r.v.onNetwork(name) {
		return nil, notEntered(name)
	}
	data, err := content.ReadFile(r.v.env, name, maxKeyFileBytes)
	if isAbsent(err) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	from := &origin{v: r.v, path: name}
	var keys []*authorizedKey
	invalid, number := 0, int64(0)
	for line := range seq.Split(string(data), "\n") {
		number++
		parsed, ok := parseKeyLine(line)
		if !ok {
			continue
		}
		if !parsed.Valid {
			// Nothing of such a line is kept: the file may be a link to one with secrets.
			if invalid++; invalid > maxInvalidPerFile {
				continue
			}
		}
		if len(keys) == maxKeysPerFile {
			return keys, fmt.Errorf("%s: more than %d keys: %w", name, maxKeysPerFile, collect.ErrLimit)
		}
		keys = append(keys, &authorizedKey{owner: o, origin: from, number: number, line: parsed})
	}
	if invalid > maxInvalidPerFile {
		return keys, fmt.Errorf("%s: more than %d invalid lines: %w", name, maxInvalidPerFile, collect.ErrLimit)
	}
	return keys, nil
}

type keyField = collect.Field[*authorizedKey]

func keySubject() *collect.Subject {
	return collect.NewSubject("authorized_key",
		"keys that may sign in: every line of the files that AuthorizedKeysFile names, for users of passwd and stray homes",
		[]string{"username", "fingerprint", "path"}, []string{"username", "path", "line_number", "key_type", "fingerprint", "comment"},
		concat(keyLineFields(), keyFileFields()))
}

func keyLineFields() []keyField {
	const source = "authorized_keys, see sshd(8)"
	option := func(name, option, doc string) keyField {
		return free(name, "string", doc, source, func(k *authorizedKey) any {
			value, _ := k.line.option(option)
			return text(value)
		})
	}
	return []keyField{
		free("username", "string", "whom the key lets in; a stray home's directory name", source, func(k *authorizedKey) any { return k.owner.name }),
		free("uid", "int", "uid of that user; none for a stray home", "/etc/passwd", func(k *authorizedKey) any {
			if !k.owner.hasUID {
				return nil
			}
			return k.owner.uid
		}),
		free("path", "string", "file the key is in", source, func(k *authorizedKey) any { return k.origin.path }),
		free("line_number", "int", "line in that file, from 1", source, func(k *authorizedKey) any { return k.number }),
		free("key_type", "string", "ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 …", source, func(k *authorizedKey) any { return text(k.line.Type) }),
		free("bits", "int", "length of the key", source, func(k *authorizedKey) any {
			if k.line.Bits == 0 {
				return nil
			}
			return k.line.Bits
		}),
		free("fingerprint", "string", "SHA256:… as ssh-keygen -l prints it", source, func(k *authorizedKey) any { return text(k.line.Fingerprint) }),
		free("public_key", "string", "the public key itself, base64", source, func(k *authorizedKey) any { return text(k.line.PublicKey) }),
		free("copies", "int", "lines that this user's files have of the key, this one counted", source, func(k *authorizedKey) any {
			if k.line.Fingerprint == "" {
				return nil
			}
			return k.copies[k.line.Fingerprint]
		}),
		free("comment", "string", "rest of the line", source, func(k *authorizedKey) any { return text(k.line.Comment) }),
		free("options", "strings", "options in front of the key, as written", source, func(k *authorizedKey) any { return list(k.line.Options) }),
		free("has_options", "bool", "there are options", source, func(k *authorizedKey) any { return len(k.line.Options) > 0 }),
		option("forced_command", "command", "command that runs whatever the client asks for"),
		option("from", "from", "hosts that the key is good from"),
		free("is_valid", "bool", "sshd would take the line", source, func(k *authorizedKey) any { return k.line.Valid }),
		free("is_duplicate", "bool", "the same key stands earlier for this user", source, func(k *authorizedKey) any { return k.duplicate }),
	}
}

func keyFileFields() []keyField {
	of := func(k *authorizedKey) *origin { return k.origin }
	return append(originFields(of),
		keyField{Name: "file_is_symlink", Type: "bool", Cost: collect.Cheap, Doc: "the path is a symbolic link", Source: "lstat(2)",
			Get: func(k *authorizedKey) (any, error) { return k.origin.isLink() }})
}
