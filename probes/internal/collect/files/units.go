package files

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/launch"
)

const (
	maxUnitBytes   = 1 << 20
	maxUnitEntries = 20_000 // in one directory
	maxUserScopes  = 5000   // homes looked into
)

// unit is a record of the subject systemd_unit: a unit file, a link to one, or a drop-in.
type unit struct {
	manager *manager
	origin  *origin
	name    string // of the unit; a drop-in has the name of the unit it changes
	link    bool
	dropIn  bool
	target  string // of a link
	file    unitFile
	empty   bool
	err     error // why the file could not be read
	scripts launch.Scripts
}

// Launches are the Exec lines without the prefix characters of systemd.service(5).
func (u *unit) Launches() (*collect.Env, *launch.Scripts, []launch.Line, error) {
	var lines []launch.Line
	dir := strings.TrimLeft(u.file.last(execSections, "workingdirectory"), "-")
	if !path.IsAbs(dir) {
		dir = "/"
	}
	for _, line := range u.file.execLines() {
		lines = append(lines, launch.Line{Text: strings.TrimLeft(line, execPrefixes), Dir: dir})
	}
	return u.origin.v.env, &u.scripts, lines, u.err
}

// manager is one instance of systemd with its directories: the system's, or that of a user.
type manager struct {
	v        *visit
	scope    string // system, user
	username string // "" for units of all users
	dirs     []string
	enabled  map[string]bool
	dropIns  map[string][]string // by the name of the unit
	seen     map[string]bool     // directories by their path without links
}

// Unit directories in the order of systemd.unit(5); on merged systems /lib is a link to /usr/lib.
var (
	systemUnitDirs = []string{
		"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
		"/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system",
		"/run/systemd/system.attached", "/run/systemd/generator", "/usr/local/lib/systemd/system",
		"/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
	}
	userUnitDirs = []string{
		"/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/local/share/systemd/user",
		"/usr/share/systemd/user", "/usr/lib/systemd/user", "/lib/systemd/user",
	}
	homeUnitDirs    = []string{".config/systemd/user.control", ".config/systemd/user", ".local/share/systemd/user"}
	runtimeUnitDirs = []string{"transient", "generator.early", "user.control", "user", "generator", "generator.late"}
)

func unitsCollector() collect.Collector {
	subject := unitSubject()
	return collect.Collector{
		Name: "systemd_units", Subjects: []*collect.Subject{subject},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			v := newVisit(env)
			for _, m := range managers(v, status) {
				if err := m.run(ctx, emit, status); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func managers(v *visit, status *collect.Status) []*manager {
	all := []*manager{
		newManager(v, "system", "", systemUnitDirs),
		newManager(v, "user", "", userUnitDirs),
	}
	homes := map[string]bool{}
	for _, o := range keyOwners(v, "systemd_unit", status) {
		home := path.Clean("/" + o.home)
		// Service users share "/" and the like, where systemd keeps nothing of theirs.
		if home == "/" || homes[home] {
			continue
		}
		if len(homes) == maxUserScopes {
			status.Partial("systemd_unit", fmt.Errorf("more than %d homes: %w", maxUserScopes, collect.ErrLimit))
			break
		}
		homes[home] = true
		if v.onNetwork(home) {
			status.Partial("systemd_unit", notEntered(home))
			continue
		}
		all = append(all, newManager(v, "user", o.name, under(home, homeUnitDirs)))
	}
	return append(all, runtimeManagers(v, status)...)
}

// runtimeManagers are those of users that are signed in, with the units made at run time.
func runtimeManagers(v *visit, status *collect.Status) []*manager {
	var all []*manager
	entries, err := content.ReadDir(v.env, "/run/user", maxUserScopes)
	if err != nil && !isAbsent(err) {
		status.Partial("systemd_unit", err)
	}
	for _, e := range entries {
		uid, err := strconv.ParseInt(e.Name, 10, 64)
		if err != nil {
			continue
		}
		name, ok := v.accounts().Username(uid)
		if !ok {
			name = e.Name
		}
		all = append(all, newManager(v, "user", name, under("/run/user/"+e.Name+"/systemd", runtimeUnitDirs)))
	}
	return all
}

func newManager(v *visit, scope, username string, dirs []string) *manager {
	return &manager{v: v, scope: scope, username: username, dirs: dirs,
		enabled: map[string]bool{}, dropIns: map[string][]string{}, seen: map[string]bool{}}
}

func under(base string, names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, join(base, name))
	}
	return out
}

// run lists all directories first, since a link or drop-in in one belongs to a unit in another, and emits then.
func (m *manager) run(ctx context.Context, emit collect.Emit, status *collect.Status) error {
	var found []*unit
	for _, dir := range m.dirs {
		real, err := content.Resolve(m.v.env, dir)
		if err != nil || m.seen[real] {
			if err != nil && !isAbsent(err) {
				status.Partial("systemd_unit", err)
			}
			continue
		}
		m.seen[real] = true
		some, err := m.list(dir)
		if err != nil {
			if !isOurs(err) && !errors.Is(err, collect.ErrLimit) {
				return err
			}
			status.Partial("systemd_unit", err)
		}
		found = append(found, some...)
	}
	for _, u := range found {
		if err := errors.Join(ctx.Err(), m.v.env.Throttle.Pause()); err != nil {
			return err
		}
		if !u.read() {
			continue
		}
		if err := emit("systemd_unit", u); err != nil {
			return err
		}
	}
	return nil
}

// list gives the units and drop-ins of one directory, in order of their names.
func (m *manager) list(dir string) ([]*unit, error) {
	entries, err := content.ReadDir(m.v.env, dir, maxUnitEntries)
	if isAbsent(err) {
		return nil, nil
	}
	var found []*unit
	for _, e := range entries {
		file := join(dir, e.Name)
		kind := e.Type
		if kind == content.TypeUnknown {
			if st, err := content.Lstat(m.v.env, file); err == nil {
				kind = uint8(st.Type() >> 12)
			}
		}
		switch {
		case kind == content.TypeRegular && unitType(e.Name) != "", kind == content.TypeLink && unitType(e.Name) != "":
			found = append(found, m.unit(file, e.Name, kind == content.TypeLink))
		case strings.HasSuffix(e.Name, ".wants"), strings.HasSuffix(e.Name, ".requires"), strings.HasSuffix(e.Name, ".upholds"):
			err = errors.Join(err, m.enables(file))
		case strings.HasSuffix(e.Name, ".d"):
			more, moreErr := m.dropInsOf(file, strings.TrimSuffix(e.Name, ".d"))
			found, err = append(found, more...), errors.Join(err, moreErr)
		}
	}
	return found, err
}

func (m *manager) unit(file, name string, link bool) *unit {
	return &unit{manager: m, origin: &origin{v: m.v, path: file}, name: name, link: link}
}

// enables notes the units that a .wants or .requires directory names, and the templates they are instances of.
func (m *manager) enables(dir string) error {
	entries, err := content.ReadDir(m.v.env, dir, maxUnitEntries)
	for _, e := range entries {
		m.enabled[e.Name] = true
		if template := templateOf(e.Name); template != "" {
			m.enabled[template] = true
		}
	}
	if isAbsent(err) {
		return nil
	}
	return err
}

func (m *manager) dropInsOf(dir, name string) ([]*unit, error) {
	entries, err := content.ReadDir(m.v.env, dir, maxUnitEntries)
	if isAbsent(err) {
		return nil, nil
	}
	var found []*unit
	for _, e := range entries {
		if e.Type == content.TypeDir || !strings.HasSuffix(e.Name, ".conf") {
			continue
		}
		file := join(dir, e.Name)
		u := m.unit(file, name, e.Type == content.TypeLink)
		u.dropIn = true
		found = append(found, u)
		m.dropIns[name] = append(m.dropIns[name], file)
	}
	return found, err
}

// read reads the file behind the path; false when it has vanished or is nothing that systemd would read.
func (u *unit) read() bool {
	env := u.origin.v.env
	if u.link {
		u.target, u.err = content.Readlink(env, u.origin.path)
		if u.err != nil {
			return !isAbsent(u.err)
		}
		if u.isNullLink() {
			return true
		}
	}
	data, err := content.ReadFile(env, u.origin.path, maxUnitBytes)
	switch {
	case isAbsent(err):
		return u.link // a broken link is worth a record
	case err != nil:
		u.err = err
		return true
	}
	u.empty = len(data) == 0
	if u.file = parseUnit(string(data)); u.file.cut {
		u.err = fmt.Errorf("more than %d settings: %w", maxUnitValues, collect.ErrLimit)
	}
	return true
}

// isNullLink tells a link to /dev/null, with which systemctl mask(1) switches a unit off.
func (u *unit) isNullLink() bool {
	return u.link && path.Clean(u.target) == "/dev/null"
}

// isMasked also tells an empty file, which systemd takes for the same.
func (u *unit) isMasked() bool { return u.isNullLink() || u.empty && u.err == nil && !u.dropIn }

// isEnabled tells a unit that another one wants or requires through a link.
func (u *unit) isEnabled() bool { return u.manager.enabled[u.name] }

// isGenerated tells a unit that a generator made at boot.
func (u *unit) isGenerated() bool { return strings.Contains(u.origin.path, "/systemd/generator") }

// programDirs is where systemd looks for a program without a slash.
var programDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// programs resolves the Exec programs to stat results by path; those with specifiers or variables are left out, since
// only systemd knows what they become. A nil result means that nothing is there.
func (u *unit) programs() (map[string]*content.Stat, error) {
	found := map[string]*content.Stat{}
	for _, program := range u.file.execPaths() {
		if strings.ContainsAny(program, "%$") {
			continue
		}
		st, err := u.program(program)
		if err != nil {
			return nil, err
		}
		found[program] = st
	}
	return found, nil
}

func (u *unit) program(name string) (*content.Stat, error) {
	candidates := []string{name}
	if !strings.HasPrefix(name, "/") {
		candidates = nil
		for _, dir := range programDirs {
			candidates = append(candidates, join(dir, name))
		}
	}
	for _, candidate := range candidates {
		if u.origin.v.onNetwork(candidate) {
			return nil, notEntered(candidate)
		}
		st, err := content.StatPath(u.origin.v.env, candidate)
		if err == nil {
			return st, nil
		}
		if !content.IsAbsent(err) {
			return nil, err
		}
	}
	return nil, nil
}

// programsThat lists the Exec programs for which a test holds, in the order of the file.
func (u *unit) programsThat(test func(*content.Stat) bool) (any, error) {
	if u.err != nil {
		return nil, u.err
	}
	programs, err := u.programs()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range u.file.execPaths() {
		if st, looked := programs[name]; looked && test(st) {
			out = append(out, name)
		}
	}
	return list(out), nil
}
