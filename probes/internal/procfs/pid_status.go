package procfs

import (
	"bytes"
	"strconv"
)

// Absent marks a number of Status that this kernel or this kind of process does not have.
const Absent = -1

// Status holds the facts of /proc/PID/status, see proc_pid_status(5).
type Status struct {
	Name           string // escaped by the kernel; Stat.Comm has the raw bytes
	TGID           int
	PPID           int
	TracerPID      int      // 0: not traced
	UID            [4]int64 // real, effective, saved, file system
	GID            [4]int64
	Groups         []int64
	NamespaceDepth int // how many pid namespaces the process is in, seen from this /proc; Absent before Linux 4.1
	ResidentKB     int64
	VirtualKB      int64
	CapEffective   uint64
	CapPermitted   uint64
	CapInheritable uint64
	CapBounding    uint64
	CapAmbient     uint64
	HasAmbient     bool   // since Linux 4.3
	SignalsIgnored uint64 // bit 0 is signal 1
	NoNewPrivs     int    // Absent before Linux 4.10
	Seccomp        int    // 0 off, 1 strict, 2 filter; Absent without CONFIG_SECCOMP
	hasUID, hasGID bool
}

// ReadStatus reads /proc/PID/status.
func (fs FS) ReadStatus(dir string) (s Status, err error) {
	err = withRecord(fs.PidPath(dir, "status"), func(data []byte) error {
		s, err = parseStatus(data)
		return err
	})
	return s, err
}

// parseStatus reads "Name:\tvalue" lines; lines it does not know are passed over, new kernels add some.
func parseStatus(data []byte) (Status, error) {
	s := Status{NamespaceDepth: Absent, ResidentKB: Absent, VirtualKB: Absent, NoNewPrivs: Absent, Seccomp: Absent}
	err := lines(data, func(line []byte) error {
		key, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return errParse("status", "line without a colon")
		}
		if !s.set(string(key), bytes.TrimSpace(value)) {
			return errParse("status", "bad value of "+clip(string(key)))
		}
		return nil
	})
	if err == nil && !(s.hasUID && s.hasGID) {
		err = errParse("status", "no Uid or Gid line")
	}
	return s, err
}

// set takes over one line and says whether its value was well formed.
func (s *Status) set(key string, value []byte) (ok bool) {
	ok = true
	switch key {
	case "Name":
		s.Name = string(value)
	case "Tgid":
		s.TGID, ok = parseInt(value)
	case "PPid":
		s.PPID, ok = parseInt(value)
	case "TracerPid":
		s.TracerPID, ok = parseInt(value)
	case "Uid":
		s.hasUID, ok = true, parseIDs(value, s.UID[:])
	case "Gid":
		s.hasGID, ok = true, parseIDs(value, s.GID[:])
	case "Groups":
		s.Groups, ok = parseIDList(value)
	case "NSpid":
		s.NamespaceDepth = len(bytes.Fields(value))
	case "VmRSS":
		s.ResidentKB, ok = parseKB(value)
	case "VmSize":
		s.VirtualKB, ok = parseKB(value)
	case "CapEff":
		s.CapEffective, ok = parseHex(value)
	case "CapPrm":
		s.CapPermitted, ok = parseHex(value)
	case "CapInh":
		s.CapInheritable, ok = parseHex(value)
	case "CapBnd":
		s.CapBounding, ok = parseHex(value)
	case "CapAmb":
		s.HasAmbient = true
		s.CapAmbient, ok = parseHex(value)
	case "SigIgn":
		s.SignalsIgnored, ok = parseHex(value)
	case "NoNewPrivs":
		s.NoNewPrivs, ok = parseInt(value)
	case "Seccomp":
		s.Seccomp, ok = parseInt(value)
	}
	return ok
}

func parseInt(value []byte) (int, bool) {
	n, err := strconv.Atoi(string(value))
	return n, err == nil
}

func parseHex(value []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(value), 16, 64)
	return n, err == nil
}

// parseKB reads "1628 kB".
func parseKB(value []byte) (int64, bool) {
	number, unit, _ := bytes.Cut(value, []byte(" "))
	n, err := strconv.ParseInt(string(number), 10, 64)
	return n, err == nil && n >= 0 && string(bytes.TrimSpace(unit)) == "kB"
}

// parseIDs fills out with exactly as many ids as it has places.
func parseIDs(value []byte, out []int64) bool {
	ids, ok := parseIDList(value)
	return ok && copy(out, ids) == len(out) && len(ids) == len(out)
}

// parseIDList reads ids; they are 32 bits without sign, which an int of a 32-bit machine does not hold.
func parseIDList(value []byte) ([]int64, bool) {
	var ids []int64
	for _, word := range bytes.Fields(value) {
		n, err := strconv.ParseUint(string(word), 10, 32)
		if err != nil {
			return nil, false
		}
		ids = append(ids, int64(n))
	}
	return ids, true
}
