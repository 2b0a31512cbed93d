package procfs

import (
	"bytes"
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/seq"
)

// Module is one line of /proc/modules, see proc_modules(5).
type Module struct {
	Name       string
	SizeBytes  int64
	References int64 // Absent when the kernel cannot unload modules
	UsedBy     []string
	State      string // Live, Loading, Unloading
	Address    string // zeros unless root asks and kptr_restrict allows
	Taint      string // letters such as "OE"
}

// ReadModules reads /proc/modules, which is not there when the kernel has no loadable modules.
func (fs FS) ReadModules() (modules []Module, err error) {
	err = withFile(fs.Path("/proc/modules"), maxText, func(data []byte) error {
		modules, err = parseModules(data)
		return err
	})
	return modules, err
}

func parseModules(data []byte) ([]Module, error) {
	var modules []Module
	err := lines(data, func(line []byte) error {
		m, err := parseModule(line)
		if err == nil {
			modules = append(modules, m)
		}
		return err
	})
	return modules, err
}

// parseModule reads "name size references users, state address (taint)"; the taint is left out when there is none.
func parseModule(line []byte) (Module, error) {
	var words [7][]byte
	n := split(line, words[:])
	if n < 6 {
		return Module{}, errParse("modules", "too few fields")
	}
	size, err := strconv.ParseInt(string(words[1]), 10, 64)
	if err != nil {
		return Module{}, errParse("modules", "size is no number")
	}
	m := Module{Name: string(words[0]), SizeBytes: size, References: Absent,
		UsedBy: parseUsers(string(words[3])), State: string(words[4]), Address: string(words[5])}
	if references := string(words[2]); references != "-" {
		if m.References, err = strconv.ParseInt(references, 10, 64); err != nil {
			return Module{}, errParse("modules", "reference count is no number")
		}
	}
	if n == len(words) {
		m.Taint = string(bytes.Trim(words[6], "()"))
	}
	return m, nil
}

// parseUsers reads "a,b," or "-"; "[permanent]" stands among the users but is none.
func parseUsers(word string) []string {
	users := []string{}
	for user := range seq.Split(word, ",") {
		if user != "" && user != "-" && user != "[permanent]" {
			users = append(users, user)
		}
	}
	return users
}

// ModuleFiles maps the names of modules to their files, both as the kernel names them, from modules.dep
// ("kernel/fs/x.ko.xz: dependencies") or modules.builtin ("kernel/fs/x.ko").
func ModuleFiles(data []byte) map[string]string {
	files := map[string]string{}
	for line := range seq.Lines(string(data)) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name := moduleName(file); name != "" {
			files[name] = file
		}
	}
	return files
}

// moduleName is the name under which the kernel lists the module of a file: without its ending, '-' as '_'.
func moduleName(file string) string {
	base := path.Base(file)
	for _, packed := range []string{".gz", ".xz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	name, isModule := strings.CutSuffix(base, ".ko")
	if !isModule {
		return ""
	}
	return strings.ReplaceAll(name, "-", "_")
}
