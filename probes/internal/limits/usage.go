package limits

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// CPUTime is the user and system time of this process; 0 when the kernel does not say.
func CPUTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// RSS is the resident memory of this process in bytes; 0 when /proc does not say.
func RSS() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// PeakRSS is the most resident memory this process had, in bytes. getrusage(2) is only second choice: its ru_maxrss
// survives execve(2) and so may be that of the shell or server that started the probe.
func PeakRSS() int64 {
	if data, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, rest, ok := bytes.Cut(data, []byte("VmHWM:")); ok {
			if fields := bytes.Fields(rest); len(fields) > 0 {
				if kib, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
					return kib << 10
				}
			}
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return int64(usage.Maxrss) << 10
}

// pollFd is struct pollfd of poll(2).
type pollFd struct {
	fd      int32
	events  int16
	revents int16
}

// pollErr and pollHup are POLLERR (also: the reading end of a pipe is closed) and POLLHUP.
const (
	pollErr = 0x8
	pollHup = 0x10
)

// HungUp says whether the other end of a pipe or socket is gone. ppoll(2) is the one call of the family that every
// architecture has.
func HungUp(fd uintptr) bool {
	p := pollFd{fd: int32(fd)}
	var now syscall.Timespec
	n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1,
		uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno == 0 && n == 1 && p.revents&(pollErr|pollHup) != 0
}
