package system

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
)

var processSubject = collect.NewSubject("process",
	"A process: one record per thread group, kernel threads included.",
	[]string{"path", "name", "cmdline", "uid"},
	[]string{"pid", "parent", "name", "path", "cmdline", "username", "uid", "euid", "start_time", "exe_deleted",
		"ancestors.name"},
	slices.Concat(ownFields, parentFields(ownFields), processFamily))

// ownFields are what a process says without those above it.
var ownFields = slices.Concat(processBasics, processCredentials, processProgram, processContext, processMemory, processNetwork,
	content.DigestFields("exe_", "the program, also when it is deleted; at most 64 MiB", sourceExe, programDigest))

// processCollector yields processes and sockets.
func processCollector() collect.Collector {
	return collect.Collector{
		Name:     "process",
		Subjects: []*collect.Subject{processSubject, socketSubject},
		Run:      runProcesses,
	}
}

func runProcesses(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	_, wantsProcesses := want["process"]
	socketWant, wantsSockets := want["socket"]
	// The connections are read before the processes: whoever holds one of them is in the list then.
	var own *socketTable
	if wantsSockets {
		own = newSocketTable(env)
		if err := own.readOwn(); err != nil {
			return err
		}
	}
	t, err := readTable(env)
	if err != nil {
		for subject := range want {
			status.Fail(subject, fmt.Errorf("process list: %w", err))
		}
		return nil
	}
	if wantsProcesses {
		t.hashes = append(content.WantedDigests(want["process"].Fields, "exe_"),
			content.WantedDigests(want["process"].Fields, collect.ParentPrefix+"exe_")...)
		if err := emitProcesses(ctx, t, emit, status); err != nil {
			return err
		}
	}
	if wantsSockets {
		return emitSockets(ctx, t, own, socketWant, emit, status)
	}
	return nil
}

func emitProcesses(ctx context.Context, t *table, emit collect.Emit, status *collect.Status) error {
	if t.unread != nil {
		status.Partial("process", t.unread)
	}
	for _, p := range t.list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.isOwn(p) {
			continue
		}
		if err := emit("process", p); err != nil {
			return err
		}
		p.release()
		if parent := p.parent(); parent != nil {
			parent.release()
		}
	}
	return nil
}

// isOwn tells the processes of this visit: the probe, and those above it whose command line names its path, which has
// a random part that nobody else can know.
func (t *table) isOwn(p *process) bool {
	own := t.byPID[t.env.OwnPID]
	if own == nil || p == own {
		return own != nil
	}
	if t.env.OwnPath == "" || !slices.Contains(own.ancestors(), p) {
		return false
	}
	line, err := p.cmdline()
	text, isText := line.(string)
	return err == nil && isText && strings.Contains(text, t.env.OwnPath)
}

// state gives the letter of the process's state.
func state(p *process) any { return string(p.stat.State) }

// memory turns the kernel's kilobytes into bytes; kernel threads have none.
func memory(kb int64) any {
	if kb == procfs.Absent {
		return nil
	}
	return kb << 10
}

// tracer is the pid of the debugger; absent when nobody traces.
func tracer(p *process) any {
	if p.status.TracerPID == 0 {
		return nil
	}
	return int64(p.status.TracerPID)
}

// endingSignals are the signals by which users, terminals and service managers end a process, signal(7).
var endingSignals = []struct {
	number int
	name   string
}{{1, "SIGHUP"}, {2, "SIGINT"}, {3, "SIGQUIT"}, {15, "SIGTERM"}}

func ignoredSignals(p *process) any {
	names := []string{}
	for _, signal := range endingSignals {
		if p.status.SignalsIgnored>>(signal.number-1)&1 == 1 {
			names = append(names, signal.name)
		}
	}
	return names
}

func ambientCapabilities(p *process) any {
	if !p.status.HasAmbient {
		return nil
	}
	return procfs.CapabilityNames(p.status.CapAmbient)
}

func noNewPrivileges(p *process) any {
	if p.status.NoNewPrivs == procfs.Absent {
		return nil
	}
	return p.status.NoNewPrivs == 1
}

// unsetID is the login uid of processes that nobody logged in for.
const unsetID = 1<<32 - 1

func loginUID(p *process) (any, error) {
	return read(p, &p.login, func() (any, error) {
		uid, err := p.fs.ReadInt("/proc/" + p.dir + "/loginuid")
		if procfs.IsAbsent(err) && p.isAlive() {
			return nil, nil // a kernel without audit
		}
		if err != nil || uid == unsetID {
			return nil, err
		}
		return uid, nil
	})
}

func (p *process) cgroupLines() ([]procfs.Cgroup, error) {
	return read(p, &p.cgroups, func() ([]procfs.Cgroup, error) {
		groups, err := p.fs.ReadCgroup(p.dir)
		if procfs.IsAbsent(err) && p.isAlive() {
			return nil, nil // a kernel without cgroups
		}
		return groups, err
	})
}

func cgroup(p *process) (any, error) {
	groups, err := p.cgroupLines()
	return text(procfs.CgroupPath(groups)), err
}

func containerID(p *process) (any, error) {
	groups, err := p.cgroupLines()
	return text(procfs.ContainerID(groups)), err
}

// inContainer goes by the depth of pid namespaces, which every user may see; older kernels show only the links.
func inContainer(p *process) (any, error) {
	if p.status.NamespaceDepth != procfs.Absent {
		return p.status.NamespaceDepth > 1, nil
	}
	if p.isKernelThread() {
		return false, nil
	}
	first, err := p.fs.ReadNamespace("1", "pid")
	if err != nil {
		return absentOK(nil, err)
	}
	own, err := p.fs.ReadNamespace(p.dir, "pid")
	return own != first, p.explain(err)
}

// link gives the target of the process's cwd or root; absent for kernel threads and zombies.
func link(which int) func(p *process) (any, error) {
	return func(p *process) (any, error) {
		target, err := p.directory(which)
		name, _ := procfs.TrimDeleted(target)
		return text(name), err
	}
}

func cwdDeleted(p *process) (any, error) {
	target, err := p.directory(cwdLink)
	if err != nil || target == "" {
		return nil, err
	}
	_, deleted := procfs.TrimDeleted(target)
	return deleted, nil
}

// ofProgram makes a getter of a fact about the program; absent when the process has none.
func ofProgram(get func(exe program) any) func(p *process) (any, error) {
	return func(p *process) (any, error) {
		exe, err := p.program()
		if err != nil || exe.path == "" {
			return nil, err
		}
		return get(exe), nil
	}
}

// ofFile makes a getter of a fact about the program's file.
func ofFile(get func(st *programStat) any) func(p *process) (any, error) {
	return func(p *process) (any, error) {
		st, err := p.programFile()
		if err != nil || st == nil {
			return nil, err
		}
		return get(st), nil
	}
}

var programPath = ofProgram(func(exe program) any { return exe.path })

// ofMaps makes a getter of a fact about the mappings.
func ofMaps(get func(m mapFacts) any) func(p *process) (any, error) {
	return func(p *process) (any, error) {
		m, err := p.mappings()
		if err != nil {
			return nil, err
		}
		return get(m), nil
	}
}

func ancestorNames(p *process) any {
	names := []string{}
	for _, a := range p.ancestors() {
		names = append(names, a.stat.Comm)
	}
	return names
}

func ancestorPIDs(p *process) any {
	pids := []int64{}
	for _, a := range p.ancestors() {
		pids = append(pids, int64(a.pid))
	}
	return pids
}

// ancestorPaths leaves out kernel threads and ancestors that ended meanwhile.
func ancestorPaths(p *process) (any, error) {
	paths := []string{}
	var q = p
	for range len(p.ancestors()) {
		v, err := q.ofParent(programPath)
		if err != nil {
			return nil, err
		}
		if name, ok := v.(string); ok {
			paths = append(paths, name)
		}
		q = q.parent()
	}
	return paths, nil
}

func processScript(p *process) (any, error) {
	script, err := p.scriptPath()
	return text(script), err
}

func argumentList(p *process) (any, error) {
	argv, err := p.arguments()
	if err != nil || len(argv) == 0 {
		return nil, err
	}
	return argv, nil
}

func hexCapabilities(p *process) any {
	const digits = 16
	hex := fmt.Sprintf("%x", p.status.CapEffective)
	return strings.Repeat("0", digits-len(hex)) + hex
}
