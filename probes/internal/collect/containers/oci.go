package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect/content"
)

// ociSpec is the part of an OCI runtime's config.json that matters, see opencontainers/runtime-spec.
type ociSpec struct {
	Process struct {
		User            struct{ UID int64 }
		Args, Env       []string
		NoNewPrivileges bool
		ApparmorProfile string
		Capabilities    struct{ Bounding, Effective []string }
	}
	Root struct {
		Path     string
		Readonly bool
	}
	Mounts []struct {
		Destination, Source, Type string
		Options                   []string
	}
	Linux struct {
		Namespaces  []struct{ Type, Path string }
		Devices     []struct{ Path string }
		Seccomp     json.RawMessage
		MaskedPaths []string
	}
	Annotations map[string]string
}

// container turns a specification into what all engines share. An engine adds names afterwards.
func (s *ociSpec) container(runtime, id, path string) *container {
	c := &container{id: id, runtime: runtime, path: path, argv: s.Process.Args,
		user: strconv.FormatInt(s.Process.User.UID, 10), envNames: environmentNames(s.Process.Env),
		rootPath: s.Root.Path, readOnlyRoot: yes(s.Root.Readonly), noNewPrivileges: yes(s.Process.NoNewPrivileges),
		capabilities: capabilityNames(slices.Concat(s.Process.Capabilities.Bounding, s.Process.Capabilities.Effective)),
		noSeccomp:    yes(len(s.Linux.Seccomp) == 0 || string(s.Linux.Seccomp) == "null"),
		noAppArmor:   yes(s.Process.ApparmorProfile == "unconfined"),
		hostPID:      yes(s.shares("pid")), hostNetwork: yes(s.shares("network")), hostIPC: yes(s.shares("ipc")),
		hostUTS: yes(s.shares("uts")), userNamespace: yes(s.has("user")), devices: []string{}, mounts: []mount{}}
	for _, d := range s.Linux.Devices {
		c.devices = append(c.devices, d.Path)
	}
	for _, m := range s.Mounts {
		if strings.HasPrefix(m.Source, "/") && (m.Type == "bind" || slices.Contains(m.Options, "bind") ||
			slices.Contains(m.Options, "rbind")) {
			c.mounts = append(c.mounts, mount{m.Source, m.Destination, slices.Contains(m.Options, "ro")})
		}
	}
	// Engines have no word for it in here: a privileged container has every capability, no filter and nothing masked.
	c.privileged = yes(*c.noSeccomp && len(s.Linux.MaskedPaths) == 0 &&
		slices.Contains(c.capabilities, "cap_sys_admin") && slices.Contains(c.capabilities, "cap_sys_module"))
	return c
}

func (s *ociSpec) has(namespace string) bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == namespace {
			return true
		}
	}
	return false
}

// shares says whether the container is in the host's own namespace: it is not given one, or that of process 1.
func (s *ociSpec) shares(namespace string) bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == namespace {
			return strings.HasPrefix(n.Path, "/proc/1/ns/")
		}
	}
	return true
}

// annotated is the first of the annotations that has a value.
func (s *ociSpec) annotated(names ...string) string {
	for _, name := range names {
		if v := s.Annotations[name]; v != "" {
			return v
		}
	}
	return ""
}

func (s *ociSpec) name() string {
	return strings.TrimPrefix(s.annotated("io.kubernetes.cri.container-name", "io.kubernetes.container.name",
		"nerdctl/name", "io.kubernetes.cri-o.Name"), "/")
}

func (s *ociSpec) image() string {
	return s.annotated("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image-ref",
		"org.opencontainers.image.ref.name")
}

// containerd gives its tasks. Those of namespace moby are Docker's, which says more about them.
func containerd(v *visit) ([]*container, error) {
	const dir = "/run/containerd/io.containerd.runtime.v2.task"
	namespaces, failed := v.names(dir)
	var found []*container
	for _, namespace := range namespaces {
		ids, err := v.names(dir + "/" + namespace)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("containerd: %w", err))
		}
		for _, id := range ids {
			task := dir + "/" + namespace + "/" + id
			var spec ociSpec
			isThere, err := v.readJSON(task+"/config.json", &spec)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("containerd: %w", err))
			}
			if !isThere || namespace == "moby" {
				continue
			}
			c := spec.container("containerd", id, task)
			c.name, c.image, c.state, c.pid = spec.name(), spec.image(), "created", v.pidFile(task+"/init.pid")
			if !strings.HasPrefix(c.rootPath, "/") {
				c.rootPath = task + "/" + c.rootPath
			}
			found = append(found, c)
		}
	}
	return found, failed
}

// pidFile reads a file that holds one number; 0 when there is none.
func (v *visit) pidFile(path string) int64 {
	data, err := content.ReadFile(v.env, path, 64)
	if err != nil {
		return 0
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 32)
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// stored is one entry of containers.json of containers/storage, which Podman, Buildah and CRI-O share.
type stored struct {
	ID, Image, Metadata, Created string
	Names                        []string
}

// storageRoots are where root and users keep them.
func (v *visit) storageRoots() []string {
	roots := []string{"/var/lib/containers/storage"}
	homes, _ := v.names("/home") // a host without /home has no users' containers there
	for _, home := range homes {
		roots = append(roots, "/home/"+home+"/.local/share/containers/storage")
	}
	return roots
}

// storage gives the containers of Podman and CRI-O, of root and of users.
func storage(v *visit) ([]*container, error) {
	var found []*container
	var failed error
	for _, root := range v.storageRoots() {
		for _, driver := range []string{"overlay", "vfs", "btrfs", "zfs"} {
			some, err := v.stored(root + "/" + driver + "-containers")
			found = append(found, some...)
			failed = errors.Join(failed, err)
		}
	}
	return found, failed
}

func (v *visit) stored(dir string) ([]*container, error) {
	var entries []stored
	if _, err := v.readJSON(dir+"/containers.json", &entries); err != nil {
		return nil, fmt.Errorf("containers/storage: %w", err)
	}
	var found []*container
	var failed error
	for _, e := range entries[:min(len(entries), maxContainers)] {
		if strings.Contains(e.ID, "/") || e.ID == "" {
			continue
		}
		c, err := v.storedContainer(dir, e)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("containers/storage: %w", err))
		}
		found = append(found, c)
	}
	return found, failed
}

func (v *visit) storedContainer(dir string, e stored) (*container, error) {
	var meta struct {
		Image string `json:"image-name"`
		Name  string `json:"name"`
		Pod   string `json:"pod-name"`
	}
	if err := json.Unmarshal([]byte(e.Metadata), &meta); err != nil {
		meta.Image = e.Image
	}
	runtime := "podman"
	if meta.Pod != "" {
		runtime = "cri-o"
	}
	userdata := dir + "/" + e.ID + "/userdata"
	running := "/run/containers/storage/overlay-containers/" + e.ID + "/userdata"
	c := &container{id: e.ID, runtime: runtime, path: userdata}
	var failed error
	for _, path := range []string{userdata, running} {
		var spec ociSpec
		isThere, err := v.readJSON(path+"/config.json", &spec)
		failed = errors.Join(failed, err)
		if isThere {
			c = spec.container(runtime, e.ID, path)
			if spec.Annotations["io.podman.annotations.privileged"] == "TRUE" {
				c.privileged = yes(true)
			}
			break
		}
	}
	c.name, c.image, c.created, c.state = meta.Name, meta.Image, epoch(e.Created), "created"
	if c.name == "" && len(e.Names) > 0 {
		c.name = e.Names[0]
	}
	c.pid = v.pidFile(running + "/pidfile")
	return c, failed
}
