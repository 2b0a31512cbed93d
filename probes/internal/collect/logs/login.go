package logs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/logs/utmp"
)

// maxLogins is how many records of one file are looked at, newest first.
const maxLogins = 5000

// login is a record of the subject login.
type login struct {
	v        *visit
	source   string // utmp, wtmp, btmp, lastlog, lastlog2 or wtmpdb
	path     string
	typ      int // of utmp(5)
	username string
	tty      string
	host     string
	service  string
	address  netip.Addr
	pid      int64
	session  int64
	time     int64 // 0: none
	logout   int64 // 0: not known
	isActive bool
}

func loginCollector() collect.Collector {
	return collect.Collector{
		Name: "logins", Subjects: []*collect.Subject{loginSubject()},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			r := &loginReader{ctx: ctx, v: newVisit(env), status: status,
				emit: func(l *login) error { return emit("login", l) }}
			return r.run()
		},
	}
}

// loginReader reads the accounting files of one host.
type loginReader struct {
	ctx    context.Context
	v      *visit
	emit   func(*login) error
	status *collect.Status
}

func (r *loginReader) run() error {
	for _, a := range findAccounting(r.v.env, func(err error) { r.status.Partial("login", err) }) {
		err := errors.Join(r.ctx.Err(), r.file(a))
		if err != nil && !isAbsent(err) {
			if !isOurs(err) {
				return err
			}
			r.status.Partial("login", at(a.path, err))
		}
	}
	return nil
}

func (r *loginReader) file(a accounting) error {
	switch a.kind {
	case "lastlog":
		return r.lastlog(a.path)
	case "lastlog2":
		return r.lastlog2(a.path)
	case "wtmpdb":
		return r.wtmpdb(a.path)
	}
	return r.utmp(a)
}

// utmp emits the records of utmp, wtmp or btmp, newest first, so that a logout is known before its login is met.
func (r *loginReader) utmp(a accounting) error {
	records, err := openRecords(r.v.env, a)
	if err != nil {
		return err
	}
	defer records.close()
	ends := map[string]int64{} // logouts by terminal
	down := int64(0)           // the next shutdown or start after the record at hand
	left := maxLogins
	return records.backward(func(u *utmp.Record) error {
		if left--; left < 0 {
			return errEnough
		}
		l := r.fromUtmp(a, u)
		switch {
		case u.Zero || u.Type == utmp.Empty:
			return nil
		case a.kind == "btmp":
		case u.Type == utmp.DeadProcess:
			ends[u.Line] = u.Time
			return nil
		case u.Type == utmp.BootTime, u.Type == utmp.RunLevel && u.User == "shutdown":
			down = u.Time
			clear(ends)
		case u.Type == utmp.UserProcess && a.kind == "wtmp":
			if l.logout = ends[u.Line]; l.logout == 0 {
				l.logout = down
			}
			l.isActive = l.logout == 0
			// Whoever was on that terminal before must have left by now.
			ends[u.Line] = u.Time
		case u.Type == utmp.UserProcess:
			l.isActive = true
		}
		return r.emit(l)
	})
}

func (r *loginReader) fromUtmp(a accounting, u *utmp.Record) *login {
	l := &login{v: r.v, source: a.kind, path: a.path, typ: u.Type, username: u.User, tty: u.Line, host: u.Host,
		address: u.Address, pid: u.PID, session: u.Session, time: u.Time}
	if !l.address.IsValid() {
		l.address = addressOf(u.Host)
	}
	return l
}

// addressOf reads a host that is written as an address; the zero Addr when it is a name.
func addressOf(host string) netip.Addr {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

// isPrivate tells an address that nobody on the internet has.
func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || isShared(a)
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: carriers, and VPNs such as Tailscale

func isShared(a netip.Addr) bool { return a.Is4() && shared.Contains(a) }

type loginField = collect.Field[*login]

func loginSubject() *collect.Subject {
	return collect.NewSubject("login",
		fmt.Sprintf("logins and failed logins that the host has on record, and its starts: the newest %d of each file", maxLogins),
		[]string{"source", "username", "host", "type_name"},
		[]string{"source", "username", "tty", "host", "address", "time", "type_name"},
		append(loginFields(), loginUserFields()...))
}

func loginFields() []loginField {
	const source = "utmp(5), lastlog2(3), wtmpdb(3)"
	return []loginField{
		free("source", "string", "", "utmp (who is on now), wtmp, btmp (failed), lastlog, lastlog2 or wtmpdb", "name of the file",
			func(l *login) any { return l.source }),
		free("path", "string", "", "file it was read from", "name of the file", func(l *login) any { return l.path }),
		free("username", "string", "", "who; of failed logins what was typed as a name", source, func(l *login) any { return text(l.username) }),
		free("tty", "string", "", "terminal, as pts/0; ssh:notty for failures of sshd", source, func(l *login) any { return text(l.tty) }),
		free("pid", "int", "", "process that wrote it", "utmp(5)", func(l *login) any { return number(l.pid) }),
		free("session", "int", "", "session id", "utmp(5)", func(l *login) any { return number(l.session) }),
		free("type", "int", "", "ut_type of utmp(5)", source, func(l *login) any { return int64(l.typ) }),
		free("type_name", "string", "", "normal, login, init, boot-time, run-lvl, new-time, old-time, accounting", source,
			func(l *login) any { return text(utmp.TypeName(l.typ)) }),
		free("time", "int", "epoch seconds", "when", source, func(l *login) any { return number(l.time) }),
		free("age_s", "int", "seconds", "time since then", source, func(l *login) any { return age(l.v, l.time) }),
		free("host", "string", "", "where from, a name or an address; the kernel's release for starts", source,
			func(l *login) any { return text(l.host) }),
		free("address", "string", "", "address it came from; none for local ones and where only a name is kept", source,
			func(l *login) any {
				if !l.address.IsValid() {
					return nil
				}
				return l.address.String()
			}),
		free("is_remote_private", "bool", "", "that address is private, shared, loopback or link-local; none without an address", source,
			func(l *login) any {
				if !l.address.IsValid() {
					return nil
				}
				return isPrivate(l.address)
			}),
		free("service", "string", "", "PAM service, as sshd", "lastlog2(3), wtmpdb(3)", func(l *login) any { return text(l.service) }),
		free("is_failed", "bool", "", "the login was refused", "btmp", func(l *login) any { return l.source == "btmp" }),
		free("is_active", "bool", "", "not ended yet, as far as the file tells", source, func(l *login) any { return l.isActive }),
		free("logout_time", "int", "epoch seconds", "when it ended: logout, next login at that terminal, or next start", source,
			func(l *login) any { return number(l.logout) }),
		free("duration_s", "int", "seconds", "how long it lasted; none when its end is not known", source, loginDuration),
	}
}

func loginDuration(l *login) any {
	if l.logout < l.time || l.time == 0 || l.logout == 0 {
		return nil
	}
	return l.logout - l.time
}

func loginUserFields() []loginField {
	const source = "/etc/passwd"
	of := func(name, typ, doc string, get func(l *login) (any, error)) loginField {
		return loginField{Name: name, Type: typ, Cost: collect.Cheap, Doc: doc, Source: source, Get: get}
	}
	return []loginField{
		of("uid", "int", "user id of that name; none when passwd has no such user", func(l *login) (any, error) {
			u, err := l.v.user(l.username)
			if u == nil {
				return nil, err
			}
			return u.UID, nil
		}),
		of("shell", "string", "login shell of that user", func(l *login) (any, error) {
			u, err := l.v.user(l.username)
			if u == nil {
				return nil, err
			}
			return text(u.Shell), nil
		}),
		of("is_local_user", "bool", "passwd has a user of that name", func(l *login) (any, error) {
			u, err := l.v.user(l.username)
			if err != nil {
				return nil, err
			}
			return u != nil, nil
		}),
	}
}
