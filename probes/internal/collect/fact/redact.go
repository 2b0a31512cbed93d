package fact

import (
	"fmt"
	"slices"
	"strings"
)

// secretWords make the value of a variable a secret when its name holds one of them.
var secretWords = []string{"PASS", "TOKEN", "SECRET", "KEY", "CREDENTIAL", "_PWD", "AUTHORIZATION"}

// IsSecret tells by the name of a variable that its value is a secret. Programs that ask for passwords are none.
func IsSecret(name string) bool {
	upper := strings.ToUpper(name)
	return !strings.HasSuffix(upper, "ASKPASS") &&
		slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(upper, word) })
}

// Redact stands for a secret that stays on the host: it tells only how many bytes it has.
func Redact(secret string) string { return fmt.Sprintf("[redacted %d]", len(secret)) }

// Redacted gives NAME=value strings whose secrets stay on the host, those in URLs too.
func Redacted(variables []string) []string {
	shown := make([]string, len(variables))
	for i, variable := range variables {
		name, value, found := strings.Cut(variable, "=")
		if found && IsSecret(name) {
			shown[i] = name + "=" + Redact(value)
		} else {
			shown[i] = redactURL(variable)
		}
	}
	return shown
}

// redactURL takes the password out of scheme://user:password@host.
func redactURL(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return s
	}
	authority, _, _ := strings.Cut(rest, "/")
	login, _, found := cutLast(authority, '@')
	if !found {
		// A password with a slash in it is none by RFC 3986, but they are written so.
		if login, _, found = cutLast(rest, '@'); !found {
			return s
		}
	}
	user, password, found := strings.Cut(login, ":")
	if !found || password == "" {
		return s
	}
	return scheme + "://" + user + ":" + Redact(password) + rest[len(login):]
}

func cutLast(s string, separator byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
