package persistence

import (
	"strconv"
	"strings"

	"sandfly/probes/internal/seq"
)

// atName is what the file name of an at job says: queue, number and the minute it runs at.
type atName struct {
	Queue string
	Job   int64
	Time  int64 // epoch seconds
	Runs  bool  // the queue letter is =: it is running now
}

const atNameLength = 14 // queue letter, five digits of the number, eight of the minute, all hexadecimal

// parseAtName reads a name such as a0000101c4e8f2; ok is false for anything else.
func parseAtName(name string) (a atName, ok bool) {
	if len(name) != atNameLength {
		return atName{}, false
	}
	queue := name[0]
	letter := queue >= 'a' && queue <= 'z' || queue >= 'A' && queue <= 'Z' || queue == '='
	job, err := strconv.ParseUint(name[1:6], 16, 32)
	minute, err2 := strconv.ParseUint(name[6:], 16, 32)
	if err != nil || err2 != nil || !letter {
		return atName{}, false
	}
	return atName{Queue: string(queue), Job: int64(job), Time: int64(minute) * 60, Runs: queue == '='}, true
}

// atScript is the script that at(1) wrote around the user's commands.
type atScript struct {
	UID, GID    int64
	HasIDs      bool
	Mail        string
	Environment []string
	Directory   string
	Command     string
}

const maxAtVariables = 500

// parseAtScript takes the parts of an at job: "# atrun uid=0 gid=0", "# mail root 0", the environment, cd and, behind
// the braces, the commands. Of a file that has not this shape the whole text is the command.
func parseAtScript(data string) (s atScript) {
	rest := data
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		switch {
		case strings.HasPrefix(line, "#!"), strings.HasPrefix(line, "umask "), line == "":
		case strings.HasPrefix(line, "# atrun "):
			s.UID, s.GID, s.HasIDs = parseAtIDs(line)
		case strings.HasPrefix(line, "# mail"):
			s.Mail, _ = cutWord(strings.TrimPrefix(line, "# mail"))
		case strings.HasPrefix(line, "cd "):
			s.Directory = atDirectory(line)
			s.Command = atCommands(after)
			return s
		case isAtVariable(line):
			if len(s.Environment) < maxAtVariables {
				s.Environment = append(s.Environment, strings.ReplaceAll(strings.TrimSuffix(strings.TrimSpace(cutExport(line)), ";"), `\`, ""))
			}
		default:
			s.Command = strings.TrimSpace(rest)
			return s
		}
		rest = after
	}
	return s
}

func parseAtIDs(line string) (uid, gid int64, ok bool) {
	found := 0
	for word := range seq.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			continue
		}
		switch name {
		case "uid":
			uid = int64(n)
			found++
		case "gid":
			gid = int64(n)
			found++
		}
	}
	return uid, gid, found == 2
}

func isAtVariable(line string) bool {
	name, _, found := strings.Cut(line, "=")
	return found && isName(name, false)
}

func cutExport(line string) string {
	if at := strings.LastIndex(line, "; export "); at > 0 {
		return line[:at]
	}
	return line
}

// atDirectory reads "cd /dir || {" with at's backslashes.
func atDirectory(line string) string {
	line = strings.TrimPrefix(line, "cd ")
	if at := strings.LastIndex(line, "||"); at >= 0 {
		line = line[:at]
	}
	return strings.ReplaceAll(strings.TrimSpace(line), `\`, "")
}

// atCommands are the commands behind the block that at writes after cd; newer versions put them in a here-document
// with a delimiter of their own.
func atCommands(rest string) string {
	if at := strings.Index(rest, "\n}\n"); at >= 0 && at < 200 {
		rest = rest[at+3:]
	} else if after, ok := strings.CutPrefix(rest, "}\n"); ok {
		rest = after
	}
	first, after, _ := strings.Cut(rest, "\n")
	if _, delimiter, found := strings.Cut(first, "<<"); found && strings.Contains(first, "SHELL") {
		delimiter = strings.Trim(delimiter, `-' "`)
		if at := strings.LastIndex("\n"+after, "\n"+delimiter); delimiter != "" && at >= 0 {
			return strings.TrimSpace(after[:max(at-1, 0)])
		}
		return strings.TrimSpace(after)
	}
	return strings.TrimSpace(rest)
}
