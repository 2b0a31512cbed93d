package settings

import (
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/files"
)

// sshSource reads the configuration of sshd, or of its client: the first value holds, blocks (Match, Host) stand for
// themselves, and includes are read where they stand.
type sshSource struct {
	files    []string
	dir      string // what includes are relative to
	markers  []string
	wanted   []wanted
	additive []string // settings whose lines add up
	blocks   []string // words that begin a block
}

var sshServer = sshSource{
	files: []string{"/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"}, dir: "/etc/ssh/",
	markers:  []string{"/usr/sbin/sshd", "/usr/bin/sshd"},
	blocks:   []string{"match"},
	additive: []string{"port", "listenaddress", "hostkey", "allowusers", "denyusers", "allowgroups", "denygroups", "acceptenv", "setenv", "subsystem", "hostcertificate"},
	// What OpenSSH does when nothing is set, sshd_config(5); algorithms depend on the version.
	wanted: builtIn("", "permitrootlogin", "prohibit-password", "passwordauthentication", "yes",
		"kbdinteractiveauthentication", "yes", "pubkeyauthentication", "yes", "permitemptypasswords", "no",
		"hostbasedauthentication", "no", "ignorerhosts", "yes", "permituserenvironment", "no", "strictmodes", "yes",
		"x11forwarding", "no", "allowtcpforwarding", "yes", "allowagentforwarding", "yes",
		"allowstreamlocalforwarding", "yes", "gatewayports", "no", "permittunnel", "no", "usepam", "no",
		"maxauthtries", "6", "maxsessions", "10", "maxstartups", "10:30:100", "logingracetime", "120",
		"clientaliveinterval", "0", "clientalivecountmax", "3", "loglevel", "INFO", "syslogfacility", "AUTH",
		"banner", "none", "usedns", "no", "printlastlog", "yes", "tcpkeepalive", "yes", "disableforwarding", "no",
		"permituserrc", "yes", "port", "22", "kerberosauthentication", "no", "gssapiauthentication", "no",
		"authorizedkeyscommand", "none", "authorizedprincipalscommand", "none", "trustedusercakeys", "none",
		"forcecommand", "none", "chrootdirectory", "none", "authenticationmethods", "any", "fingerprinthash", "sha256",
		"requiredrsasize", "1024", "ciphers", "", "macs", "", "kexalgorithms", "", "hostkeyalgorithms", "",
		"pubkeyacceptedalgorithms", "", "allowusers", "", "allowgroups", "", "denyusers", "", "denygroups", "",
		"rekeylimit", "default none", "protocol", ""),
}

var sshClient = sshSource{
	files: []string{"/etc/ssh/ssh_config", "/usr/etc/ssh/ssh_config"}, dir: "/etc/ssh/", markers: []string{"/usr/bin/ssh"},
	blocks:   []string{"host", "match"},
	additive: []string{"identityfile", "certificatefile", "sendenv", "localforward", "remoteforward", "dynamicforward"},
	wanted: builtIn("", "stricthostkeychecking", "ask", "forwardagent", "no", "forwardx11", "no", "forwardx11trusted", "no",
		"hashknownhosts", "no", "verifyhostkeydns", "no", "proxycommand", "none", "permitlocalcommand", "no",
		"tunnel", "no", "checkhostip", "no"),
}

// aliases are names that newer versions have replaced.
var aliases = map[string]string{
	"challengeresponseauthentication": "kbdinteractiveauthentication", "skeyauthentication": "kbdinteractiveauthentication",
	"pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms", "keepalive": "tcpkeepalive",
	"hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
}

// sshReading is one reading of such a configuration.
type sshReading struct {
	*sshSource
	*reader
	found   []*setting
	place   map[string]*setting
	section string
}

func (s *sshSource) read(r *reader) []*setting {
	main := r.first(s.files...)
	if main == "" && len(r.misses) == 0 && r.first(s.markers...) == "" {
		return nil
	}
	reading := sshReading{sshSource: s, reader: r, place: map[string]*setting{}}
	if main != "" {
		reading.file(main, 0)
	}
	for _, w := range s.wanted {
		if reading.place["\x00"+w.name] == nil {
			unset := r.unset(w)
			unset.valueErr = r.missed()
			reading.found = append(reading.found, unset)
		}
	}
	if slices.Contains(s.blocks, "host") {
		return reading.found
	}
	return append(reading.found, reading.limited())
}

// limited says whether sshd lets in only some users or groups. sshd has no such setting: it sums up four.
func (s *sshReading) limited() *setting {
	value := "no"
	for _, name := range []string{"allowusers", "allowgroups", "denyusers", "denygroups"} {
		if one := s.place["\x00"+name]; one != nil && one.valueErr == nil {
			value = "yes"
		}
	}
	sum := s.setting("access_is_limited", value)
	if sum.isSet = false; value == "no" {
		sum.valueErr = s.missed()
	}
	return sum
}

func (s *sshReading) file(name string, depth int) {
	if depth > maxDepth {
		s.miss(name, collect.ErrLimit)
		return
	}
	text, ok := s.text(name)
	if !ok {
		return
	}
	outside := s.section
	eachLine(text, "#", func(number int64, text string) {
		words := files.ConfigWords(text)
		if len(words) < 2 {
			return
		}
		switch {
		case words[0] == "include":
			for _, pattern := range words[1:] {
				if !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "~") {
					pattern = s.dir + pattern
				}
				if strings.HasPrefix(pattern, "/") {
					for _, included := range s.matching(pattern) {
						s.file(included, depth+1)
					}
				}
			}
		case slices.Contains(s.blocks, words[0]):
			s.section = words[0] + " " + strings.Join(words[1:], " ")
			if all := strings.ToLower(s.section); all == "match all" || all == "host *" {
				s.section = ""
			}
		default:
			s.add(words, name, number)
		}
	})
	// A block ends with the file that it is in.
	s.section = outside
}

// add keeps the first value of a setting in its block; what follows a file that could not be read may not be first.
func (s *sshReading) add(words []string, path string, number int64) {
	name := words[0]
	if other, ok := aliases[name]; ok {
		name = other
	}
	value := strings.Join(words[1:], " ")
	before := s.place[s.section+"\x00"+name]
	if before == nil {
		one := s.setting(name, value)
		one.section, one.path, one.line, one.valueErr = s.section, path, number, s.missed()
		one.values = []string{one.value}
		s.place[s.section+"\x00"+name], s.found = one, append(s.found, one)
		return
	}
	if slices.Contains(s.additive, name) && len(before.values) < maxEntries {
		before.values = append(before.values, value)
		before.value = strings.Join(before.values, " ")
		before.number = parseNumber(s.kind, before.value)
	}
}
