package accounts

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/crypt"
)

// How far guessing came with one account.
const (
	AuditComplete = "complete" // all words were tried, or one fits
	AuditPartial  = "partial"
	AuditNotRun   = "not_run"
)

// Why an audit is not complete.
const (
	ReasonLocked       = "locked"        // a locked password lets nobody in
	ReasonNoPassword   = "no_password"   // an empty field, or none
	ReasonScheme       = "scheme"        // not known here
	ReasonMalformed    = "malformed"     // no hash that could ever fit
	ReasonTooExpensive = "too_expensive" // one guess would take too much time or memory
	ReasonBudget       = "budget"        // the audit's share of time is used up
	ReasonTooMany      = "too_many"      // accounts
)

const (
	// maxAudited bounds how many accounts are tried; local files of more are no usual host's.
	maxAudited = 2000
	// maxNamed bounds how many others are named beside an account.
	maxNamed = 50
	// rounds is in how many rounds the budget would be spent if all accounts took their share of time: hashes that are
	// cheap get many guesses for it, dear ones one or none.
	rounds     = 10
	leastShare = time.Millisecond
	// guessShare is which part of the whole budget one guess may take.
	guessShare = 8
)

// Verdict is what the audit says of one account. Neither hash nor word is in it.
type Verdict struct {
	State  string
	Reason string   // "" when it is complete
	Weak   string   // class of the word that fits, "" when none does
	Tried  int      // words
	Left   int      // words that were not tried
	SameAs []string // other accounts that the same word fits
}

// Hashes are the password hashes of accounts that can sign in with one. They stay in this package.
type Hashes struct {
	of     map[string]string
	locked map[string]bool
	users  map[string][]string // hash → names, sorted
}

// LoadHashes reads them from shadow(5) and passwd(5), the first line of a name as the C library does. The error is that
// of the file; the hashes that passwd itself holds are there even when shadow cannot be read.
func LoadHashes(env *collect.Env) (*Hashes, error) {
	h := &Hashes{of: map[string]string{}, locked: map[string]bool{}, users: map[string][]string{}}
	passwd, err := read(env, "/etc/passwd")
	if err != nil {
		return h, err
	}
	shadow, err := read(env, "/etc/shadow")
	behind := passwordFields(shadow)
	for name, field := range passwordFields(passwd) {
		if classify(field).Status == Shadowed {
			field = behind[name]
		}
		switch classify(field).Status {
		case "set":
			h.of[name] = field
			h.users[field] = append(h.users[field], name)
		case "locked":
			h.locked[name] = true
		}
	}
	for _, names := range h.users {
		slices.Sort(names)
	}
	return h, err
}

// passwordFields takes name and password field of each line.
func passwordFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		if _, seen := fields[name]; seen || !ok || isCompat(name) {
			continue
		}
		fields[name], _, _ = strings.Cut(rest, ":")
	}
	return fields
}

// Shared gives other accounts with the very same hash, at most maxNamed: salts are random, so it was copied.
func (h *Hashes) Shared(name string) []string {
	hash, ok := h.of[name]
	if !ok {
		return nil
	}
	return without(h.users[hash], name)
}

// without gives the first names of a list that are not this one.
func without(names []string, name string) []string {
	var others []string
	for _, other := range names {
		if other != name && len(others) < maxNamed {
			others = append(others, other)
		}
	}
	return others
}

// errBudget ends the audit; the visit goes on.
var errBudget = errors.New("the budget of the password audit is used up")

// audit is one run over all accounts.
type audit struct {
	env    *collect.Env
	run    *crypt.Run
	shared []word
	ends   time.Duration // CPU time of this process
	all    []*candidate
	fits   map[string][]string // word → accounts
}

// candidate is one account that is tried.
type candidate struct {
	user    *User
	field   string
	hash    *crypt.Hash
	own     []word
	next    int
	skipped int
	spent   time.Duration
	found   string
	verdict Verdict
}

// Audit guesses the passwords of local accounts, those of users in their order when time is short. Nothing of it is
// written anywhere. hostname is one more word to try.
func Audit(env *collect.Env, users []*User, hashes *Hashes) map[string]Verdict {
	verdicts := map[string]Verdict{}
	allowed := env.Passwords
	a := &audit{env: env, shared: sharedWords(allowed.Words, env.Now.Year()), fits: map[string][]string{}}
	a.run = &crypt.Run{Tick: a.tick}
	hostname := hostname(env)
	for _, u := range users {
		if _, seen := verdicts[u.Name]; seen {
			continue
		}
		c := a.admit(u, hashes)
		verdicts[u.Name] = c.verdict
		if c.verdict.State == "" {
			c.own = ownWords(u, hostname, env.Now.Year())
			a.all = append(a.all, c)
		}
	}
	if len(a.all) > 0 {
		a.guess()
	}
	a.copyFound()
	for _, c := range a.all {
		verdicts[c.user.Name] = a.conclude(c)
	}
	return verdicts
}

// hostname is what the kernel says; "" when it cannot be read, which costs a few words.
func hostname(env *collect.Env) string {
	data, err := os.ReadFile(strings.TrimRight(env.Root, "/") + "/proc/sys/kernel/hostname")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// admit decides whether an account is tried at all; its verdict has a state when it is not.
func (a *audit) admit(u *User, hashes *Hashes) *candidate {
	c := &candidate{user: u}
	refuse := func(reason string) *candidate {
		c.verdict = Verdict{State: AuditNotRun, Reason: reason}
		return c
	}
	field, ok := hashes.of[u.Name]
	switch {
	case hashes.locked[u.Name]:
		return refuse(ReasonLocked)
	case !ok:
		return refuse(ReasonNoPassword)
	case len(a.all) >= maxAudited:
		return refuse(ReasonTooMany)
	}
	hash, err := crypt.Parse(field)
	switch {
	case errors.Is(err, crypt.ErrUnknown):
		return refuse(ReasonScheme)
	case err != nil:
		return refuse(ReasonMalformed)
	case a.env.Passwords.CPU == 0:
		return refuse(ReasonBudget)
	case hash.Memory > a.env.Passwords.Memory || hash.Time > a.env.Passwords.CPU/guessShare:
		return refuse(ReasonTooExpensive)
	}
	c.field, c.hash = field, hash
	return c
}

// tick keeps the duty cycle, and ends the audit when its time is up or the visit's.
func (a *audit) tick() error {
	if err := a.env.Throttle.Pause(); err != nil {
		return err
	}
	if a.env.Passwords.Used() > a.ends || time.Now().After(a.env.Passwords.Until) {
		return errBudget
	}
	return nil
}

// guess goes around the accounts: first one word each, then each as many as fit into its share of time.
func (a *audit) guess() {
	a.ends = a.env.Passwords.Used() + a.env.Passwords.CPU
	open := slices.Clone(a.all)
	step := max(a.env.Passwords.CPU/time.Duration(rounds*len(a.all)), leastShare)
	for share := time.Duration(0); len(open) > 0; share += step {
		for _, c := range open {
			if err := a.try(c, share); err != nil {
				return
			}
		}
		open = slices.DeleteFunc(open, func(c *candidate) bool { return a.isDone(c) })
	}
}

func (a *audit) isDone(c *candidate) bool {
	_, more := a.word(c, c.next)
	return c.verdict.Weak != "" || !more
}

// try guesses until the account has used its share, at least once in the first round.
func (a *audit) try(c *candidate, share time.Duration) error {
	for first := share == 0; (first || c.spent < share) && !a.isDone(c); first = false {
		w, _ := a.word(c, c.next)
		if w.class != WeakUserName && w.text == c.user.Name { // tried as such
			c.next++
			c.skipped++
			continue
		}
		before := a.env.Passwords.Used()
		fits, err := c.hash.Matches(a.run, []byte(w.text))
		c.spent += max(a.env.Passwords.Used()-before, time.Microsecond)
		if err != nil {
			return err
		}
		c.next++
		if fits {
			c.verdict.Weak, c.found = w.class, w.text
			a.fits[w.text] = append(a.fits[w.text], c.user.Name)
		}
	}
	return nil
}

// word is guess i of an account: its name, nothing at all, the most common ones, what is made of its names, the rest.
func (a *audit) word(c *candidate, i int) (word, bool) {
	switch {
	case i < 2:
		return c.own[i], true
	case i < 2+early:
		return a.shared[i-2], true
	case i < len(c.own)+early:
		return c.own[i-early], true
	case i < len(c.own)+len(a.shared):
		return a.shared[i-len(c.own)], true
	}
	return word{}, false
}

// copyFound gives what was found to those with the very same hash. A word made of another's name is a variant for them.
func (a *audit) copyFound() {
	first := map[string]*candidate{}
	for _, c := range a.all {
		if c.verdict.Weak != "" && first[c.field] == nil {
			first[c.field] = c
		}
	}
	for _, c := range a.all {
		source := first[c.field]
		if source == nil || c.verdict.Weak != "" {
			continue
		}
		c.found, c.verdict.Weak = source.found, source.verdict.Weak
		if c.verdict.Weak == WeakUserName {
			c.verdict.Weak = WeakVariant
		}
		a.fits[c.found] = append(a.fits[c.found], c.user.Name)
	}
	for _, names := range a.fits {
		slices.Sort(names)
	}
}

func (a *audit) conclude(c *candidate) Verdict {
	v := c.verdict
	v.Tried = c.next - c.skipped
	switch {
	case v.Weak != "":
		v.State = AuditComplete
		v.SameAs = without(a.fits[c.found], c.user.Name)
	case a.isDone(c):
		v.State = AuditComplete
	default:
		v.State, v.Reason, v.Left = AuditPartial, ReasonBudget, len(c.own)+len(a.shared)-c.next
		if c.next == 0 {
			v.State = AuditNotRun
		}
	}
	return v
}
