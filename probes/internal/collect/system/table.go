package system

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/procfs"
)

// table is the process list, read once, and what its processes share.
type table struct {
	env      *collect.Env
	fs       procfs.FS
	bootTime int64
	listedAt time.Time
	list     []*process
	byPID    map[int]*process
	unread   error // why some processes could not be listed, nil when all could

	accounts lazy[*accounts.Accounts]
	sockets  lazy[*socketTable]
	programs map[programKey]*programContent
	hashes   []string // of programs, that the plan may ask for
}

// readTable lists the processes. Those that end meanwhile are left out.
func readTable(env *collect.Env) (*table, error) {
	t := &table{env: env, fs: tree(env), byPID: map[int]*process{}, programs: map[programKey]*programContent{}}
	kernel, err := t.fs.ReadKernelStat()
	if err != nil {
		return nil, err
	}
	t.bootTime = kernel.BootTime
	pids, err := t.fs.ReadPIDs()
	if err != nil {
		return nil, err
	}
	t.listedAt = time.Now()
	for _, pid := range pids {
		if err := env.Throttle.Pause(); err != nil {
			return nil, err
		}
		t.add(pid)
	}
	if t.unread == nil && env.UID != 0 && t.hidesProcesses() {
		t.unread = fmt.Errorf("/proc is mounted with hidepid: %w", collect.ErrNeedsRoot)
	}
	return t, nil
}

// add reads one process into the table and returns it; nil when it is gone or cannot be read.
func (t *table) add(pid int) *process {
	p := &process{table: t, pid: pid, dir: itoa(pid)}
	var err error
	if p.stat, err = t.fs.ReadStat(p.dir); err == nil {
		p.enterThread()
		p.status, err = t.fs.ReadStatus(p.dir)
	}
	if procfs.IsAbsent(err) {
		return nil
	}
	if err != nil {
		t.unread = err
		return nil
	}
	t.list = append(t.list, p)
	t.byPID[pid] = p
	return p
}

// enterThread looks at a process through another thread when the first one has ended: it stands as a zombie then,
// without program, arguments or descriptors, while the others run on. Programs do so to hide.
func (p *process) enterThread() {
	if !p.stat.IsExiting() || p.stat.Threads < 2 {
		return
	}
	threads, err := p.fs.ReadThreads(p.dir)
	if err != nil {
		return
	}
	for _, tid := range threads {
		dir := itoa(p.pid) + "/task/" + itoa(tid)
		if s, err := p.fs.ReadStat(dir); tid != p.pid && err == nil && !s.IsExiting() {
			p.dir, p.inThread = dir, true
			return
		}
	}
}

// hidesProcesses says whether /proc shows other users' processes to root only.
func (t *table) hidesProcesses() bool {
	mounts, err := t.fs.ReadMounts("self")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(mounts, func(m procfs.Mount) bool {
		return m.Path == "/proc" && slices.ContainsFunc(m.SuperOptions, func(option string) bool {
			return strings.HasPrefix(option, "hidepid=") && option != "hidepid=0" && option != "hidepid=off"
		})
	})
}

func (t *table) users() *accounts.Accounts {
	a, _ := t.accounts.get(func() (*accounts.Accounts, error) { return accounts.Load(t.env), nil })
	return a
}

// process is one thread group. Facts beyond stat and status are read when first asked for, and shared by the fields
// that need them.
type process struct {
	*table
	pid      int
	dir      string // below /proc
	inThread bool   // dir is that of another thread than the first
	stat     procfs.Stat
	status   procfs.Status
	verified bool

	exe     lazy[program]
	exeStat lazy[*programStat]
	args    lazy[string]
	dirs    [2]lazy[string] // cwd, root
	login   lazy[any]
	cgroups lazy[[]procfs.Cgroup]
	environ lazy[[]string]
	fds     lazy[[]descriptor]
	maps    lazy[mapFacts]
	script  lazy[string]
	spaces  lazy[map[string]uint64] // namespaces by kind

	inodes lazy[[]uint64] // of its sockets; kept when the descriptors are released
}

// release drops what only the process's own record needs, so that a long process list stays small in memory.
func (p *process) release() {
	p.exeStat, p.environ, p.fds, p.maps = lazy[*programStat]{}, lazy[[]string]{}, lazy[[]descriptor]{}, lazy[mapFacts]{}
	p.cgroups, p.script = lazy[[]procfs.Cgroup]{}, lazy[string]{}
}

// staleAfter is how old the list may be before a process is looked at again: no machine hands out all pids within it.
const staleAfter = time.Second

// guard makes sure that the pid still belongs to the process that was listed.
func (p *process) guard() error {
	if p.verified || time.Since(p.listedAt) < staleAfter {
		return nil
	}
	if !p.isAlive() {
		return collect.ErrGone
	}
	p.verified = true
	return nil
}

// isAlive says whether the process that was listed is still there, and has not begun to end since.
func (p *process) isAlive() bool {
	now, err := p.fs.ReadStat(itoa(p.pid))
	return err == nil && now.StartTicks == p.stat.StartTicks && now.IsExiting() == p.stat.IsExiting()
}

// explain turns "no such file" and "no such process" into ErrGone when the process has ended or is about to.
func (p *process) explain(err error) error {
	if procfs.IsAbsent(err) && !p.isAlive() {
		return fmt.Errorf("process %d: %w", p.pid, collect.ErrGone)
	}
	return err
}

// read is lazy.get for facts of a process.
func read[T any](p *process, l *lazy[T], from func() (T, error)) (T, error) {
	return l.get(func() (v T, err error) {
		if err = p.guard(); err == nil {
			v, err = from()
		}
		return v, p.explain(err)
	})
}

// hasMemory is false for kernel threads and zombies: they have no program, arguments, environment or descriptors.
func (p *process) hasMemory() bool { return !p.isKernelThread() && (p.inThread || !p.stat.IsExiting()) }

// isKernelThread goes by the kernel's flag; very old kernels do not show it, there a child of kthreadd without memory
// is one.
func (p *process) isKernelThread() bool {
	return p.stat.IsKernelThread() || (p.stat.Flags == 0 && (p.pid == 2 || p.stat.PPID == 2) && p.stat.VirtualBytes == 0)
}

func (p *process) startTime() int64 { return p.bootTime + int64(p.stat.StartTicks/procfs.ClockTicks) }

// maxKeptArgs bounds what is kept of the arguments: a user can have a thousand processes with 2 MiB each.
const maxKeptArgs = 4 << 10

// rawArguments are the arguments with NUL between them; "" for kernel threads and zombies.
func (p *process) rawArguments() (string, error) {
	raw, err := read(p, &p.args, func() (string, error) {
		if !p.hasMemory() {
			return "", nil
		}
		return p.fs.ReadCmdline(p.dir)
	})
	if len(raw) > maxKeptArgs {
		p.args = lazy[string]{}
	}
	return raw, err
}

func (p *process) arguments() ([]string, error) {
	raw, err := p.rawArguments()
	if err != nil {
		return nil, err
	}
	return procfs.SplitStrings(raw)
}

func (p *process) cmdline() (any, error) {
	raw, err := p.rawArguments()
	if err != nil {
		return nil, err
	}
	return text(strings.ReplaceAll(raw, "\x00", " ")), nil
}

// parent is the listed parent; nil when there is none, or when it ended and left a stale number.
func (p *process) parent() *process { return p.byPID[p.stat.PPID] }

// ofParent reads a fact of the parent. That the parent ends meanwhile must not drop the child.
func (p *process) ofParent(get func(parent *process) (any, error)) (any, error) {
	parent := p.parent()
	if parent == nil {
		if p.stat.PPID != 0 && p.unread != nil {
			return nil, p.unread
		}
		return nil, nil
	}
	v, err := get(parent)
	if errors.Is(err, collect.ErrGone) {
		return nil, nil
	}
	return v, err
}

// maxAncestors bounds the way up; a chain is as long as the nesting of shells and services.
const maxAncestors = 64

// ancestors are the parent, its parent and so on, up to pid 1 or a process that is not listed.
func (p *process) ancestors() []*process {
	var chain []*process
	for q := p.parent(); q != nil && len(chain) < maxAncestors; q = q.parent() {
		chain = append(chain, q)
	}
	return chain
}
