package files

import (
	"cmp"
	"fmt"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/seq"
)

// hashesFile is what LoadHashes gave.
type hashesFile struct {
	hashes *accounts.Hashes
	err    error
}

// audited runs the password audit over all users, those first whose password opens most: root, then who has a shell.
func (d *directory) audited() map[string]accounts.Verdict {
	all := d.v.accounts().Users
	users := make([]*accounts.User, len(all))
	for i := range all {
		users[i] = &all[i]
	}
	seq.SortStableFunc(users, func(a, b *accounts.User) int { return cmp.Compare(urgency(a), urgency(b)) })
	return accounts.Audit(d.v.env, users, d.hashes().hashes)
}

func urgency(u *accounts.User) int {
	switch {
	case u.UID == 0:
		return 0
	case (&user{User: *u}).hasLoginShell():
		return 1
	}
	return 2
}

// hashes are those of all users; nil when the host has no shadow file. Only who has a line there needs that file.
func (u *user) hashes() (*accounts.Hashes, error) {
	if s, err := u.secret(); err != nil || s == nil {
		return nil, err
	}
	file := u.all.hashes()
	if file.err != nil && u.Secret.Status == accounts.Shadowed {
		return nil, file.err
	}
	return file.hashes, nil
}

// verdict is what the audit says of the user; nil when the host has no shadow file.
func (u *user) verdict() (*accounts.Verdict, error) {
	if h, err := u.hashes(); err != nil || h == nil {
		return nil, err
	}
	v := u.all.audit()[u.Name]
	return &v, nil
}

// weakness is the class of the word that fits. Where words are left it is not known that none does.
func (u *user) weakness() (any, error) {
	v, err := u.verdict()
	switch {
	case err != nil || v == nil:
		return nil, err
	case v.Weak != "":
		return v.Weak, nil
	case v.State != accounts.AuditComplete && v.Reason != accounts.ReasonLocked && v.Reason != accounts.ReasonNoPassword &&
		v.Reason != accounts.ReasonMalformed:
		return nil, fmt.Errorf("password audit: %s, %s: %w", v.State, v.Reason, collect.ErrLimit)
	}
	return nil, nil
}

// sharedHash names the others with the same hash.
func (u *user) sharedHash() (any, error) {
	h, err := u.hashes()
	if err != nil || h == nil {
		return nil, err
	}
	return list(h.Shared(u.Name)), nil
}

// auditField is a fact of the audit.
func auditField(name, typ, doc string, value func(*accounts.Verdict) any) userField {
	return userField{Name: name, Type: typ, Cost: collect.Costly, Doc: doc, Source: "guesses against /etc/shadow (root), /etc/passwd",
		Get: func(u *user) (any, error) {
			v, err := u.verdict()
			if err != nil || v == nil {
				return nil, err
			}
			return value(v), nil
		}}
}

func auditFields() []userField {
	return []userField{
		{Name: "password_weak", Type: "string", Cost: collect.Costly, Source: "guesses against /etc/shadow (root), /etc/passwd",
			Doc: "why the password was guessed: empty, user_name, variant (of the names of user or host), common, custom; never the word",
			Get: (*user).weakness},
		auditField("password_audit", "string", "complete (all words were tried, or one fits), partial or not_run",
			func(v *accounts.Verdict) any { return v.State }),
		auditField("password_audit_reason", "string",
			"why it is not complete: locked, no_password, scheme, malformed, too_expensive, budget, too_many",
			func(v *accounts.Verdict) any { return text(v.Reason) }),
		auditField("password_words_tried", "int", "words that were tried", func(v *accounts.Verdict) any { return int64(v.Tried) }),
		auditField("password_words_left", "int", "words that there was no time for",
			func(v *accounts.Verdict) any { return int64(v.Left) }),
		auditField("password_same_as", "strings", "other users whose password was guessed with the same word, 50 at most",
			func(v *accounts.Verdict) any { return list(v.SameAs) }),
		{Name: "password_hash_shared_with", Type: "strings", Cost: collect.Costly, Source: "/etc/shadow (root), /etc/passwd",
			Doc: "other users with the very same hash, salt included, 50 at most", Get: (*user).sharedHash},
	}
}
