package procfs

import (
	"strings"

	"sandfly/probes/internal/seq"
)

// ReadMemory reads /proc/meminfo as name → bytes.
func (fs FS) ReadMemory() (memory map[string]int64, err error) {
	err = withFile(fs.Path("/proc/meminfo"), maxSmall, func(data []byte) error {
		memory = parseMemory(data)
		return nil
	})
	return memory, err
}

func parseMemory(data []byte) map[string]int64 {
	memory := map[string]int64{}
	for line := range seq.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		if kb, ok := parseKB([]byte(strings.TrimSpace(value))); ok && kb < 1<<52 {
			memory[key] = kb << 10
		}
	}
	return memory
}
