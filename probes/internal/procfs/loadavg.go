package procfs

import (
	"strconv"
	"strings"
)

// ReadFloats reads the numbers a file such as /proc/loadavg or /proc/uptime begins with.
func (fs FS) ReadFloats(path string, count int) ([]float64, error) {
	text, err := fs.ReadText(path)
	if err != nil {
		return nil, err
	}
	return parseFloats(path, text, count)
}

func parseFloats(path, text string, count int) ([]float64, error) {
	words := strings.Fields(text)
	if len(words) < count {
		return nil, errParse(path, "too few fields")
	}
	numbers := make([]float64, count)
	for i := range numbers {
		n, err := strconv.ParseFloat(words[i], 64)
		// A float of JSON is finite.
		if err != nil || n != n || n > 1e15 || n < -1e15 {
			return nil, errParse(path, "no number: "+clip(words[i]))
		}
		numbers[i] = n
	}
	return numbers, nil
}
