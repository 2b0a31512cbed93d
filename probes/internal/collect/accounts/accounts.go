// Package accounts reads the local users and groups of a host from its files: passwd(5), group(5), shadow(5),
// gshadow(5). No name service is asked. Password hashes are looked at in Audit alone and never leave this package.
package accounts

import (
	"fmt"
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

// maxBytes bounds each file; a host with a million accounts has about 60 MB, which is not what local files are for.
const maxBytes = 16 << 20

// Accounts are the local users and groups of a host. A file that does not exist has no accounts and is no error.
type Accounts struct {
	Users  []User
	Groups []Group

	PasswdErr error // why Users could not be read
	GroupErr  error // why Groups could not be read

	users  map[int64]string
	groups map[int64]string
}

// Load reads passwd and group of the root directory. It never fails as a whole: see PasswdErr and GroupErr.
func Load(env *collect.Env) *Accounts {
	a := &Accounts{users: map[int64]string{}, groups: map[int64]string{}}
	var text string
	if text, a.PasswdErr = read(env, "/etc/passwd"); a.PasswdErr == nil {
		a.Users, _ = ParsePasswd(text)
	}
	if text, a.GroupErr = read(env, "/etc/group"); a.GroupErr == nil {
		a.Groups, _ = ParseGroup(text)
	}
	// The first line of an id gives its name, as getpwuid(3) does.
	for _, u := range slices.Backward(a.Users) {
		a.users[u.UID] = u.Name
	}
	for _, g := range slices.Backward(a.Groups) {
		a.groups[g.GID] = g.Name
	}
	return a
}

func read(env *collect.Env, path string) (string, error) {
	data, err := content.ReadFile(env, path, maxBytes)
	if content.IsAbsent(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("accounts: %w", err)
	}
	return string(data), nil
}

// Username gives the name of a uid; false when there is none (or passwd could not be read: see UsernameField).
func (a *Accounts) Username(uid int64) (string, bool) {
	name, ok := a.users[uid]
	return name, ok
}

// Groupname gives the name of a gid; false when there is none (or group could not be read: see GroupnameField).
func (a *Accounts) Groupname(gid int64) (string, bool) {
	name, ok := a.groups[gid]
	return name, ok
}

// UsernameField is Username as a field's getter wants it: the name, nil for none, or why it is unknown.
func (a *Accounts) UsernameField(uid int64) (any, error) { return named(a.users, uid, a.PasswdErr) }

// GroupnameField is Groupname as a field's getter wants it: the name, nil for none, or why it is unknown.
func (a *Accounts) GroupnameField(gid int64) (any, error) { return named(a.groups, gid, a.GroupErr) }

func named(names map[int64]string, id int64, err error) (any, error) {
	if name, ok := names[id]; ok {
		return name, nil
	}
	return nil, err
}

// LoadShadow reads shadow(5) by name; exists is false when the host has no such file. The error is fs.ErrPermission
// for anybody but root.
func LoadShadow(env *collect.Env) (entries map[string]Shadow, exists bool, err error) {
	data, err := content.ReadFile(env, "/etc/shadow", maxBytes)
	if content.IsAbsent(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("accounts: %w", err)
	}
	parsed, _ := ParseShadow(string(data))
	entries = map[string]Shadow{}
	for _, e := range parsed {
		if _, seen := entries[e.Name]; !seen {
			entries[e.Name] = e
		}
	}
	return entries, true, nil
}

// LoadGroupShadow reads which groups have a password in gshadow(5); exists and err are as for LoadShadow.
func LoadGroupShadow(env *collect.Env) (secrets map[string]Secret, exists bool, err error) {
	data, err := content.ReadFile(env, "/etc/gshadow", maxBytes)
	if content.IsAbsent(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("accounts: %w", err)
	}
	secrets = map[string]Secret{}
	// Name and password stand where shadow(5) has them; the rest of the line is not looked at.
	entries, _ := ParseShadow(string(data))
	for _, e := range entries {
		secrets[e.Name] = e.Secret
	}
	return secrets, true, nil
}
