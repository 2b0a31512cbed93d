package limits

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Load guard: while many more threads want to run than there are CPUs, the probe does nothing at all. Its priority
// leaves them the CPU, but not the caches and the disk.
const (
	loadEvery  = time.Second            // how often the run queue is looked at
	loadWait   = 250 * time.Millisecond // how long a look that finds the host busy is slept over
	loadPerCPU = 4                      // threads that run or wait for each CPU: a host that only works has one or two
)

// load is what the guard knows about the others on the host.
type load struct {
	looked   time.Time
	patience time.Duration // that is left to wait; a host that is always busy is looked at all the same
}

// Patient lets the guard wait as long as the host is busy, at most so long in all. Without it load does not count.
func (g *Guard) Patient(patience time.Duration) { g.load.patience = patience }

// yield sleeps while the host is busy.
func (g *Guard) yield(now time.Time) error {
	if g.load.patience <= 0 || g.meter.Running == nil || now.Sub(g.load.looked) < loadEvery {
		return nil
	}
	bound := loadPerCPU * runtime.NumCPU()
	for g.load.patience > 0 && g.meter.Running() > bound {
		g.load.patience -= g.rest(min(loadWait, g.load.patience))
		if g.Reason() != "" {
			return ErrStopped
		}
	}
	g.load.looked = g.meter.Now()
	return nil
}

// Running is how many threads of the host run or wait for a CPU, the caller among them; 0 when the kernel does not say.
func Running() int {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	words := bytes.Fields(data)
	if len(words) < 4 {
		return 0
	}
	running, _, _ := bytes.Cut(words[3], []byte("/"))
	count, err := strconv.Atoi(string(running))
	if err != nil {
		return 0
	}
	return count
}
