package accounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/crypt"
	"sandfly/probes/internal/limits"
)

// auditShadow holds hashes that libcrypt made; their passwords are in the comments of the expectations.
const auditShadow = `root:$6$rounds=1000$abcdefgh$y/O6Hj5hz4SiOfY5WcnOv2S7zjlgeWqZ81WUxawTKlxh0uWcEk8q5be5f73KRnR7lYUZQ4.OyzTmphpfQbuL.1:::
eve:$1$abcdefgh$yWvCSRB10n58RuYdtGAh1.:::
bob:$5$rounds=1000$bobbob$V3fw2qE5VPE/W4rIv0rMQT1Nubhr/wWgMSVyUEe1ZgC:::
carol:$1$carol$LJv1nrmicS4f0V3FVn.pv/:::
dan:$1$dan$yiNrJqEuDinWeVWUyXfJe/:::
erin:$1$erin$XXBlOgfiwEZ9c/SodD0XP1:::
frank:$1$frank$ah.Z58.PnOVSHpptOWEi61:::
mia:abhKo2urtNdfg:::
host:$1$w$ECpfI/5pA5K/S.lF3PQij.:::
admin:$1$adm$XFCF8gxBkvPgT6COSEOUe.:::
dear:$6$rounds=999999999$abcdefgh$y/O6Hj5hz4SiOfY5WcnOv2S7zjlgeWqZ81WUxawTKlxh0uWcEk8q5be5f73KRnR7lYUZQ4.OyzTmphpfQbuL.1:::
large:$y$jFT$oN4zquU1D4DVX/9tmeP8k/$W9E5ACOwUPbx.Ifoy7GdMaAqlSIHUZt1tUsSYU1lQWB:::
argon:$argon2id$v=19$m=4096$c2FsdA$aGFzaA:::
short:$1$abcdefgh$yWvCS:::
ivan:!$1$abcdefgh$yWvCSRB10n58RuYdtGAh1.:::
judy::::
twin:$1$frank$ah.Z58.PnOVSHpptOWEi61:::
`

func auditEnv(t *testing.T) *collect.Env {
	t.Helper()
	root := t.TempDir()
	var passwd strings.Builder
	for line := range lines(auditShadow) {
		name, _, _ := strings.Cut(line, ":")
		gecos := map[string]string{"carol": "Carol Danvers,,,"}[name]
		fmt.Fprintf(&passwd, "%s:x:1000:1000:%s:/home/%s:/bin/sh\n", name, gecos, name)
	}
	write(t, root, "passwd", passwd.String()+"lost:x:1:1:::\nold:$1$abcdefgh$yWvCSRB10n58RuYdtGAh1.:1:1:::\n")
	write(t, root, "shadow", auditShadow)
	if err := os.MkdirAll(filepath.Join(root, "proc/sys/kernel"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/sys/kernel/hostname"), []byte("web7.example.org\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &collect.Env{
		Root: root, Now: time.Unix(1_800_000_000, 0), Throttle: freely{},
		Passwords: collect.PasswordAudit{
			Words: []string{"Tr0ub4dor&3"}, CPU: 20 * time.Second, Until: time.Now().Add(time.Minute), Memory: 32 << 20,
			Used: limits.CPUTime,
		},
	}
}

// audited runs the audit over all users of the environment.
func audited(t *testing.T, env *collect.Env) map[string]Verdict {
	t.Helper()
	hashes, err := LoadHashes(env)
	if err != nil {
		t.Fatal(err)
	}
	var users []*User
	all := Load(env).Users
	for i := range all {
		users = append(users, &all[i])
	}
	return Audit(env, users, hashes)
}

func TestWeakPasswordsAreFoundAndSaidByTheirClass(t *testing.T) {
	got := audited(t, auditEnv(t))

	want := map[string]string{
		"root":  "complete  variant [mia]", // toor
		"mia":   "complete  common [root]",
		"eve":   "complete  user_name [old]",
		"bob":   "complete  variant []", // bob2027
		"carol": "complete  variant []", // danvers
		"dan":   "complete  custom []",
		"erin":  "complete  empty []",
		"frank": "complete   []",
		"twin":  "complete   []",
		"host":  "complete  variant []", // web7
		"admin": "complete  user_name []",
		"dear":  "not_run too_expensive  []",
		"large": "not_run too_expensive  []",
		"argon": "not_run scheme  []",
		"short": "not_run malformed  []",
		"ivan":  "not_run locked  []",
		"judy":  "not_run no_password  []",
		"lost":  "not_run no_password  []",
		"old":   "complete  variant [eve]", // a copy of eve's hash
	}
	for name, expected := range want {
		v := got[name]
		if text := fmt.Sprint(v.State, " ", v.Reason, " ", v.Weak, " ", v.SameAs); text != expected {
			t.Errorf("%s: %s, want %s", name, text, expected)
		}
	}
	if frank := got["frank"]; frank.Left != 0 || frank.Tried < 500 {
		t.Errorf("frank: %+v", frank)
	}
}

func TestNeitherHashNorWordIsInAVerdict(t *testing.T) {
	text := fmt.Sprintf("%+v", audited(t, auditEnv(t)))

	for _, secret := range []string{"toor", "bob2027", "danvers", "Tr0ub4dor", "web7", "yWvCS", "$1$", "$6$"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in a verdict", secret)
		}
	}
}

// TestATightBudgetGivesEveryAccountItsNameFirstAndSaysWhatIsLeft has a clock on which each look costs 1 ms.
func TestATightBudgetGivesEveryAccountItsNameFirstAndSaysWhatIsLeft(t *testing.T) {
	env := auditEnv(t)
	var clock time.Duration
	env.Passwords.Used = func() time.Duration { clock += time.Millisecond; return clock }
	env.Passwords.CPU = 400 * time.Millisecond

	got := audited(t, env)

	if got["eve"].Weak != WeakUserName || got["admin"].Weak != WeakUserName {
		t.Errorf("eve %+v, admin %+v", got["eve"], got["admin"])
	}
	frank := got["frank"]
	if frank.State != AuditPartial || frank.Reason != ReasonBudget || frank.Tried == 0 || frank.Left == 0 {
		t.Errorf("frank %+v", frank)
	}
	if full := audited(t, auditEnv(t))["frank"]; frank.Tried+frank.Left != full.Tried {
		t.Errorf("%d tried and %d left are not %d", frank.Tried, frank.Left, full.Tried)
	}
}

func TestWithoutTimeNothingIsTriedAndThatIsSaid(t *testing.T) {
	for name, change := range map[string]func(*collect.PasswordAudit){
		"no seconds": func(a *collect.PasswordAudit) { a.CPU = 0 },
		"too late":   func(a *collect.PasswordAudit) { a.Until = time.Now().Add(-time.Second) },
	} {
		env := auditEnv(t)
		change(&env.Passwords)

		if eve := audited(t, env)["eve"]; eve.State != AuditNotRun || eve.Reason != ReasonBudget || eve.Tried != 0 {
			t.Errorf("%s: %+v", name, eve)
		}
	}
}

type stopping struct{ after *int }

func (s stopping) Pause() error {
	if *s.after--; *s.after < 0 {
		return errors.New("stop")
	}
	return nil
}

func TestAVisitThatMustEndEndsTheAudit(t *testing.T) {
	env := auditEnv(t)
	after := 40
	env.Throttle = stopping{&after}
	hashes, err := LoadHashes(&collect.Env{Root: env.Root, Throttle: freely{}})
	if err != nil {
		t.Fatal(err)
	}
	users := []*User{{Name: "frank"}}

	got := Audit(env, users, hashes)

	if v := got["frank"]; v.State != AuditPartial || v.Tried == 0 || after < -1 {
		t.Errorf("%+v, asked %d times more", v, -after)
	}
}

func TestMoreAccountsThanAreTriedAreCountedOut(t *testing.T) {
	env := auditEnv(t)
	env.Passwords.CPU = 20 * time.Millisecond
	var shadow, passwd strings.Builder
	for i := range maxAudited + 5 {
		fmt.Fprintf(&passwd, "u%d:x:1:1:::\n", i)
		fmt.Fprintf(&shadow, "u%d:$3$$31d6cfe0d16ae931b73c59d7e0c089c%x:::\n", i, i%16)
	}
	write(t, env.Root, "passwd", passwd.String())
	write(t, env.Root, "shadow", shadow.String())

	states := map[string]int{}
	for _, v := range audited(t, env) {
		states[v.Reason]++
	}

	if states[ReasonTooMany] != 5 {
		t.Errorf("%v", states)
	}
}

func TestCopiedHashesAreSharedBothWays(t *testing.T) {
	hashes, err := LoadHashes(auditEnv(t))

	if err != nil || fmt.Sprint(hashes.Shared("frank"), hashes.Shared("twin"), hashes.Shared("root")) != "[twin] [frank] []" {
		t.Errorf("%v %v %v, %v", hashes.Shared("frank"), hashes.Shared("twin"), hashes.Shared("root"), err)
	}
	// The hash of ivan is that of eve and old, but nobody can sign in with it.
	if shared := hashes.Shared("eve"); !slices.Equal(shared, []string{"old"}) || hashes.Shared("ivan") != nil {
		t.Errorf("eve %v, ivan %v", shared, hashes.Shared("ivan"))
	}
}

func TestNamesBesideAnAccountAreBounded(t *testing.T) {
	env := auditEnv(t)
	var passwd strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&passwd, "u%d:$1$abcdefgh$yWvCSRB10n58RuYdtGAh1.:1:1:::\n", i)
	}
	write(t, env.Root, "passwd", passwd.String())
	hashes, err := LoadHashes(env)

	if n := len(hashes.Shared("u5")); err != nil || n != maxNamed {
		t.Errorf("%d names, %v", n, err)
	}
}

func TestTheWordsAreDifferentFromEachOtherAndCanBeTyped(t *testing.T) {
	seen := map[string]bool{}
	for _, text := range strings.Fields(common) {
		if seen[text] || len(text) > crypt.MaxPassword {
			t.Errorf("%q is there twice, or long", text)
		}
		seen[text] = true
	}
	if len(seen) < 400 {
		t.Errorf("only %d words", len(seen))
	}
}

func TestAnOperatorsWordsComeByTurnsWithTheCommonOnes(t *testing.T) {
	words := sharedWords([]string{"mine1", "123456", "mine2"}, 2027)

	at := func(text string) int { return slices.IndexFunc(words, func(w word) bool { return w.text == text }) }
	if first, second := at("mine1"), at("mine2"); first != early || second != early+3 {
		t.Errorf("at %d and %d", first, second)
	}
	if words[at("123456")].class != WeakCommon || at("Summer2026!") < 0 {
		t.Errorf("a word that is common anyway is %+v", words[at("123456")])
	}
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprint("w", i)
	}
	if n := len(sharedWords(many, 2027)); n < 3400 {
		t.Errorf("of 3000 words and the common ones %d are left", n)
	}
}

func TestVariantsOfAHostileNameAreBounded(t *testing.T) {
	long := strings.Repeat("ä\xff", 5000)
	words := ownWords(&User{Name: long, Gecos: strings.Repeat("word"+long[:50]+" ", 500)}, long, 2027)

	if len(words) > 100 {
		t.Errorf("%d words", len(words))
	}
}
