package files

import (
	"context"
	"path"
	"slices"
	"sync"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
)

const secondsPerDay = 86400

// user is a record of the subject user.
type user struct {
	accounts.User
	all    *directory
	groups []string
	twins  []string
}

// group is a record of the subject group.
type group struct {
	accounts.Group
	all   *directory
	twins []string
}

// directory is what the records of both subjects share.
type directory struct {
	v       *visit
	keys    *keyReader
	shadow  func() shadowFile
	gshadow func() groupShadow
	hashes  func() hashesFile
	audit   func() map[string]accounts.Verdict // reads and computes a lot: only for rules that ask
}

type shadowFile struct {
	entries map[string]accounts.Shadow
	exists  bool
	err     error
}

type groupShadow struct {
	secrets map[string]accounts.Secret
	exists  bool
	err     error
}

func accountsCollector() collect.Collector {
	users, groups := userSubject(), groupSubject()
	return collect.Collector{
		Name: "accounts", Subjects: []*collect.Subject{users, groups},
		Run: func(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			all := newDirectory(newVisit(env))
			if _, ok := want["user"]; ok {
				if err := all.emitUsers(emit, status); err != nil {
					return err
				}
			}
			if _, ok := want["group"]; ok {
				return all.emitGroups(emit, status)
			}
			return ctx.Err()
		},
	}
}

func newDirectory(v *visit) *directory {
	d := &directory{
		v: v, keys: newKeyReader(v),
		shadow: sync.OnceValue(func() (s shadowFile) {
			s.entries, s.exists, s.err = accounts.LoadShadow(v.env)
			return s
		}),
		gshadow: sync.OnceValue(func() (s groupShadow) {
			s.secrets, s.exists, s.err = accounts.LoadGroupShadow(v.env)
			return s
		}),
		hashes: sync.OnceValue(func() (h hashesFile) {
			h.hashes, h.err = accounts.LoadHashes(v.env)
			return h
		}),
	}
	d.audit = sync.OnceValue(d.audited)
	return d
}

func (d *directory) emitUsers(emit collect.Emit, status *collect.Status) error {
	a := d.v.accounts()
	if a.PasswdErr != nil {
		status.Fail("user", a.PasswdErr)
		return nil
	}
	memberships := memberships(a.Groups)
	twins := map[int64][]string{}
	for _, u := range a.Users {
		twins[u.UID] = append(twins[u.UID], u.Name)
	}
	for _, u := range a.Users {
		groups := slices.Clone(memberships[u.Name])
		if primary, ok := a.Groupname(u.GID); ok && !slices.Contains(groups, primary) {
			groups = append([]string{primary}, groups...)
		}
		if err := emit("user", &user{User: u, all: d, groups: groups, twins: others(twins[u.UID], u.Name)}); err != nil {
			return err
		}
		if err := d.v.env.Throttle.Pause(); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) emitGroups(emit collect.Emit, status *collect.Status) error {
	a := d.v.accounts()
	if a.GroupErr != nil {
		status.Fail("group", a.GroupErr)
		return nil
	}
	twins := map[int64][]string{}
	for _, g := range a.Groups {
		twins[g.GID] = append(twins[g.GID], g.Name)
	}
	for _, g := range a.Groups {
		if err := emit("group", &group{Group: g, all: d, twins: others(twins[g.GID], g.Name)}); err != nil {
			return err
		}
		if err := d.v.env.Throttle.Pause(); err != nil {
			return err
		}
	}
	return nil
}

// memberships gives the groups that list each name as a member.
func memberships(groups []accounts.Group) map[string][]string {
	of := map[string][]string{}
	for _, g := range groups {
		for _, m := range g.Members {
			if !slices.Contains(of[m], g.Name) {
				of[m] = append(of[m], g.Name)
			}
		}
	}
	return of
}

// others leaves one occurrence of name out; a second line of the same name stays.
func others(names []string, name string) []string {
	if i := slices.Index(names, name); i >= 0 {
		return slices.Delete(slices.Clone(names), i, i+1)
	}
	return names
}

// noLogin are programs that as a shell end the session at once.
var noLogin = map[string]bool{
	"nologin": true, "false": true, "true": true, "sync": true, "shutdown": true, "halt": true, "reboot": true,
	"poweroff": true, "noshell": true, "null": true,
}

// hasLoginShell tells a shell that lets somebody in; an empty one is /bin/sh (passwd(5)).
func (u *user) hasLoginShell() bool { return !noLogin[path.Base(u.Shell)] }

// adminGroups give root's rights through sudo, su or polkit in the stock configuration of a distribution.
var adminGroups = []string{"root", "wheel", "sudo", "admin"}

func (u *user) isAdmin() (any, error) {
	if err := u.all.v.accounts().GroupErr; err != nil {
		return nil, err
	}
	return slices.ContainsFunc(u.groups, func(g string) bool { return slices.Contains(adminGroups, g) }), nil
}

// home looks at the home directory; nil when there is none.
func (u *user) home() (*content.Stat, error) {
	if u.Home == "" {
		return nil, nil
	}
	if u.all.v.onNetwork(u.Home) {
		return nil, notEntered(u.Home)
	}
	st, err := content.StatPath(u.all.v.env, u.Home)
	if content.IsAbsent(err) {
		return nil, nil
	}
	return st, err
}

// shadowLine gives the user's line of shadow(5); nil when there is none or no such file.
func (u *user) shadowLine() (*accounts.Shadow, error) {
	file := u.all.shadow()
	if file.err != nil {
		return nil, file.err
	}
	if line, ok := file.entries[u.Name]; ok {
		return &line, nil
	}
	return nil, nil
}

// secret gives what kind of password the user has, wherever it is kept; nil when the host has no shadow file.
func (u *user) secret() (*accounts.Secret, error) {
	if u.Secret.Status != accounts.Shadowed {
		return &u.Secret, nil
	}
	line, err := u.shadowLine()
	switch {
	case err != nil:
		return nil, err
	case !u.all.shadow().exists:
		return nil, nil
	case line == nil:
		return &accounts.Secret{Status: "none"}, nil
	}
	return &line.Secret, nil
}

// hasPassword tells whether a group has a password that newgrp(1) would ask for.
func (g *group) hasPassword() (any, error) {
	if g.Secret.Status != accounts.Shadowed {
		return g.Secret.Status == "set", nil
	}
	file := g.all.gshadow()
	if file.err != nil {
		return nil, file.err
	}
	return file.secrets[g.Name].Status == "set", nil
}
