package settings

import (
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
)

// services are those whose stacks of PAM decide who gets in and how passwords are chosen.
var services = []string{"login", "sshd", "sudo", "su", "su-l", "passwd", "other"}

var pamDirectories = []string{"/etc/pam.d", "/usr/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d"}

// stacks gives for each service its lines of PAM with all includes put in, as pam.conf(5) has it.
func stacks(r *reader) []*setting {
	var found []*setting
	for _, service := range services {
		misses := len(r.misses)
		path := pamFile(r, service)
		if path == "" {
			continue
		}
		s := &setting{env: r.env, kind: r.kind, name: service, path: path, isSet: true, values: []string{}}
		s.values = flatten(r, path, "", 0, s.values)
		if len(r.misses) > misses {
			s.valueErr = r.misses[misses].err
		}
		found = append(found, s)
	}
	return found
}

func pamFile(r *reader, service string) string {
	var paths []string
	for _, dir := range pamDirectories {
		paths = append(paths, dir+"/"+service)
	}
	return r.first(paths...)
}

// flatten adds the lines of a service file, "type control module arguments"; only those of one type where an include
// asks for that.
func flatten(r *reader, path, only string, depth int, lines []string) []string {
	if depth > maxDepth {
		r.miss(path, collect.ErrLimit)
		return lines
	}
	text, ok := r.text(path)
	if !ok {
		return lines
	}
	text = strings.ReplaceAll(text, "\\\n", " ")
	eachLine(text, "#", func(_ int64, text string) {
		if len(lines) >= maxEntries {
			return
		}
		kind, control, module, arguments := pamWords(text)
		switch {
		case kind == "@include":
			if include := pamInclude(r, control); include != "" {
				lines = flatten(r, include, only, depth+1, lines)
			}
		case module == "" || only != "" && kind != only:
		case control == "include" || control == "substack":
			if include := pamInclude(r, module); include != "" {
				lines = flatten(r, include, kind, depth+1, lines)
			}
		default:
			lines = append(lines, strings.TrimSpace(kind+" "+control+" "+module+" "+arguments))
		}
	})
	return lines
}

func pamInclude(r *reader, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	if strings.Contains(name, "/") {
		return ""
	}
	return pamFile(r, name)
}

// pamWords divides a line of a service file; a control in brackets is one word, a module loses its directory.
func pamWords(text string) (kind, control, module, arguments string) {
	kind, rest, _ := cutBlank(text)
	kind = strings.ToLower(strings.TrimPrefix(kind, "-"))
	if strings.HasPrefix(rest, "[") {
		control, rest, _ = strings.Cut(rest, "]")
		control, rest = control+"]", strings.TrimSpace(rest)
	} else {
		control, rest, _ = cutBlank(rest)
	}
	if !strings.HasPrefix(control, "[") {
		control = strings.ToLower(control)
	}
	module, arguments, _ = cutBlank(rest)
	if control != "include" && control != "substack" {
		module = module[strings.LastIndexByte(module, '/')+1:]
	}
	return kind, control, module, arguments
}

// moduleSettings are the settings of a module of PAM: its file, and above that the arguments in the stacks.
func moduleSettings(file kindOfFile, modules ...string) func(r *reader) []*setting {
	return func(r *reader) []*setting {
		lines, _ := file.lines(r)
		used := false
		for _, service := range []string{"passwd", "sshd", "login"} {
			path := pamFile(r, service)
			if path == "" {
				continue
			}
			for _, text := range flatten(r, path, "", 0, nil) {
				_, _, module, arguments := pamWords(text)
				if !slices.Contains(modules, module) {
					continue
				}
				used = true
				for _, argument := range strings.Fields(arguments) {
					name, value, _ := strings.Cut(argument, "=")
					lines = append(lines, line{path: path, name: name, value: value})
				}
			}
		}
		if !used && len(r.misses) == 0 {
			return nil // its file holds for nobody
		}
		return r.last(lines, file.wanted)
	}
}
