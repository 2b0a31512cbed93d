package system

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// namespaceKinds are those that programs are set apart by; time is left out, as nothing hides there.
var namespaceKinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}

// namespaces gives the numbers of a process's namespaces; a kind that the kernel lacks has none.
func (p *process) namespaces() (map[string]uint64, error) {
	return read(p, &p.spaces, func() (map[string]uint64, error) {
		numbers := map[string]uint64{}
		for _, kind := range namespaceKinds {
			number, err := p.fs.ReadNamespace(p.dir, kind)
			if procfs.IsAbsent(err) && p.isAlive() {
				continue
			}
			if err != nil {
				return nil, err
			}
			numbers[kind] = number
		}
		return numbers, nil
	})
}

func ownNamespaces(p *process) (any, error) {
	first := p.byPID[1]
	if first == nil || p.isKernelThread() || p.stat.IsExiting() {
		return nil, nil
	}
	theirs, err := first.namespaces()
	if err != nil {
		return nil, err
	}
	own, err := p.namespaces()
	if err != nil {
		return nil, err
	}
	kinds := []string{}
	for _, kind := range namespaceKinds {
		if own[kind] != theirs[kind] {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// securityLabel is absent where no security module gives labels: the file cannot be read then, or is not there.
func securityLabel(p *process) (any, error) {
	label, err := p.fs.ReadText("/proc/" + p.dir + "/attr/current")
	if errors.Is(err, syscall.EINVAL) {
		return nil, nil
	}
	label, _, _ = strings.Cut(label, "\x00")
	return absentOK(text(strings.TrimSpace(label)), p.explain(err))
}

// fdLabels leaves out what lies where nobody may answer (NFS, FUSE), and what was closed meanwhile.
func fdLabels(p *process) (any, error) {
	if !exists(p.env, "/sys/fs/selinux/enforce") {
		return nil, nil
	}
	open, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	labels := []string{}
	for _, d := range open {
		label, err := content.LabelAt(p.env, "/proc/"+p.dir+"/fd/"+itoa(d.fd))
		if err != nil && !procfs.IsAbsent(err) && !errors.Is(err, collect.ErrNotEntered) {
			return nil, err
		}
		if text, ok := label.(string); ok && !slices.Contains(labels, text) {
			labels = append(labels, text)
		}
	}
	return labels, nil
}

// kernelStack reads lines such as "[<0>] do_sys_poll+0x4c2/0x5c0"; older kernels write the address in the brackets and
// end with a line of ones, which names nothing.
func kernelStack(p *process) (any, error) {
	lines, err := p.fs.ReadText("/proc/" + p.dir + "/stack")
	if err != nil {
		return absentOK(nil, p.explain(err))
	}
	functions := []string{}
	for line := range seq.Lines(lines) {
		_, name, _ := strings.Cut(line, "] ")
		name, _, isPlace := strings.Cut(name, "+")
		if isPlace && len(functions) < maxFrames {
			functions = append(functions, name)
		}
	}
	return functions, nil
}

// maxFrames is the kernel's own bound on the stack of a process.
const maxFrames = 64
