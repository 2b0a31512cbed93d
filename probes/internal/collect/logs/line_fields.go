package logs

import (
	"fmt"
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/logs/lines"
)

type lineField = collect.Field[*line]

func lineSubject() *collect.Subject {
	return collect.NewSubject("log_line",
		fmt.Sprintf("lines of the host's logs and journals of the last %d hours, at most %d MiB of each log from its end", int(window.Hours()), maxFileBytes>>20),
		[]string{"program", "username", "remote_address", "pattern"},
		[]string{"log", "path", "time", "program", "text"},
		slices.Concat(headFields(), authFields(), accountFields(), auditFields(), auditNumberFields(), webFields()))
}

func headFields() []lineField {
	const source = "the log's line, or the journal's entry"
	cheap := func(name, typ, unit, doc string, get func(*line) any) lineField {
		return field(collect.Cheap, name, typ, unit, doc, source, get)
	}
	return []lineField{
		free("log", "string", "", "kind of log: auth, syslog, daemon, user, kern, cron, mail, audit, web, web_error, proxy, package, ftp, firewall, fail2ban, antivirus, guacamole, journal",
			"name of the file", func(l *line) any { return l.log }),
		free("path", "string", "", "log file or journal", "name of the file", func(l *line) any { return l.path }),
		free("offset", "int", "bytes", "where the line begins in the file, unpacked; of journals where the entry lies", source,
			func(l *line) any { return l.offset }),
		free("time", "int", "epoch seconds", "when; a line without a time has that of the line before", source,
			func(l *line) any { return number(l.time) }),
		free("age_s", "int", "seconds", "time since then", source, func(l *line) any { return age(l.v, l.time) }),
		free("hostname", "string", "", "host that the line names", source, func(l *line) any { return text(l.head.Host) }),
		free("program", "string", "", "who wrote it, without directory and pid", source, func(l *line) any { return text(l.head.Program) }),
		free("pid", "int", "", "process that wrote it", source, func(l *line) any { return number(l.head.PID) }),
		free("unit", "string", "", "systemd unit; journals only", source, func(l *line) any { return l.fact(func(e *entryFacts) any { return text(e.unit) }) }),
		free("transport", "string", "", "how the journal got it: syslog, stdout, kernel, audit, journal, driver", source,
			func(l *line) any { return l.fact(func(e *entryFacts) any { return text(e.transport) }) }),
		free("priority", "int", "", "0 emergency to 7 debug; journals only", source,
			func(l *line) any { return l.fact(func(e *entryFacts) any { return unlessNegative(e.priority) }) }),
		free("uid", "int", "", "user of the process that wrote it; journals only", source,
			func(l *line) any { return l.fact(func(e *entryFacts) any { return unlessNegative(e.uid) }) }),
		{Name: "message", Type: "string", Cost: collect.Cheap, Doc: "what follows time, host and program", Source: source,
			Get: func(l *line) (any, error) { return l.readable(l.head.Message) }},
		{Name: "text", Type: "string", Cost: collect.Cheap, Doc: fmt.Sprintf("the whole line, its first %d KiB; of journals the message", maxLine>>10), Source: source,
			Get: func(l *line) (any, error) { return l.readable(l.text) }},
		cheap("is_truncated", "bool", "", "the line is longer than that", func(l *line) any { return l.isCut }),
		cheap("username", "string", "", "who the line is about, of those kinds that are taken apart", func(l *line) any { return text(l.username()) }),
		cheap("remote_address", "string", "", "the other side's address, of those kinds that are taken apart", func(l *line) any { return text(l.remote()) }),
		cheap("is_remote_private", "bool", "", "that address is private, shared, loopback or link-local", func(l *line) any {
			a := addressOf(l.remote())
			if !a.IsValid() {
				return nil
			}
			return isPrivate(a)
		}),
		cheap("pattern", "string", "", "the message with all that varies replaced by #", func(l *line) any { return text(l.pattern()) }),
	}
}

// readable is a text, unless the journal keeps it in a way that is not read.
func (l *line) readable(s string) (any, error) {
	if l.journal != nil && l.journal.unread {
		return nil, collect.ErrLimit
	}
	return text(s), nil
}

func (l *line) fact(get func(*entryFacts) any) any {
	if l.journal == nil {
		return nil
	}
	return get(l.journal)
}

func unlessNegative(n int64) any {
	if n < 0 {
		return nil
	}
	return n
}

// within makes fields of a part of a line: nil where the line has no such part.
func within[T any](prefix, source string, part func(*line) *T) func(name, typ, doc string, get func(*T) any) lineField {
	return func(name, typ, doc string, get func(*T) any) lineField {
		return field(collect.Cheap, prefix+"."+name, typ, "", doc, source, func(l *line) any {
			if p := part(l); p != nil {
				return get(p)
			}
			return nil
		})
	}
}

func authFields() []lineField {
	ssh := within("ssh", "sshd(8), dropbear(8)", (*line).ssh)
	sudo := within("sudo", "sudo(8)", (*line).sudo)
	su := within("su", "su(1)", (*line).su)
	pam := within("pam", "pam(8)", (*line).pam)
	cron := within("cron", "cron(8)", (*line).cron)
	return []lineField{
		ssh("event", "string", "accepted, failed, invalid_user, not_allowed, too_many, closed, disconnected, connection or bad_protocol", func(s *lines.SSH) any { return s.Event }),
		ssh("method", "string", "password, publickey, keyboard-interactive/pam …", func(s *lines.SSH) any { return text(s.Method) }),
		ssh("username", "string", "who", func(s *lines.SSH) any { return text(s.Username) }),
		ssh("remote_address", "string", "where from", func(s *lines.SSH) any { return text(s.Address) }),
		ssh("port", "int", "the client's port", func(s *lines.SSH) any { return number(s.Port) }),
		ssh("key_type", "string", "kind of the key, as ED25519", func(s *lines.SSH) any { return text(s.KeyType) }),
		ssh("key_fingerprint", "string", "fingerprint of the key, as SHA256:…", func(s *lines.SSH) any { return text(s.Fingerprint) }),
		sudo("username", "string", "who called it", func(s *lines.Sudo) any { return text(s.Username) }),
		sudo("runas", "string", "as whom", func(s *lines.Sudo) any { return text(s.RunAs) }),
		sudo("tty", "string", "terminal", func(s *lines.Sudo) any { return text(s.TTY) }),
		sudo("cwd", "string", "working directory", func(s *lines.Sudo) any { return text(s.Directory) }),
		sudo("command", "string", "command line", func(s *lines.Sudo) any { return text(s.Command) }),
		sudo("is_denied", "bool", "it was refused", func(s *lines.Sudo) any { return s.Denied }),
		sudo("reason", "string", "why it was refused", func(s *lines.Sudo) any { return text(s.Reason) }),
		su("username", "string", "who called it", func(s *lines.Su) any { return text(s.Username) }),
		su("target", "string", "as whom", func(s *lines.Su) any { return text(s.Target) }),
		su("is_denied", "bool", "it was refused", func(s *lines.Su) any { return s.Denied }),
		pam("module", "string", "module, as pam_unix", func(p *lines.PAM) any { return text(p.Module) }),
		pam("service", "string", "service, as sshd", func(p *lines.PAM) any { return text(p.Service) }),
		pam("event", "string", "opened, closed, failure, changed or other", func(p *lines.PAM) any { return p.Event }),
		pam("username", "string", "who", func(p *lines.PAM) any { return text(p.Username) }),
		pam("remote_host", "string", "where from, a name or an address", func(p *lines.PAM) any { return text(p.RemoteHost) }),
		cron("username", "string", "who the command ran as", func(c *lines.Cron) any { return text(c.Username) }),
		cron("command", "string", "command that was started", func(c *lines.Cron) any { return text(c.Command) }),
	}
}

func accountFields() []lineField {
	account := within("account", "useradd(8) and its kin", (*line).account)
	pack := within("package", "dpkg.log, yum.log, dnf.rpm.log, pacman.log", (*line).pack)
	return []lineField{
		account("action", "string", "user_added, user_deleted, user_changed, group_added, group_changed, group_deleted, member_added, member_removed or password_changed", func(a *lines.Account) any { return a.Action }),
		account("name", "string", "user", func(a *lines.Account) any { return text(a.Name) }),
		account("group", "string", "group", func(a *lines.Account) any { return text(a.Group) }),
		account("uid", "int", "user id, the new one of a change", func(a *lines.Account) any { return unlessNegative(a.UID) }),
		account("gid", "int", "group id, the new one of a change", func(a *lines.Account) any { return unlessNegative(a.GID) }),
		account("home", "string", "home directory", func(a *lines.Account) any { return text(a.Home) }),
		account("shell", "string", "login shell", func(a *lines.Account) any { return text(a.Shell) }),
		pack("action", "string", "install, upgrade, remove or purge", func(p *lines.Package) any { return p.Action }),
		pack("name", "string", "package; of rpm with version and architecture", func(p *lines.Package) any { return text(p.Name) }),
		pack("version", "string", "new version", func(p *lines.Package) any { return text(p.Version) }),
		pack("old_version", "string", "version before", func(p *lines.Package) any { return text(p.OldVersion) }),
	}
}

// auditTexts are fields of auditd's records that are taken over as they are.
var auditTexts = []struct{ name, key, doc string }{
	{"success", "success", "yes or no: whether the system call did what was asked"},
	{"exe", "exe", "program"}, {"comm", "comm", "name of the process"}, {"key", "key", "key of the audit rule"},
	{"tty", "tty", "terminal"}, {"cwd", "cwd", "working directory"}, {"name", "name", "path (PATH)"},
	{"nametype", "nametype", "NORMAL, PARENT, CREATE or DELETE (PATH)"}, {"mode", "mode", "type and permission bits (PATH)"},
	{"proctitle", "proctitle", "command line (PROCTITLE)"}, {"addr", "addr", "the other side's address"},
	{"hostname", "hostname", "the other side's name"}, {"terminal", "terminal", "terminal (USER_…)"},
	{"acct", "acct", "account (USER_…)"}, {"res", "res", "success or failed, 1 or 0 (USER_…, CONFIG_CHANGE)"},
	{"op", "op", "what was done (USER_…, CONFIG_CHANGE)"}, {"unit", "unit", "systemd unit (SERVICE_…)"},
	{"cmd", "cmd", "command (USER_CMD)"}, {"dev", "dev", "device (ANOM_PROMISCUOUS)"}, {"prom", "prom", "256: the interface now takes all packets"},
	{"sig", "sig", "signal (ANOM_ABEND, OBJ_PID)"}, {"arch", "arch", "AUDIT_ARCH in hexadecimal"}, {"exit", "exit", "what the system call gave"},
	{"subj", "subj", "security label of the process"},
	{"a0", "a0", "argument 0"}, {"a1", "a1", "argument 1"}, {"a2", "a2", "argument 2"}, {"a3", "a3", "argument 3"},
	{"a4", "a4", "argument 4 (EXECVE)"}, {"a5", "a5", "argument 5 (EXECVE)"}, {"a6", "a6", "argument 6 (EXECVE)"}, {"a7", "a7", "argument 7 (EXECVE)"},
	{"a8", "a8", "argument 8 (EXECVE)"}, {"a9", "a9", "argument 9 (EXECVE)"},
}

func auditFields() []lineField {
	audit := within("audit", "auditd(8)", (*line).audit)
	fields := []lineField{
		audit("type", "string", "type of the record, as SYSCALL", func(a *lines.Audit) any { return a.Type }),
		audit("syscall", "string", "system call by name where it is known, else its number", func(a *lines.Audit) any { return text(a.Syscall()) }),
		audit("cmdline", "string", "arguments of EXECVE joined by blanks; the title of PROCTITLE", func(a *lines.Audit) any { return text(a.CommandLine()) }),
	}
	for _, f := range auditTexts {
		fields = append(fields, audit(f.name, "string", f.doc, func(a *lines.Audit) any { return text(a.Get(f.key)) }))
	}
	return fields
}

func auditNumberFields() []lineField {
	audit := within("audit", "auditd(8)", (*line).audit)
	fields := []lineField{
		audit("serial", "int", "number of the event; its records share it", func(a *lines.Audit) any { return number(a.Serial) }),
	}
	for _, f := range [][2]string{
		{"auid", "login user id; none where nobody logged in"}, {"uid", "user id"}, {"euid", "effective user id"}, {"gid", "group id"},
		{"egid", "effective group id"}, {"ouid", "owner (PATH)"}, {"pid", "process"}, {"ppid", "its parent"}, {"ses", "login session"},
	} {
		fields = append(fields, audit(f[0], "int", f[1], func(a *lines.Audit) any {
			if n, ok := a.Number(f[0]); ok {
				return n
			}
			return nil
		}))
	}
	return fields
}

func webFields() []lineField {
	web := within("web", "access logs of nginx, Apache and lighttpd", (*line).web)
	return []lineField{
		web("remote_address", "string", "client", func(w *lines.Web) any { return text(w.Address) }),
		web("host", "string", "virtual host, where the log names it", func(w *lines.Web) any { return text(w.Host) }),
		web("username", "string", "who had signed in", func(w *lines.Web) any { return text(w.Username) }),
		web("method", "string", "GET, POST …", func(w *lines.Web) any { return text(w.Method) }),
		web("uri", "string", "path and query as they were sent", func(w *lines.Web) any { return text(w.URI) }),
		web("path", "string", "path as it was sent", func(w *lines.Web) any { return text(w.Path) }),
		web("query", "string", "query as it was sent", func(w *lines.Web) any { return text(w.Query) }),
		web("decoded", "string", "path and query with percent escapes resolved, nested ones as well", func(w *lines.Web) any { return text(w.Decoded()) }),
		web("protocol", "string", "as HTTP/1.1", func(w *lines.Web) any { return text(w.Protocol) }),
		web("status", "int", "answer", func(w *lines.Web) any { return unlessNegative(w.Status) }),
		web("size", "int", "bytes sent", func(w *lines.Web) any { return unlessNegative(w.Size) }),
		web("referer", "string", "page that linked here, as the client says", func(w *lines.Web) any { return text(w.Referer) }),
		web("user_agent", "string", "client program, as it says", func(w *lines.Web) any { return text(w.Agent) }),
		web("is_malformed", "bool", "what was sent is no request", func(w *lines.Web) any { return w.Malformed }),
	}
}
