package containers

import (
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact/facttest"
)

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// hostTree has process 1 and no container.
func hostTree(t *testing.T) *facttest.Tree {
	f := facttest.NewTree(t)
	f.Write("/proc/1/cgroup", "0::/init.scope\n")
	for _, kind := range []string{"pid", "net", "ipc", "uts", "user"} {
		f.Link("/proc/1/ns/"+kind, kind+":[1]")
	}
	return f
}

// runs adds a process of the container with that id.
func runs(f *facttest.Tree, pid, id string) {
	f.Write("/proc/"+pid+"/cgroup", "0::/system.slice/docker-"+id+".scope\n")
	f.Link("/proc/"+pid+"/ns/pid", "pid:[2]")
	f.Link("/proc/"+pid+"/ns/net", "net:[1]")
	f.Link("/proc/"+pid+"/ns/user", "user:[2]")
}

// one collects and expects a single container.
func one(t *testing.T, env *collect.Env, want map[string]any) {
	t.Helper()
	found := 0
	status := facttest.Collect(t, Collectors(), env, "container", func(r facttest.Record) {
		found++
		r.Typed()
		r.Expect(want)
	})
	if found != 1 || len(status.Parts)+len(status.Failed) > 0 {
		t.Errorf("%d containers, %v", found, status)
	}
}

const dockerSettings = `{"ID":"` + id + `","Name":"/web","Created":"2026-01-02T03:04:05.6Z","Path":"nginx",
 "Args":["-g","daemon off;"],"State":{"Running":true,"Pid":77,"StartedAt":"2026-01-02T03:04:06Z"},
 "Config":{"Image":"nginx:1","User":"101","Env":["TOKEN=very-secret","PATH=/bin"]},"AppArmorProfile":"docker-default",
 "MountPoints":{"/data":{"Source":"/var/lib/docker/volumes/x/_data","Destination":"/data","Type":"volume","RW":true},
  "/s":{"Source":"/var/run/docker.sock","Destination":"/s","Type":"bind","RW":true}}}`

const dockerHostSettings = `{"Privileged":false,"PidMode":"host","NetworkMode":"bridge","CapAdd":["SYS_ADMIN","CAP_NET_ADMIN"],
 "SecurityOpt":["seccomp=unconfined"],"Binds":["/:/host","/etc:/e:ro","volume:/v"],"Devices":[{"PathOnHost":"/dev/sda"}],
 "RestartPolicy":{"Name":"always"}}`

func TestDockerContainerIsReadFromBothOfItsFiles(t *testing.T) {
	f := hostTree(t)
	f.Write("/var/lib/docker/containers/"+id+"/config.v2.json", dockerSettings)
	f.Write("/var/lib/docker/containers/"+id+"/hostconfig.json", dockerHostSettings)
	runs(f, "77", id)

	one(t, f.Env(), map[string]any{
		"id": id, "name": "web", "image": "nginx:1", "runtime": "docker", "state": "running", "pid": int64(77),
		"privileged": false, "host_pid": true, "host_network": false, "user_namespace": true,
		"cap_add": []string{"cap_net_admin", "cap_sys_admin"}, "devices": []string{"/dev/sda"},
		"mounts":           []string{"/:/host", "/etc:/e:ro", "/var/run/docker.sock:/s"},
		"sensitive_mounts": []string{"/"}, "docker_socket_mounted": true, "root_mounted": true, "root_writable": true,
		"seccomp_unconfined": true, "apparmor_unconfined": false, "command": "nginx -g daemon off;", "user": "101",
		"env_names": []string{"PATH", "TOKEN"}, "created": int64(1767323045), "started_at": int64(1767323046),
		"restart_policy": "always", "network_mode": "bridge", "readonly_root": false,
	})
}

func TestContainerThatItsEngineThinksRunsAndDoesNotIsExited(t *testing.T) {
	f := hostTree(t)
	f.Write("/var/lib/docker/containers/"+id+"/config.v2.json", dockerSettings)

	one(t, f.Env(), map[string]any{"state": "exited", "pid": nil, "privileged": nil})
}

func TestDockerElsewhereIsFoundByItsSettings(t *testing.T) {
	f := hostTree(t)
	f.Write("/etc/docker/daemon.json", `{"data-root":"/srv/docker/"}`)
	f.Write("/srv/docker/containers/"+id+"/config.v2.json", dockerSettings)

	one(t, f.Env(), map[string]any{"name": "web", "path": "/srv/docker/containers/" + id})
}

const spec = `{"process":{"user":{"uid":0},"args":["/pause"],"env":["A=1"],"noNewPrivileges":true,
  "capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_SYS_MODULE"]}},"root":{"path":"rootfs","readonly":true},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
  {"destination":"/host","type":"bind","source":"/","options":["rbind","ro"]}],
 "linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"network","path":"/proc/1/ns/net"}],"maskedPaths":[],
  "devices":[{"path":"/dev/kmsg"}]},
 "annotations":{"io.kubernetes.cri.container-name":"agent","io.kubernetes.cri.image-name":"agent:2"}}`

func TestTaskOfContainerdIsReadFromItsSpecification(t *testing.T) {
	f := hostTree(t)
	dir := "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id
	f.Write(dir+"/config.json", spec)
	f.Write(dir+"/init.pid", "88")
	runs(f, "88", id)

	one(t, f.Env(), map[string]any{
		"name": "agent", "image": "agent:2", "runtime": "containerd", "pid": int64(88), "privileged": true,
		"host_pid": false, "host_network": true, "host_ipc": true, "seccomp_unconfined": true, "no_new_privileges": true,
		"readonly_root": true, "root_mounted": true, "root_writable": false, "sensitive_mounts": []string{},
		"devices": []string{"/dev/kmsg"}, "capabilities": []string{"cap_sys_admin", "cap_sys_module"}, "command": "/pause",
		"root_path": dir + "/rootfs",
	})
}

func TestDockersOwnTasksAreNotToldTwice(t *testing.T) {
	f := hostTree(t)
	f.Write("/var/lib/docker/containers/"+id+"/config.v2.json", dockerSettings)
	f.Write("/run/containerd/io.containerd.runtime.v2.task/moby/"+id+"/config.json", spec)

	one(t, f.Env(), map[string]any{"runtime": "docker"})
}

func TestPodmanContainersOfRootAndOfUsers(t *testing.T) {
	for _, root := range []string{"/var/lib/containers/storage", "/home/ann/.local/share/containers/storage"} {
		f := hostTree(t)
		dir := root + "/overlay-containers"
		f.Write(dir+"/containers.json", `[{"id":"`+id+`","names":["db"],"image":"abc","created":"2026-01-02T03:04:05Z",`+
			`"metadata":"{\"image-name\":\"postgres:17\",\"name\":\"db\"}"}]`)
		f.Write(dir+"/"+id+"/userdata/config.json", spec)

		one(t, f.Env(), map[string]any{"name": "db", "image": "postgres:17", "runtime": "podman", "state": "created",
			"created": int64(1767323045)})
	}
}

func TestLXCWithoutMappedIdsIsPrivileged(t *testing.T) {
	f := hostTree(t)
	f.Write("/var/lib/lxc/box/config", "# x\nlxc.apparmor.profile = unconfined\nlxc.rootfs.path = dir:/var/lib/lxc/box/rootfs\n"+
		"lxc.mount.entry = / host none bind,ro 0 0\nlxc.cap.drop = sys_module\n")

	one(t, f.Env(), map[string]any{"runtime": "lxc", "privileged": true, "apparmor_unconfined": true,
		"root_path": "/var/lib/lxc/box/rootfs", "root_mounted": true, "cap_drop": []string{"cap_sys_module"}})
}

func TestNspawnSettings(t *testing.T) {
	f := hostTree(t)
	f.Write("/etc/systemd/nspawn/dev.nspawn", "[Exec]\nCapability=all\nPrivateUsers=no\n[Files]\nBind=/etc\n"+
		"[Network]\nVirtualEthernet=yes\n")

	one(t, f.Env(), map[string]any{"runtime": "systemd-nspawn", "name": "dev", "privileged": true,
		"user_namespace": false, "host_network": false, "sensitive_mounts": []string{"/etc"}})
}

func TestContainerThatNoEngineKnowsIsFoundByItsProcess(t *testing.T) {
	f := hostTree(t)
	runs(f, "99", id)

	one(t, f.Env(), map[string]any{"runtime": "unknown", "name": id[:12], "pid": int64(99), "state": "running",
		"host_pid": false, "host_network": true, "user_namespace": true, "privileged": nil, "mounts": nil})
}

func TestHostWithoutContainersHasNone(t *testing.T) {
	status := facttest.Collect(t, Collectors(), hostTree(t).Env(), "container", func(r facttest.Record) { t.Error(r.Rec) })

	if len(status.Parts)+len(status.Failed) > 0 {
		t.Error(status)
	}
}

func TestBrokenSettingsAreToldAndHideNoOther(t *testing.T) {
	f := hostTree(t)
	f.Write("/var/lib/docker/containers/a/config.v2.json", `{"ID": 7`)
	f.Write("/var/lib/docker/containers/b/config.v2.json", dockerSettings)
	f.Write("/var/lib/docker/containers/c/config.v2.json", strings.Repeat(" ", maxConfig+1))
	found := 0

	status := facttest.Collect(t, Collectors(), f.Env(), "container", func(facttest.Record) { found++ })

	if found != 1 || len(status.Parts["container"]) == 0 {
		t.Error(found, status)
	}
}

func TestThisHostIsReadWithoutAFault(t *testing.T) {
	status := facttest.Collect(t, Collectors(), facttest.Env("/"), "container", func(r facttest.Record) { r.Typed() })

	if len(status.Failed) > 0 {
		t.Error(status)
	}
}

func TestFieldsAreDescribed(t *testing.T) { facttest.Described(t, Collectors()) }

func FuzzSettings(f *testing.F) {
	f.Add("lxc.idmap = u 0 1 2\nlxc.mount.entry = /a b none bind 0 0\n")
	f.Add("[Files]\nBind=::\nCapability=\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range []*container{parseLXC(text), parseNspawn(text)} {
			for _, m := range c.mounts {
				if !strings.HasPrefix(m.source, "/") {
					t.Errorf("%q: mount of %q", text, m.source)
				}
			}
		}
	})
}

func FuzzBind(f *testing.F) {
	f.Add("/a:/b:ro,z")
	f.Add(":")
	f.Fuzz(func(t *testing.T, text string) {
		if m := parseBind(text); m.source != "" && !strings.HasPrefix(m.source, "/") {
			t.Error(m)
		}
	})
}
