package kernel

import (
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
)

const (
	fromKinds  = "/proc/sys, /proc/cmdline, /sys; see kind"
	fromBinfmt = "binfmt_misc, Documentation/admin-guide/binfmt-misc.rst"
	fromTrace  = "tracefs, debugfs, where they are mounted"
)

var settingSubject = collect.NewSubject("kernel",
	"One fact of the kernel's set-up: a setting, a boot option, a reason of taint, a security module, a processor "+
		"flaw, a binary format handler, a tracing file that says what is hooked, a release agent, a live patch.",
	[]string{"kind", "name"}, []string{"kind", "name", "value", "path"},
	[]collect.Field[*setting]{
		fact.Free("kind", fact.Text, "sysctl, switch (other settings in /sys), cmdline, taint, lsm, lockdown, "+
			"cpu_vulnerability, binfmt, ftrace, release_agent or livepatch", fromKinds,
			func(s *setting) any { return s.kind }),
		fact.Free("name", fact.Text, "name of the setting as sysctl(8) has it, of the option, letter of the taint, "+
			"name of the handler or file", fromKinds, func(s *setting) any { return s.name }),
		fact.Cheap("value", fact.Text, "its value; the interpreter of a binary format; the first line of a tracing file",
			fromKinds, (*setting).valueField),
		fact.Cheap("number", fact.Int, "the value when it is one number", fromKinds, (*setting).number),
		fact.Free("path", fact.Text, "file it comes from", fromKinds, func(s *setting) any { return s.path }),
		fact.Free("meaning", fact.Text, "what a letter of taint means",
			"Documentation/admin-guide/tainted-kernels.rst", func(s *setting) any { return fact.String(s.meaning) }),
		fact.Cheap("is_vulnerable", fact.Bool, "the processor flaw is neither absent nor mitigated",
			"/sys/devices/system/cpu/vulnerabilities", func(s *setting) (any, error) {
				return fact.Pointer(s.affected), s.err
			}),
		fact.Cheap("entries", fact.Texts, "all values of a boot option; lines of a tracing file, the first 1000",
			"/proc/cmdline; "+fromTrace, func(s *setting) (any, error) { return fact.Strings(s.entries), s.err }),
		fact.Cheap("count", fact.Int, "lines of a tracing file: how many hooks there are", fromTrace,
			func(s *setting) (any, error) { return fact.Pointer(s.count), s.err }),
		fact.Cheap("interpreter", fact.Text, "program the kernel runs such files with", fromBinfmt,
			ofHandler(func(h *handler) any { return fact.String(h.interpreter) })),
		fact.Cheap("is_enabled", fact.Bool, "the binary format handler is on", fromBinfmt,
			ofHandler(func(h *handler) any { return h.enabled })),
		fact.Cheap("flags", fact.Texts, "P keeps argv[0], O opens the file, C takes the file's owner and bits, "+
			"F holds the interpreter open", fromBinfmt, ofHandler(func(h *handler) any { return flagList(h.flags) })),
		fact.Cheap("has_credentials_flag", fact.Bool, "flag C: a SUID file makes the interpreter run as its owner",
			fromBinfmt, ofHandler(func(h *handler) any { return strings.Contains(h.flags, "C") })),
		fact.Cheap("extension", fact.Text, "name ending that it stands for, with its dot", fromBinfmt,
			ofHandler(func(h *handler) any { return fact.String(h.extension) })),
		fact.Cheap("magic", fact.Hex, "beginning of files that it stands for", fromBinfmt,
			ofHandler(func(h *handler) any { return fact.String(h.magic) })),
		fact.Cheap("mask", fact.Hex, "bits of the magic that count", fromBinfmt,
			ofHandler(func(h *handler) any { return fact.String(h.mask) })),
		fact.Cheap("offset", fact.Bytes, "where in the file the magic stands", fromBinfmt,
			ofHandler(func(h *handler) any { return h.offset })),
	})
