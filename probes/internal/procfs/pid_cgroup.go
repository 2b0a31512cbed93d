package procfs

import (
	"bytes"
	"strings"
)

// Cgroup is one line of /proc/PID/cgroup, see cgroups(7).
type Cgroup struct {
	Hierarchy   string // "0" for version 2
	Controllers string
	Path        string
}

// ReadCgroup reads /proc/PID/cgroup.
func (fs FS) ReadCgroup(dir string) (groups []Cgroup, err error) {
	err = withRecord(fs.PidPath(dir, "cgroup"), func(data []byte) error {
		groups, err = parseCgroup(data)
		return err
	})
	return groups, err
}

func parseCgroup(data []byte) ([]Cgroup, error) {
	var groups []Cgroup
	err := lines(data, func(line []byte) error {
		parts := bytes.SplitN(line, []byte(":"), 3)
		if len(parts) != 3 {
			return errParse("cgroup", "line without three parts")
		}
		groups = append(groups, Cgroup{string(parts[0]), string(parts[1]), string(parts[2])})
		return nil
	})
	return groups, err
}

// CgroupPath picks the path that says most: that of version 2 unless it is the root, else the longest.
func CgroupPath(groups []Cgroup) string {
	best := ""
	for _, g := range groups {
		if g.Hierarchy == "0" && g.Path != "/" {
			return g.Path
		}
		if len(g.Path) > len(best) {
			best = g.Path
		}
	}
	return best
}

// ContainerID finds the 64 hex digits that Docker, containerd, CRI-O and Podman put into cgroup paths; "" for none.
func ContainerID(groups []Cgroup) string {
	for _, g := range groups {
		if id := containerID(g.Path); id != "" {
			return id
		}
	}
	return ""
}

const containerIDLength = 64

// containerID returns the last run of exactly 64 hex digits: the innermost container.
func containerID(path string) string {
	isHex := func(c byte) bool { return strings.IndexByte("0123456789abcdef", c) >= 0 }
	for end := len(path); end > 0; {
		start := end
		for start > 0 && isHex(path[start-1]) {
			start--
		}
		if end-start == containerIDLength {
			return path[start:end]
		}
		end = min(start, end-1)
	}
	return ""
}
