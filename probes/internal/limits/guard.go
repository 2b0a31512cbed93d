// Package limits keeps the probe small on the host it visits: low priority, one thread, a share of one CPU, a bound on
// memory, its own deadline, and an end as soon as nobody listens any more.
package limits

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons why a visit ends early; they are the footer's `reason`.
const (
	Deadline   = "deadline"
	Memory     = "memory_limit"
	ReportFull = "report_limit"
	PipeClosed = "pipe_closed"
	Signal     = "signal"
)

// ErrStopped is what Pause returns once the visit must end.
var ErrStopped = errors.New("stopped by the probe's limits")

// Meter is how time and CPU use are measured; tests bring their own.
type Meter struct {
	Now   func() time.Time
	CPU   func() time.Duration // used by this process so far
	Sleep func(d time.Duration, stop <-chan struct{})

	Running func() int // threads of the host that run or wait for a CPU; nil: not known
}

// RealMeter measures this process.
func RealMeter() Meter { return Meter{Now: time.Now, CPU: CPUTime, Sleep: sleep, Running: Running} }

func sleep(d time.Duration, stop <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
}

const (
	checkEvery = 5 * time.Millisecond   // how often the CPU clock is read
	burstWall  = 100 * time.Millisecond // the share of how much wall time may be saved up
	minSleep   = time.Millisecond       // shorter ones cost more than they give
	maxSleep   = 250 * time.Millisecond
)

// Guard is asked by everyone who works, and says when to stop. Pause is for one goroutine; the rest is safe for all.
type Guard struct {
	meter   Meter
	share   float64 // part of one CPU; 0: no duty cycle
	credit  time.Duration
	checked time.Time
	cpu     time.Duration
	load    load
	paused  atomic.Int64
	once    sync.Once
	stopped chan struct{}
	reason  atomic.Value
}

// NewGuard keeps CPU use at cpuPercent of one CPU, counted from now on.
func NewGuard(meter Meter, cpuPercent int) *Guard {
	g := &Guard{meter: meter, stopped: make(chan struct{}), checked: meter.Now(), cpu: meter.CPU()}
	if cpuPercent < 100 {
		g.share = float64(cpuPercent) / 100
		g.credit = g.burst()
	}
	return g
}

func (g *Guard) burst() time.Duration { return time.Duration(g.share * float64(burstWall)) }

// Stop ends the visit; the first reason counts.
func (g *Guard) Stop(reason string) {
	g.once.Do(func() {
		g.reason.Store(reason)
		close(g.stopped)
	})
}

// Stopped is closed when the visit must end.
func (g *Guard) Stopped() <-chan struct{} { return g.stopped }

// Reason says why the visit must end, "" while it need not.
func (g *Guard) Reason() string {
	reason, _ := g.reason.Load().(string)
	return reason
}

// Paused is how long Pause has slept in all.
func (g *Guard) Paused() time.Duration { return time.Duration(g.paused.Load()) }

// Pause sleeps as the duty cycle demands and returns ErrStopped when the visit must end. It costs one look at the clock
// most of the time.
//
// The share is a bucket: it fills with wall time, CPU time drains it, and when it is empty the probe sleeps until it is
// not. Over any window CPU use exceeds the share by at most a tenth of a second of share and one check.
func (g *Guard) Pause() error {
	if g.Reason() != "" {
		return ErrStopped
	}
	if g.share == 0 {
		return nil
	}
	now := g.meter.Now()
	if now.Sub(g.checked) < checkEvery {
		return nil
	}
	if err := g.yield(now); err != nil {
		return err
	}
	for g.settle(g.meter.Now()); g.credit < 0; g.settle(g.meter.Now()) {
		g.rest(min(max(time.Duration(float64(-g.credit)/g.share), minSleep), maxSleep))
		if g.Reason() != "" {
			return ErrStopped
		}
	}
	return nil
}

// rest sleeps and books how long that was.
func (g *Guard) rest(d time.Duration) time.Duration {
	start := g.meter.Now()
	g.meter.Sleep(d, g.stopped)
	slept := g.meter.Now().Sub(start)
	g.paused.Add(int64(slept))
	return slept
}

// settle books the wall and CPU time since the last check.
func (g *Guard) settle(now time.Time) {
	cpu := g.meter.CPU()
	g.credit += time.Duration(g.share*float64(now.Sub(g.checked))) - (cpu - g.cpu)
	g.credit = min(g.credit, g.burst())
	g.checked, g.cpu = now, cpu
}
