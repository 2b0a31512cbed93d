package limits

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// watchEvery is how often memory and the pipe are looked at.
const watchEvery = 200 * time.Millisecond

// Watch stops the guard at the deadline, above the memory bound, when nobody reads stdout any more and on a signal. It
// returns at once and watches until the process ends.
func Watch(g *Guard, deadline time.Duration, memoryBytes int64, stdout uintptr) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPIPE)
	go watch(g, time.After(deadline), signals, memoryBytes, stdout)
}

func watch(g *Guard, deadline <-chan time.Time, signals <-chan os.Signal, memoryBytes int64, stdout uintptr) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-deadline:
			g.Stop(Deadline)
		case s := <-signals:
			if s == syscall.SIGPIPE {
				g.Stop(PipeClosed)
			}
			g.Stop(Signal)
		case <-ticker.C:
			if HungUp(stdout) {
				g.Stop(PipeClosed)
			}
			if aboveMemory(memoryBytes) {
				g.Stop(Memory)
			}
		}
	}
}

// aboveMemory gives memory back once before it says yes: the collector of garbage may just not have run.
func aboveMemory(bound int64) bool {
	if RSS() <= bound {
		return false
	}
	debug.FreeOSMemory()
	return RSS() > bound
}
