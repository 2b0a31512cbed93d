package launch

import (
	"path"
	"strings"
)

// Line is a command line with what decides where its files lie.
type Line struct {
	Text string
	Dir  string   // directory it starts in; "" when that is not known
	Home string   // of the user it runs as; "" when that is not known
	Path []string // directories of programs without a slash; nil for the usual ones
}

// Candidate is a file that a command line runs, if it is a script.
type Candidate struct {
	Path  string // absolute, or the bare name of a program
	Given bool   // an interpreter is given it: a script whatever its bits and first line
}

// Bounds of one command line.
const (
	maxCandidates = 16
	maxCommands   = 64
	maxNested     = 3 // sh -c 'sh -c "…"'
)

// Candidates are the files that a command line runs, each once, in its order. Words that only a shell or systemd could
// expand are left out.
func Candidates(line Line) []Candidate {
	f := &finder{dir: line.Dir, home: line.Home}
	f.text(line.Text, 0)
	return f.found
}

// Quote makes one word of a path.
func Quote(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }

type finder struct {
	dir, home string
	commands  int
	found     []Candidate
}

func (f *finder) text(text string, depth int) {
	if depth > maxNested {
		return
	}
	for _, words := range split(text) {
		if f.commands++; f.commands > maxCommands {
			return
		}
		f.command(words, depth)
	}
}

// keywords stand before a command without being one.
var keywords = map[string]bool{
	"if": true, "then": true, "else": true, "elif": true, "while": true, "until": true, "do": true, "!": true, "{": true,
	"time": true,
}

// wrappers start the program that their arguments name.
var wrappers = map[string]bool{
	"env": true, "nohup": true, "nice": true, "ionice": true, "setsid": true, "sudo": true, "doas": true, "su": true,
	"runuser": true, "exec": true, "command": true, "eval": true, "builtin": true, "timeout": true, "stdbuf": true,
	"flock": true, "chronic": true, "chrt": true, "taskset": true, "busybox": true, "systemd-run": true,
	"systemd-cat": true, "systemd-inhibit": true, "start-stop-daemon": true, "xargs": true, "screen": true, "tmux": true,
	"unshare": true, "setpriv": true, "script": true, "daemonize": true, "cgexec": true, "logsave": true,
}

func (f *finder) command(words []string, depth int) {
	words = f.withoutInput(words)
	for len(words) > 0 && (keywords[words[0]] || isAssignment(words[0])) {
		words = words[1:]
	}
	if len(words) == 0 {
		return
	}
	name := path.Base(words[0])
	switch {
	case name == "cd" && len(words) > 1:
		f.dir = f.absolute(words[len(words)-1])
	case name == "cd":
		f.dir = f.home
	case words[0] == "." || words[0] == "source":
		if len(words) > 1 {
			f.add(words[1], true)
		}
	case wrappers[name]:
		f.wrapped(words, depth)
	default:
		if interpreter, valued, inline := Interpreter(words[0]); interpreter != "" {
			f.interpreted(words, valued, inline, depth)
		} else {
			f.add(words[0], false)
		}
	}
}

// withoutInput takes "< file" out of a command; what a shell reads is a script too.
func (f *finder) withoutInput(words []string) []string {
	for i, word := range words {
		if word == inputMark && i+1 < len(words) {
			if name, _, inline := Interpreter(words[0]); i > 0 && name != "" && strings.Contains(inline, "c") {
				f.add(words[i+1], true)
			}
			return append(words[:i:i], words[i+2:]...)
		}
	}
	return words
}

// wrapped looks for the command among a wrapper's options and their values.
func (f *finder) wrapped(words []string, depth int) {
	for i := 1; i < len(words); i++ {
		word := words[i]
		base := path.Base(word)
		interpreter, _, _ := Interpreter(word)
		switch {
		case word == "-c" && i+1 < len(words) && strings.ContainsAny(words[i+1], " ;/"):
			f.text(words[i+1], depth+1)
			return
		case wrappers[base] || interpreter != "" && !strings.HasPrefix(word, "-"):
			f.command(words[i:], depth)
			return
		case strings.ContainsRune(word, '/') && !strings.HasPrefix(word, "-") && !isAssignment(word):
			f.add(word, false)
		}
	}
}

func (f *finder) interpreted(words []string, valued, inline string, depth int) {
	if file := Argument(words, valued, inline); file != "" {
		f.add(file, true)
		return
	}
	if inline != "c" {
		return // code of another language stands in the line itself
	}
	for i, word := range words {
		if i > 0 && strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && strings.ContainsRune(word, 'c') && i+1 < len(words) {
			f.text(words[i+1], depth+1)
			return
		}
	}
}

func (f *finder) add(word string, given bool) {
	file := word
	if given || strings.ContainsRune(word, '/') {
		file = f.absolute(word)
	}
	if file == "" || file == "." || strings.ContainsAny(file, unexpanded) || strings.HasPrefix(file, "-") || len(f.found) == maxCandidates {
		return
	}
	for _, c := range f.found {
		if c.Path == file {
			return
		}
	}
	f.found = append(f.found, Candidate{file, given})
}

// unexpanded are characters by which a shell or systemd makes something else of a word.
const unexpanded = "$`*?%\x00"

// absolute gives the path that a word names, "" when that cannot be told.
func (f *finder) absolute(word string) string {
	for _, mark := range []string{"~/", "$HOME/", "${HOME}/"} {
		if rest, ok := strings.CutPrefix(word, mark); ok {
			if f.home == "" {
				return ""
			}
			word = path.Join(f.home, rest)
		}
	}
	switch {
	case strings.ContainsAny(word, unexpanded) || strings.HasPrefix(word, "~"):
		return ""
	case strings.HasPrefix(word, "/"):
		return path.Clean(word)
	case f.dir == "" || word == "":
		return ""
	}
	return path.Join(f.dir, word)
}

// isAssignment tells NAME=value.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// inputMark stands in a command for "<"; no word can be the same.
const inputMark = "<\x00"

// split divides shell text into commands and these into words, quotes taken off. What redirects output, and comments,
// are left out; text in double quotes is not looked into.
func split(text string) [][]string {
	s := splitter{}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] != '\n' {
				s.put(text[i])
			}
		case c == '\'' || c == '"':
			i = s.quoted(text, i)
		case c == ' ' || c == '\t' || c == '\r':
			s.endWord()
		case c == '#' && !s.started:
			if next := strings.IndexByte(text[i:], '\n'); next >= 0 {
				i += next - 1
			} else {
				i = len(text)
			}
		case c == '>':
			if strings.Trim(s.word.String(), "0123456789&") == "" {
				s.drop()
			}
			s.endWord()
			s.skip = true
		case c == '&' && (i > 0 && text[i-1] == '>' || i+1 < len(text) && text[i+1] == '>'):
		case c == '<':
			s.endWord()
			if s.skip = i+1 < len(text) && text[i+1] == '<'; s.skip {
				i++
			} else {
				s.words = append(s.words, inputMark)
			}
		case strings.IndexByte(";&|()`\n", c) >= 0:
			if s.word.String() == "$" {
				s.drop()
			}
			s.endCommand()
		default:
			s.put(c)
		}
	}
	s.endCommand()
	return s.commands
}

type splitter struct {
	commands [][]string
	words    []string
	word     strings.Builder
	started  bool
	skip     bool // the next word is where output goes
}

func (s *splitter) put(c byte) {
	s.word.WriteByte(c)
	s.started = true
}

func (s *splitter) drop() {
	s.word.Reset()
	s.started = false
}

// quoted takes what stands between quotes and gives the place of the last one.
func (s *splitter) quoted(text string, i int) int {
	quote := text[i]
	s.started = true
	for i++; i < len(text) && text[i] != quote; i++ {
		if quote == '"' && text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\"\\$`", text[i+1]) >= 0 {
			i++
		}
		s.word.WriteByte(text[i])
	}
	return i
}

func (s *splitter) endWord() {
	if s.started && !s.skip {
		s.words = append(s.words, s.word.String())
	}
	if s.started {
		s.skip = false
	}
	s.drop()
}

func (s *splitter) endCommand() {
	s.endWord()
	s.skip = false
	if len(s.words) > 0 {
		s.commands = append(s.commands, s.words)
	}
	s.words = nil
}
