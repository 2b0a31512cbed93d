package logs

import (
	"errors"
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

// logSource is one log file: its path and what kind of log it is.
type logSource struct {
	path string
	log  string
}

const maxLogFiles = 500

// logNames are the logs of /var/log by name; what rotation adds does not count.
var logNames = map[string]string{
	"auth.log": "auth", "secure": "auth", "sudo.log": "auth", "sshd.log": "auth", "authpriv.log": "auth",
	"syslog": "syslog", "messages": "syslog", "daemon.log": "daemon", "user.log": "user", "kern.log": "kern",
	"cron": "cron", "cron.log": "cron", "mail.log": "mail", "maillog": "mail", "mail": "mail",
	"ufw.log": "firewall", "firewalld": "firewall", "fail2ban.log": "fail2ban",
	"vsftpd.log": "ftp", "xferlog": "ftp", "proftpd.log": "ftp", "pure-ftpd.log": "ftp",
	"dpkg.log": "package", "yum.log": "package", "dnf.log": "package", "dnf.rpm.log": "package", "pacman.log": "package",
	"apk.log": "package", "audit.log": "audit", "haproxy.log": "proxy",
}

// commonDirectories are names that some distributions give to a directory. A directory with another log's name keeps
// that log from being written.
var commonDirectories = map[string]bool{"cron": true, "mail": true, "firewalld": true}

// logDirectories are directories below /var/log that belong to one program; kind names the log of a file there, ""
// for a file that is none.
var logDirectories = []struct {
	path string
	kind func(name string) string
}{
	{"/var/log", func(name string) string { return logNames[name] }},
	{"/var/log/audit", func(name string) string { return logNames[name] }},
	{"/var/log/apt", only("history.log", "package")},
	{"/var/log/zypp", only("history", "package")},
	{"/var/log/nginx", webLog},
	{"/var/log/apache2", webLog},
	{"/var/log/httpd", webLog},
	{"/var/log/lighttpd", webLog},
	{"/var/log/squid", only("access.log", "proxy")},
	{"/var/log/clamav", every("antivirus")},
	{"/var/log/proftpd", every("ftp")},
	{"/var/log/exim4", only("mainlog", "mail")},
	{"/var/log/guacamole", every("guacamole")},
}

func only(file, kind string) func(string) string {
	return func(name string) string {
		if name == file {
			return kind
		}
		return ""
	}
}

func every(kind string) func(string) string {
	return func(name string) string {
		if strings.HasSuffix(name, ".log") {
			return kind
		}
		return ""
	}
}

// webLog tells access logs from logs of errors by name; sites put their own names in front.
func webLog(name string) string {
	switch {
	case strings.Contains(name, "error"):
		return "web_error"
	case strings.Contains(name, "access"):
		return "web"
	}
	return ""
}

// findLogs lists the log files of a host, what was rotated included, without journals.
func findLogs(env *collect.Env, partial func(error)) []logSource {
	var out []logSource
	seen := map[string]bool{}
	for _, d := range logDirectories {
		entries, err := content.ReadDir(env, d.path, maxLogEntries)
		if err != nil && !isAbsent(err) {
			partial(at(d.path, err))
		}
		for _, e := range entries {
			kind := d.kind(unrotated(e.Name))
			if kind == "" || e.Type == content.TypeDir && commonDirectories[e.Name] {
				continue
			}
			name := path.Join(d.path, e.Name)
			if real, err := content.Resolve(env, name); err == nil {
				if seen[real] {
					continue
				}
				seen[real] = true
			}
			if len(out) == maxLogFiles {
				partial(at(name, errManyLogs))
				return out
			}
			out = append(out, logSource{name, kind})
		}
	}
	return out
}

var errManyLogs = errors.Join(errors.New("too many log files"), collect.ErrLimit)

// unrotated is the name of a log without what rotation has put behind it.
func unrotated(name string) string {
	name, _ = compression(name)
	for i := len(name) - 1; i > 0; i-- {
		if c := name[i]; c >= '0' && c <= '9' || c == '-' {
			continue
		}
		if i < len(name)-1 && name[i] == '.' {
			return name[:i]
		}
		// A date stands behind a dash, which the loop has passed.
		if rest := name[i+1:]; strings.HasPrefix(rest, "-") && len(rest) > 1 {
			return name[:i+1]
		}
		break
	}
	return name
}

// findJournals lists the files of systemd's journal.
func findJournals(env *collect.Env, partial func(error)) []logSource {
	var out []logSource
	seen := map[string]bool{}
	for _, base := range []string{"/var/log/journal", "/run/log/journal"} {
		machines, err := content.ReadDir(env, base, maxLogFiles)
		if err != nil && !isAbsent(err) {
			partial(at(base, err))
		}
		for _, m := range machines {
			directory := path.Join(base, m.Name)
			entries, err := content.ReadDir(env, directory, maxLogEntries)
			if err != nil && !isAbsent(err) {
				partial(at(directory, err))
			}
			for _, e := range entries {
				name := path.Join(directory, e.Name)
				isJournal := strings.HasSuffix(e.Name, ".journal") || strings.HasSuffix(e.Name, ".journal~")
				if isJournal && !seen[name] {
					seen[name] = true
					out = append(out, logSource{name, "journal"})
				}
			}
		}
	}
	return out
}
