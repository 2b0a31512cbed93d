package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/limits"
	"sandfly/probes/internal/report"
	"sandfly/probes/internal/seq"
)

// grace is how long collectors have to notice that the visit must end; one that hangs in the kernel (a dead network
// mount) is left behind and the report is closed without it.
const grace = 2 * time.Second

// Guard is the part of limits.Guard the engine needs.
type Guard interface {
	Pause() error
	Stop(reason string)
	Reason() string
	Stopped() <-chan struct{}
}

// Engine runs one Program once.
type Engine struct {
	Program    *Program
	Collectors []collect.Collector
	Env        *collect.Env
	Guard      Guard
	Report     *report.Writer
	CPU        func() time.Duration
	Progress   func(done, total int) // how many subjects have been gone through; nil: nobody asks

	verdict verdict   // of the collecting goroutine
	since   time.Time // end of the last record, of the collecting goroutine
	done    int       // subjects gone through, of the collecting goroutine

	mu     sync.Mutex // guards what follows, the report, and the tallies of rules
	runs   map[string]*run
	closed bool
}

// run is how the collection of one subject went.
type run struct {
	records int
	started bool
	ended   bool
	wall    time.Duration
	cpu     time.Duration
	failed  error
	parts   []error
}

// Run collects and evaluates everything, until done or until the guard says stop. Collectors that hang do not hold it.
func (e *Engine) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.runs = map[string]*run{}
	e.Env.Wanted = map[string]collect.Want{}
	for _, g := range e.Program.order {
		e.runs[g.subject.Name] = &run{}
		e.Env.Wanted[g.subject.Name] = g.want
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, c := range e.inOrder() {
			e.collect(ctx, c)
		}
	}()
	select {
	case <-done:
	case <-e.Guard.Stopped():
		cancel()
		select {
		case <-done:
		case <-time.After(grace):
		}
	}
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
}

// inOrder are the collectors, the host's first where conditions on other subjects look at it.
func (e *Engine) inOrder() []*collect.Collector {
	var first, rest []*collect.Collector
	for i := range e.Collectors {
		c := &e.Collectors[i]
		isHost := func(s *collect.Subject) bool { return s.Name == hostSubject }
		if e.Program.host != nil && slices.ContainsFunc(c.Subjects, isHost) {
			first = append(first, c)
		} else {
			rest = append(rest, c)
		}
	}
	return append(first, rest...)
}

// collect runs one collector for those of its subjects that are wanted.
func (e *Engine) collect(ctx context.Context, c *collect.Collector) {
	want := map[string]collect.Want{}
	for _, s := range c.Subjects {
		if g := e.Program.groups[s.Name]; g != nil {
			want[s.Name] = g.want
		}
	}
	if len(want) == 0 || e.Guard.Reason() != "" {
		return
	}
	e.begin(want)
	status := collect.NewStatus()
	e.since = time.Now()
	started, cpu := e.since, e.CPU()
	err := e.guarded(ctx, c, want, status)
	e.end(want, status, err, time.Since(started), e.CPU()-cpu)
	if e.done += len(want); e.Progress != nil {
		e.Progress(e.done, len(e.Program.order))
	}
}

// guarded keeps a fault of one collector from taking the others with it.
func (e *Engine) guarded(
	ctx context.Context, c *collect.Collector, want map[string]collect.Want, status *collect.Status,
) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("fault in collector %s: %v at %s", c.Name, fault, place(string(debug.Stack())))
		}
	}()
	return c.Run(ctx, e.Env, want, e.emit, status)
}

// place finds the line of a stack that raised the fault: the first one of ours behind the call of panic.
func place(stack string) string {
	_, stack, _ = strings.Cut(stack, "panic(")
	for line := range seq.Lines(stack) {
		if at := strings.Index(line, "/internal/"); at >= 0 && strings.HasPrefix(line, "\t") {
			where, _, _ := strings.Cut(line[at+1:], " ")
			return strings.TrimSpace(where)
		}
	}
	return "an unknown place"
}

// emit is how collectors hand over a record.
func (e *Engine) emit(subject string, source any) error {
	if err := e.Guard.Pause(); err != nil {
		return err
	}
	g := e.Program.groups[subject]
	if g == nil {
		return nil
	}
	if subject == hostSubject && e.Program.host != nil {
		e.Program.host.Decide(source)
	}
	here := e.verdict.judge(g, source)
	var m *report.Match
	if here && len(e.verdict.hits) > 0 {
		m = g.describe(e.verdict.hits)
		here = e.verdict.count(g, e.Env.Now) && !g.record.Gone()
	}
	return e.commit(g, here, m)
}

// commit books what was found of one record, unless the report was closed meanwhile.
func (e *Engine) commit(g *group, here bool, m *report.Match) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return limits.ErrStopped
	}
	now := time.Now()
	r := e.runs[g.subject.Name]
	r.wall += now.Sub(e.since)
	e.since = now
	if !here {
		return nil
	}
	r.records++
	for _, missed := range e.verdict.misses {
		missed.rule.tally.miss(missed.truth.Reason())
	}
	for _, hit := range e.verdict.hits {
		hit.tally.matched++
	}
	for _, o := range e.verdict.events {
		o.part.of.take(o)
	}
	if m == nil {
		return nil
	}
	return e.send(m)
}

func (e *Engine) send(m *report.Match) error {
	for i := range m.Unknown {
		m.Unknown[i].Reason = e.told(m.Unknown[i].Reason)
	}
	if err := e.Report.Match(m); err != nil {
		reason := limits.PipeClosed
		if errors.Is(err, report.ErrFull) {
			reason = limits.ReportFull
		}
		e.Guard.Stop(reason)
		return limits.ErrStopped
	}
	for _, place := range m.Rules {
		e.Program.rules[place].tally.sent++
	}
	return nil
}

func (t *tally) miss(reason string) {
	if t.unknown == nil {
		t.unknown = map[string]int{}
	}
	t.unknown[reason]++
}

func (e *Engine) begin(want map[string]collect.Want) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for subject := range want {
		e.runs[subject].started = true
	}
}

// end books how a collector went. Its time is shared among its subjects as their records took it.
func (e *Engine) end(want map[string]collect.Want, status *collect.Status, err error, wall, cpu time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	var booked time.Duration
	for subject := range want {
		booked += e.runs[subject].wall
	}
	for subject := range want {
		r := e.runs[subject]
		part := 1 / float64(len(want))
		if booked > 0 {
			part = float64(r.wall) / float64(booked)
		}
		r.wall, r.cpu = time.Duration(part*float64(wall)), time.Duration(part*float64(cpu))
		r.failed, r.parts = status.Failed[subject], missing(status.Parts[subject])
		// A visit that was told to stop meanwhile: the collector may have cut itself short without saying so.
		r.ended = e.Guard.Reason() == ""
		if err != nil && r.failed == nil && r.ended {
			r.failed = err
		}
	}
}

// missing are the parts that are a gap: what vanished while it was looked at is none.
func missing(parts []error) []error {
	return slices.DeleteFunc(slices.Clone(parts), func(err error) bool { return errors.Is(err, collect.ErrGone) })
}
