package hidden

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// ask is one interface of the kernel that tells whether a number belongs to a process or thread.
type ask struct {
	name   string
	exists func(pid int) bool
}

// answers says whether the error of a call that was given a number means that somebody has it.
func answers(err error) bool {
	return !errors.Is(err, syscall.ESRCH) && !errors.Is(err, syscall.ENOSYS)
}

func askCall(number uintptr, arguments func(pid uintptr) (uintptr, uintptr)) func(pid int) bool {
	return func(pid int) bool {
		a, b := arguments(uintptr(pid))
		_, _, errno := syscall.RawSyscall(number, a, b, 0)
		return errno == 0 || answers(errno)
	}
}

func only(pid uintptr) (uintptr, uintptr) { return pid, 0 }

// asks go from the cheapest to the dearest. A rootkit takes numbers out of those its author thought of.
var asks = []ask{
	// Signal 0 is never delivered: the kernel only looks whether it could be.
	{"kill", func(pid int) bool { err := syscall.Kill(pid, 0); return err == nil || errors.Is(err, syscall.EPERM) }},
	{"getpgid", askCall(syscall.SYS_GETPGID, only)},
	{"getsid", askCall(syscall.SYS_GETSID, only)},
	{"sched_getscheduler", askCall(syscall.SYS_SCHED_GETSCHEDULER, only)},
	{"getpriority", askCall(syscall.SYS_GETPRIORITY, func(pid uintptr) (uintptr, uintptr) { return 0, pid })},
	{"proc_status", func(pid int) bool { return syscall.Access("/proc/"+strconv.Itoa(pid)+"/status", 0) == nil }},
}

// kernelView is what the sweep knows of the system; tests bring their own.
type kernelView struct {
	asks    []ask
	list    func() ([]int, error)          // thread groups of /proc, in rising order
	group   func(pid int) (int, error)     // thread group of any thread, whether it is listed or not
	threads func(group int) ([]int, error) // threads of a group
	details func(pid int, into *finding)   // adds what /proc/PID says, as far as it can be read
}

func liveView(v *visit) *kernelView {
	return &kernelView{
		asks: asks, list: v.fs.ReadPIDs,
		group: func(pid int) (int, error) {
			s, err := v.fs.ReadStatus(strconv.Itoa(pid))
			return s.TGID, err
		},
		threads: func(group int) ([]int, error) { return v.fs.ReadThreads(strconv.Itoa(group)) },
		details: v.describe,
	}
}

// sweep compares numbers that are taken with those that are listed.
type sweep struct {
	*kernelView
	v      *visit
	listed map[int]bool
	known  map[int]bool // threads of listed groups
	loaded map[int]bool // groups whose threads are in known
}

// relist reads the listing afresh.
func (s *sweep) relist() error {
	pids, err := s.list()
	if err != nil {
		return err
	}
	s.listed, s.known, s.loaded = map[int]bool{}, map[int]bool{}, map[int]bool{}
	for _, pid := range pids {
		s.listed[pid] = true
	}
	return nil
}

// isExplained says whether a taken number is that of a listed process or of a thread of one.
func (s *sweep) isExplained(pid int) bool {
	if s.listed[pid] || s.known[pid] {
		return true
	}
	group, err := s.group(pid)
	if err != nil || group == pid || !s.listed[group] {
		return false
	}
	if !s.loaded[group] {
		threads, err := s.threads(group)
		if err != nil {
			return false
		}
		s.loaded[group] = true
		for _, thread := range threads {
			s.known[thread] = true
		}
	}
	return s.known[pid]
}

// chunk is how many numbers are tried between two looks at the visit's limits: below a millisecond of CPU.
const chunk = 1024

// candidates tries the numbers from first to last by the first count interfaces.
func (s *sweep) candidates(first, last, count int) ([]int, error) {
	var found []int
	for pid := first; pid <= last; pid++ {
		if pid%chunk == 0 {
			if err := s.v.pause(); err != nil {
				return nil, err
			}
		}
		taken := slices.ContainsFunc(s.asks[:count], func(a ask) bool { return a.exists(pid) })
		if !taken || s.isExplained(pid) {
			continue
		}
		if found = append(found, pid); len(found) > maxCandidates {
			return nil, fmt.Errorf("more than %d numbers that no listing explains: %w", maxCandidates, collect.ErrLimit)
		}
	}
	return found, nil
}

// maxCandidates bounds what is looked at again; new processes of a busy host are among them.
const maxCandidates = 20000

// remaining are those that are still taken while a listing made in between still does not have them: something that
// comes or goes is in one of both.
func (s *sweep) remaining(candidates []int) ([]int, error) {
	if err := s.relist(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(pid int) bool {
		return s.isExplained(pid) || !slices.ContainsFunc(s.asks, func(a ask) bool { return a.exists(pid) })
	}), nil
}

// run sweeps up to explained by several interfaces and from there to last by the first one.
func (s *sweep) run(explained, last int) ([]*finding, error) {
	if err := s.relist(); err != nil {
		return nil, err
	}
	count := len(s.asks)
	if explained > manyNumbers {
		count = min(count, 2)
	}
	found, err := s.candidates(1, explained, count)
	if err != nil {
		return nil, err
	}
	more, err := s.candidates(explained+1, last, 1)
	if err != nil {
		return nil, err
	}
	found, err = persists(s.v, append(found, more...), s.remaining)
	if err != nil {
		return nil, err
	}
	var findings []*finding
	for _, pid := range found[:min(len(found), maxFindings)] {
		findings = append(findings, s.finding(pid, explained))
	}
	return findings, nil
}

// manyNumbers is up to where all interfaces are asked: six calls a number are 0.2 s of CPU then.
const manyNumbers = 1 << 17

func (s *sweep) finding(pid, explained int) *finding {
	f := &finding{kind: "process", pid: pointer(int64(pid)), beyond: pointer(pid > explained),
		missingFrom: []string{"proc_listing"}, seenBy: []string{}}
	for _, a := range s.asks {
		if a.exists(pid) {
			f.seenBy = append(f.seenBy, a.name)
		}
	}
	s.details(pid, f)
	f.detail = fmt.Sprintf("number %d is taken, but the listing of /proc has no such process", pid)
	return f
}

// describe adds what the process's own files say, as far as they can be read.
func (v *visit) describe(pid int, f *finding) {
	dir := strconv.Itoa(pid)
	status, err := v.fs.ReadStatus(dir)
	if err != nil {
		return
	}
	f.name, f.uid = status.Name, pointer(status.UID[0])
	f.program, _ = v.fs.ReadLink(dir, "exe")
	if raw, err := v.fs.ReadCmdline(dir); err == nil {
		f.cmdline = strings.ReplaceAll(raw, "\x00", " ")
	}
}

// ownProc makes sure that /proc is that of the probe's own pid namespace: numbers of another one mean other processes.
func (v *visit) ownProc() error {
	if !v.fs.IsLive() {
		return unavailable("the tree is not the running system")
	}
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(syscall.Getpid()) {
		return unavailable("/proc belongs to another pid namespace")
	}
	return v.seesAll()
}

const capSysPtrace = 19

// seesAll is an error when /proc shows other users' processes to the privileged only, and the probe is not.
func (v *visit) seesAll() error {
	mounts, err := v.fs.ReadMounts("self")
	if err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	hides := slices.ContainsFunc(mounts, func(m procfs.Mount) bool {
		return m.Type == "proc" && slices.ContainsFunc(m.SuperOptions, func(option string) bool {
			value, isHide := strings.CutPrefix(option, "hidepid=")
			return isHide && value != "0" && value != "off"
		})
	})
	if !hides {
		return nil
	}
	own, err := v.fs.ReadStatus("self")
	if err == nil && own.CapEffective>>capSysPtrace&1 == 1 {
		return nil
	}
	return fmt.Errorf("/proc is mounted with hidepid: %w", collect.ErrNeedsRoot)
}

func sweepProcesses(v *visit) ([]*finding, error) {
	if err := v.ownProc(); err != nil {
		return nil, err
	}
	highest, err := v.fs.ReadInt("/proc/sys/kernel/pid_max")
	if err != nil {
		return nil, err
	}
	explained, err := v.explained(int(min(highest, pidLimit)))
	if err != nil {
		return nil, err
	}
	last := explained
	if v.fields["beyond_allocated"] {
		last = int(min(highest, pidLimit))
	}
	s := &sweep{kernelView: liveView(v), v: v}
	return s.run(explained, last)
}

// pidLimit is PID_MAX_LIMIT of 64-bit kernels.
const pidLimit = 1 << 22

// forkMargin is for numbers that were taken without a process coming of it, and for what starts meanwhile.
const forkMargin = 8192

// explained is the highest number that the kernel can have handed out by itself: it counts up, and starts again only
// at pid_max. Higher ones take somebody who chose them (clone3(2) with set_tid).
func (v *visit) explained(highest int) (int, error) {
	stat, err := v.fs.ReadText("/proc/stat")
	if err != nil {
		return 0, err
	}
	load, err := v.fs.ReadText("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	pids, err := v.fs.ReadPIDs()
	if err != nil {
		return 0, err
	}
	most := max(forkCount(stat), lastPID(load))
	if len(pids) > 0 {
		most = max(most, pids[len(pids)-1])
	}
	return min(most+forkMargin, highest), nil
}

// forkCount is how many processes and threads were made since boot; the largest number when the line is missing.
func forkCount(stat string) int {
	for line := range seq.Lines(stat) {
		if value, found := strings.CutPrefix(line, "processes "); found {
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n >= 0 {
				return min(n, pidLimit)
			}
		}
	}
	return pidLimit
}

// lastPID is the fifth word of /proc/loadavg: the number handed out last. 0 when there is none.
func lastPID(load string) int {
	words := strings.Fields(load)
	if len(words) < 5 {
		return 0
	}
	n, err := strconv.Atoi(words[4])
	if err != nil || n < 0 {
		return 0
	}
	return min(n, pidLimit)
}
