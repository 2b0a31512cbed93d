package limits

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
)

// Numbers of the kernel's interface that package syscall does not name.
const (
	prSetDumpable    = 4                // prctl(2)
	ioprioWhoProcess = 1                // ioprio_set(2): a thread
	ioprioIdle       = uintptr(3) << 13 // class idle: the disk only when nobody else wants it
)

// Lower makes the process as unimportant as it can be and gives what could not be done, as sentences. It must run
// before other threads are busy, since priorities belong to threads.
func Lower(nice int, memoryBytes int64) []string {
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(memoryBytes * 3 / 4) // the rest is the program itself and what the bound is meant to leave free
	debug.SetGCPercent(200)

	var problems []string
	note := func(what string, err error) {
		if err != nil && !errors.Is(err, syscall.ESRCH) { // a thread that has ended since
			problems = append(problems, fmt.Sprintf("%s: %v", what, err))
		}
	}
	for _, thread := range threads() {
		note("nice", syscall.Setpriority(syscall.PRIO_PROCESS, thread, nice))
		note("ioprio", idleDisk(thread))
	}
	note("oom_score_adj", os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0))
	note("rlimit core", syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}))
	note("dumpable", undumpable()) // after oom_score_adj: it hands /proc/self to root
	return problems
}

// threads are those of this process; new ones inherit from the thread that makes them.
func threads() []int {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return []int{0}
	}
	var ids []int
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func idleDisk(thread int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(thread), ioprioIdle); errno != 0 {
		return errno
	}
	return nil
}

func undumpable() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
