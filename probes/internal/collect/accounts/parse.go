package accounts

import (
	"iter"
	"strconv"
	"strings"

	"sandfly/probes/internal/seq"
)

// User is one line of passwd(5).
type User struct {
	Name, Gecos, Home, Shell string
	UID, GID                 int64
	Secret                   Secret // when the password field is not "x": old style, or an open door
}

// Group is one line of group(5).
type Group struct {
	Name    string
	GID     int64
	Members []string
	Secret  Secret
}

// Shadow is one line of shadow(5) without the hash. A number that the line leaves out is nil.
type Shadow struct {
	Name       string
	Secret     Secret
	LastChange *int64 // days since the epoch
	MaxDays    *int64
	Expires    *int64 // days since the epoch
}

// Shadowed is the Status of a field that only says that the password is kept elsewhere.
const Shadowed = "shadowed"

// Secret says what kind of thing a password field holds; the field itself is never kept.
type Secret struct {
	Status string // Shadowed (an "x" in passwd or group), empty, locked, set
	Hash   string // md5, sha256, …; "" when there is none or its form is unknown
}

// hashPrefixes are the identifiers of crypt(5).
var hashPrefixes = []struct{ prefix, kind string }{
	{"$1$", "md5"}, {"$2a$", "bcrypt"}, {"$2b$", "bcrypt"}, {"$2x$", "bcrypt"}, {"$2y$", "bcrypt"}, {"$5$", "sha256"},
	{"$6$", "sha512"}, {"$7$", "scrypt"}, {"$y$", "yescrypt"}, {"$gy$", "gost_yescrypt"}, {"$md5", "sunmd5"},
	{"$sha1$", "sha1"}, {"$3$", "nt"}, {"$argon2", "argon2"}, {"_", "bsdi_des"},
}

const desLength = 13 // two characters of salt and eleven of hash

// classify looks at a password field. A lock is a "!" or "*" in front; the hash behind it may be whole.
func classify(field string) Secret {
	switch field {
	case "":
		return Secret{Status: "empty"}
	case "x":
		return Secret{Status: Shadowed}
	}
	hash := strings.TrimLeft(field, "!*")
	s := Secret{Status: "set", Hash: hashKind(hash)}
	if hash != field || s.Hash == "" {
		// What crypt(3) cannot produce never matches a password, so it locks as well.
		s.Status = "locked"
	}
	return s
}

func hashKind(hash string) string {
	for _, p := range hashPrefixes {
		if strings.HasPrefix(hash, p.prefix) {
			return p.kind
		}
	}
	if len(hash) == desLength && strings.Trim(hash, "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "" {
		return "des"
	}
	return ""
}

// lines gives the lines that the C library's readers look at: without leading blanks, comments and empty ones.
func lines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range seq.Split(text, "\n") {
			line = strings.TrimLeft(line, " \t\r\v\f")
			if line == "" || line[0] == '#' {
				continue
			}
			if !yield(line) {
				return
			}
		}
	}
}

// isCompat tells the "+" and "-" lines that ask NIS or another service; they are no local account.
func isCompat(name string) bool { return name == "" || name[0] == '+' || name[0] == '-' }

// number reads an id as the C library does: blanks and a sign in front are taken, too large a number is the largest.
func number(field string) (int64, bool) {
	const largest = 1<<32 - 1
	field = strings.TrimLeft(field, " \t")
	digits := strings.TrimLeft(field, "+-")
	if digits == "" || len(field)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > largest || n != 0 && field[0] == '-' {
		return largest, true
	}
	return int64(n), true
}

// ParsePasswd reads passwd(5) text. Lines without a usable name, uid and gid are left out, as the C library does;
// malformed counts them.
func ParsePasswd(text string) (users []User, malformed int) {
	for line := range lines(text) {
		f := strings.SplitN(line, ":", 7)
		if isCompat(f[0]) {
			continue
		}
		for len(f) < 7 {
			f = append(f, "")
		}
		uid, okUID := number(f[2])
		gid, okGID := number(f[3])
		if !okUID || !okGID {
			malformed++
			continue
		}
		users = append(users, User{Name: f[0], UID: uid, GID: gid, Gecos: f[4], Home: f[5], Shell: f[6], Secret: classify(f[1])})
	}
	return users, malformed
}

// ParseGroup reads group(5) text; malformed counts the lines left out.
func ParseGroup(text string) (groups []Group, malformed int) {
	for line := range lines(text) {
		f := strings.SplitN(line, ":", 4)
		if isCompat(f[0]) {
			continue
		}
		for len(f) < 4 {
			f = append(f, "")
		}
		gid, ok := number(f[2])
		if !ok {
			malformed++
			continue
		}
		groups = append(groups, Group{Name: f[0], GID: gid, Members: members(f[3]), Secret: classify(f[1])})
	}
	return groups, malformed
}

// members splits a list of names; blanks around and between them do not count.
func members(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// ParseShadow reads shadow(5) text; malformed counts the lines left out.
func ParseShadow(text string) (entries []Shadow, malformed int) {
	for line := range lines(text) {
		f := strings.Split(line, ":")
		if isCompat(f[0]) {
			continue
		}
		if len(f) < 2 {
			malformed++
			continue
		}
		for len(f) < 9 {
			f = append(f, "")
		}
		secret := classify(f[1])
		if secret.Status == Shadowed {
			secret.Status = "locked" // an "x" here is no hash of anything
		}
		entries = append(entries, Shadow{
			Name: f[0], Secret: secret, LastChange: days(f[2]), MaxDays: days(f[4]), Expires: days(f[7]),
		})
	}
	return entries, malformed
}

// days reads a number of days; nil when the field is empty, negative or no number, which all mean "not set".
func days(field string) *int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(field), 10, 32)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}
