package hidden

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// moduleSources are the places that name loaded modules. The list is /proc/modules; all others are held against it. It
// is read before and after them: what both lists agree on did not just come or go.
type moduleSources struct {
	before, after map[string]bool
	others        map[string]map[string]bool
}

// compareModules finds modules that some place of the kernel names and the list leaves out, or the other way round.
func compareModules(v *visit) ([]*finding, error) {
	sources, err := readSources(v)
	if err != nil {
		return nil, err
	}
	odd := sources.disagreements()
	odd, err = persists(v, odd, func(before []*finding) ([]*finding, error) {
		again, err := readSources(v)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(again.disagreements(), func(f *finding) bool {
			return !slices.ContainsFunc(before, func(b *finding) bool { return b.name == f.name })
		}), nil
	})
	if err != nil {
		return nil, err
	}
	return odd[:min(len(odd), maxFindings)], nil
}

func (s *moduleSources) disagreements() []*finding {
	var found []*finding
	names := map[string][]string{}
	for source, set := range s.others {
		for name := range set {
			if !s.before[name] && !s.after[name] {
				names[name] = append(names[name], source)
			}
		}
	}
	for name, seen := range names {
		slices.Sort(seen)
		found = append(found, &finding{kind: "module", name: name, seenBy: seen, missingFrom: []string{"proc_modules"},
			detail: "named by " + strings.Join(seen, ", ") + " but not in /proc/modules"})
	}
	for name := range s.before {
		if inSys, known := s.others["sys_module"]; known && !inSys[name] && s.after[name] {
			found = append(found, &finding{kind: "module", name: name, seenBy: []string{"proc_modules"},
				missingFrom: []string{"sys_module"}, detail: "in /proc/modules but without a directory in /sys/module"})
		}
	}
	seq.SortFunc(found, func(a, b *finding) int { return strings.Compare(a.name, b.name) })
	return found
}

// readSources asks every place. A kernel without loadable modules has none of them.
func readSources(v *visit) (*moduleSources, error) {
	before, users, err := readList(v)
	if err != nil {
		return nil, err
	}
	s := &moduleSources{before: before, others: map[string]map[string]bool{"used_by": users}}
	if err := s.readSys(v); err != nil {
		return nil, err
	}
	if err := s.readTagged(v, "kallsyms", "/proc/kallsyms"); err != nil {
		return nil, err
	}
	if err := s.readTagged(v, "vmallocinfo", "/proc/vmallocinfo"); err != nil {
		return nil, err
	}
	if err := s.readTracing(v); err != nil {
		return nil, err
	}
	s.after, _, err = readList(v)
	return s, err
}

// readList reads /proc/modules: what is in it, and what it says that those use.
func readList(v *visit) (names, users map[string]bool, err error) {
	listed, err := v.fs.ReadModules()
	if err != nil && !procfs.IsAbsent(err) {
		return nil, nil, err
	}
	names, users = map[string]bool{}, map[string]bool{}
	for _, m := range listed {
		names[m.Name] = true
		for _, user := range m.UsedBy {
			users[user] = true
		}
	}
	return names, users, nil
}

// readSys takes the modules of /sys/module that are loaded; those that are built in have no state there.
func (s *moduleSources) readSys(v *visit) error {
	names, err := v.fs.ReadNames("/sys/module")
	if procfs.IsAbsent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	set := map[string]bool{}
	for _, name := range names {
		if _, err := v.fs.ReadText("/sys/module/" + name + "/initstate"); err == nil {
			set[name] = true
		}
	}
	s.others["sys_module"] = set
	return nil
}

// maxTagged bounds a file of symbols: 200,000 of 60 bytes are 12 MB.
const maxTagged = 64 << 20

// readTagged takes the names in brackets at the ends of lines. What root alone may read is left out for others.
func (s *moduleSources) readTagged(v *visit, source, path string) error {
	file, err := os.Open(v.fs.Path(path))
	if procfs.IsAbsent(err) || procfs.IsDenied(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	set := map[string]bool{}
	if err := taggedNames(io.LimitReader(file, maxTagged), set, v.pause); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.others[source] = set
	return nil
}

// taggedNames adds the module names of lines such as "ffffffffc0a1 t ext4_init\t[ext4]" and, in the middle of a line,
// "ext4_init+0x10/0x20 [ext4] pages=2".
func taggedNames(r io.Reader, set map[string]bool, pause func() error) error {
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan(); n++ {
		if n%2048 == 0 {
			if err := pause(); err != nil {
				return err
			}
		}
		if name := tag(lines.Bytes()); len(name) > 0 && !set[string(name)] {
			set[string(name)] = true
		}
	}
	return lines.Err()
}

// tag is the module name of a line; nil when it has none. Code of eBPF programs and built-in tables of tracing are no
// modules.
func tag(line []byte) []byte {
	start := bytes.IndexByte(line, '[')
	if start < 1 || line[start-1] != ' ' && line[start-1] != '\t' {
		return nil
	}
	length := bytes.IndexByte(line[start:], ']')
	if length < 2 {
		return nil
	}
	name := line[start+1 : start+length]
	if string(name) == "bpf" || strings.HasPrefix(string(name), "__builtin__") {
		return nil
	}
	for _, c := range name {
		if !isNameByte(c) {
			return nil
		}
	}
	return name
}

func isNameByte(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// readTracing takes the modules whose functions can be traced: the kernel keeps that table apart from the list, and
// rootkits that unlink themselves often forget it.
func (s *moduleSources) readTracing(v *visit) error {
	mounts, err := v.fs.ReadMounts("self")
	if err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	for _, m := range mounts {
		if m.Type == "tracefs" && m.Root == "/" {
			return s.readTagged(v, "traceable_functions", m.Path+"/available_filter_functions")
		}
	}
	return nil
}

// moduleTaints are the bits of /proc/sys/kernel/tainted that only a module sets.
var moduleTaints = []struct {
	bit    int
	letter string
}{{0, "P"}, {1, "F"}, {12, "O"}, {13, "E"}}

// unexplainedTaint finds taint of modules that no listed module explains. Modules that were unloaded leave it too, so
// it says less than the others.
func unexplainedTaint(v *visit) ([]*finding, error) {
	bits, err := v.fs.ReadInt("/proc/sys/kernel/tainted")
	if procfs.IsAbsent(err) {
		return nil, unavailable("the kernel tells no taint")
	}
	if err != nil {
		return nil, err
	}
	modules, err := v.fs.ReadModules()
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	letters := ""
	for _, m := range modules {
		letters += m.Taint
	}
	var found []*finding
	for _, t := range moduleTaints {
		if bits>>t.bit&1 == 1 && !strings.Contains(letters, t.letter) {
			found = append(found, &finding{kind: "taint", name: t.letter, seenBy: []string{"tainted"},
				missingFrom: []string{"proc_modules"},
				detail:      "a module tainted the kernel (" + t.letter + "), and no module in the list has that taint"})
		}
	}
	return found, nil
}
