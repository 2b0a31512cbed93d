package procfs

import (
	"bytes"
	"strings"

	"sandfly/probes/internal/seq"
)

// Mount is one line of /proc/PID/mountinfo, see proc_pid_mountinfo(5).
type Mount struct {
	ID, ParentID int
	Device       string // major:minor
	Root         string // path inside the file system that is mounted
	Path         string
	Options      []string // of this mount
	Type         string
	Source       string
	SuperOptions []string // of the file system
}

// ReadMounts reads the mounts that a process sees; dir "self" for the probe's own.
func (fs FS) ReadMounts(dir string) (mounts []Mount, err error) {
	err = withFile(fs.PidPath(dir, "mountinfo"), maxText, func(data []byte) error {
		mounts, err = parseMountinfo(data)
		return err
	})
	return mounts, err
}

func parseMountinfo(data []byte) ([]Mount, error) {
	var mounts []Mount
	err := lines(data, func(line []byte) error {
		m, err := parseMount(line)
		mounts = append(mounts, m)
		return err
	})
	return mounts, err
}

// parseMount reads "ID parent major:minor root path options [tags…] - type source super-options".
func parseMount(line []byte) (Mount, error) {
	words := strings.Split(string(line), " ")
	const firstTag = 6
	end := firstTag
	for end < len(words) && words[end] != "-" {
		end++
	}
	// A source may be empty: then there are two spaces, and Split gives an empty word.
	if len(words) < end+3 {
		return Mount{}, errParse("mountinfo", "too few fields")
	}
	id, idOK := parseInt([]byte(words[0]))
	parent, parentOK := parseInt([]byte(words[1]))
	if !idOK || !parentOK {
		return Mount{}, errParse("mountinfo", "id is no number")
	}
	m := Mount{ID: id, ParentID: parent, Device: words[2], Root: unescape(words[3]), Path: unescape(words[4]),
		Options: splitOptions(words[5]), Type: unescape(words[end+1]), Source: unescape(words[end+2])}
	if len(words) > end+3 {
		m.SuperOptions = splitOptions(words[end+3])
	}
	return m, nil
}

func splitOptions(word string) []string {
	var options []string
	for option := range seq.Split(word, ",") {
		if option != "" {
			options = append(options, unescape(option))
		}
	}
	return options
}

// unescape undoes the kernel's octal escapes of space, tab, newline, backslash and '#' (seq_escape).
func unescape(word string) string {
	if !strings.Contains(word, `\`) {
		return word
	}
	var out bytes.Buffer
	for i := 0; i < len(word); i++ {
		if n, ok := octal(word[i:]); ok {
			out.WriteByte(n)
			i += 3
			continue
		}
		out.WriteByte(word[i])
	}
	return out.String()
}

// octal reads `\NNN`.
func octal(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s[1:4]) {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int(c-'0')
	}
	return byte(n), n < 256
}
