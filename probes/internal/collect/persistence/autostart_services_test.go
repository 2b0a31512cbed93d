package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestCommandsOfServicesAndProgramsAreFound(t *testing.T) {
	cases := []struct {
		got  []hook
		want []hook
	}{
		{parseMailPipes("# c\nroot: ann\nlist: \"|/usr/bin/filter -a\", bob\nx:|/opt/y\n"), []hook{{"list", "/usr/bin/filter -a", 3}, {"x", "/opt/y", 4}}},
		{parseMailPipes("\\ann, \"|exec /usr/bin/procmail\"\n"), []hook{{"\\ann", "exec /usr/bin/procmail", 1}}},
		{parseLogrotate("/var/log/x {\n  postrotate\n    /usr/lib/r\n    kill -1 2\n  endscript\n  rotate 4\n}\ncompresscmd /bin/z\n"),
			[]hook{{"postrotate", "/usr/lib/r", 3}, {"postrotate", "kill -1 2", 4}, {"compresscmd", "/bin/z", 8}}},
		{parseXinetd("service x\n{\n  disable = no\n  server = /usr/sbin/x\n  server_args = -d 1\n}\n"), []hook{{"server", "/usr/sbin/x -d 1", 0}}},
		{parseXinetd("service x\n{\n  disable = yes\n  server = /usr/sbin/x\n}\n"), []hook{{"server", "/usr/sbin/x", disabledLine}}},
		{parseXinetd("service x\n{\n type = INTERNAL\n}\n"), nil},
		{parseInetd("31337 stream tcp nowait root /bin/sh sh -i\ntime stream tcp nowait root internal\nshort line\n"), []hook{{"31337", "/bin/sh sh -i", 1}}},
		{parseIncron("/etc/passwd IN_MODIFY /usr/bin/x $@\n/only IN_MODIFY\n"), []hook{{"/etc/passwd", "/usr/bin/x $@", 1}}},
		{parseSettings("event=button/power\naction=/etc/acpi/p.sh %e\n", "action"), []hook{{"action", "/etc/acpi/p.sh %e", 2}}},
		{parseRsyslog("*.* ^/usr/bin/x;fmt\naction(type=\"omprog\"\n binary=\"/opt/y -a\")\n*.* /var/log/all\n:msg, regex, \"^/x\" stop\n"),
			[]hook{{"shell", "/usr/bin/x", 1}, {"omprog", "/opt/y -a", 3}}},
		{parseSnmp("extend test /bin/a b\nextend .1.3 n /bin/c\npass .1.4 /bin/d\nrocommunity public\n"),
			[]hook{{"extend test", "/bin/a b", 1}, {"extend n", "/bin/c", 2}, {"pass .1.4", "/bin/d", 3}}},
		{parseSshdConfig("Port 22\nSubsystem sftp /usr/lib/openssh/sftp-server\nForceCommand \"/x y\"\nAuthorizedKeysCommand=/z %u\nAuthorizedPrincipalsCommand none\n"),
			[]hook{{"subsystem sftp", "/usr/lib/openssh/sftp-server", 2}, {"forcecommand", "/x y", 3}, {"authorizedkeyscommand", "/z %u", 4}}},
		{parseSshConfig("Host a\n ProxyCommand ssh -W %h:%p b\n LocalCommand=/x\nProxyCommand none\nMatch host c exec \"/y z\"\n"),
			[]hook{{"proxycommand", "ssh -W %h:%p b", 2}, {"localcommand", "/x", 3}, {"match exec", "/y z", 5}}},
		{parseTmux("set -g mouse on\nrun '~/.tmux/plugins/tpm/tpm'\nset-option -g default-command \"/x\"\nset -g status-right '#(/y z)'\nbind r source\n"),
			[]hook{{"run", "'~/.tmux/plugins/tpm/tpm'", 2}, {"default-command", "-g default-command \"/x\"", 3}, {"set", "/y z", 4}}},
		{parseScreen("startup_message off\nscreen -t x /bin/y\nbacktick 1 0 0 /z\n"), []hook{{"screen", "-t x /bin/y", 2}, {"backtick", "1 0 0 /z", 3}}},
		{parseVim("\" system('no')\nset nu\nau VimEnter * silent !/x &\ncall system('/y')\n"),
			[]hook{{"au", "au VimEnter * silent !/x &", 3}, {"call", "call system('/y')", 4}}},
		{parseOpenVPN("remote a 1194\nup /etc/openvpn/u.sh\nscript-security 2\n"), []hook{{"up", "/etc/openvpn/u.sh", 2}}},
		{parseLightdm("[Seat:*]\ndisplay-setup-script = /x\nuser-session=y\n"), []hook{{"display-setup-script", "/x", 2}}},
		{parseOCIHook(`{"version":"1.0.0","hook":{"path":"/a","args":["a","b"]},"when":{"always":true}}`), []hook{{"hook", "/a b", 0}}},
		{parseOCIHook(`{"hook":"/a","stages":["prestart"]}`), []hook{{"hook", "/a", 0}}},
		{parseOCIHook(`{"hook":[1]}`), nil},
		{parseOCIHook("no"), nil},
	}
	for _, c := range cases {
		equal(t, fmt.Sprint(c.got), fmt.Sprint(c.want))
	}
}

func TestSettingsOfServicesAndOfHomesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":                       "bob:x:1000:1000::/home/bob:/bin/sh\n",
		"/etc/ssh/sshd_config.d/x.conf":     "AuthorizedKeysCommand /usr/bin/keys\n",
		"/home/bob/.ssh/config":             "Host *\n  LocalCommand /home/bob/c\n",
		"/home/bob/.tmux.conf":              "run-shell /home/bob/t\n",
		"/var/lib/cloud/scripts/per-boot/b": "#!/bin/sh\nx\n",
		"/etc/wireguard/wg0.conf":           "[Interface]\nPrivateKey = secret\nPostUp = /x\n",
	})
	must(t, os.Chmod(filepath.Join(root, "var/lib/cloud/scripts/per-boot/b"), 0o755))

	var records []seen
	within(t, func() { records, _ = run(t, autostartCollector(), root) })

	for path, want := range map[string]string{
		"/etc/ssh/sshd_config.d/x.conf":     "sshd_config|authorizedkeyscommand|<nil>|/usr/bin/keys|false",
		"/home/bob/.ssh/config":             "ssh_config|localcommand|bob|/home/bob/c|false",
		"/home/bob/.tmux.conf":              "tmux|run-shell|bob|/home/bob/t|false",
		"/var/lib/cloud/scripts/per-boot/b": "cloud_init|b|<nil>|<nil>|false",
		"/etc/wireguard/wg0.conf":           "vpn|PostUp|<nil>|/x|false",
	} {
		equal(t, path+" "+find(t, records, "path", path).show("kind", "name", "username", "command", "is_disabled"), path+" "+want)
	}
	if len(records) != 5 {
		t.Errorf("%d records: %q", len(records), column(records, "path"))
	}
}

// FuzzServices holds the parsers to: they end, and give no more than they may.
func FuzzServices(f *testing.F) {
	for _, s := range []string{"a: \"|x\"", "postrotate\nx\nendscript", "server = x", "a b c d e f", `{"hook":{"path":"a"}}`, "Match exec ", "#(", "extend . a"} {
		f.Add(s)
	}
	parsers := []func(string) []hook{
		parseMailPipes, parseLogrotate, parseXinetd, parseInetd, parseIncron, parseRsyslog, parseSnmp, parseSshdConfig, parseSshConfig, parseTmux,
		parseScreen, parseVim, parseOpenVPN, parseLightdm, parseOCIHook,
	}
	f.Fuzz(func(t *testing.T, data string) {
		for i, parse := range parsers {
			if found := parse(data); len(found) > maxHooks {
				t.Errorf("parser %d gives %d hooks", i, len(found))
			}
		}
	})
}
