// Package containers collects the containers of a host from what their engines keep on disk, and those that run from
// their control groups and namespaces. No engine is asked: nothing is sent to its socket.
package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
)

// Collectors returns the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{{Name: "container", Subjects: []*collect.Subject{subject}, Run: run}}
}

// mount is a place of the host that is seen inside.
type mount struct {
	source, destination string
	isReadOnly          bool
}

func (m mount) String() string {
	if m.isReadOnly {
		return m.source + ":" + m.destination + ":ro"
	}
	return m.source + ":" + m.destination
}

// container is one of any engine. A pointer or list that is nil means that the engine's files do not say.
type container struct {
	id, name, image, runtime string
	path                     string // file or directory of its settings
	state                    string
	pid                      int64 // 0: none
	privileged               *bool
	hostPID, hostNetwork     *bool
	hostIPC, hostUTS         *bool
	userNamespace            *bool // it has its own, so that its root is not the host's
	noSeccomp, noAppArmor    *bool
	noNewPrivileges          *bool
	readOnlyRoot             *bool
	capAdd, capDrop          []string
	capabilities             []string
	devices                  []string
	mounts                   []mount
	argv                     []string
	user                     string
	envNames                 []string
	created, started         int64 // epoch seconds; 0: not told
	rootPath, restart        string
	networkMode              string
}

// Bounds of what is read.
const (
	maxContainers = 10000
	maxConfig     = 4 << 20
)

// engine finds the containers of one kind; what it cannot read it tells by an error beside what it has.
type engine func(v *visit) ([]*container, error)

var engines = []engine{docker, storage, containerd, lxc, nspawn}

// visit is what the engines share.
type visit struct {
	env *collect.Env
	fs  procfs.FS
}

func run(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	v := &visit{env, fact.Tree(env)}
	var all []*container
	for _, find := range engines {
		found, err := find(v)
		if err != nil {
			status.Partial("container", err)
		}
		all = append(all, found...)
	}
	all, err := v.addRunning(all)
	if errors.Is(err, errStop) {
		return err
	}
	if err != nil {
		status.Partial("container", err)
	}
	for i, c := range all {
		if i == maxContainers {
			status.Partial("container", fmt.Errorf("containers: %w", collect.ErrLimit))
			return nil
		}
		if err := errors.Join(ctx.Err(), env.Throttle.Pause()); err != nil {
			return err
		}
		if err := emit("container", c); err != nil {
			return err
		}
	}
	return nil
}

// errStop marks that the visit must end.
var errStop = errors.New("the visit ends")

// names lists a directory; one that is not there has none. Links are no containers.
func (v *visit) names(dir string) ([]string, error) {
	entries, err := content.ReadDir(v.env, dir, maxContainers)
	if content.IsAbsent(err) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, err
}

// readJSON decodes a file of an engine; false when it is not there.
func (v *visit) readJSON(path string, into any) (bool, error) {
	data, err := content.ReadFile(v.env, path, maxConfig)
	if content.IsAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// environmentNames keeps the names of variables: values are often secrets.
func environmentNames(environ []string) []string {
	names := []string{}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// epoch reads a time as engines write it; 0 for none, and for the year 1 that stands for "never".
func epoch(text string) int64 {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Unix() < 0 {
		return 0
	}
	return t.Unix()
}

func yes(b bool) *bool { return &b }

// capability writes a capability as the kernel's names have it: cap_sys_admin.
func capability(name string) string {
	name = strings.ToLower(name)
	if name == "all" || strings.HasPrefix(name, "cap_") {
		return name
	}
	return "cap_" + name
}

func capabilityNames(names []string) []string {
	out := []string{}
	for _, name := range names {
		out = append(out, capability(name))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
