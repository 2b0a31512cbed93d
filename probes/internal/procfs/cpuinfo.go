package procfs

import (
	"strings"

	"sandfly/probes/internal/seq"
)

// ReadCPU reads the first entry of /proc/cpuinfo as key → value; the keys differ by architecture.
func (fs FS) ReadCPU() (cpu map[string]string, err error) {
	err = withFile(fs.Path("/proc/cpuinfo"), maxText, func(data []byte) error {
		cpu = parseCPU(data)
		return nil
	})
	return cpu, err
}

func parseCPU(data []byte) map[string]string {
	cpu := map[string]string{}
	for line := range seq.Lines(string(data)) {
		key, value, found := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		if _, seen := cpu[key]; found && !seen {
			cpu[key] = strings.TrimSpace(value)
		}
	}
	return cpu
}
