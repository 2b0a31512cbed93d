package procfs

import (
	"bytes"
	"strconv"
)

// ClockTicks is USER_HZ, the unit of times in /proc/PID/stat: 100 on every architecture Go builds for.
const ClockTicks = 100

// Flags of include/linux/sched.h: PF_EXITING and PF_KTHREAD.
const (
	flagExiting      = 0x00000004
	flagKernelThread = 0x00200000
)

// Stat holds the facts of /proc/PID/stat, see proc_pid_stat(5).
type Stat struct {
	PID          int
	Comm         string // raw bytes, at most 15 (64 for kernel threads)
	State        byte
	PPID         int
	PGroup       int
	Session      int
	TTY          int // device number as new_encode_dev; 0: none
	Flags        uint64
	UserTicks    uint64
	SystemTicks  uint64
	Nice         int
	Threads      int
	StartTicks   uint64 // ticks after boot
	VirtualBytes uint64
}

// IsKernelThread tells by the flag the kernel sets on its own threads, which no program can set for itself.
func (s *Stat) IsKernelThread() bool { return s.Flags&flagKernelThread != 0 }

// IsExiting is true from the moment a process (for a thread group, its first thread) has begun to end, zombies
// included: its memory and its descriptors may be gone already.
func (s *Stat) IsExiting() bool { return s.Flags&flagExiting != 0 || s.State == 'Z' || s.State == 'X' }

// ReadStat reads /proc/PID/stat.
func (fs FS) ReadStat(dir string) (s Stat, err error) {
	err = withRecord(fs.PidPath(dir, "stat"), func(data []byte) error {
		s, err = parseStat(data)
		return err
	})
	return s, err
}

// statFields are the numbers that parseStat takes, counted from the state (field 3 of the manual page).
const (
	statState = iota
	statPPID
	statPGroup
	statSession
	statTTY
	_ // tpgid
	statFlags
	statUser    = 11
	statSystem  = 12
	statNice    = 16
	statThreads = 17
	statStart   = 19
	statVSize   = 20
	statNeeded  = 21
)

// parseStat reads the one line of stat. The name may hold spaces, parentheses and newlines, so it ends at the last ')'.
func parseStat(data []byte) (Stat, error) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 1 || end < open {
		return Stat{}, errParse("stat", "no name in parentheses")
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data[:open])))
	if err != nil {
		return Stat{}, errParse("stat", "pid is no number")
	}
	var words [statNeeded][]byte
	if n := split(data[end+1:], words[:]); n < statNeeded || len(words[statState]) != 1 {
		return Stat{}, errParse("stat", "too few fields")
	}
	s := Stat{PID: pid, Comm: string(data[open+1 : end]), State: words[statState][0]}
	numbers := numberReader{words: words[:]}
	s.PPID, s.PGroup = numbers.int(statPPID), numbers.int(statPGroup)
	s.Session, s.TTY = numbers.int(statSession), numbers.int(statTTY)
	s.Flags, s.StartTicks = numbers.uint(statFlags), numbers.uint(statStart)
	s.UserTicks, s.SystemTicks = numbers.uint(statUser), numbers.uint(statSystem)
	s.Nice, s.Threads = numbers.int(statNice), numbers.int(statThreads)
	s.VirtualBytes = numbers.uint(statVSize)
	if numbers.bad {
		return Stat{}, errParse("stat", "a field is no number")
	}
	return s, nil
}

// split puts the words of a line into out, as many as fit, and says how many there were.
func split(line []byte, out [][]byte) int {
	n := 0
	for n < len(out) {
		line = bytes.TrimLeft(line, " \t\n")
		if len(line) == 0 {
			break
		}
		end := bytes.IndexAny(line, " \t\n")
		if end < 0 {
			end = len(line)
		}
		out[n], line = line[:end], line[end:]
		n++
	}
	return n
}

// numberReader reads decimal words and remembers whether one was none.
type numberReader struct {
	words [][]byte
	bad   bool
}

func (r *numberReader) int(i int) int {
	n, err := strconv.ParseInt(string(r.words[i]), 10, 64)
	if err != nil || int64(int(n)) != n {
		r.bad = true
	}
	return int(n)
}

func (r *numberReader) uint(i int) uint64 {
	n, err := strconv.ParseUint(string(r.words[i]), 10, 64)
	if err != nil {
		r.bad = true
	}
	return n
}

// TTYName gives the name a terminal's device number has under /dev, "" for none; see Documentation/admin-guide/devices.txt.
func TTYName(device int) string {
	major := device >> 8 & 0xfff
	minor := device&0xff | device>>12&0xfff00
	switch {
	case device == 0:
		return ""
	case major >= 136 && major <= 143:
		return "pts/" + strconv.Itoa(minor+(major-136)<<8)
	case major == 4 && minor < 64:
		return "tty" + strconv.Itoa(minor)
	case major == 4:
		return "ttyS" + strconv.Itoa(minor-64)
	case major == 5 && minor == 1:
		return "console"
	case major == 229:
		return "hvc" + strconv.Itoa(minor)
	case major == 188:
		return "ttyUSB" + strconv.Itoa(minor)
	}
	return strconv.Itoa(major) + ":" + strconv.Itoa(minor)
}
