package logs

import (
	"net/netip"
	"strings"

	"sandfly/probes/internal/collect/logs/lines"
)

// parsed are the structured parts of a line, each taken apart when first asked for.
type parsed struct {
	ssh     part[lines.SSH]
	sudo    part[lines.Sudo]
	su      part[lines.Su]
	pam     part[lines.PAM]
	cron    part[lines.Cron]
	account part[lines.Account]
	pack    part[lines.Package]
	audit   part[lines.Audit]
	web     part[lines.Web]
	pattern string
}

// part is a value that is made once, or found not to be there.
type part[T any] struct {
	value T
	done  bool
	ok    bool
}

// get gives the value, or nil where the line has none.
func (p *part[T]) get(make func() (T, bool)) *T {
	if !p.done {
		p.done = true
		p.value, p.ok = make()
	}
	if !p.ok {
		return nil
	}
	return &p.value
}

// isFrom tells whether the line was written by one of the programs; names have no case (cron, CRON).
func (l *line) isFrom(programs ...string) bool {
	for _, p := range programs {
		if strings.EqualFold(l.head.Program, p) {
			return true
		}
	}
	return false
}

func (l *line) ssh() *lines.SSH {
	return l.parsed.ssh.get(func() (lines.SSH, bool) {
		if !l.isFrom("sshd", "sshd-session", "sshd-auth", "dropbear") {
			return lines.SSH{}, false
		}
		return lines.ParseSSH(l.head.Message)
	})
}

func (l *line) sudo() *lines.Sudo {
	return l.parsed.sudo.get(func() (lines.Sudo, bool) {
		if !l.isFrom("sudo") {
			return lines.Sudo{}, false
		}
		return lines.ParseSudo(l.head.Message)
	})
}

func (l *line) su() *lines.Su {
	return l.parsed.su.get(func() (lines.Su, bool) {
		if !l.isFrom("su", "su-l") {
			return lines.Su{}, false
		}
		return lines.ParseSu(l.head.Message)
	})
}

func (l *line) pam() *lines.PAM {
	return l.parsed.pam.get(func() (lines.PAM, bool) { return lines.ParsePAM(l.head.Message) })
}

func (l *line) cron() *lines.Cron {
	return l.parsed.cron.get(func() (lines.Cron, bool) {
		if !l.isFrom("cron", "crond") {
			return lines.Cron{}, false
		}
		return lines.ParseCron(l.head.Message)
	})
}

// accountPrograms are the tools of shadow-utils.
var accountPrograms = []string{
	"useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "passwd", "chpasswd", "chsh", "chfn",
	"adduser", "deluser", "newusers",
}

func (l *line) account() *lines.Account {
	return l.parsed.account.get(func() (lines.Account, bool) {
		if !l.isFrom(accountPrograms...) {
			return lines.Account{}, false
		}
		return lines.ParseAccount(l.head.Message)
	})
}

func (l *line) pack() *lines.Package {
	return l.parsed.pack.get(func() (lines.Package, bool) {
		if l.log != "package" {
			return lines.Package{}, false
		}
		return lines.ParsePackage(l.head.Message)
	})
}

func (l *line) audit() *lines.Audit {
	return l.parsed.audit.get(func() (lines.Audit, bool) {
		switch {
		case l.log == "audit":
			return lines.ParseAudit(l.text, "")
		case l.isAuditEntry():
			return l.journalAudit()
		case l.isFrom("audispd", "auditd", "audisp-syslog"):
			return lines.ParseAudit(l.head.Message, "")
		}
		return lines.Audit{}, false
	})
}

func (l *line) web() *lines.Web {
	return l.parsed.web.get(func() (lines.Web, bool) {
		if l.log != "web" && l.log != "proxy" && !l.isFrom("nginx", "apache2", "httpd", "apache-access") {
			return lines.Web{}, false
		}
		return lines.ParseWeb(l.head.Message)
	})
}

// username is who a line is about, whoever wrote it.
func (l *line) username() string {
	if s := l.ssh(); s != nil {
		return s.Username
	}
	if s := l.sudo(); s != nil {
		return s.Username
	}
	if s := l.su(); s != nil {
		return s.Username
	}
	if p := l.pam(); p != nil {
		return p.Username
	}
	if c := l.cron(); c != nil {
		return c.Username
	}
	if a := l.account(); a != nil {
		return a.Name
	}
	if w := l.web(); w != nil {
		return w.Username
	}
	if a := l.audit(); a != nil {
		return a.Get("acct")
	}
	return ""
}

// remote is the address that a line names as the other side; "" for none.
func (l *line) remote() string {
	if s := l.ssh(); s != nil {
		return s.Address
	}
	if w := l.web(); w != nil {
		return w.Address
	}
	found := ""
	if p := l.pam(); p != nil {
		found = p.RemoteHost
	} else if a := l.audit(); a != nil {
		found = a.Get("addr")
	} else if l.log == "web_error" {
		_, found, _ = strings.Cut(l.text, "client")
		found, _, _ = strings.Cut(strings.TrimLeft(found, ": "), ",")
		found, _, _ = strings.Cut(found, "]")
	}
	a, err := netip.ParseAddr(found)
	if err != nil {
		return ""
	}
	return a.WithZone("").Unmap().String()
}

const maxPattern = 120

// pattern is the message without what varies, so that the same event seen twice is one thing.
func (l *line) pattern() string {
	if l.parsed.pattern != "" {
		return l.parsed.pattern
	}
	message := l.head.Message
	if w := l.web(); w != nil {
		message = w.Method + " " + w.URI
	} else if a := l.audit(); a != nil {
		message = a.Type + " " + a.Get("exe") + " " + a.Get("op") + " " + a.CommandLine() + " " + a.Get("name") + " " + a.Get("key")
	}
	l.parsed.pattern = lines.Pattern(message, maxPattern)
	return l.parsed.pattern
}
