package persistence

import (
	"strconv"
	"strings"

	"sandfly/probes/internal/seq"
)

// historyEntry is one command of a history file.
type historyEntry struct {
	Command string
	Time    int64 // epoch seconds; 0: the file does not say
	Number  int64 // line it begins on
}

// parseHistory reads a history of bash (with or without stamps), zsh, fish or of a program that writes plain lines. A
// command over several lines is joined where the format says so.
func parseHistory(data, shell string) []historyEntry {
	switch shell {
	case "fish":
		return parseFishHistory(data)
	case "zsh":
		return parseZshHistory(data)
	}
	var out []historyEntry
	stamp, number := int64(0), int64(0)
	for line := range seq.Split(data, "\n") {
		number++
		if t, ok := parseStamp(line); ok {
			stamp = t
			continue
		}
		if line = strings.TrimSpace(line); line != "" && line != "_HiStOrY_V2_" {
			out = append(out, historyEntry{line, stamp, number})
		}
		stamp = 0
	}
	return out
}

// parseStamp reads bash's "#1700000000" and tcsh's "#+1700000000".
func parseStamp(line string) (int64, bool) {
	digits, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
	if !ok {
		return 0, false
	}
	t, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), 10, 40)
	return int64(t), err == nil && t > 0
}

// parseZshHistory reads ": 1700000000:0;command"; a backslash at the end of a line continues it.
func parseZshHistory(data string) []historyEntry {
	var out []historyEntry
	for number, line := range logicalLines(data, true) {
		e := historyEntry{Command: strings.TrimSpace(line), Number: number}
		if rest, ok := strings.CutPrefix(line, ": "); ok {
			if head, command, found := strings.Cut(rest, ";"); found {
				stamp, _, _ := strings.Cut(head, ":")
				if t, err := strconv.ParseUint(strings.TrimSpace(stamp), 10, 40); err == nil {
					e.Time, e.Command = int64(t), strings.TrimSpace(command)
				}
			}
		}
		if e.Command != "" {
			out = append(out, e)
		}
	}
	return out
}

// parseFishHistory reads "- cmd: …" and "  when: 1700000000".
func parseFishHistory(data string) []historyEntry {
	var out []historyEntry
	number := int64(0)
	for line := range seq.Split(data, "\n") {
		number++
		if command, ok := strings.CutPrefix(line, "- cmd: "); ok {
			out = append(out, historyEntry{Command: strings.TrimSpace(strings.ReplaceAll(command, `\n`, "; ")), Number: number})
		} else if when, ok := strings.CutPrefix(line, "  when: "); ok && len(out) > 0 {
			if t, err := strconv.ParseUint(strings.TrimSpace(when), 10, 40); err == nil {
				out[len(out)-1].Time = int64(t)
			}
		}
	}
	return out
}
