package containers

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
)

// Places knows the directories of the host that are containers' own: their root directories and the layers that they write
// to. It is a map of paths without links to ids.
type Places map[string]string

// ReadPlaces goes by what engines keep of containers, also of those that do not run, and by the root mounts of those that
// do. The error says what could not be read beside what was.
func ReadPlaces(env *collect.Env) (Places, error) {
	v := &visit{env, fact.Tree(env)}
	places := Places{}
	var failed error
	for _, find := range engines {
		found, err := find(v)
		failed = errors.Join(failed, err)
		for _, c := range found {
			places.add(c.rootPath, c.id)
		}
	}
	failed = errors.Join(failed, v.addDockerLayers(places), v.addStorageLayers(places), v.addMounted(places))
	return places, failed
}

// add leaves out what is no directory of a container's own: one that is given the host's root has none.
func (p Places) add(dir, id string) {
	if dir = path.Clean(dir); strings.HasPrefix(dir, "/") && dir != "/" && id != "" && len(p) < maxContainers {
		p[dir] = id
	}
}

// Of gives the id of the container that a path without links lies in; "" for none.
func (p Places) Of(name string) string {
	for len(p) > 0 && name != "/" && name != "." {
		if id := p[name]; id != "" {
			return id
		}
		name = path.Dir(name)
	}
	return ""
}

// addDockerLayers reads image/DRIVER/layerdb/mounts/ID/mount-id, which names the layer of each container.
func (v *visit) addDockerLayers(places Places) error {
	const driver = "overlay2"
	roots, failed := v.dockerRoots()
	for _, root := range roots {
		layers := root + "/image/" + driver + "/layerdb/mounts"
		ids, err := v.names(layers)
		failed = errors.Join(failed, err)
		for _, id := range ids {
			layer, err := content.ReadFile(v.env, layers+"/"+id+"/mount-id", 256)
			if content.IsAbsent(err) {
				continue
			}
			failed = errors.Join(failed, err)
			places.addLayer(root+"/"+driver, strings.TrimSpace(string(layer)), id)
		}
	}
	return failed
}

// addLayer takes what a container wrote, and where it sees it while it runs.
func (p Places) addLayer(dir, layer, id string) {
	if layer != "" && !strings.Contains(layer, "/") {
		p.add(dir+"/"+layer+"/diff", id)
		p.add(dir+"/"+layer+"/merged", id)
	}
}

// addStorageLayers does so for Podman, Buildah and CRI-O, whose list names the layer.
func (v *visit) addStorageLayers(places Places) error {
	var failed error
	for _, root := range v.storageRoots() {
		var entries []struct{ ID, Layer string }
		_, err := v.readJSON(root+"/overlay-containers/containers.json", &entries)
		failed = errors.Join(failed, err)
		for _, e := range entries {
			places.addLayer(root+"/overlay", e.Layer, e.ID)
		}
	}
	return failed
}

// addMounted goes by overlay mounts: that of the root directory of a process in a container names the layer it writes to,
// and the host may see the same mount elsewhere.
func (v *visit) addMounted(places Places) error {
	first, err := v.firstProcesses()
	if err != nil && !procfs.IsAbsent(err) { // without /proc nothing runs: it is the image of a disk
		return err
	}
	var failed error
	for id, pid := range first {
		mounts, err := v.fs.ReadMounts(strconv.Itoa(pid))
		if procfs.IsAbsent(err) {
			continue // it has ended
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("mounts of process %d: %w", pid, err))
		}
		for _, m := range mounts {
			if m.Path == "/" {
				places.add(writtenLayer(m), id)
			}
		}
	}
	mounts, err := v.fs.ReadMounts("self")
	if err != nil && !procfs.IsAbsent(err) {
		failed = errors.Join(failed, err)
	}
	for _, m := range mounts {
		layer := writtenLayer(m)
		if id := places[layer]; id != "" && m.Path != "/" {
			places.add(m.Path, id)
		}
		places.add(layer, places[m.Path])
	}
	return failed
}

// writtenLayer is the directory that an overlay mount writes to; "" for another one.
func writtenLayer(m procfs.Mount) string {
	for _, option := range m.SuperOptions {
		if dir, found := strings.CutPrefix(option, "upperdir="); found && m.Type == "overlay" {
			return dir
		}
	}
	return ""
}
