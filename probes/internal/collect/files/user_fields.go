package files

import (
	"errors"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
)

type (
	userField  = collect.Field[*user]
	groupField = collect.Field[*group]
)

func userSubject() *collect.Subject {
	return collect.NewSubject("user", "local users of passwd(5); no name service is asked",
		[]string{"username"}, []string{"username", "uid", "gid", "directory", "shell"},
		concat(passwdFields(), homeFields(), shadowFields(), auditFields()))
}

func passwdFields() []userField {
	const source = "/etc/passwd"
	return []userField{
		free("username", "string", "name", source, func(u *user) any { return u.Name }),
		free("uid", "int", "user id", source, func(u *user) any { return u.UID }),
		free("gid", "int", "id of the primary group", source, func(u *user) any { return u.GID }),
		{Name: "groupname", Type: "string", Cost: collect.Cheap, Doc: "name of the primary group", Source: "/etc/group",
			Get: func(u *user) (any, error) { return u.all.v.accounts().GroupnameField(u.GID) }},
		free("gecos", "string", "full name and other remarks", source, func(u *user) any { return text(u.Gecos) }),
		free("directory", "string", "home directory", source, func(u *user) any { return text(u.Home) }),
		free("shell", "string", "login shell; none stands for /bin/sh", source, func(u *user) any { return text(u.Shell) }),
		{Name: "groups", Type: "strings", Cost: collect.Cheap, Doc: "groups it is in, the primary one first", Source: "/etc/group",
			Get: func(u *user) (any, error) { return list(u.groups), u.all.v.accounts().GroupErr }},
		free("has_login_shell", "bool", "the shell is none of nologin, false, sync and their like", source,
			func(u *user) any { return u.hasLoginShell() }),
		free("uid_twins", "strings", "other names with the same uid", source, func(u *user) any { return list(u.twins) }),
		{Name: "is_admin_group_member", Type: "bool", Cost: collect.Cheap, Doc: "in one of the groups root, wheel, sudo, admin",
			Source: "/etc/group", Get: (*user).isAdmin},
	}
}

// homeField is a fact of the home directory, nil when that does not exist.
func homeField(name, typ, unit, doc string, value func(*content.Stat) any) userField {
	return userField{Name: name, Type: typ, Unit: unit, Cost: collect.Cheap, Doc: doc, Source: "stat(2)",
		Get: func(u *user) (any, error) {
			st, err := u.home()
			if err != nil || st == nil {
				return nil, err
			}
			return value(st), nil
		}}
}

func homeFields() []userField {
	return []userField{
		{Name: "home_exists", Type: "bool", Cost: collect.Cheap, Doc: "the home is a directory that exists", Source: "stat(2)",
			Get: func(u *user) (any, error) {
				st, err := u.home()
				if err != nil {
					return nil, err
				}
				return st != nil && st.IsDir(), nil
			}},
		homeField("home_mode", "string", "octal text", "permission bits of the home", func(st *content.Stat) any { return st.Octal() }),
		homeField("home_uid", "int", "", "owner of the home", func(st *content.Stat) any { return st.UID }),
		{Name: "authorized_keys_count", Type: "int", Cost: collect.Cheap, Doc: "valid keys that may sign in as the user",
			Source: "AuthorizedKeysFile of sshd_config(5)", Get: (*user).countKeys},
	}
}

// countKeys counts the valid lines of the user's key files.
func (u *user) countKeys() (any, error) {
	keys, errs := u.all.keys.read(owner{name: u.Name, uid: u.UID, hasUID: true, home: u.Home})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	count := int64(0)
	for _, k := range keys {
		if k.line.Valid {
			count++
		}
	}
	return count, nil
}

// shadowField is a fact of the user's line in shadow(5), nil without such a line.
func shadowField(name, unit, doc string, value func(*accounts.Shadow) *int64, factor int64) userField {
	return userField{Name: name, Type: "int", Unit: unit, Cost: collect.Costly, Doc: doc, Source: "/etc/shadow (root)",
		Get: func(u *user) (any, error) {
			line, err := u.shadowLine()
			if err != nil || line == nil || value(line) == nil {
				return nil, err
			}
			return *value(line) * factor, nil
		}}
}

func shadowFields() []userField {
	return []userField{
		{Name: "password_status", Type: "string", Cost: collect.Costly, Source: "/etc/shadow (root), /etc/passwd",
			Doc: "empty, locked, set, or none when shadow has no line for it",
			Get: func(u *user) (any, error) {
				s, err := u.secret()
				if err != nil || s == nil {
					return nil, err
				}
				return s.Status, nil
			}},
		{Name: "password_hash_type", Type: "string", Cost: collect.Costly, Source: "/etc/shadow (root), /etc/passwd",
			Doc: "md5, sha256, sha512, yescrypt, bcrypt, des …, also of a locked password; never the hash",
			Get: func(u *user) (any, error) {
				s, err := u.secret()
				if err != nil || s == nil {
					return nil, err
				}
				return text(s.Hash), nil
			}},
		shadowField("password_last_change", "epoch seconds", "day of the last change; 0: must be changed at the next login",
			func(s *accounts.Shadow) *int64 { return s.LastChange }, secondsPerDay),
		shadowField("password_max_days", "days", "days after which it must be changed", func(s *accounts.Shadow) *int64 { return s.MaxDays }, 1),
		shadowField("account_expires", "epoch seconds", "day on which the account ends", func(s *accounts.Shadow) *int64 { return s.Expires }, secondsPerDay),
		{Name: "in_shadow", Type: "bool", Cost: collect.Costly, Doc: "shadow has a line for it; none without a shadow file", Source: "/etc/shadow (root)",
			Get: func(u *user) (any, error) {
				line, err := u.shadowLine()
				if err != nil || !u.all.shadow().exists {
					return nil, err
				}
				return line != nil, nil
			}},
	}
}

func groupSubject() *collect.Subject {
	const source = "/etc/group"
	return collect.NewSubject("group", "local groups of group(5)",
		[]string{"groupname"}, []string{"groupname", "gid", "members"}, []groupField{
			free("groupname", "string", "name", source, func(g *group) any { return g.Name }),
			free("gid", "int", "group id", source, func(g *group) any { return g.GID }),
			free("members", "strings", "users listed as members; those with it as primary group are not", source,
				func(g *group) any { return list(g.Members) }),
			free("gid_twins", "strings", "other names with the same gid", source, func(g *group) any { return list(g.twins) }),
			{Name: "has_password", Type: "bool", Cost: collect.Cheap, Doc: "whoever knows its password may join", Source: "/etc/gshadow (root)",
				Get: (*group).hasPassword},
		})
}
