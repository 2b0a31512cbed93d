package lines

import (
	"strings"

	"sandfly/probes/internal/seq"
)

// Account is a change of a local user or group. UID and GID are -1 when the line does not name them.
type Account struct {
	Action      string // user_added, user_deleted, user_changed, group_added, group_deleted, member_added, member_removed, password_changed
	Name        string
	Group       string
	Home, Shell string
	UID, GID    int64
}

// accountEvents are the beginnings of what the tools of shadow-utils write, longest first where one begins another.
var accountEvents = []struct{ prefix, action string }{
	{"new user: ", "user_added"},
	{"new account added - ", "user_added"},
	{"new group: ", "group_added"},
	{"new group added - ", "group_added"},
	{"delete user ", "user_deleted"},
	{"group '", "group_changed"},
	{"removed group ", "group_deleted"},
	{"change user ", "user_changed"},
	{"lock user ", "user_changed"},
	{"unlock user ", "user_changed"},
	{"changed user ", "user_changed"},
	{"add ", "member_added"},
	{"user ", "member_added"},
	{"remove user ", "member_removed"},
	{"delete ", "member_removed"},
}

// ParseAccount reads a message of useradd, usermod, userdel, groupadd, gpasswd, passwd, chpasswd, chsh or chfn.
func ParseAccount(message string) (Account, bool) {
	if name := after(message, "password changed for "); name != "" {
		return Account{Action: "password_changed", Name: firstName(name), UID: -1, GID: -1}, true
	}
	for _, e := range accountEvents {
		rest, ok := strings.CutPrefix(message, e.prefix)
		if !ok {
			continue
		}
		a := Account{Action: e.action, UID: -1, GID: -1}
		if strings.Contains(rest, "name=") {
			a.pairs(rest)
		} else {
			a.words(rest)
		}
		if strings.HasPrefix(a.Action, "group_") && a.Group == "" {
			a.Group, a.Name = a.Name, ""
		}
		return a, a.Name != "" || a.Group != ""
	}
	return Account{}, false
}

// pairs reads "name=ann, UID=1001, GID=1001, home=/home/ann, shell=/bin/bash, from=none".
func (a *Account) pairs(s string) {
	for part := range seq.Split(s, ", ") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(key) {
		case "name":
			a.Name = value
		case "uid":
			a.UID = whole(value)
		case "gid":
			a.GID = whole(value)
		case "home":
			a.Home = value
		case "shell":
			a.Shell = value
		}
	}
}

// words reads "'ann' to group 'sudo'", "'ann' UID from '1001' to '0'", "ann added by root to group sudo".
func (a *Account) words(s string) {
	quoted := strings.Split(s, "'")
	switch {
	case len(quoted) >= 5 && strings.Contains(s, "group '"):
		a.Name, a.Group = quoted[1], quoted[3]
	case len(quoted) >= 3:
		a.Name = quoted[1]
	default:
		words := strings.Fields(s)
		if len(words) == 0 {
			return
		}
		a.Name = words[0]
		if last := len(words) - 2; last > 0 && words[last] == "group" {
			a.Group = words[last+1]
		}
	}
	if len(quoted) >= 6 {
		a.changed(quoted[2], quoted[len(quoted)-2])
	}
	if strings.Contains(s, "group '") && a.Action == "user_changed" {
		a.Action = "member_added"
	}
}

// changed takes the new value of "UID from '1001' to '0'" and of the same for GID and shell.
func (a *Account) changed(what, value string) {
	switch {
	case strings.Contains(what, "UID"):
		a.UID = whole(value)
	case strings.Contains(what, "GID"):
		a.GID = whole(value)
	case strings.Contains(what, "shell"):
		a.Shell = value
	}
}

// Package is a change of an installed package.
type Package struct{ Action, Name, Version, OldVersion string } // Action: install, upgrade, remove, purge

var packageActions = map[string]string{
	"install": "install", "upgrade": "upgrade", "remove": "remove", "purge": "purge",
	"Installed:": "install", "Updated:": "upgrade", "Erased:": "remove", "Upgraded:": "upgrade", "Removed:": "remove",
	"Upgrade:": "upgrade", "Erase:": "remove", "installed": "install", "upgraded": "upgrade", "removed": "remove",
}

// ParsePackage reads what follows the time in dpkg.log ("install curl:amd64 <none> 7.88"), yum.log and dnf.rpm.log
// ("INFO SUBDEBUG Installed: curl-7.76-1.x86_64") and pacman.log ("[ALPM] installed curl (8.1)").
func ParsePackage(rest string) (Package, bool) {
	words := strings.Fields(rest)
	for i, word := range words[:min(len(words), 4)] {
		action, ok := packageActions[word]
		if !ok || i+1 >= len(words) {
			continue
		}
		name, _, _ := strings.Cut(words[i+1], ":")
		p := Package{Action: action, Name: name}
		if i == 0 && len(words) >= 4 {
			p.OldVersion, p.Version = words[2], words[3]
		}
		return p, true
	}
	return Package{}, false
}
