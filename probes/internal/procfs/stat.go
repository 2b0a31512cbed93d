package procfs

import (
	"strings"
)

// KernelStat holds what is used of /proc/stat, see proc_stat(5).
type KernelStat struct {
	BootTime int64 // epoch seconds
	CPUs     int
}

// ReadKernelStat reads /proc/stat.
func (fs FS) ReadKernelStat() (s KernelStat, err error) {
	err = withFile(fs.Path("/proc/stat"), maxText, func(data []byte) error {
		s, err = parseKernelStat(data)
		return err
	})
	return s, err
}

func parseKernelStat(data []byte) (KernelStat, error) {
	var s KernelStat
	err := lines(data, func(line []byte) error {
		var words [2][]byte
		split(line, words[:])
		switch key := string(words[0]); {
		case key == "btime":
			n, ok := parseUint(words[1])
			if !ok {
				return errParse("stat", "btime is no number")
			}
			s.BootTime = int64(n)
		case strings.HasPrefix(key, "cpu") && key != "cpu":
			s.CPUs++
		}
		return nil
	})
	if err == nil && s.BootTime == 0 {
		err = errParse("stat", "no btime line")
	}
	return s, err
}
