package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHooksOfEachFormatAreFound(t *testing.T) {
	show := func(hooks []hook) string {
		var out []string
		for _, h := range hooks {
			out = append(out, fmt.Sprintf("%d %s=%s", h.Number, h.Name, h.Command))
		}
		return strings.Join(out, ";")
	}
	cases := []struct{ got, want string }{
		{show(parseAptHooks("// c\nAPT::Update::Pre-Invoke {\"a \\\"b\\\"\"; \"c\";};\nDPkg { Post-Invoke { \"d\"; }; }; /* \n */ DPkg::Pre-Install-Pkgs:: \"e\";\nAPT::Periodic::Enable \"1\"; # x")),
			`2 APT::Update::Pre-Invoke=a "b";2 APT::Update::Pre-Invoke=c;3 DPkg::Post-Invoke=d;4 DPkg::Pre-Install-Pkgs=e`},
		{show(parseDpkgHooks("pre-invoke=/x a\n# c\npost-invoke \"y\"\nno-debsig\n")), "1 pre-invoke=/x a;3 post-invoke=y"},
		{show(parseActions("# c\nopenssh*:in:/usr/bin/x a:b\nbroken\n", 3)), "2 openssh*:in=/usr/bin/x a:b"},
		{show(parseActions("post_transaction:*:in::/bin/sh -c 'a:b'\n", 5)), "1 post_transaction:*:in:=/bin/sh -c 'a:b'"},
		{show(parseGitConfig("[core]\n\thooksPath = /tmp/h\n\tfsmonitor = true\n[core] sshCommand=\"x y\"\n[alias]\n a = !sh -c x\n b = log\n[filter \"lfs\"]\n clean = git-lfs clean\n[user]\n name = x\n")),
			"2 core.hookspath=/tmp/h;4 core.sshcommand=x y;6 alias.a=!sh -c x;9 filter.lfs.clean=git-lfs clean"},
		{show(parseModprobe("install evil /bin/sh -c x\nremove a b\noptions c d\ninstall x\nblacklist y\ninstall z \\\n /bin/true\n")), "1 install evil=/bin/sh -c x;2 remove a=b;6 install z=/bin/true"},
		{show(parsePth("../x\nimport os; os.system('x')\nimportant\n")), "2 import=import os; os.system('x')"},
		{show(parseInterfaces("iface eth0 inet dhcp\n  post-up /x y\nup z\n# down q\n")), "2 post-up=/x y;3 up=z"},
		{show(parseGrubDefaults("GRUB_CMDLINE_LINUX=\"init=/x quiet\"\nGRUB_TIMEOUT=5\n")), "1 GRUB_CMDLINE_LINUX=init=/x quiet"},
		{show(desktopHooks("[Desktop Entry]\nName=X\nExec=/a b\n[Desktop Action q]\nExec=/no\n")), "0 X=/a b"},
		{show(desktopHooks("[Desktop Entry]\nExec=/a\nHidden=true\n")), "-1 =/a"},
		{show(dbusHooks("[D-BUS Service]\nName=org.x\nExec=/a\nUser=root\n")), "0 org.x=/a"},
		{show(desktopHooks("nothing")), ""},
	}
	for _, c := range cases {
		equal(t, c.got, c.want)
	}
}

func TestMechanismsOfSystemHomesAndRepositoriesAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":                                             "bob:x:1000:1000::/home/bob:/bin/sh\n",
		"/etc/update-motd.d/10-x":                                 "#!/bin/sh\nuname\n",
		"/etc/update-motd.d/20-off":                               "#!/bin/sh\n",
		"/etc/update-motd.d/pipe":                                 "|",
		"/etc/apt/apt.conf.d/99x":                                 "DPkg::Post-Invoke {\"/tmp/x\";};\n",
		"/etc/apt/apt.conf.d/99x.dpkg-old":                        "DPkg::Post-Invoke {\"/tmp/y\";};\n",
		"/home/bob/.config/autostart/a.desktop":                   "[Desktop Entry]\nExec=/usr/bin/a\nHidden=true\n",
		"/home/bob/p/.git/hooks/post-commit":                      "x\n",
		"/home/bob/p/.git/hooks/pre-push.sample":                  "x\n",
		"/home/bob/p/.git/config":                                 "[core]\n fsmonitor = /home/bob/m\n",
		"/srv/r.git/hooks/update":                                 "y\n",
		"/usr/lib/python3.11/dist-packages/z.pth":                 "import x\n",
		"/usr/local/lib/python3.9/dist-packages/sitecustomize.py": "import y\n",
		"/etc/modules-load.d/m.conf":                              "# c\nevil\n",
		"/usr/lib/systemd/system-generators/g":                    "\x7fELF",
		"/lib":                                                    "-> usr/lib",
		"/usr/lib/modprobe.d/a.conf":                              "install b /bin/true\n",
	})
	for _, name := range []string{"etc/update-motd.d/10-x", "home/bob/p/.git/hooks/post-commit"} {
		must(t, os.Chmod(filepath.Join(root, name), 0o755))
	}

	var records []seen
	within(t, func() { records, _ = run(t, autostartCollector(), root) })

	fields := []string{"kind", "name", "username", "command", "is_script", "is_disabled", "program", "program_exists"}
	for path, want := range map[string]string{
		"/etc/update-motd.d/10-x":                 "motd|10-x|<nil>|<nil>|true|false|/etc/update-motd.d/10-x|true",
		"/etc/update-motd.d/20-off":               "motd|20-off|<nil>|<nil>|true|true|/etc/update-motd.d/20-off|true",
		"/etc/apt/apt.conf.d/99x":                 "apt_hook|DPkg::Post-Invoke|<nil>|/tmp/x|false|false|/tmp/x|false",
		"/home/bob/.config/autostart/a.desktop":   "xdg|<nil>|bob|/usr/bin/a|false|true|/usr/bin/a|false",
		"/home/bob/p/.git/hooks/post-commit":      "git_hook|post-commit|bob|<nil>|true|false|/home/bob/p/.git/hooks/post-commit|true",
		"/home/bob/p/.git/config":                 "git_config|core.fsmonitor|bob|/home/bob/m|false|false|/home/bob/m|false",
		"/srv/r.git/hooks/update":                 "git_hook|update|<nil>|<nil>|true|true|/srv/r.git/hooks/update|true",
		"/usr/lib/python3.11/dist-packages/z.pth": "python_path|import|<nil>|import x|false|false|<nil>|<nil>",
		"/etc/modules-load.d/m.conf":              "module_load|<nil>|<nil>|evil|false|false|<nil>|<nil>",
		"/usr/lib/systemd/system-generators/g":    "systemd_generator|g|<nil>|<nil>|true|true|/usr/lib/systemd/system-generators/g|true",
		"/usr/lib/modprobe.d/a.conf":              "modprobe|install b|<nil>|/bin/true|false|false|/bin/true|false",
	} {
		equal(t, path+" "+find(t, records, "path", path).show(fields...), path+" "+want)
	}
	if len(records) != 12 {
		t.Errorf("%d records: %q", len(records), column(records, "path"))
	}
	equal(t, find(t, records, "path", "/etc/update-motd.d/10-x").text("content"), "#!/bin/sh\nuname\n")
}

// FuzzAutostart holds the parsers to: they end, and a hook has a command.
func FuzzAutostart(f *testing.F) {
	for _, s := range []string{"A::B-Invoke {\"x\";};", "A { B-Invoke \"", "[core]\nhooksPath=x", "install a b\\", "import x", "a:b:c", "[Desktop Entry]\nExec=x"} {
		f.Add(s)
	}
	parsers := []func(string) []hook{
		parseAptHooks, parseDpkgHooks, parseGitConfig, parseModprobe, parsePth, parseInterfaces, parseGrubDefaults, parsePlainLines,
		desktopHooks, dbusHooks, pacmanHooks, func(d string) []hook { return parseActions(d, 3) },
	}
	f.Fuzz(func(t *testing.T, data string) {
		for i, parse := range parsers {
			if hooks := parse(data); len(hooks) > maxHooks {
				t.Errorf("parser %d gives %d hooks", i, len(hooks))
			}
		}
	})
}
