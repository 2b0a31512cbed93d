package system

import (
	"context"
	"errors"
	"math"
	"path"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

var hostSubject = collect.NewSubject("host",
	"The host itself: exactly one record.",
	[]string{"machine_id", "hostname"},
	[]string{"hostname", "os_name", "kernel_version"},
	slices.Concat(hostSystem, hostKernel, hostSettings, hostNetwork, hostMachine))

// host is the one record. Each file is read when a field asks for it.
type host struct {
	env *collect.Env
	fs  procfs.FS

	release  lazy[map[string]string]
	kernel   lazy[procfs.KernelStat]
	load     lazy[[]float64]
	memory   lazy[map[string]int64]
	cpu      lazy[map[string]string]
	preload  lazy[[]string]
	accounts lazy[*accounts.Accounts]
}

func hostCollector() collect.Collector {
	return collect.Collector{Name: "host", Subjects: []*collect.Subject{hostSubject}, Run: runHost}
}

func runHost(_ context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, _ *collect.Status) error {
	return errors.Join(emit("host", &host{env: env, fs: tree(env)}), env.Throttle.Pause())
}

// maxConfigBytes bounds each text file of /etc that is read; block lists in /etc/hosts are the largest.
const maxConfigBytes = 8 << 20

// config reads a text file of the host; absent when there is none.
func (h *host) config(path string) (text string, found bool, err error) {
	data, err := content.ReadFile(h.env, path, maxConfigBytes)
	if content.IsAbsent(err) {
		return "", false, nil
	}
	return string(data), err == nil, err
}

// firstConfig gives the trimmed text of the first of the files that has any.
func firstConfig(paths ...string) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		for _, path := range paths {
			data, _, err := h.config(path)
			if data = strings.TrimSpace(data); err != nil || data != "" {
				return text(data), err
			}
		}
		return nil, nil
	}
}

// settingLines gives the lines of a file that say something: no comments, white space as one blank.
func settingLines(data string) []string {
	found := []string{}
	for line := range seq.Lines(data) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// kernelText makes a getter of a kernel file's text; absent when this kernel does not have it.
func kernelText(path string) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		v, err := h.fs.ReadText(path)
		return absentOK(text(v), err)
	}
}

// kernelInt makes a getter of a kernel file's number; absent when this kernel does not have it.
func kernelInt(path string) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		n, err := h.fs.ReadInt(path)
		return absentOK(n, err)
	}
}

// sysctl is kernelInt for a setting by its path below /proc/sys.
func sysctl(name string) func(h *host) (any, error) { return kernelInt("/proc/sys/" + name) }

func hostname(h *host) (any, error) {
	name, err := kernelText("/proc/sys/kernel/hostname")(h)
	if err != nil || name != nil {
		return name, err
	}
	return firstConfig("/etc/hostname")(h)
}

// machineName is the machine field of uname(2). A tree that is not the running system has none.
func machineName(h *host) (any, error) {
	name, err := kernelText("/proc/sys/kernel/arch")(h)
	if err != nil || name != nil || !h.fs.IsLive() {
		return name, err
	}
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return nil, err
	}
	return text(fromC(u.Machine[:])), nil
}

// fromC reads a C string; its bytes are signed or not, as the architecture has it.
func fromC[T int8 | uint8](raw []T) string {
	var out []byte
	for _, c := range raw {
		if c == 0 {
			break
		}
		out = append(out, byte(c))
	}
	return string(out)
}

// osRelease reads os-release(5) as key → value.
func (h *host) osRelease() (map[string]string, error) {
	return h.release.get(func() (map[string]string, error) {
		for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
			data, found, err := h.config(path)
			if err != nil || found {
				return parseAssignments(data), err
			}
		}
		return nil, nil
	})
}

// parseAssignments reads NAME=value lines as the shell would: quotes around the value, a backslash before a character.
func parseAssignments(data string) map[string]string {
	values := map[string]string{}
	for line := range seq.Lines(data) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			values[key] = unquote(value)
		}
	}
	return values
}

func unquote(value string) string {
	quote := byte(0)
	if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		quote, value = value[0], value[1:len(value)-1]
	}
	if quote == '\'' {
		return value
	}
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		out.WriteByte(value[i])
	}
	return out.String()
}

func osRelease(key string) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		values, err := h.osRelease()
		return text(values[key]), err
	}
}

// osLike is the distribution's id and those of its relatives.
func osLike(h *host) (any, error) {
	values, err := h.osRelease()
	return append([]string{}, strings.Fields(values["ID_LIKE"])...), err
}

func (h *host) kernelStat() (procfs.KernelStat, error) { return h.kernel.get(h.fs.ReadKernelStat) }

func bootTime(h *host) (any, error) {
	s, err := h.kernelStat()
	return s.BootTime, err
}

// cpuCount counts the processors that are on.
func cpuCount(h *host) (any, error) {
	s, err := h.kernelStat()
	return int64(s.CPUs), err
}

func uptime(h *host) (any, error) {
	numbers, err := h.fs.ReadFloats("/proc/uptime", 1)
	if err != nil {
		return nil, err
	}
	return int64(math.Floor(numbers[0])), nil
}

func loadAverage(which int) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		numbers, err := h.load.get(func() ([]float64, error) { return h.fs.ReadFloats("/proc/loadavg", 3) })
		if err != nil {
			return nil, err
		}
		return numbers[which], nil
	}
}

// memoryOf gives a line of meminfo; absent when this kernel does not have it.
func memoryOf(name string) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		memory, err := h.memory.get(h.fs.ReadMemory)
		if n, found := memory[name]; found {
			return n, nil
		}
		return nil, err
	}
}

func (h *host) cpuInfo() (map[string]string, error) { return h.cpu.get(h.fs.ReadCPU) }

// cpuBrand looks under the keys that the architectures use.
func cpuBrand(h *host) (any, error) {
	cpu, err := h.cpuInfo()
	for _, key := range []string{"model name", "Model Name", "cpu model", "cpu", "Processor", "uarch", "Hardware", "vendor_id"} {
		if cpu[key] != "" {
			return cpu[key], nil
		}
	}
	return nil, err
}

// cpuBugs is absent on architectures and kernels that have no such line.
func cpuBugs(h *host) (any, error) {
	cpu, err := h.cpuInfo()
	if procfs.IsAbsent(err) {
		return nil, nil
	}
	bugs, told := cpu["bugs"]
	if err != nil || !told {
		return nil, err
	}
	return append([]string{}, strings.Fields(bugs)...), nil
}

// taintLetters are the letters of Documentation/admin-guide/tainted-kernels.rst by bit.
const taintLetters = "PFSRMBUDAWCIOELKXTNJ"

func kernelTaints(h *host) (any, error) {
	v, err := kernelInt("/proc/sys/kernel/tainted")(h)
	set, known := v.(int64)
	if err != nil || !known {
		return nil, err
	}
	letters := []string{}
	for bit, letter := range taintLetters {
		if set>>bit&1 == 1 {
			letters = append(letters, string(letter))
		}
	}
	return letters, nil
}

// lockdown is the mode in brackets of "[none] integrity confidentiality".
func lockdown(h *host) (any, error) {
	v, err := h.fs.ReadText("/sys/kernel/security/lockdown")
	_, rest, _ := strings.Cut(v, "[")
	mode, _, _ := strings.Cut(rest, "]")
	return absentOK(text(mode), err)
}

// selinux tells apart a kernel without it (absent) and one where it is switched off (disabled).
func selinux(h *host) (any, error) {
	enforcing, err := h.fs.ReadInt("/sys/fs/selinux/enforce")
	switch {
	case err == nil && enforcing == 1:
		return "enforcing", nil
	case err == nil:
		return "permissive", nil
	case !procfs.IsAbsent(err):
		return nil, err
	}
	if exists(h.env, "/etc/selinux/config") {
		return "disabled", nil
	}
	return "absent", nil
}

func apparmor(h *host) (any, error) {
	v, err := h.fs.ReadText("/sys/module/apparmor/parameters/enabled")
	return absentOrFalse(v == "Y", err)
}

// absentOrFalse takes a missing file for no.
func absentOrFalse(v bool, err error) (any, error) {
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	return v && err == nil, nil
}

// preloadLines are the lines of ld.so.preload; nil when there is no such file.
func (h *host) preloadLines() ([]string, error) {
	return h.preload.get(func() ([]string, error) {
		data, found, err := h.config("/etc/ld.so.preload")
		if err != nil || !found {
			return nil, err
		}
		return settingLines(data), nil
	})
}

func ldSoPreload(h *host) (any, error) {
	lines, err := h.preloadLines()
	if err != nil || lines == nil {
		return nil, err
	}
	return lines, nil
}

// ldSoPreloadExists is also true for a file that is no regular one.
func ldSoPreloadExists(h *host) (any, error) {
	_, err := content.Lstat(h.env, "/etc/ld.so.preload")
	if content.IsAbsent(err) {
		return false, nil
	}
	if err != nil {
		return nil, err
	}
	return true, nil
}

func usersCount(h *host) (any, error) {
	a, err := h.accounts.get(func() (*accounts.Accounts, error) {
		a := accounts.Load(h.env)
		return a, a.PasswdErr
	})
	if err != nil {
		return nil, err
	}
	return int64(len(a.Users)), nil
}

func processesCount(h *host) (any, error) {
	pids, err := h.fs.ReadPIDs()
	return int64(len(pids)), err
}

func modulesCount(h *host) (any, error) {
	modules, err := h.fs.ReadModules()
	return absentOK(int64(len(modules)), err)
}

// hostsEntries are the lines of /etc/hosts without comments.
func hostsEntries(h *host) (any, error) {
	data, _, err := h.config("/etc/hosts")
	return settingLines(data), err
}

func dnsServers(h *host) (any, error) {
	data, _, err := h.config("/etc/resolv.conf")
	servers := []string{}
	for _, line := range settingLines(data) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			servers = append(servers, words[1])
		}
	}
	return servers, err
}

// timezone is the name in /etc/timezone, else that of the file /etc/localtime leads to.
func timezone(h *host) (any, error) {
	name, err := firstConfig("/etc/timezone")(h)
	if err != nil || name != nil {
		return name, err
	}
	target, err := content.Resolve(h.env, "/etc/localtime")
	if content.IsAbsent(err) {
		return nil, nil
	}
	if _, zone, found := strings.Cut(path.Clean(target), "/zoneinfo/"); found {
		return zone, err
	}
	return nil, err
}
