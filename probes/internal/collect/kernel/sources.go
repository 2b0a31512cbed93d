package kernel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

func (t tree) exists(path string) bool {
	_, err := content.StatPath(t.env, path)
	return err == nil
}

// names lists a directory; one that is not there has none.
func (t tree) names(dir string) ([]string, error) {
	names, err := t.fs.ReadNames(dir)
	if procfs.IsAbsent(err) {
		return nil, nil
	}
	return names, err
}

// securityModules gives the active security modules and the lockdown mode, from securityfs.
func securityModules(t tree) ([]*setting, error) {
	var found []*setting
	if text, err := t.fs.ReadText("/sys/kernel/security/lsm"); err == nil {
		for name := range seq.Split(text, ",") {
			found = append(found, fixed("lsm", name, "/sys/kernel/security/lsm", "active"))
		}
	} else if !procfs.IsAbsent(err) {
		return nil, fmt.Errorf("security modules: %w", err)
	}
	text, err := t.fs.ReadText("/sys/kernel/security/lockdown")
	if procfs.IsAbsent(err) {
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("lockdown: %w", err)
	}
	return append(found, fixed("lockdown", "lockdown", "/sys/kernel/security/lockdown", chosen(text))), nil
}

// chosen picks the word in brackets of a line such as "none [integrity] confidentiality".
func chosen(line string) string {
	_, rest, _ := strings.Cut(line, "[")
	word, _, found := strings.Cut(rest, "]")
	if !found {
		return line
	}
	return word
}

func vulnerabilities(t tree) ([]*setting, error) {
	const dir = "/sys/devices/system/cpu/vulnerabilities"
	names, err := t.names(dir)
	if err != nil {
		return nil, fmt.Errorf("cpu vulnerabilities: %w", err)
	}
	var found []*setting
	for _, name := range names {
		text, err := t.fs.ReadText(dir + "/" + name)
		s := fixed("cpu_vulnerability", name, dir+"/"+name, text)
		s.err = err
		affected := strings.HasPrefix(text, "Vulnerable")
		s.affected = &affected
		found = append(found, s)
	}
	return found, nil
}

// handler is a program that the kernel runs files of a certain beginning or name with, see binfmt_misc.
type handler struct {
	enabled     bool
	interpreter string
	flags       string // P O C F, see Documentation/admin-guide/binfmt-misc.rst
	extension   string
	magic, mask string // hexadecimal
	offset      int64
}

const maxHandlers = 1024

// formatHandlers gives the handlers of binfmt_misc, when it is mounted: looking must not mount it.
func formatHandlers(t tree) ([]*setting, error) {
	mounts, err := t.mountsOf("binfmt_misc")
	if err != nil || len(mounts) == 0 {
		return nil, err
	}
	dir := mounts[0]
	names, err := t.names(dir)
	if err != nil {
		return nil, fmt.Errorf("binary formats: %w", err)
	}
	var found []*setting
	for _, name := range names {
		if name == "register" || name == "status" {
			continue
		}
		if len(found) == maxHandlers {
			return found, fmt.Errorf("binary formats: %w", collect.ErrLimit)
		}
		text, err := t.fs.ReadText(dir + "/" + name)
		if procfs.IsAbsent(err) {
			continue
		}
		h := parseHandler(text)
		s := fixed("binfmt", name, dir+"/"+name, h.interpreter)
		s.handler, s.err = &h, err
		found = append(found, s)
	}
	return found, nil
}

// parseHandler reads the file of one handler: "enabled", "interpreter PATH", "flags: F", "offset N", "magic HEX" …
func parseHandler(text string) handler {
	var h handler
	for line := range seq.Lines(text) {
		line = strings.TrimRight(line, "\n")
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "enabled":
			h.enabled = true
		case "interpreter":
			h.interpreter = value
		case "flags:":
			h.flags = strings.TrimSpace(value)
		case "extension":
			h.extension = value
		case "offset":
			h.offset, _ = strconv.ParseInt(value, 10, 64) // a number that is none is as good as the default 0
		case "magic":
			h.magic = value
		case "mask":
			h.mask = value
		}
	}
	return h
}

// mountsOf gives where file systems of a type are mounted. Tracing, debugging and binary formats are mounted by the
// kernel as soon as somebody walks into their places, which is why nothing is opened there unless it is mounted.
func (t tree) mountsOf(kind string) ([]string, error) {
	mounts, err := t.fs.ReadMounts("self")
	if err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	var paths []string
	for _, m := range mounts {
		if m.Type == kind && m.Root == "/" {
			paths = append(paths, m.Path)
		}
	}
	return paths, nil
}

// traceFiles are the files of tracefs that say what is hooked. What is watched for performance alone stands there too.
var traceFiles = []string{"current_tracer", "tracing_on", "set_ftrace_filter", "set_ftrace_notrace",
	"set_ftrace_pid", "set_event", "enabled_functions", "kprobe_events", "uprobe_events", "dynamic_events"}

const maxTraceLines = 1000

// tracing gives the tracers and probes that are active.
func tracing(t tree) ([]*setting, error) {
	dirs, err := t.mountsOf("tracefs")
	if err != nil {
		return nil, err
	}
	var files []string
	if len(dirs) > 0 {
		for _, name := range traceFiles {
			files = append(files, dirs[0]+"/"+name)
		}
	}
	if dirs, err = t.mountsOf("debugfs"); err == nil && len(dirs) > 0 {
		files = append(files, dirs[0]+"/kprobes/list")
	}
	var found []*setting
	for _, path := range files {
		if s := t.traceFile(path); s != nil {
			found = append(found, s)
		}
	}
	return found, err
}

func (t tree) traceFile(path string) *setting {
	text, err := t.fs.ReadText(path)
	if procfs.IsAbsent(err) {
		return nil
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if strings.HasSuffix(path, "/kprobes/list") {
		name = "kprobes"
	}
	entries := traceEntries(text)
	count := int64(len(entries))
	s := fixed("ftrace", name, path, strings.Join(entries[:min(len(entries), 1)], ""))
	s.entries, s.count, s.err = entries[:min(len(entries), maxTraceLines)], &count, err
	return s
}

// traceEntries are the lines of a tracing file without its remarks, such as "#### all functions enabled ####".
func traceEntries(text string) []string {
	entries := []string{}
	for line := range seq.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			entries = append(entries, line)
		}
	}
	return entries
}

// releaseAgents gives the programs that the kernel runs as root when a control group (version 1) becomes empty; a way
// out of containers that is left behind in the host's own hierarchy.
func releaseAgents(t tree) ([]*setting, error) {
	dirs, err := t.mountsOf("cgroup")
	if err != nil {
		return nil, err
	}
	var found []*setting
	for _, dir := range dirs {
		text, err := t.fs.ReadText(dir + "/release_agent")
		if procfs.IsAbsent(err) || err == nil && text == "" {
			continue
		}
		s := fixed("release_agent", dir, dir+"/release_agent", text)
		s.err = err
		found = append(found, s)
	}
	return found, nil
}

func livePatches(t tree) ([]*setting, error) {
	const dir = "/sys/kernel/livepatch"
	names, err := t.names(dir)
	if err != nil {
		return nil, fmt.Errorf("live patches: %w", err)
	}
	var found []*setting
	for _, name := range names {
		if s := t.fromFile("livepatch", name, dir+"/"+name+"/enabled"); s != nil {
			found = append(found, s)
		}
	}
	return found, nil
}

// flagList spells the letters of a handler's flags out, one a value.
func flagList(letters string) []string {
	flags := strings.Split(letters, "")
	slices.Sort(flags)
	return flags
}
