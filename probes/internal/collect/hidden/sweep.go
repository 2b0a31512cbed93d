package hidden

import (
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
	upTo   int // highest number it is asked for in the sweep
	exists func(pid int) bool
}

// askCall is a call whose first argument is the number; any error but that there is nobody means that somebody has it.
func askCall(number uintptr) func(pid int) bool {
	return func(pid int) bool {
		_, _, errno := syscall.RawSyscall(number, uintptr(pid), 0, 0)
		return errno != syscall.ESRCH && errno != syscall.ENOSYS
	}
}

// getPriority asks for that of one process, PRIO_PROCESS being 0.
func getPriority(pid int) bool {
	_, _, errno := syscall.RawSyscall(syscall.SYS_GETPRIORITY, 0, uintptr(pid), 0)
	return errno != syscall.ESRCH && errno != syscall.ENOSYS
}

// Up to where an interface is asked. A call with a number that nobody has takes 0.2 µs, most of it the way into the
// kernel and back; looking a name up in /proc takes 3 µs, and who hides it there answers the calls.
const (
	everyNumber = pidLimit
	manyNumbers = 1 << 16
	fewNumbers  = 1 << 15 // pid_max of most hosts for a long time, and of 32-bit ones
)

// asks go from the cheapest to the dearest. A rootkit takes numbers out of those its author thought of: kill(2), which
// many of them take commands by, and /proc. The scheduler's is rarely one of those.
var asks = []ask{
	{"sched_getscheduler", everyNumber, askCall(syscall.SYS_SCHED_GETSCHEDULER)},
	{"getsid", manyNumbers, askCall(syscall.SYS_GETSID)},
	{"getpgid", manyNumbers, askCall(syscall.SYS_GETPGID)},
	{"getpriority", manyNumbers, getPriority},
	// Signal 0 is never delivered: the kernel only looks whether it could be.
	{"kill", manyNumbers, askCall(syscall.SYS_KILL)},
	{"proc_status", fewNumbers, func(pid int) bool { return syscall.Access("/proc/"+strconv.Itoa(pid)+"/status", 0) == nil }},
}

// kernelView is what the sweep knows of the system; tests bring their own.
type kernelView struct {
	asks    []ask
	list    func() ([]int, error)          // thread groups of /proc, in rising order
	group   func(pid int) (int, error)     // thread group of any thread, whether it is listed or not
	threads func(group int) ([]int, error) // threads of a group
	details func(pid int, into *finding)   // adds what /proc/PID says, as far as it can be read
	isWhole func(listed []int) bool        // as many threads run as the listing has
}

func liveView(v *visit) *kernelView {
	return &kernelView{
		asks: asks, list: v.fs.ReadPIDs,
		group: func(pid int) (int, error) {
			s, err := v.fs.ReadStatus(strconv.Itoa(pid))
			return s.TGID, err
		},
		threads: func(group int) ([]int, error) { return v.fs.ReadThreads(strconv.Itoa(group)) },
		details: v.describe, isWhole: v.listsAllThreads,
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

// chunk is how many numbers are tried between two looks at the visit's limits: about a millisecond of CPU.
const chunk = 256

// candidates tries the numbers from first to last.
func (s *sweep) candidates(first, last int) (found []int, err error) {
	for first <= last {
		if err := s.v.pause(); err != nil {
			return nil, err
		}
		asks, end := s.asked(first, min(last, first+chunk-1))
		for pid := first; pid <= end; pid++ {
			if anyTells(asks, pid) && !s.isExplained(pid) {
				found = append(found, pid)
			}
		}
		if len(found) > maxCandidates {
			return nil, fmt.Errorf("more than %d numbers that no listing explains: %w", maxCandidates, collect.ErrLimit)
		}
		first = end + 1
	}
	return found, nil
}

// asked are the interfaces for the first number, and up to where it is those.
func (s *sweep) asked(first, last int) ([]ask, int) {
	var asks []ask
	for _, a := range s.asks {
		if first <= a.upTo {
			asks = append(asks, a)
			last = min(last, a.upTo)
		}
	}
	return asks, last
}

func anyTells(asks []ask, pid int) bool {
	for i := range asks {
		if asks[i].exists(pid) {
			return true
		}
	}
	return false
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
		return s.isExplained(pid) || !anyTells(s.asks, pid)
	}), nil
}

// run sweeps up to explained, and from there to last when somebody may be there.
func (s *sweep) run(explained, last int) ([]*finding, error) {
	if err := s.relist(); err != nil {
		return nil, err
	}
	// Whoever asks for numbers beyond what the kernel hands out means to look everywhere; others stop where all that
	// is left to try is costly and the counts say that nobody is there.
	enough := explained
	if last <= explained {
		enough = min(explained, manyNumbers)
	}
	if last > enough && s.isComplete() {
		last = enough
	}
	found, err := s.candidates(1, last)
	if err != nil {
		return nil, err
	}
	found, err = persists(s.v, found, s.remaining)
	if err != nil {
		return nil, err
	}
	found = s.withoutThreads(found)
	var findings []*finding
	for _, pid := range found[:min(len(found), maxFindings)] {
		findings = append(findings, s.finding(pid, explained))
	}
	return findings, nil
}

// withoutThreads leaves out threads whose process is told anyway: it is hidden too, or it is listed and its directory is
// covered, which checkEntries tells. A thread that a process alone does not show stays.
func (s *sweep) withoutThreads(found []int) []int {
	return slices.DeleteFunc(slices.Clone(found), func(pid int) bool {
		group, err := s.group(pid)
		if err != nil || group == pid {
			return false
		}
		if slices.Contains(found, group) {
			return true
		}
		leader, err := s.group(group)
		return s.listed[group] && (err != nil || leader != group)
	})
}

// countLooks is how often the threads are counted until the count is believed to be different.
const countLooks = 3

// isComplete says that the kernel counts no thread more than the listed processes have. Numbers that the kernel does not
// hand out by itself need not be tried then: a process on one of them would have to be taken out of the count too. A
// usual scan also leaves out those above manyNumbers, of which a host that runs for months has millions; a deep one
// tries them all, as what hides processes may change the count.
func (s *sweep) isComplete() bool {
	for range countLooks {
		listed, err := s.list()
		if err != nil {
			return false
		}
		if s.isWhole(listed) {
			return true
		}
	}
	return false
}

// listsAllThreads compares the threads of listed processes with two counters of the kernel. It is false on a host where
// they change all the time, and in a container, whose kernel counts those of all.
func (v *visit) listsAllThreads(listed []int) bool {
	before := v.threadCount()
	count := 0
	for _, pid := range listed {
		var task syscall.Stat_t
		if err := syscall.Stat(v.fs.PidPath(strconv.Itoa(pid), "task"), &task); err != nil {
			return false
		}
		count += int(task.Nlink) - 2 // of the directory itself
	}
	var system syscall.Sysinfo_t
	if err := syscall.Sysinfo(&system); err != nil {
		return false
	}
	return count == before && count == v.threadCount() && uint16(count) == system.Procs
}

// threadCount is how many threads there are as /proc/loadavg has it, -1 when it does not say.
func (v *visit) threadCount() int {
	load, err := v.fs.ReadText("/proc/loadavg")
	words := strings.Fields(load)
	if err != nil || len(words) < 5 {
		return -1
	}
	_, total, _ := strings.Cut(words[3], "/")
	count, err := strconv.Atoi(total)
	if err != nil {
		return -1
	}
	return count
}

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
