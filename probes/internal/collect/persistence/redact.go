package persistence

import "regexp"

// redaction is a place where people write secrets on command lines; the last group is the secret.
type redaction struct {
	pattern *regexp.Regexp
	keep    string // what of the match stays
}

const hidden = "***"

// value is a shell word: quoted, or up to a blank or separator.
const value = `("[^"]*"?|'[^']*'?|[^\s;&|"']+)`

// redactions are applied one after the other. They rather hide too much than too little: the name of a setting stays,
// its value never does.
var redactions = []redaction{
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----.*`), hidden},
	{regexp.MustCompile(`(://[^\s:/@]+:)[^\s@]+@`), "${1}" + hidden + "@"},
	{regexp.MustCompile(`(?i)(\b(?:bearer|basic|negotiate)\s+)[\w.~+/=-]{6,}`), "${1}" + hidden},
	{regexp.MustCompile(`(?i)([\w.-]*(?:passw(?:or)?d|passphrase|passwd|pwd|pass|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|auth[_-]?key|credentials?)[\w-]*["']?\s*(?:=|:\s*|\s*:=\s*))` + value), "${1}" + hidden},
	{regexp.MustCompile(`(?i)(\s--?[\w-]*(?:password|passwd|passphrase|secret|token|api-?key|access-?key|pass|pwd)\s+)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(?i)(\b(?:mysql|mysqldump|mysqladmin|mysqlimport|mysqlsh|mariadb|mariadb-dump|sshpass|plink|psftp|pscp|mongo|mongosh|mongodump)\b[^|;&]*?\s-p)\s?` + value), "${1}" + hidden},
	{regexp.MustCompile(`(?i)(\bset\s+\S*(?:secret|token|passw|api_?key|access_key)\S*\s+)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(\b(?:7za?|zip|unzip|unrar|rar)\b[^|;&]*?\s-[pP]\s?)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(\b(?:curl|wget|http|https)\b[^|;&]*?\s(?:-u|--user|-a|--auth|--proxy-user|-U)[\s=]*["']?[^\s:"']+:)[^\s"']+`), "${1}" + hidden},
	{regexp.MustCompile(`(\b(?:smbclient|rpcclient|net|smbmap|mount\.cifs|winexe|wmic)\b[^|;&]*?[\w.\\/]+%)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(\b(?:ldap\w+|redis-cli|vncviewer|xfreerdp|rdesktop|bindpw|influx|sqlcmd)\b[^|;&]*?\s(?:-w|-a|-p|-P|/p:)\s?)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(\bhtpasswd\s+-\w*b\w*\s+(?:-\w+\s+)*\S+\s+\S+\s+)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(\b(?:useradd|usermod|docker\s+login|podman\s+login|helm\s+registry\s+login)\b[^|;&]*?\s-p\s?)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(\bopenssl\b[^|;&]*?\s(?:-k|-K|-pass(?:in|out)?)\s+)` + value), "${1}" + hidden},
	{regexp.MustCompile(`(?i)(\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+|\bpassword\s*\(?\s*)('[^']*'?|"[^"]*"?)`), "${1}" + hidden},
	{regexp.MustCompile(`(\b(?:echo|printf)\b)[^|;&]*(\|[^|;&]*\b(?:chpasswd|passwd|sudo\s+-\w*S|su\b|cryptsetup|docker\s+login|openssl|gpg|base64\s+--?e))`), "${1} " + hidden + " ${2}"},
	{regexp.MustCompile(`(<<<\s*)` + value), "${1}" + hidden},
	{regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`), "${1}" + hidden},
	{regexp.MustCompile(`\b(gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-|sk_live_|rk_live_|hvs\.|npm_|pypi-|dop_v1_|AIza|ya29\.|SG\.|eyJ)[\w.-]{12,}`), "${1}" + hidden},
	{regexp.MustCompile(`(\$(?:1|2[abxy]|5|6|y|7|argon2\w+)\$)[^\s'"]+`), "${1}" + hidden},
}

// redactCommand hides what looks like a secret in a command line and says whether there was any.
func redactCommand(command string) (shown string, found bool) {
	shown = command
	for _, r := range redactions {
		if r.pattern.MatchString(shown) {
			shown = r.pattern.ReplaceAllString(shown, r.keep)
		}
	}
	return shown, shown != command
}
