package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/engine"
	"sandfly/probes/internal/limits"
	"sandfly/probes/internal/plan"
	"sandfly/probes/internal/report"
)

const (
	// ready is the line that asks for the plan. Nothing is read before it is out, so that a password meant for sudo
	// can never be taken for one.
	ready = "SANDFLY-READY"
	// progress is how a line begins that says how far the probe is: subjects gone through, of how many.
	progress = "SANDFLY-AT"
	// saidEvery is how much time lies at least between two such lines.
	saidEvery = time.Second
	// planWithin bounds the wait for a plan.
	planWithin = 2 * time.Minute
	// endWithin is how long the last lines may take once the visit must end; a reader that has stopped reading must
	// not keep the probe alive.
	endWithin = 5 * time.Second
	// patiencePart is the part of the deadline that a visit may wait for a busy host to get less busy.
	patiencePart = 12
	// maxValue bounds one text while it is matched: two longest arguments of execve(2).
	maxValue = 256 << 10
)

// visit is the production run.
func visit(o options) int {
	started := time.Now()
	var removed, problems []string
	own := stagedPath()
	if !o.keep {
		removed, problems = unlinkSelf()
	}
	runtime.GOMAXPROCS(1)
	p, program, err := readPlan()
	if err != nil {
		return reject(err)
	}
	problems = append(problems, limits.Lower(p.Limits.Nice, p.Limits.MemoryBytes)...)
	guard := limits.NewGuard(limits.RealMeter(), p.Limits.CPUPercent)
	guard.Patient(time.Duration(p.Limits.DeadlineS) * time.Second / patiencePart)
	limits.Watch(guard, time.Duration(p.Limits.DeadlineS)*time.Second, p.Limits.MemoryBytes, os.Stdout.Fd())
	go leave(guard)

	newReport := report.NewWriter
	if p.Limits.IsPacked {
		newReport = report.NewPacked
	}
	e := &engine.Engine{
		Program: program, Collectors: collectors(), Guard: guard, CPU: limits.CPUTime,
		Env: &collect.Env{
			Root: o.root, Now: started, UID: os.Geteuid(), Throttle: guard, MaxValue: maxValue,
			OwnPID: os.Getpid(), OwnPath: own, Passwords: passwords(p, started),
		},
		Report:   newReport(os.Stdout, matchBytes(p), p.Limits.ValueBytes),
		Progress: sayProgress(os.Stderr, time.Now),
	}
	if err := e.Report.Header(header(o.root, started)); err != nil {
		return fail(err)
	}
	e.Run(context.Background())
	return finish(e, guard, report.Footer{
		WallS: time.Since(started).Seconds(), Removed: removed, Errors: problems,
	})
}

// sayProgress writes the first and the last step, and of those between at most one in every saidEvery: each is a packet.
func sayProgress(w io.Writer, now func() time.Time) func(done, total int) {
	var said time.Time
	return func(done, total int) {
		if at := now(); done >= total || at.Sub(said) >= saidEvery {
			said = at
			fmt.Fprintln(w, progress, done, total)
		}
	}
}

// passwords bounds the password audit: half of the visit's time and memory, with what a scheme takes beside its largest
// block, so that the rest still has its share.
func passwords(p *plan.Plan, started time.Time) collect.PasswordAudit {
	const beside = 1 << 20
	return collect.PasswordAudit{
		Words: p.Passwords.Words, CPU: time.Duration(p.Passwords.CPUS) * time.Second,
		Until:  started.Add(time.Duration(p.Limits.DeadlineS) * time.Second / 2),
		Memory: p.Limits.MemoryBytes/2 + beside, Used: limits.CPUTime,
	}
}

// readPlan asks for the plan and binds it.
func readPlan() (*plan.Plan, *engine.Program, error) {
	fmt.Fprintln(os.Stderr, ready)
	late := time.AfterFunc(planWithin, func() { os.Exit(reject(fmt.Errorf("plan: none within %v", planWithin))) })
	p, err := plan.Read(os.Stdin)
	late.Stop()
	if err != nil {
		return nil, nil, err
	}
	program, err := engine.Build(p, subjects())
	if err != nil {
		return nil, nil, err
	}
	return p, program, nil
}

// leave ends the process when it cannot end itself in time.
func leave(guard *limits.Guard) {
	<-guard.Stopped()
	time.Sleep(endWithin)
	os.Exit(exitStopped)
}

// matchBytes is what match lines may take of the report's bytes: the rest is kept for what must be said in any case.
func matchBytes(p *plan.Plan) int64 {
	rest := int64(4096 + 160*len(p.Rules))
	return p.Limits.ReportBytes - min(rest, p.Limits.ReportBytes/2)
}

func header(root string, started time.Time) report.Header {
	return report.Header{
		Schema: report.Schema, ProbeVersion: version, Arch: arch, UID: os.Geteuid(), Root: root,
		StartedAt: float64(started.UnixMicro()) / 1e6,
		Host: map[string]string{
			"hostname": kernelWord(root, "hostname"), "kernel": kernelWord(root, "osrelease"),
			"oom_kills": memoryKills(root), "pid": strconv.Itoa(os.Getpid()),
		},
	}
}

// memoryKills is how many processes the kernel killed for lack of memory since boot, "" where it does not count them
// (before Linux 4.13). Whoever finds the probe killed compares: was it that, or somebody?
func memoryKills(root string) string {
	data, err := os.ReadFile(filepath.Join(root, "proc/vmstat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(data), "\noom_kill ")
	count, _, _ := strings.Cut(rest, "\n")
	return count
}

// kernelWord reads one line of /proc/sys/kernel, "" when it is not there.
func kernelWord(root, name string) string {
	data, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel", name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// finish writes how it went and chooses the exit code.
func finish(e *engine.Engine, guard *limits.Guard, footer report.Footer) int {
	passed, err := e.WriteOutcomes()
	if err != nil {
		return fail(err)
	}
	footer.Passed, footer.Reason = passed, guard.Reason()
	footer.Complete = footer.Reason == ""
	footer.CPUS, footer.PausedS = limits.CPUTime().Seconds(), guard.Paused().Seconds()
	footer.MaxRSSBytes = limits.PeakRSS()
	if err := e.Report.Footer(footer); err != nil {
		return fail(err)
	}
	if !footer.Complete {
		return exitStopped
	}
	return exitComplete
}
