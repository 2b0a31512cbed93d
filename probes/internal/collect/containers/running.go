package containers

import (
	"errors"
	"fmt"
	"strconv"

	"sandfly/probes/internal/procfs"
)

// addRunning finds the first process of every container that runs, and containers that no engine has files of.
func (v *visit) addRunning(all []*container) ([]*container, error) {
	byID := map[string]*container{}
	for _, c := range all {
		byID[c.id] = c
	}
	first, err := v.firstProcesses()
	if errors.Is(err, errStop) {
		return all, err
	}
	for _, c := range all {
		// An engine's note of the process may be older than the last boot.
		if c.pid != 0 && v.containerOf(int(c.pid)) != c.id {
			c.pid = 0
		}
		if c.state == "running" && first[c.id] == 0 && err == nil {
			c.state = "exited"
		}
	}
	for id, pid := range first {
		c := byID[id]
		if c == nil {
			c = &container{id: id, name: id[:min(len(id), shortID)], runtime: "unknown", path: "/proc/" + strconv.Itoa(pid)}
			all = append(all, c)
		}
		if c.pid == 0 {
			c.pid = int64(pid)
		}
		if c.state != "paused" && c.state != "restarting" {
			c.state = "running"
		}
		v.addNamespaces(c, strconv.Itoa(pid))
	}
	return all, err
}

// shortID is how many digits of an id engines show.
const shortID = 12

// firstProcesses gives the lowest number of a process in each container.
func (v *visit) firstProcesses() (map[string]int, error) {
	first := map[string]int{}
	pids, err := v.fs.ReadPIDs()
	if err != nil {
		return first, fmt.Errorf("running containers: %w", err)
	}
	for _, pid := range pids {
		if err := v.env.Throttle.Pause(); err != nil {
			return nil, errors.Join(errStop, err)
		}
		if id := v.containerOf(pid); id != "" && first[id] == 0 {
			first[id] = pid
		}
	}
	return first, nil
}

// containerOf is the id in the control group of a process; "" for none, and for one that has ended.
func (v *visit) containerOf(pid int) string {
	groups, err := v.fs.ReadCgroup(strconv.Itoa(pid))
	if err != nil {
		return ""
	}
	return procfs.ContainerID(groups)
}

// addNamespaces fills in what the engine's files did not say: which namespaces the process shares with process 1.
func (v *visit) addNamespaces(c *container, dir string) {
	for _, n := range []struct {
		kind string
		into **bool
	}{{"pid", &c.hostPID}, {"net", &c.hostNetwork}, {"ipc", &c.hostIPC}, {"uts", &c.hostUTS}} {
		if shared, known := v.isShared(dir, n.kind); known && *n.into == nil {
			*n.into = &shared
		}
	}
	if shared, known := v.isShared(dir, "user"); known && c.userNamespace == nil {
		c.userNamespace = yes(!shared)
	}
}

func (v *visit) isShared(dir, kind string) (shared, known bool) {
	own, err := v.fs.ReadNamespace(dir, kind)
	if err != nil {
		return false, false
	}
	host, err := v.fs.ReadNamespace("1", kind)
	return own == host, err == nil
}
