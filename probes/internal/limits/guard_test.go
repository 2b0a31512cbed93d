package limits

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// machine is a clock and a CPU for tests: work and sleep move them.
type machine struct {
	now time.Time
	cpu time.Duration
	on  func()
}

func (m *machine) meter() Meter {
	return Meter{
		Now: func() time.Time { return m.now },
		CPU: func() time.Duration { return m.cpu },
		Sleep: func(d time.Duration, _ <-chan struct{}) {
			m.now = m.now.Add(d)
			if m.on != nil {
				m.on()
			}
		},
	}
}

// work uses CPU all the time it takes.
func (m *machine) work(d time.Duration) {
	m.now = m.now.Add(d)
	m.cpu += d
}

func TestDutyCycleHoldsOverEveryWindow(t *testing.T) {
	for _, percent := range []int{5, 25, 50, 90} {
		m := &machine{now: time.Unix(0, 0)}
		g := NewGuard(m.meter(), percent)
		for range 20 {
			start, before := m.now, m.cpu
			for m.now.Sub(start) < 2*time.Second {
				m.work(time.Millisecond)
				if err := g.Pause(); err != nil {
					t.Fatal(err)
				}
			}
			used := 100 * float64(m.cpu-before) / float64(m.now.Sub(start))
			if used > 1.2*float64(percent) || used < 0.8*float64(percent) {
				t.Errorf("%d%% asked, %.1f%% used", percent, used)
			}
		}
	}
}

func TestTimeSpentWaitingIsNotSavedUpForABurst(t *testing.T) {
	m := &machine{now: time.Unix(0, 0)}
	g := NewGuard(m.meter(), 50)
	m.now = m.now.Add(time.Minute)
	start, before := m.now, m.cpu

	for m.now.Sub(start) < time.Second {
		m.work(time.Millisecond)
		if err := g.Pause(); err != nil {
			t.Fatal(err)
		}
	}

	if used := m.cpu - before; used > 600*time.Millisecond {
		t.Errorf("%v of CPU in the second after a wait", used)
	}
}

func TestPausesAreCounted(t *testing.T) {
	m := &machine{now: time.Unix(0, 0)}
	g := NewGuard(m.meter(), 50)
	m.work(time.Second)

	err := g.Pause()

	if err != nil || g.Paused() < 800*time.Millisecond || g.Paused() > time.Second {
		t.Errorf("%v, paused %v", err, g.Paused())
	}
}

func TestNoDutyCycleAtAHundredPercent(t *testing.T) {
	m := &machine{now: time.Unix(0, 0)}
	g := NewGuard(m.meter(), 100)
	m.work(time.Hour)

	if err := g.Pause(); err != nil || g.Paused() != 0 {
		t.Errorf("%v, paused %v", err, g.Paused())
	}
}

// busyFor makes a host on which many threads want to run until a time.
func (m *machine) busyFor(d time.Duration) Meter {
	until, meter := m.now.Add(d), m.meter()
	meter.Running = func() int {
		if m.now.Before(until) {
			return loadPerCPU*runtime.NumCPU() + 1
		}
		return 1
	}
	return meter
}

func TestABusyHostIsLeftAloneUntilItIsLessBusy(t *testing.T) {
	m := &machine{now: time.Unix(0, 0)}
	g := NewGuard(m.busyFor(3*time.Second), 50)
	g.Patient(10 * time.Second)
	m.work(10 * time.Millisecond)

	err := g.Pause()

	if waited := g.Paused(); err != nil || waited < 2900*time.Millisecond || waited > 3300*time.Millisecond {
		t.Errorf("%v, waited %v", err, waited)
	}
}

func TestAHostThatIsAlwaysBusyIsLookedAtAllTheSame(t *testing.T) {
	m := &machine{now: time.Unix(0, 0)}
	g := NewGuard(m.busyFor(time.Hour), 50)
	g.Patient(2 * time.Second)

	for range 1000 {
		m.work(10 * time.Millisecond)
		if err := g.Pause(); err != nil {
			t.Fatal(err)
		}
	}

	// Half of twenty seconds is the duty cycle's.
	if waited := g.Paused(); waited < 11*time.Second || waited > 13*time.Second {
		t.Errorf("waited %v", waited)
	}
}

func TestLoadDoesNotCountWithoutPatienceOrWithAllOfACPU(t *testing.T) {
	for _, percent := range []int{50, 100} {
		m := &machine{now: time.Unix(0, 0)}
		g := NewGuard(m.busyFor(time.Hour), percent)
		if percent == 100 {
			g.Patient(time.Minute)
		}
		m.now = m.now.Add(time.Second)

		if err := g.Pause(); err != nil || g.Paused() != 0 {
			t.Errorf("%d%%: %v, paused %v", percent, err, g.Paused())
		}
	}
}

func TestThreadsThatWantToRunAreCounted(t *testing.T) {
	if got := Running(); got < 1 { // this one does
		t.Errorf("%d threads run", got)
	}
}

func TestStopEndsASleepAndKeepsTheFirstReason(t *testing.T) {
	m := &machine{now: time.Unix(0, 0)}
	g := NewGuard(m.meter(), 1)
	m.on = func() { g.Stop(Deadline); g.Stop(Memory) }
	m.work(time.Second)

	err := g.Pause()

	if !errors.Is(err, ErrStopped) || g.Reason() != Deadline || g.Paused() > maxSleep {
		t.Errorf("%v, %q, paused %v", err, g.Reason(), g.Paused())
	}
}

func TestWatchStopsAtTheDeadline(t *testing.T) {
	g := NewGuard(RealMeter(), 100)
	deadline := make(chan time.Time, 1)
	deadline <- time.Time{}
	go watch(g, deadline, nil, 1<<40, os.Stdout.Fd())

	<-g.Stopped()

	if g.Reason() != Deadline {
		t.Errorf("reason %q", g.Reason())
	}
}

func TestWatchStopsAboveTheMemoryBound(t *testing.T) {
	g := NewGuard(RealMeter(), 100)
	_, w := pipe(t)
	go watch(g, nil, nil, 1, w.Fd())

	<-g.Stopped()

	if g.Reason() != Memory {
		t.Errorf("reason %q", g.Reason())
	}
}

func TestPipeWithoutAReaderIsHungUp(t *testing.T) {
	r, w := pipe(t)

	before := HungUp(w.Fd())
	r.Close()

	if before || !HungUp(w.Fd()) {
		t.Errorf("hung up before %v, after %v", before, HungUp(w.Fd()))
	}
}

func TestOrdinaryFileIsNeverHungUp(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	if HungUp(f.Fd()) {
		t.Error("a file is hung up")
	}
}

func TestUsageIsMeasured(t *testing.T) {
	if CPUTime() <= 0 || RSS() < 1<<20 || PeakRSS() < RSS()/2 {
		t.Errorf("cpu %v, rss %d, peak %d", CPUTime(), RSS(), PeakRSS())
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}
