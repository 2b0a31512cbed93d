package persistence

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/launch"
	"sandfly/probes/internal/glob"
	"sandfly/probes/internal/seq"
)

// autostart is a record of the subject autostart.
type autostart struct {
	origin   *origin
	kind     string
	name     string // of the setting, or of the file
	number   int64
	command  string
	program  string // when it is not the first word of command
	home     home
	disabled bool
	isScript bool // the file itself runs
	scripts  launch.Scripts
}

// Launches is what runs: the file itself or the command. Words for the kernel and names of modules are no command.
func (s *autostart) Launches() (*collect.Env, *launch.Scripts, []launch.Line, error) {
	line := launch.Line{Text: s.command, Home: s.home.path, Dir: s.home.path}
	switch {
	case s.kind == "grub_default" || s.kind == "module_load":
		return s.origin.env, &s.scripts, nil, nil
	case s.isScript:
		line.Text = launch.Quote(s.origin.path)
	case line.Dir == "":
		line.Dir = "/"
	}
	return s.origin.env, &s.scripts, []launch.Line{line}, nil
}

// startPlace is where a mechanism looks: a directory pattern, the names it takes, and what its files are.
type startPlace struct {
	directory, names, kind string
	parse                  func(data string) []hook // nil: the file itself runs
}

func autostartCollector() collect.Collector {
	return collector("autostart", autostartSubject(), func(r *reader) error {
		a := &autostartReader{reader: r, seen: map[string]bool{}}
		for _, p := range concat(systemPlaces, servicePlaces) {
			if err := a.place("/", p, home{}); err != nil {
				return err
			}
		}
		homes, err := r.homes()
		if err != nil {
			return err
		}
		for _, h := range homes {
			for _, p := range concat(userPlaces, programPlaces) {
				if err := a.place(h.path, p, h); err != nil {
					return err
				}
			}
		}
		return a.repositories(homes)
	})
}

// systemPlaces are those of the host; a pattern's wildcards cross no slash.
var systemPlaces = []startPlace{
	{"/etc/xdg/autostart", "*.desktop", "xdg", desktopHooks},
	{"/usr/share/gnome/autostart", "*.desktop", "xdg", desktopHooks},
	{"/etc/update-motd.d", "*", "motd", nil},
	{"/etc/apt", "apt.conf", "apt_hook", parseAptHooks},
	{"/etc/apt/apt.conf.d", "*", "apt_hook", parseAptHooks},
	{"/etc/dpkg", "dpkg.cfg", "dpkg_hook", parseDpkgHooks},
	{"/etc/dpkg/dpkg.cfg.d", "*", "dpkg_hook", parseDpkgHooks},
	{"/etc/dnf/plugins/post-transaction-actions.d", "*.action", "dnf_action", func(d string) []hook { return parseActions(d, 3) }},
	{"/etc/dnf/libdnf5-plugins/actions.d", "*.actions", "dnf_action", func(d string) []hook { return parseActions(d, 5) }},
	{"/usr/lib/python3*/site-packages/dnf-plugins", "*.py", "dnf_plugin", nil},
	{"/usr/lib/yum-plugins", "*.py", "dnf_plugin", nil},
	{"/etc/pacman.d/hooks", "*.hook", "pacman_hook", pacmanHooks},
	{"/usr/share/libalpm/hooks", "*.hook", "pacman_hook", pacmanHooks},
	{"/etc", "gitconfig", "git_config", parseGitConfig},
	{"/usr/share/git-core/templates/hooks", "*", "git_hook", nil},
	{"/usr/lib/python3*/dist-packages", "*.pth", "python_path", parsePth},
	{"/usr/lib/python3*/site-packages", "*.pth", "python_path", parsePth},
	{"/usr/lib64/python3*/site-packages", "*.pth", "python_path", parsePth},
	{"/usr/local/lib/python3*/dist-packages", "*.pth", "python_path", parsePth},
	{"/usr/local/lib/python3*/site-packages", "*.pth", "python_path", parsePth},
	{"/usr/lib/python3*", "sitecustomize.py", "python_customize", nil},
	{"/etc/python3*", "sitecustomize.py", "python_customize", nil},
	{"/usr/lib/python3*/dist-packages", "*customize.py", "python_customize", nil},
	{"/usr/lib/python3*/site-packages", "*customize.py", "python_customize", nil},
	{"/usr/local/lib/python3*/dist-packages", "*customize.py", "python_customize", nil},
	{"/usr/local/lib/python3*/site-packages", "*customize.py", "python_customize", nil},
	{"/etc/NetworkManager/dispatcher.d", "*", "network_dispatcher", nil},
	{"/etc/NetworkManager/dispatcher.d/*.d", "*", "network_dispatcher", nil},
	{"/usr/lib/NetworkManager/dispatcher.d", "*", "network_dispatcher", nil},
	{"/usr/lib/NetworkManager/dispatcher.d/*.d", "*", "network_dispatcher", nil},
	{"/etc/networkd-dispatcher/*.d", "*", "network_dispatcher", nil},
	{"/usr/lib/networkd-dispatcher/*.d", "*", "network_dispatcher", nil},
	{"/etc/dhcp/dhclient-*-hooks.d", "*", "dhcp_hook", nil},
	{"/etc/dhcp", "dhclient-*-hooks", "dhcp_hook", nil},
	{"/etc", "dhclient-*-hooks", "dhcp_hook", nil},
	{"/etc", "dhcpcd.*-hook", "dhcp_hook", nil},
	{"/usr/lib/dhcpcd/dhcpcd-hooks", "*", "dhcp_hook", nil},
	{"/etc/udhcpc", "*", "dhcp_hook", nil},
	{"/etc/network/if-*.d", "*", "ifupdown", nil},
	{"/etc/network", "interfaces", "ifupdown", parseInterfaces},
	{"/etc/network/interfaces.d", "*", "ifupdown", parseInterfaces},
	{"/etc/ppp", "ip-*", "ifupdown", nil},
	{"/etc/ppp/ip-*.d", "*", "ifupdown", nil},
	{"/etc/modprobe.d", "*.conf", "modprobe", parseModprobe},
	{"/run/modprobe.d", "*.conf", "modprobe", parseModprobe},
	{"/usr/lib/modprobe.d", "*.conf", "modprobe", parseModprobe},
	{"/lib/modprobe.d", "*.conf", "modprobe", parseModprobe},
	{"/etc", "modules", "module_load", parsePlainLines},
	{"/etc/modules-load.d", "*.conf", "module_load", parsePlainLines},
	{"/run/modules-load.d", "*.conf", "module_load", parsePlainLines},
	{"/usr/lib/modules-load.d", "*.conf", "module_load", parsePlainLines},
	{"/etc/systemd/*-generators", "*", "systemd_generator", nil},
	{"/run/systemd/*-generators", "*", "systemd_generator", nil},
	{"/usr/local/lib/systemd/*-generators", "*", "systemd_generator", nil},
	{"/usr/lib/systemd/*-generators", "*", "systemd_generator", nil},
	{"/lib/systemd/*-generators", "*", "systemd_generator", nil},
	{"/etc/systemd/system-sleep", "*", "systemd_sleep", nil},
	{"/usr/lib/systemd/system-sleep", "*", "systemd_sleep", nil},
	{"/usr/lib/systemd/system-shutdown", "*", "systemd_sleep", nil},
	{"/etc/systemd/system-shutdown", "*", "systemd_sleep", nil},
	{"/usr/share/dbus-1/system-services", "*.service", "dbus", dbusHooks},
	{"/usr/share/dbus-1/services", "*.service", "dbus", dbusHooks},
	{"/usr/local/share/dbus-1/*services", "*.service", "dbus", dbusHooks},
	{"/etc/dbus-1/*services", "*.service", "dbus", dbusHooks},
	{"/etc/polkit-1/rules.d", "*.rules", "polkit", nil},
	{"/usr/share/polkit-1/rules.d", "*.rules", "polkit", nil},
	{"/etc/polkit-1/localauthority/*.d", "*.pkla", "polkit", nil},
	{"/var/lib/polkit-1/localauthority/*.d", "*.pkla", "polkit", nil},
	{"/etc/grub.d", "*", "grub", nil},
	{"/etc/default", "grub", "grub_default", parseGrubDefaults},
	{"/etc/default/grub.d", "*.cfg", "grub_default", parseGrubDefaults},
	{"/etc/initramfs-tools/hooks", "*", "initramfs", nil},
	{"/etc/initramfs-tools/scripts/*", "*", "initramfs", nil},
	{"/etc/kernel/*.d", "*", "kernel_hook", nil},
}

// userPlaces are those of a home.
var userPlaces = []startPlace{
	{".config/autostart", "*.desktop", "xdg", desktopHooks},
	{".config/autostart-scripts", "*", "desktop_script", nil},
	{".config/plasma-workspace/*", "*.sh", "desktop_script", nil},
	{".kde*/Autostart", "*", "desktop_script", nil},
	{".config/lxsession/*", "autostart", "desktop_script", parsePlainLines},
	{".config/openbox", "autostart", "desktop_script", parsePlainLines},
	{".local/share/dbus-1/services", "*.service", "dbus", dbusHooks},
	{".", ".gitconfig", "git_config", parseGitConfig},
	{".config/git", "config", "git_config", parseGitConfig},
	{".git-templates/hooks", "*", "git_hook", nil},
	{".config/git/hooks", "*", "git_hook", nil},
	{".local/lib/python3*/site-packages", "*.pth", "python_path", parsePth},
	{".local/lib/python3*/site-packages", "*customize.py", "python_customize", nil},
	{".config/systemd/user-generators", "*", "systemd_generator", nil},
}

func desktopHooks(data string) []hook {
	keys := parseDesktop(data, "Desktop Entry")
	if keys["Exec"] == "" {
		return nil
	}
	name := keys["Name"]
	if keys["Hidden"] == "true" || keys["X-GNOME-Autostart-enabled"] == "false" {
		return []hook{{name, keys["Exec"], disabledLine}}
	}
	return []hook{{name, keys["Exec"], 0}}
}

// disabledLine marks an entry that is switched off.
const disabledLine = -1

func dbusHooks(data string) []hook {
	keys := parseDesktop(data, "D-BUS Service")
	if keys["Exec"] == "" {
		return nil
	}
	return []hook{{keys["Name"], keys["Exec"], 0}}
}

func pacmanHooks(data string) []hook {
	keys := parseDesktop(data, "Action")
	if keys["Exec"] == "" {
		return nil
	}
	return []hook{{keys["Description"], keys["Exec"], 0}}
}

type autostartReader struct {
	*reader
	seen    map[string]bool // by resolved path
	entered int
	full    bool
}

// place reads the files of one mechanism below base.
func (a *autostartReader) place(base string, p startPlace, h home) error {
	dirs, err := a.expand(path.Join(base, p.directory))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		names := []string{p.names}
		if glob.HasWildcard(p.names) {
			if names, err = a.names(dir); err != nil {
				return err
			}
		}
		for _, name := range names {
			if glob.Match(p.names, name) && !isLeftover(name) {
				if err := a.file(path.Join(dir, name), p, h); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isLeftover tells what packages and editors leave and no mechanism runs.
func isLeftover(name string) bool {
	for _, suffix := range []string{"~", ".sample", ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".rpmsave", ".rpmnew", ".pyc"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return name == "README" || name == ".placeholder" || name == ".keep"
}

// expand gives the directories that a pattern stands for.
func (a *autostartReader) expand(pattern string) ([]string, error) {
	dirs := []string{"/"}
	for part := range seq.Split(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range dirs {
			if !glob.HasWildcard(part) {
				next = append(next, path.Join(dir, glob.Unescape(part)))
				continue
			}
			names, err := a.directories(dir)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				if glob.Match(part, name) {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		dirs = next
	}
	return dirs, nil
}

func (a *autostartReader) file(name string, p startPlace, h home) error {
	st, err := content.StatPath(a.env, name)
	if err != nil || !st.IsRegular() {
		return a.miss(err)
	}
	real, err := content.Resolve(a.env, name)
	if err != nil || a.seen[p.kind+" "+real] {
		return a.miss(err)
	}
	a.seen[p.kind+" "+real] = true
	rec := autostart{origin: a.origin(name), kind: p.kind, home: h}
	if p.parse == nil {
		rec.name, rec.program, rec.isScript = path.Base(name), name, true
		rec.disabled = st.Mode&0o111 == 0 && needsExecuteBit[p.kind]
		return a.emit(&rec)
	}
	data, ok, err := a.text(name)
	if err != nil || !ok {
		return err
	}
	for _, found := range p.parse(data) {
		one := rec
		one.name, one.command, one.number = found.Name, found.Command, max(found.Number, 0)
		one.disabled = found.Number == disabledLine
		if one.kind == "git_config" {
			one.command = strings.TrimPrefix(one.command, "!")
		}
		if err := a.emit(&one); err != nil {
			return err
		}
	}
	return nil
}

// needsExecuteBit are mechanisms that pass a file over which nobody may execute.
var needsExecuteBit = map[string]bool{
	"motd": true, "git_hook": true, "network_dispatcher": true, "ifupdown": true, "systemd_generator": true, "systemd_sleep": true,
	"grub": true, "initramfs": true, "kernel_hook": true, "desktop_script": true,
	"pm_hook": true, "cloud_init": true,
}

const (
	maxRepositoryEntries = 50_000
	maxRepositoryDepth   = 4
)

// repositories looks for git repositories in homes, /srv and /opt, a few levels deep.
func (a *autostartReader) repositories(homes []home) error {
	roots := []home{{path: "/srv"}, {path: "/opt"}, {path: "/var/www"}}
	for _, h := range homes {
		if strings.HasPrefix(h.path, "/home/") || h.path == "/root" {
			roots = append(roots, h)
		}
	}
	for _, h := range roots {
		if !a.onNetwork(h.path) {
			if err := a.repositoriesIn(h, h.path, maxRepositoryDepth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *autostartReader) repositoriesIn(h home, dir string, depth int) error {
	if a.full || depth < 0 {
		return nil
	}
	entries, err := a.entries(dir)
	if err != nil {
		return err
	}
	if a.entered += len(entries); a.entered > maxRepositoryEntries {
		a.full = true
		a.cut(dir, "entries", maxRepositoryEntries)
		return nil
	}
	for _, e := range entries {
		if e.Type != content.TypeDir {
			continue
		}
		below := path.Join(dir, e.Name)
		if e.Name == ".git" || strings.HasSuffix(e.Name, ".git") {
			err = a.repository(h, below)
		} else if !heavyDirectories[e.Name] {
			err = a.repositoriesIn(h, below, depth-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *autostartReader) repository(h home, dir string) error {
	if err := a.place(dir, startPlace{"hooks", "*", "git_hook", nil}, h); err != nil {
		return err
	}
	return a.place(dir, startPlace{".", "config", "git_config", parseGitConfig}, h)
}

// target is what runs: the file itself or the program of the command.
func (s *autostart) target() target {
	if s.program != "" {
		return target{s.origin.env, s.program}
	}
	return target{s.origin.env, firstProgram(s.command)}
}

// content is the text of a file that itself runs.
func (s *autostart) content() (any, error) {
	if !s.isScript {
		return nil, nil
	}
	f, err := content.Open(s.origin.env, s.origin.path)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, isText, err := f.Text(content.MaxTextBytes)
	if err != nil || !isText || isBlank(data) {
		return nil, err
	}
	return data, nil
}

func autostartSubject() *collect.Subject {
	const source = "files of the mechanism"
	return collect.NewSubject("autostart", "what other mechanisms run by themselves: desktop sessions, motd, package managers, git, Python, network, boot, and settings of services that start programs",
		[]string{"path", "kind", "name", "command"}, []string{"path", "kind", "line_number", "username", "command"},
		concat([]collect.Field[*autostart]{
			free("path", "string", "file", source, func(s *autostart) any { return s.origin.path }),
			free("kind", "string", "xdg, desktop_script, motd, apt_hook, dpkg_hook, dnf_action, dnf_plugin, pacman_hook, git_hook, git_config, python_path, python_customize, network_dispatcher, dhcp_hook, ifupdown, modprobe, module_load, systemd_generator, systemd_sleep, dbus, polkit, grub, grub_default, initramfs, kernel_hook; of services and programs mail_pipe, logrotate, inetd, incron, acpi, rsyslog, snmp, sshd_config, ssh_config, tmux, screen, vim, vpn, display_manager, pm_hook, initcpio, cloud_init or oci_hook", source,
				func(s *autostart) any { return s.kind }),
			free("name", "string", "name of the setting or entry; of a file that itself runs, its last component", source, func(s *autostart) any { return text(s.name) }),
			free("line_number", "int", "line of the setting, from 1", source, func(s *autostart) any { return positive(s.number) }),
			free("username", "string", "whose home it is in", "/etc/passwd", func(s *autostart) any { return text(s.home.username) }),
			free("command", "string", "command of the setting; of a grub_default its kernel command line, of a module_load the module", source, func(s *autostart) any { return text(s.command) }),
			free("is_script", "bool", "the file itself runs", source, func(s *autostart) any { return s.isScript }),
			free("is_disabled", "bool", "switched off: Hidden=true, or a file that nobody may execute where that matters", source, func(s *autostart) any { return s.disabled }),
			{Name: "content", Type: "string", Cost: collect.Costly, Doc: "of a file that itself runs: the first 64 KiB when they are text", Source: "content", Get: (*autostart).content},
		}, targetFields("program", "file that runs: the file itself, or the program that the command names by an absolute path", source, (*autostart).target), launch.Fields[*autostart](),
			originFields(func(s *autostart) *origin { return s.origin })))
}
