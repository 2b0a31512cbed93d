package containers

import (
	"maps"
	"testing"
)

func TestPlacesOfContainersAreTheirRootsAndLayers(t *testing.T) {
	const other = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	f := hostTree(t)
	f.Write("/var/lib/docker/image/overlay2/layerdb/mounts/"+id+"/mount-id", "layer1")
	f.Write("/var/lib/docker/image/overlay2/layerdb/mounts/x/mount-id", "../../../etc")
	f.Write("/var/lib/containers/storage/overlay-containers/containers.json", `[{"id":"pod","layer":"layer2"},{"id":"evil","layer":"../x"}]`)
	f.Write("/var/lib/lxc/box/config", "lxc.rootfs.path = dir:/var/lib/lxc/box/rootfs\n")
	f.Write("/var/lib/lxc/whole/config", "lxc.rootfs.path = dir:/\n")
	runs(f, "77", other)
	f.Write("/proc/77/mountinfo", "1 0 0:40 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/snap/7/fs,workdir=/snap/7/work\n")
	f.Write("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"+
		"2 1 0:40 / /run/task/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=/snap/7/fs,workdir=/snap/7/work\n"+
		"3 1 0:41 / /var/lib/lxc/box/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=/upper,workdir=/w\n")

	got, err := ReadPlaces(f.Env())

	want := Places{
		"/var/lib/docker/overlay2/layer1/diff": id, "/var/lib/docker/overlay2/layer1/merged": id, "/snap/7/fs": other, "/run/task/rootfs": other,
		"/var/lib/containers/storage/overlay/layer2/diff": "pod", "/var/lib/containers/storage/overlay/layer2/merged": "pod",
		"/var/lib/lxc/box/rootfs": "box", "/upper": "box",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for path, id := range map[string]string{"/snap/7/fs": other, "/snap/7/fs/etc/x": other, "/snap/7/fsx": "", "/": "", "/etc/passwd": ""} {
		if got.Of(path) != id {
			t.Errorf("%s lies in %q", path, got.Of(path))
		}
	}
}

func TestWhatCannotBeReadOfContainersIsAnErrorBesideTheRest(t *testing.T) {
	f := hostTree(t)
	f.Write("/var/lib/containers/storage/overlay-containers/containers.json", "{")
	f.Write("/var/lib/docker/image/overlay2/layerdb/mounts/"+id+"/mount-id", "layer1")

	got, err := ReadPlaces(f.Env())

	if err == nil || got.Of("/var/lib/docker/overlay2/layer1/diff/bin/sh") != id {
		t.Errorf("%v, %v", got, err)
	}
}
