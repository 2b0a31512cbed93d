// Package kernel collects how the kernel is set up and what was put into it while it runs: settings, boot options,
// taint, tracing hooks, binary format handlers, and eBPF programs with their maps and links.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
)

// Collectors returns the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{
		{Name: "kernel", Subjects: []*collect.Subject{settingSubject}, Run: runSettings},
		{Name: "ebpf", Subjects: []*collect.Subject{ebpfSubject}, Run: runEBPF},
	}
}

// setting is one fact of the kernel's set-up; which of its members mean anything depends on kind.
type setting struct {
	kind, name string
	path       string // the file it comes from
	read       func() (string, error)
	text       fact.Lazy[string]

	entries  []string // lines of a tracing file, all values of a boot option
	count    *int64
	meaning  string
	handler  *handler
	affected *bool
	err      error // why the facts beyond name are unknown
}

// fixed is a setting whose value is known.
func fixed(kind, name, path, value string) *setting {
	return &setting{kind: kind, name: name, path: path, read: func() (string, error) { return value, nil }}
}

// value is the text of the setting, read when first asked for.
func (s *setting) value() (string, error) {
	if s.err != nil {
		return "", s.err
	}
	return s.text.Get(s.read)
}

// maxSettingText bounds a value: boot options and filters of tracing can be long.
const maxSettingText = 64 << 10

func (s *setting) valueField() (any, error) {
	text, err := s.value()
	if len(text) > maxSettingText {
		return nil, fmt.Errorf("%s: %w", s.path, collect.ErrLimit)
	}
	if err != nil {
		return nil, err
	}
	return fact.String(text), nil
}

// number is the value when it is one number; absent otherwise.
func (s *setting) number() (any, error) {
	text, err := s.value()
	if err != nil {
		return nil, err
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, nil
	}
	return nil, nil
}

// ofHandler makes a getter of what a binary format handler says.
func ofHandler(get func(h *handler) any) func(s *setting) (any, error) {
	return func(s *setting) (any, error) {
		if s.err != nil || s.handler == nil {
			return nil, s.err
		}
		return get(s.handler), nil
	}
}

// source makes the settings of one kind; what it misses it tells by an error beside what it has.
type source func(t tree) ([]*setting, error)

// tree is what the sources read from.
type tree struct {
	fs  procfs.FS
	env *collect.Env
}

func runSettings(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	t := tree{fact.Tree(env), env}
	if _, err := t.fs.ReadNames("/proc/sys"); err != nil {
		status.Fail("kernel", fmt.Errorf("settings: %w", err))
		return nil
	}
	for _, from := range []source{sysctls, sysfsSwitches, bootOptions, taintLetters, securityModules, vulnerabilities,
		formatHandlers, tracing, releaseAgents, livePatches} {
		found, err := from(t)
		if err != nil {
			status.Partial("kernel", err)
		}
		for _, s := range found {
			if err := errors.Join(ctx.Err(), env.Throttle.Pause()); err != nil {
				return err
			}
			if err := emit("kernel", s); err != nil {
				return err
			}
		}
	}
	return nil
}

// fromFile is a setting that a file holds; nil when the file is not there.
func (t tree) fromFile(kind, name, path string) *setting {
	if !t.exists(path) {
		return nil
	}
	return &setting{kind: kind, name: name, path: path, read: func() (string, error) { return t.fs.ReadText(path) }}
}

func sysctls(t tree) ([]*setting, error) {
	var found []*setting
	for _, name := range settings {
		if s := t.fromFile("sysctl", name, "/proc/sys/"+sysctlPath(name)); s != nil {
			found = append(found, s)
		}
	}
	return found, nil
}

// sysctlPath turns a name as sysctl(8) has it into a path below /proc/sys.
func sysctlPath(name string) string { return strings.ReplaceAll(name, ".", "/") }

func sysfsSwitches(t tree) ([]*setting, error) {
	var found []*setting
	for _, w := range switches {
		if s := t.fromFile("switch", w.name, w.path); s != nil {
			found = append(found, s)
		}
	}
	return found, nil
}

const maxBootOptions = 512 // the kernel's own bound on the line is 2 to 4 KiB

// bootOptions gives each option of the command line once; of one that is given again the last value counts, and entries
// has them all.
func bootOptions(t tree) ([]*setting, error) {
	const path = "/proc/cmdline"
	line, err := t.fs.ReadText(path)
	if err != nil {
		return nil, fmt.Errorf("boot options: %w", err)
	}
	var found []*setting
	byName := map[string]*setting{}
	for _, token := range splitOptions(line) {
		name, value, _ := strings.Cut(token, "=")
		s := byName[name]
		if s == nil {
			if len(found) == maxBootOptions {
				return found, fmt.Errorf("boot options: %w", collect.ErrLimit)
			}
			s = &setting{kind: "cmdline", name: name, path: path, entries: []string{}}
			byName[name] = s
			found = append(found, s)
		}
		s.entries = append(s.entries, value)
		s.read = func() (string, error) { return value, nil }
	}
	return found, nil
}

// splitOptions cuts a command line at spaces outside double quotes, as the kernel's next_arg does.
func splitOptions(line string) []string {
	var options []string
	var option strings.Builder
	quoted := false
	flush := func() {
		if option.Len() > 0 {
			options = append(options, option.String())
			option.Reset()
		}
	}
	for _, c := range []byte(line) {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\n' || c == '\t'):
			flush()
		default:
			option.WriteByte(c)
		}
	}
	flush()
	return options
}

func taintLetters(t tree) ([]*setting, error) {
	const path = "/proc/sys/kernel/tainted"
	bits, err := t.fs.ReadInt(path)
	if procfs.IsAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("taint: %w", err)
	}
	var found []*setting
	for bit, taint := range taints {
		if bits>>bit&1 == 1 {
			s := fixed("taint", taint.letter, path, "1")
			s.meaning = taint.meaning
			found = append(found, s)
		}
	}
	return found, nil
}
