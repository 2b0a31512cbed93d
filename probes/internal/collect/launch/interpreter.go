// Package launch finds the scripts behind command lines: those of units, cron jobs, udev rules and whatever else starts
// programs by itself. It reads shell as far as it takes to tell what runs, and executes nothing.
package launch

import (
	"path"
	"strings"
)

// interpreters are programs that run scripts, by the beginning of their name (versions follow); the letters are
// options that are followed by a value of their own, and after '=' those that mean there is no script file.
var interpreters = []struct{ name, valued, inline string }{
	{"python", "WXQ", "cm"}, {"perl", "", "eE"}, {"ruby", "CEFIrx", "e"}, {"php", "dcz", "rBREf"},
	{"node", "r", "ep"}, {"lua", "l", "e"}, {"tclsh", "", ""}, {"bash", "oO", "c"}, {"dash", "o", "c"},
	{"zsh", "o", "c"}, {"ksh", "o", "c"}, {"mksh", "o", "c"}, {"ash", "o", "c"}, {"sh", "o", "c"}, {"fish", "", "c"},
}

// Interpreter finds the entry of a program by its base name; versions such as "3.11" may follow the name. name is ""
// for what is no interpreter.
func Interpreter(program string) (name, valued, inline string) {
	base := path.Base(program)
	for _, i := range interpreters {
		if rest, ok := strings.CutPrefix(base, i.name); ok && strings.Trim(rest, "0123456789.-") == "" {
			return i.name, i.valued, i.inline
		}
	}
	return "", "", ""
}

// Argument picks the script out of an interpreter's arguments; "" when the code comes from elsewhere.
func Argument(argv []string, valued, inline string) string {
	for i := 1; i < len(argv); i++ {
		arg := argv[i]
		switch {
		case arg == "-":
			return ""
		case arg == "--" && i+1 < len(argv):
			return argv[i+1]
		case !strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "+"):
			return arg
		case strings.HasPrefix(arg, "--"):
			continue
		case strings.ContainsAny(arg[1:], inline) && inline != "":
			return ""
		case valued != "" && strings.ContainsAny(arg[len(arg)-1:], valued):
			i++
		}
	}
	return ""
}
