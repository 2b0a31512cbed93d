package persistence

import (
	"slices"
	"strings"
)

// startupLine is what a line of a shell's start-up file sets, as far as that can be told without running it.
type startupLine struct {
	Variable, Value string
	Alias           string // with Value
	Function        string
	Sourced         string // file that is read into the shell
}

// structure are words that alone on a line do nothing by themselves.
var structure = []string{"then", "else", "fi", "do", "done", "esac", "{", "}", ";;", "end", "endif", "in", ")", "(", "};", "breaksw"}

// isIdle tells a line that does nothing: empty, a comment, or structure only.
func isIdle(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#' || slices.Contains(structure, line)
}

// parseStartupLine reads one line of sh, bash, zsh, fish, csh or of a file of NAME=value lines.
func parseStartupLine(line string) startupLine {
	line = strings.TrimSpace(line)
	for _, prefix := range []string{"builtin ", "command "} {
		line = strings.TrimPrefix(line, prefix)
	}
	word, rest := cutWord(line)
	switch word {
	case "export", "declare", "typeset", "readonly", "local", "setenv", "set":
		return parseSetting(word, rest)
	case "alias":
		return parseAlias(rest)
	case "function":
		name, _, _ := strings.Cut(rest, "(")
		name, _ = cutWord(strings.TrimRight(name, "{ \t"))
		return startupLine{Function: name}
	case ".", "source":
		name, _ := cutWord(rest)
		return startupLine{Sourced: unquote(strings.TrimRight(name, ";"))}
	}
	if name, _, found := strings.Cut(line, "()"); found && isName(strings.TrimSpace(name), true) {
		return startupLine{Function: strings.TrimSpace(name)}
	}
	if name, value, found := strings.Cut(line, "="); found && isName(strings.TrimSuffix(name, "+"), false) {
		return startupLine{Variable: strings.TrimSuffix(name, "+"), Value: firstValue(value)}
	}
	return startupLine{}
}

// parseSetting reads what follows export, declare, setenv or set.
func parseSetting(word, rest string) startupLine {
	for strings.HasPrefix(rest, "-") {
		_, rest = cutWord(rest)
	}
	if name, value, found := strings.Cut(rest, "="); found && isName(strings.TrimSpace(name), false) {
		return startupLine{Variable: strings.TrimSpace(name), Value: firstValue(strings.TrimSpace(value))}
	}
	name, value := cutWord(rest)
	if (word == "setenv" || word == "set") && isName(name, false) && value != "" {
		return startupLine{Variable: name, Value: firstValue(value)}
	}
	return startupLine{}
}

// parseAlias reads what follows alias: name=value of most shells, name value of csh and fish.
func parseAlias(rest string) startupLine {
	for strings.HasPrefix(rest, "-") {
		_, rest = cutWord(rest)
	}
	end := strings.IndexAny(rest, "= \t")
	if end <= 0 {
		return startupLine{}
	}
	value := strings.TrimSpace(rest[end:])
	return startupLine{Alias: unquote(rest[:end]), Value: firstValue(strings.TrimPrefix(value, "="))}
}

// firstValue is the first shell word, quotes around it taken off; what follows a quoted part directly stays.
func firstValue(s string) string {
	quote := byte(0)
	end := len(s)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ' ' || c == '\t' || c == ';':
			end = min(end, i)
		}
		if end < len(s) {
			break
		}
	}
	return unquote(s[:end])
}

// isName tells the name of a variable, or with dash the name of a function.
func isName(s string, dash bool) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (!dash || !strings.ContainsRune("-.:", c))
	}) < 0
}
