package hidden

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"sandfly/probes/internal/procfs"
)

// checkEntries finds listed processes whose directory is not theirs: something is mounted over it, or the files in it
// were taken away.
func checkEntries(v *visit) ([]*finding, error) {
	if err := v.ownProc(); err != nil {
		return nil, err
	}
	pids, err := v.fs.ReadPIDs()
	if err != nil {
		return nil, err
	}
	var odd []int
	for i, pid := range pids {
		if i%32 == 0 {
			if err := v.pause(); err != nil {
				return nil, err
			}
		}
		if v.entryFault(pid) != "" {
			odd = append(odd, pid)
		}
	}
	odd, err = persists(v, odd, func(pids []int) ([]int, error) {
		var left []int
		for _, pid := range pids {
			if v.entryFault(pid) != "" {
				left = append(left, pid)
			}
		}
		return left, nil
	})
	var found []*finding
	for _, pid := range odd[:min(len(odd), maxFindings)] {
		found = append(found, &finding{kind: "process", pid: pointer(int64(pid)), path: "/proc/" + strconv.Itoa(pid),
			detail: v.entryFault(pid), seenBy: []string{"kill", "proc_listing"}, missingFrom: []string{"proc_status"}})
	}
	return found, err
}

// entryFault says what is wrong with a listed process's directory, "" when nothing is or the process has ended.
func (v *visit) entryFault(pid int) string {
	status, err := v.fs.ReadStatus(strconv.Itoa(pid))
	switch {
	case err == nil && status.TGID == pid || procfs.IsDenied(err):
		return ""
	case !isTaken(pid):
		return ""
	case err == nil:
		return fmt.Sprintf("/proc/%d shows process %d", pid, status.TGID)
	case procfs.IsAbsent(err):
		return fmt.Sprintf("/proc/%d has no files of a process", pid)
	}
	return ""
}

var isTaken = askCall(syscall.SYS_KILL)

// overProc are the places of /proc that nobody mounts anything over but to hide: container engines mask others.
var overProc = regexp.MustCompile(`^/proc/([0-9]+(/.*)?|self/.*|net(/.*)?|modules|kallsyms|mounts)$`)

// mountsOver gives the mounts over processes and over the tables that tools read.
func mountsOver(v *visit) ([]*finding, error) {
	mounts, err := v.fs.ReadMounts("self")
	if err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	var found []*finding
	for _, m := range mounts {
		if !overProc.MatchString(m.Path) || len(found) == maxFindings {
			continue
		}
		f := &finding{kind: "mount_over", path: m.Path, detail: fmt.Sprintf("%s (%s) of %s is mounted there", m.Root, m.Type,
			m.Source), seenBy: []string{"mountinfo"}}
		number, _, _ := strings.Cut(strings.TrimPrefix(m.Path, "/proc/"), "/")
		if pid, err := strconv.ParseInt(number, 10, 64); err == nil {
			f.pid = &pid
		}
		found = append(found, f)
	}
	return found, nil
}
