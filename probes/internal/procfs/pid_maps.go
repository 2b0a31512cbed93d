package procfs

import (
	"bytes"
	"io"
	"strings"
	"syscall"
)

// maxMapsBytes bounds /proc/PID/maps: at the default vm.max_map_count of 65530 lines it has 5-8 MB.
const maxMapsBytes = 32 << 20

// Map is one line of /proc/PID/maps, see proc_pid_maps(5).
type Map struct {
	Permissions string // "rwxp"
	Inode       uint64
	Path        string // "" for anonymous memory; "[heap]" and the like; " (deleted)" still on it
}

// IsExecutable says whether code may run there.
func (m *Map) IsExecutable() bool { return strings.IndexByte(m.Permissions, 'x') >= 0 }

// IsAnonymous says whether no file is behind it. [vdso] and [vsyscall] are the kernel's code.
func (m *Map) IsAnonymous() bool {
	return m.Inode == 0 && !strings.HasPrefix(m.Path, "/") && m.Path != "[vdso]" && m.Path != "[vsyscall]"
}

// ReadMaps calls use with each mapping that code may run in; the others are most of the file and say little.
func (fs FS) ReadMaps(dir string, use func(Map)) error {
	fd, err := open(fs.PidPath(dir, "maps"))
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return parseMaps(fdReader(fd), use)
}

func parseMaps(r io.Reader, use func(Map)) error {
	return scanLines(r, "maps", maxMapsBytes, func(line []byte) error {
		m, err := parseMap(line)
		if err == nil && m.IsExecutable() {
			use(m)
		}
		return err
	})
}

// parseMap reads "start-end perms offset dev inode   path"; the path may hold spaces, newlines come as \012.
func parseMap(line []byte) (Map, error) {
	var words [5][]byte
	rest := line
	for i := range words {
		var found bool
		words[i], rest, found = bytes.Cut(rest, []byte(" "))
		if !found && i < len(words)-1 {
			return Map{}, errParse("maps", "too few fields")
		}
	}
	inode, ok := parseUint(words[4])
	if !ok || len(words[1]) != 4 || bytes.IndexByte(words[0], '-') < 1 {
		return Map{}, errParse("maps", clip(string(line)))
	}
	path := strings.TrimLeft(string(rest), " ")
	return Map{string(words[1]), inode, strings.ReplaceAll(path, `\012`, "\n")}, nil
}
