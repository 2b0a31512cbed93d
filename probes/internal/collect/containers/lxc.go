package containers

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/seq"
)

// lxcPlaces are where LXC and its managers keep one directory a container with a file of `lxc.` settings.
var lxcPlaces = []struct{ runtime, dir, file string }{
	{"lxc", "/var/lib/lxc", "config"},
	{"incus", "/run/incus", "lxc.conf"},
	{"lxd", "/var/log/lxd", "lxc.conf"},
	{"lxd", "/var/snap/lxd/common/lxd/logs", "lxc.conf"},
}

func lxc(v *visit) ([]*container, error) {
	var found []*container
	var failed error
	for _, place := range lxcPlaces {
		names, err := v.names(place.dir)
		failed = errors.Join(failed, err)
		for _, name := range names {
			file := place.dir + "/" + name + "/" + place.file
			data, err := content.ReadFile(v.env, file, maxConfig)
			if content.IsAbsent(err) {
				continue
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", place.runtime, err))
				continue
			}
			c := parseLXC(string(data))
			c.id, c.name, c.runtime, c.path, c.state = name, name, place.runtime, file, "created"
			found = append(found, c)
		}
	}
	return found, failed
}

// parseLXC reads "lxc.key = value" lines; keys may come again.
func parseLXC(text string) *container {
	c := &container{userNamespace: yes(false), noAppArmor: yes(false), noSeccomp: yes(true), hostPID: yes(false),
		hostNetwork: yes(true), hostIPC: yes(false), hostUTS: yes(false), capDrop: []string{}, mounts: []mount{}}
	for line := range seq.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found || strings.HasPrefix(key, "#") {
			continue
		}
		c.setLXC(key, value)
	}
	// The host's root is root inside unless ids are mapped.
	c.privileged = yes(!*c.userNamespace)
	return c
}

func (c *container) setLXC(key, value string) {
	switch key {
	case "lxc.idmap", "lxc.id_map":
		c.userNamespace = yes(true)
	case "lxc.apparmor.profile", "lxc.aa_profile":
		c.noAppArmor = yes(value == "unconfined")
	case "lxc.seccomp.profile", "lxc.seccomp":
		c.noSeccomp = yes(value == "")
	case "lxc.cap.drop":
		c.capDrop = append(c.capDrop, capabilityNames(strings.Fields(value))...)
	case "lxc.rootfs.path", "lxc.rootfs":
		_, dir, found := strings.Cut(value, ":/")
		if c.rootPath = value; found {
			c.rootPath = "/" + dir
		}
	case "lxc.net.0.type", "lxc.network.type":
		c.hostNetwork = yes(value == "none")
		c.networkMode = value
	case "lxc.namespace.keep":
		kept := strings.Fields(value)
		c.hostPID, c.hostIPC = yes(slices.Contains(kept, "pid")), yes(slices.Contains(kept, "ipc"))
		c.hostUTS = yes(slices.Contains(kept, "uts"))
	case "lxc.mount.entry":
		if words := strings.Fields(value); len(words) > 3 && strings.HasPrefix(words[0], "/") {
			c.addMount(mount{words[0], "/" + strings.TrimPrefix(words[1], "/"),
				slices.Contains(strings.Split(words[3], ","), "ro")})
		}
	}
}

// nspawn gives the settings of systemd-nspawn, see systemd.nspawn(5).
func nspawn(v *visit) ([]*container, error) {
	var found []*container
	var failed error
	for _, dir := range []string{"/etc/systemd/nspawn", "/run/systemd/nspawn", "/var/lib/machines"} {
		names, err := v.names(dir)
		failed = errors.Join(failed, err)
		for _, name := range names {
			machine, isSettings := strings.CutSuffix(name, ".nspawn")
			if !isSettings {
				continue
			}
			data, err := content.ReadFile(v.env, path.Join(dir, name), maxConfig)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("nspawn: %w", err))
				continue
			}
			c := parseNspawn(string(data))
			c.id, c.name, c.runtime, c.path, c.state = machine, machine, "systemd-nspawn", path.Join(dir, name), "created"
			found = append(found, c)
		}
	}
	return found, failed
}

func parseNspawn(text string) *container {
	c := &container{privileged: yes(false), hostNetwork: yes(true), capAdd: []string{}, capDrop: []string{},
		mounts: []mount{}}
	for line := range seq.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found {
			continue
		}
		switch key {
		case "Capability":
			c.capAdd = append(c.capAdd, capabilityNames(strings.Fields(value))...)
			c.privileged = yes(*c.privileged || value == "all")
		case "DropCapability":
			c.capDrop = append(c.capDrop, capabilityNames(strings.Fields(value))...)
		case "PrivateUsers":
			c.userNamespace = yes(value != "no" && value != "false" && value != "0")
		case "Private", "VirtualEthernet":
			c.hostNetwork = yes(*c.hostNetwork && (value == "no" || value == "false"))
		case "Bind", "BindReadOnly":
			m := parseBind(value)
			m.isReadOnly = m.isReadOnly || key == "BindReadOnly"
			if m.destination == "" {
				m.destination = m.source
			}
			c.addMount(m)
		case "User":
			c.user = value
		}
	}
	return c
}
