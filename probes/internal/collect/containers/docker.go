package containers

import (
	"errors"
	"fmt"
	"strings"

	"sandfly/probes/internal/seq"
)

// dockerConfig is the part of config.v2.json that matters.
type dockerConfig struct {
	ID      string
	Name    string
	Created string
	Path    string
	Args    []string
	State   struct {
		Running, Paused, Restarting, Dead bool
		Pid                               int64
		StartedAt                         string
	}
	Config struct {
		Image, User string
		Env         []string
	}
	AppArmorProfile string
	MountPoints     map[string]struct {
		Source, Destination, Type string
		RW                        bool
	}
}

// dockerHost is the part of hostconfig.json that matters.
type dockerHost struct {
	Privileged, ReadonlyRootfs                         bool
	PidMode, NetworkMode, IpcMode, UTSMode, UsernsMode string
	CapAdd, CapDrop, SecurityOpt, Binds                []string
	Devices                                            []struct{ PathOnHost string }
	RestartPolicy                                      struct{ Name string }
	Mounts                                             []struct {
		Type, Source, Target string
		ReadOnly             bool
	}
}

const defaultDocker = "/var/lib/docker"

// dockerRoots are where Docker keeps its containers: the usual place and the one that its settings name.
func (v *visit) dockerRoots() ([]string, error) {
	var settings struct {
		DataRoot string `json:"data-root"`
		Graph    string `json:"graph"`
	}
	roots := []string{defaultDocker}
	_, err := v.readJSON("/etc/docker/daemon.json", &settings)
	for _, root := range []string{settings.DataRoot, settings.Graph} {
		if strings.HasPrefix(root, "/") && strings.TrimRight(root, "/") != defaultDocker {
			roots = append(roots, strings.TrimRight(root, "/"))
		}
	}
	return roots, err
}

func docker(v *visit) ([]*container, error) {
	roots, failed := v.dockerRoots()
	var found []*container
	for _, root := range roots {
		ids, err := v.names(root + "/containers")
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("docker: %w", err))
		}
		for _, id := range ids {
			c, err := v.dockerContainer(root + "/containers/" + id)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("docker: %w", err))
			}
			if c != nil {
				found = append(found, c)
			}
		}
	}
	return found, failed
}

// dockerContainer reads one; nil for a directory that is none.
func (v *visit) dockerContainer(dir string) (*container, error) {
	var config dockerConfig
	isThere, err := v.readJSON(dir+"/config.v2.json", &config)
	if err != nil || !isThere {
		return nil, err
	}
	c := config.container(dir)
	var host dockerHost
	isThere, err = v.readJSON(dir+"/hostconfig.json", &host)
	if err == nil && isThere {
		host.apply(c, config.AppArmorProfile)
	}
	return c, err
}

func (d *dockerConfig) container(dir string) *container {
	c := &container{id: d.ID, name: strings.TrimPrefix(d.Name, "/"), image: d.Config.Image, runtime: "docker", path: dir,
		state: "exited", pid: d.State.Pid, user: d.Config.User, envNames: environmentNames(d.Config.Env),
		created: epoch(d.Created), started: epoch(d.State.StartedAt), argv: append([]string{d.Path}, d.Args...),
		mounts: []mount{}}
	switch {
	case d.State.Paused:
		c.state = "paused"
	case d.State.Restarting:
		c.state = "restarting"
	case d.State.Running:
		c.state = "running"
	case d.State.Dead:
		c.state = "dead"
	case c.started == 0:
		c.state = "created"
	}
	for _, m := range d.MountPoints {
		if m.Type != "volume" && m.Source != "" {
			c.mounts = append(c.mounts, mount{m.Source, m.Destination, !m.RW})
		}
	}
	return c
}

// apply adds what hostconfig.json says.
func (h *dockerHost) apply(c *container, appArmor string) {
	c.privileged, c.readOnlyRoot = yes(h.Privileged), yes(h.ReadonlyRootfs)
	c.hostPID, c.hostNetwork = yes(h.PidMode == "host"), yes(h.NetworkMode == "host")
	c.hostIPC, c.hostUTS = yes(h.IpcMode == "host"), yes(h.UTSMode == "host")
	c.capAdd, c.capDrop = capabilityNames(h.CapAdd), capabilityNames(h.CapDrop)
	c.restart, c.networkMode = h.RestartPolicy.Name, h.NetworkMode
	c.noSeccomp, c.noAppArmor, c.noNewPrivileges = yes(h.Privileged), yes(h.Privileged || appArmor == "unconfined"), yes(false)
	for _, option := range h.SecurityOpt {
		option = strings.Replace(option, ":", "=", 1) // as older versions wrote it
		switch {
		case option == "seccomp=unconfined":
			c.noSeccomp = yes(true)
		case option == "apparmor=unconfined":
			c.noAppArmor = yes(true)
		case strings.HasPrefix(option, "no-new-privileges") && !strings.HasSuffix(option, "=false"):
			c.noNewPrivileges = yes(true)
		}
	}
	c.devices = []string{}
	for _, d := range h.Devices {
		c.devices = append(c.devices, d.PathOnHost)
	}
	for _, bind := range h.Binds {
		c.addMount(parseBind(bind))
	}
	for _, m := range h.Mounts {
		if m.Type == "bind" {
			c.addMount(mount{m.Source, m.Target, m.ReadOnly})
		}
	}
}

// parseBind reads "/source:/destination[:options]"; a source that is no path names a volume.
func parseBind(text string) mount {
	source, rest, _ := strings.Cut(text, ":")
	destination, options, _ := strings.Cut(rest, ":")
	if !strings.HasPrefix(source, "/") {
		return mount{}
	}
	isReadOnly := false
	for option := range seq.Split(options, ",") {
		isReadOnly = isReadOnly || option == "ro"
	}
	return mount{source, destination, isReadOnly}
}

// addMount takes a mount that is not there yet.
func (c *container) addMount(m mount) {
	for _, known := range c.mounts {
		if m.source == "" || known.source == m.source && known.destination == m.destination {
			return
		}
	}
	if m.source != "" {
		c.mounts = append(c.mounts, m)
	}
}
