package system

import (
	"errors"
	iofs "io/fs"
	"strings"

	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// dmi makes a getter of what the firmware says; absent on machines without DMI.
func dmi(file string) func(h *host) (any, error) {
	return func(h *host) (any, error) {
		v, err := h.fs.ReadText("/sys/class/dmi/id/" + file)
		return absentOK(text(v), err)
	}
}

// product is the firmware's name of the machine, or that of the device tree.
func product(h *host) (any, error) {
	name, err := dmi("product_name")(h)
	if err != nil || name != nil {
		return name, err
	}
	model, err := h.fs.ReadText("/proc/device-tree/model")
	return absentOK(text(strings.Trim(model, "\x00")), err)
}

// containerMarks are words in control groups or mounts of the first process that name the engine.
var containerMarks = []struct{ mark, engine string }{
	{"/docker", "docker"}, {"/lxc", "lxc"}, {"/libpod", "podman"}, {"/kubepods", "kubernetes"}, {"/machine.slice/", "systemd-nspawn"},
	{"/containerd", "containerd"},
}

// container says in what kind of container the host itself runs; none when nothing speaks for one.
func container(h *host) (any, error) {
	for _, look := range []func(h *host) (string, error){containerFile, containerVariable, containerCgroup} {
		engine, err := look(h)
		if err != nil || engine != "" {
			return text(engine), err
		}
	}
	return "none", nil
}

// containerFile looks at the files that engines leave inside.
func containerFile(h *host) (string, error) {
	name, found, err := h.config("/run/systemd/container")
	switch name = strings.TrimSpace(name); {
	case err != nil && !errors.Is(err, iofs.ErrPermission):
		return "", err
	case found && name != "":
		return name, nil
	case exists(h.env, "/.dockerenv"):
		return "docker", nil
	case exists(h.env, "/run/.containerenv"):
		return "podman", nil
	case exists(h.env, "/proc/vz") && !exists(h.env, "/proc/bc"):
		return "openvz", nil
	}
	return "", nil
}

// containerVariable looks at the variable that engines set for the first process, which only root may see.
func containerVariable(h *host) (string, error) {
	environ, err := h.fs.ReadEnviron("1")
	if procfs.IsAbsent(err) || procfs.IsDenied(err) {
		return "", nil
	}
	for _, v := range environ {
		if engine, ok := strings.CutPrefix(v, "container="); ok {
			return engine, nil
		}
	}
	return "", err
}

func containerCgroup(h *host) (string, error) {
	groups, err := h.fs.ReadCgroup("1")
	if procfs.IsAbsent(err) || procfs.IsDenied(err) {
		return "", nil
	}
	for _, g := range groups {
		for _, m := range containerMarks {
			if strings.HasPrefix(g.Path, m.mark) {
				return m.engine, nil
			}
		}
	}
	return "", err
}

// virtualVendors are beginnings of the names that hypervisors give as vendor or product.
var virtualVendors = []string{"QEMU", "KVM", "VMware", "VirtualBox", "innotek", "Xen", "Bochs", "Parallels", "BHYVE",
	"Microsoft Corporation Virtual", "Amazon EC2", "Google Compute Engine", "OpenStack", "Hyper-V", "DigitalOcean", "Hetzner vServer",
	"Scaleway", "Alibaba Cloud", "Firecracker"}

// isVirtual goes by the CPU's hypervisor flag, Xen's directory, the firmware's names and the device tree.
func isVirtual(h *host) (any, error) {
	cpu, err := h.cpuInfo()
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	if hasWord(cpu["flags"], "hypervisor") || exists(h.env, "/sys/hypervisor/type") {
		return true, nil
	}
	compatible, err := h.fs.ReadText("/proc/device-tree/compatible")
	if err == nil && strings.Contains(compatible, "linux,dummy-virt") {
		return true, nil
	}
	vendor, err := dmi("sys_vendor")(h)
	if err != nil {
		return nil, err
	}
	name, err := product(h)
	if err != nil {
		return nil, err
	}
	v, _ := vendor.(string)
	n, _ := name.(string)
	for _, known := range virtualVendors {
		if strings.HasPrefix(v, known) || strings.HasPrefix(n, known) || strings.HasPrefix(v+" "+n, known) {
			return true, nil
		}
	}
	return false, nil
}

func hasWord(text, word string) bool {
	for w := range seq.Fields(text) {
		if w == word {
			return true
		}
	}
	return false
}
