package report

import (
	"regexp"
	"strings"
)

// What never leaves a host, whatever field it stands in: bodies of private keys, and hashes of passwords as crypt(5)
// writes them. Rules look at values as they are; only what is sent is without them.
var (
	privateKey = regexp.MustCompile(`(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----)(?:\s*\n|\\n|\s*[0-9A-Za-z+/=]{20}).+?(-----END|$)`)
	puttyKey   = regexp.MustCompile(`(?s)(Private-Lines: *[0-9]+).+?(Private-|$)`)
	hash       = regexp.MustCompile(`(\$(?:apr1|argon2[a-z]+|gy|md5|scrypt|sha1|sm3|1|2[abxy]?|5|6|7|y)[$,])[./0-9A-Za-z$=,+-]{20,}`)
	// The oldest ones have no sign: the second field of passwd(5), shadow(5) and gshadow(5), 13 characters.
	desHash = regexp.MustCompile(`(?m)^([^\s:]+:)[./0-9A-Za-z]{13}(:[^\n:]*:)`)
)

const concealed = "[concealed]"

// conceal gives a value without them. The looks for a part that all of them have keep it cheap.
func conceal(s string) string {
	if strings.Contains(s, "PRIVATE KEY") {
		s = privateKey.ReplaceAllString(s, "${1}"+concealed+"${2}")
	}
	if strings.Contains(s, "Private-Lines:") {
		s = puttyKey.ReplaceAllString(s, "${1}"+concealed+"${2}")
	}
	if strings.IndexByte(s, '$') >= 0 {
		s = hash.ReplaceAllString(s, "${1}"+concealed)
	}
	if colon := strings.IndexByte(s, ':'); colon > 0 && colon < len(s)-14 {
		s = desHash.ReplaceAllString(s, "${1}"+concealed+"${2}")
	}
	return s
}
