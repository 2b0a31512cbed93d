package containers

import (
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
)

const (
	fromEngine  = "files of the engine: config.v2.json, hostconfig.json, config.json, containers.json, lxc.conf, .nspawn"
	fromProcess = "/proc/PID/cgroup, /proc/PID/ns"
)

func told(get func(c *container) *bool) func(c *container) any {
	return func(c *container) any { return fact.Pointer(get(c)) }
}

func nonZero(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// engineSockets are sockets that make whoever can write to them root of the host.
var engineSockets = []string{"docker.sock", "containerd.sock", "podman.sock", "crio.sock", "dockershim.sock", "cri-dockerd.sock"}

// mounted says whether the source of some mount fits; nil when the mounts are not known.
func mounted(fits func(m mount) bool) func(c *container) any {
	return func(c *container) any {
		if c.mounts == nil {
			return nil
		}
		return slices.ContainsFunc(c.mounts, fits)
	}
}

// isEngineSocket also takes the directories that such sockets lie in directly.
func isEngineSocket(m mount) bool {
	return slices.Contains(engineSockets, path.Base(m.source)) ||
		slices.Contains([]string{"/var/run", "/run", "/run/containerd", "/var/run/docker"}, path.Clean(m.source))
}

// sensitive are places of the host that give the host away when they are writable inside.
var sensitive = []string{"/", "/boot", "/dev", "/etc", "/home", "/lib", "/lib/modules", "/proc", "/root", "/run", "/sys",
	"/usr", "/usr/bin", "/usr/sbin", "/var", "/var/lib", "/var/lib/docker", "/var/lib/kubelet", "/var/lib/containers",
	"/var/run", "/var/spool/cron", "/etc/cron.d", "/etc/kubernetes", "/etc/systemd", "/etc/systemd/system", "/root/.ssh",
	"/etc/shadow", "/etc/passwd", "/etc/sudoers", "/etc/sudoers.d", "/etc/ld.so.preload"}

func sensitiveMounts(c *container) any {
	if c.mounts == nil {
		return nil
	}
	sources := []string{}
	for _, m := range c.mounts {
		if !m.isReadOnly && slices.Contains(sensitive, path.Clean(m.source)) {
			sources = append(sources, m.source)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}

func mountList(c *container) any {
	if c.mounts == nil {
		return nil
	}
	list := []string{}
	for _, m := range c.mounts {
		list = append(list, m.String())
	}
	slices.Sort(list)
	return list
}

var subject = collect.NewSubject("container",
	"A container that an engine keeps on this host, or that runs here: Docker, Podman, CRI-O, containerd, LXC, Incus, "+
		"LXD, systemd-nspawn.",
	[]string{"runtime", "name", "image"},
	[]string{"id", "name", "image", "runtime", "state", "path"},
	[]collect.Field[*container]{
		fact.Free("id", fact.Text, "id the engine gave; the name where engines have none", fromEngine,
			func(c *container) any { return fact.String(c.id) }),
		fact.Free("name", fact.Text, "name of the container; the beginning of its id where it has none", fromEngine,
			func(c *container) any {
				if c.name == "" {
					return fact.String(c.id[:min(len(c.id), shortID)])
				}
				return c.name
			}),
		fact.Free("image", fact.Text, "image it was made of, as it was named then", fromEngine,
			func(c *container) any { return fact.String(c.image) }),
		fact.Free("runtime", fact.Text, "docker, podman, cri-o, containerd, lxc, incus, lxd, systemd-nspawn; unknown for one "+
			"that runs and that no engine has files of", fromEngine, func(c *container) any { return c.runtime }),
		fact.Free("path", fact.Text, "file or directory of its settings", fromEngine,
			func(c *container) any { return fact.String(c.path) }),
		fact.Free("state", fact.Text, "created, running, paused, restarting, exited or dead", fromEngine+"; "+fromProcess,
			func(c *container) any { return fact.String(c.state) }),
		fact.Free("pid", fact.Int, "its first process, as the host numbers it; none when it does not run", fromProcess,
			func(c *container) any { return nonZero(c.pid) }),
		fact.Free("privileged", fact.Bool, "it has all capabilities and devices and no filter; of LXC, its root is the "+
			"host's", fromEngine, told(func(c *container) *bool { return c.privileged })),
		fact.Free("host_pid", fact.Bool, "it sees the processes of the host", fromEngine+"; "+fromProcess,
			told(func(c *container) *bool { return c.hostPID })),
		fact.Free("host_network", fact.Bool, "it is in the network of the host", fromEngine+"; "+fromProcess,
			told(func(c *container) *bool { return c.hostNetwork })),
		fact.Free("host_ipc", fact.Bool, "it shares System V and POSIX message queues and memory with the host",
			fromEngine+"; "+fromProcess, told(func(c *container) *bool { return c.hostIPC })),
		fact.Free("host_uts", fact.Bool, "it shares the host name", fromEngine+"; "+fromProcess,
			told(func(c *container) *bool { return c.hostUTS })),
		fact.Free("user_namespace", fact.Bool, "its root is not the root of the host", fromEngine+"; "+fromProcess,
			told(func(c *container) *bool { return c.userNamespace })),
		fact.Free("network_mode", fact.Text, "network as the engine names it", fromEngine,
			func(c *container) any { return fact.String(c.networkMode) }),
		fact.Free("cap_add", fact.Texts, "capabilities added to the usual ones, as cap_sys_admin, or all", fromEngine,
			func(c *container) any { return fact.Strings(c.capAdd) }),
		fact.Free("cap_drop", fact.Texts, "capabilities taken from the usual ones", fromEngine,
			func(c *container) any { return fact.Strings(c.capDrop) }),
		fact.Free("capabilities", fact.Texts, "all capabilities it may have, where the engine writes them down", fromEngine,
			func(c *container) any { return fact.Strings(c.capabilities) }),
		fact.Free("devices", fact.Texts, "devices of the host that it may use", fromEngine,
			func(c *container) any { return fact.Strings(c.devices) }),
		fact.Free("mounts", fact.Texts, "places of the host that it sees, source:destination, :ro when read-only; volumes "+
			"are left out", fromEngine, mountList),
		fact.Free("sensitive_mounts", fact.Texts, "those sources that are writable and give the host away, such as /, /etc "+
			"or /var/run", fromEngine, sensitiveMounts),
		fact.Free("docker_socket_mounted", fact.Bool, "it can talk to a container engine of the host, which makes it root "+
			"there", fromEngine, mounted(isEngineSocket)),
		fact.Free("root_mounted", fact.Bool, "it sees the root directory of the host", fromEngine,
			mounted(func(m mount) bool { return path.Clean(m.source) == "/" })),
		fact.Free("root_writable", fact.Bool, "it can write to the root directory of the host", fromEngine,
			mounted(func(m mount) bool { return path.Clean(m.source) == "/" && !m.isReadOnly })),
		fact.Free("seccomp_unconfined", fact.Bool, "no system call is filtered", fromEngine,
			told(func(c *container) *bool { return c.noSeccomp })),
		fact.Free("apparmor_unconfined", fact.Bool, "AppArmor is switched off for it", fromEngine,
			told(func(c *container) *bool { return c.noAppArmor })),
		fact.Free("no_new_privileges", fact.Bool, "SUID programs have no effect inside", fromEngine,
			told(func(c *container) *bool { return c.noNewPrivileges })),
		fact.Free("readonly_root", fact.Bool, "its root directory is read-only", fromEngine,
			told(func(c *container) *bool { return c.readOnlyRoot })),
		fact.Free("command", fact.Text, "what it runs, joined by blanks", fromEngine,
			func(c *container) any { return fact.String(strings.Join(c.argv, " ")) }),
		fact.Free("user", fact.Text, "who it runs as, name or number; none for root by default", fromEngine,
			func(c *container) any { return fact.String(c.user) }),
		fact.Free("env_names", fact.Texts, "names of its variables; the values stay where they are", fromEngine,
			func(c *container) any { return fact.Strings(c.envNames) }),
		fact.Free("created", fact.Epoch, "when it was made", fromEngine,
			func(c *container) any { return nonZero(c.created) }),
		fact.Free("started_at", fact.Epoch, "when it was last started", fromEngine,
			func(c *container) any { return nonZero(c.started) }),
		fact.Free("root_path", fact.Text, "its root directory on the host", fromEngine,
			func(c *container) any { return fact.String(c.rootPath) }),
		fact.Free("restart_policy", fact.Text, "when the engine starts it again: no, always, unless-stopped, on-failure",
			fromEngine, func(c *container) any { return fact.String(c.restart) }),
	})
