package files

import (
	"iter"
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/seq"
)

// unitFile is what a unit file or drop-in says, by lower-case "section.key"; see systemd.syntax(7).
type unitFile struct {
	values map[string][]string
	kept   int  // settings read
	cut    bool // there were more than maxUnitValues
}

// maxUnitValues bounds the settings kept of one file.
const maxUnitValues = 4096

// parseUnit reads unit file text. A line that ends in a backslash goes on in the next one, comments between them do
// not count, and an empty value takes back what the key was given before.
func parseUnit(data string) unitFile {
	u := unitFile{values: map[string][]string{}}
	section := ""
	for line := range logicalLines(data) {
		if name, is := sectionName(line); is {
			section = name
			continue
		}
		if key, value, found := strings.Cut(line, "="); found {
			if u.kept == maxUnitValues {
				u.cut = true
				break
			}
			u.set(section+"."+strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value))
		}
	}
	return u
}

// logicalLines joins continued lines and leaves comments out.
func logicalLines(data string) iter.Seq[string] {
	return func(yield func(string) bool) {
		var pending strings.Builder
		for line := range seq.Split(data, "\n") {
			line = strings.TrimRight(line, " \t\r")
			if trimmed := strings.TrimLeft(line, " \t"); trimmed != "" && (trimmed[0] == '#' || trimmed[0] == ';') {
				continue
			}
			before, goesOn := strings.CutSuffix(line, `\`)
			pending.WriteString(before)
			if goesOn {
				pending.WriteByte(' ')
				continue
			}
			if !yield(strings.TrimSpace(pending.String())) {
				return
			}
			pending.Reset()
		}
		yield(strings.TrimSpace(pending.String()))
	}
}

func sectionName(line string) (string, bool) {
	if len(line) < 2 || line[0] != '[' || line[len(line)-1] != ']' {
		return "", false
	}
	return strings.ToLower(line[1 : len(line)-1]), true
}

func (u *unitFile) set(key, value string) {
	u.kept++
	if value == "" {
		delete(u.values, key)
		return
	}
	u.values[key] = append(u.values[key], value)
}

// all gives the values of the keys in any of the sections, in the order of the arguments.
func (u *unitFile) all(sections []string, keys ...string) []string {
	var out []string
	for _, section := range sections {
		for _, key := range keys {
			out = append(out, u.values[section+"."+key]...)
		}
	}
	return out
}

// last gives the value that holds for a key that takes one: the last.
func (u *unitFile) last(sections []string, key string) string {
	values := u.all(sections, key)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// words gives the values of a key that takes lists separated by blanks, quotes respected.
func (u *unitFile) words(sections []string, key string) []string {
	var out []string
	for _, value := range u.all(sections, key) {
		out = append(out, splitWords(value)...)
	}
	return out
}

var (
	execSections = []string{"service", "socket", "mount", "swap"}
	execKeys     = []string{
		"execcondition", "execstartpre", "execstart", "execstartpost", "execreload", "execreloadpost", "execstop",
		"execstoppre", "execstoppost",
	}
	timerKeys     = []string{"onstartupsec", "onactivesec", "onunitactivesec", "onunitinactivesec"}
	listenKeys    = []string{"listenstream", "listendatagram", "listensequentialpacket", "listenfifo", "listenspecial", "listennetlink", "listenmessagequeue", "listenusbfunction"}
	pathKeys      = []string{"pathexists", "pathexistsglob", "pathchanged", "pathmodified", "directorynotempty"}
	unitSection   = []string{"unit"}
	installTable  = []string{"install"}
	timerSection  = []string{"timer"}
	triggerTables = []string{"timer", "path", "socket", "automount"}
)

// execLines are all programs that a unit starts, as they are written.
func (u *unitFile) execLines() []string { return u.all(execSections, execKeys...) }

// execPaths are the programs of the Exec lines without the prefix characters of systemd.service(5), each once.
func (u *unitFile) execPaths() []string {
	var out []string
	for _, line := range u.execLines() {
		program := execProgram(line)
		if program != "" && !slices.Contains(out, program) {
			out = append(out, program)
		}
	}
	return out
}

const execPrefixes = "@-:+!| \t"

// execProgram is the program of one Exec line.
func execProgram(line string) string {
	words := splitWords(strings.TrimLeft(line, execPrefixes))
	if len(words) == 0 {
		return ""
	}
	if strings.HasPrefix(words[0], "/") {
		return path.Clean(words[0])
	}
	return words[0]
}

// splitWords splits at blanks outside quotes and takes the quotes off. A backslash keeps the next character.
func splitWords(s string) []string {
	var out []string
	var word strings.Builder
	started, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			// Escapes of characters (\x20, \n) stay as they are written: they do not change what runs.
			if s[i] != '"' && s[i] != '\'' && s[i] != '\\' && s[i] != ' ' {
				word.WriteByte('\\')
			}
			word.WriteByte(s[i])
			started = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, started = c, true
		case c == ' ' || c == '\t':
			if started {
				out = append(out, word.String())
				word.Reset()
			}
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if started {
		out = append(out, word.String())
	}
	return out
}

// unitTypes are the endings of unit names.
var unitTypes = map[string]bool{
	"service": true, "socket": true, "device": true, "mount": true, "automount": true, "swap": true, "target": true,
	"path": true, "timer": true, "slice": true, "scope": true,
}

// unitType is the ending of a unit's name, or "" when it is no unit.
func unitType(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at <= 0 || !unitTypes[name[at+1:]] {
		return ""
	}
	return name[at+1:]
}

// templateOf gives the template of an instance: "getty@tty1.service" → "getty@.service"; "" for any other name.
func templateOf(name string) string {
	at, dot := strings.IndexByte(name, '@'), strings.LastIndexByte(name, '.')
	if at < 0 || dot < at || dot == at+1 {
		return ""
	}
	return name[:at+1] + name[dot:]
}
