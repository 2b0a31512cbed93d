package system

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

// shell is a process that a test changes.
func shell() facts {
	return facts{pid: 70, parent: 1, name: "bash", exe: "/usr/bin/bash", argv: []string{"bash", "-i"}, uid: 33}
}

func TestProcessHasItsBasicFacts(t *testing.T) {
	f := newFixture(t)
	f.process(shell())

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{
			"name": "bash", "cmdline": "bash -i", "argv": []string{"bash", "-i"}, "parent": int64(1), "state": "S",
			"uid": int64(33), "euid": int64(0), "username": "web", "start_time": int64(1_700_000_025),
			"elapsed_time": int64(99_999_975), "nice": int64(5), "threads": int64(3), "tty": "pts/1", "cpu_time": 2.0,
			"is_kernel_thread": false, "cap_effective": "0000000000002000", "capabilities": []string{"cap_net_raw"},
			"cwd": "/srv/app", "root": "/", "tracer_pid": nil, "no_new_privs": nil, "login_uid": nil, "resident_size": nil,
		})
	})
}

func TestAllCapabilitySetsAreDecoded(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.status = "CapPrm:\t0000000000003000\nCapInh:\t0000000000000001\nCapBnd:\t0000020000000001\nCapAmb:\t0000000000000000\n"
	f.process(p)
	f.process(facts{pid: 71, name: "old"}) // a kernel before 4.3

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"capabilities_permitted": []string{"cap_net_admin", "cap_net_raw"},
			"capabilities_inheritable": []string{"cap_chown"}, "capabilities_bounding": []string{"cap_chown", "cap_41"},
			"capabilities_ambient": []string{}})
	})
	with(t, f.env(), "process", "pid", int64(71), func(r record) { r.expect(map[string]any{"capabilities_ambient": nil}) })
}

func TestDeletedProgramIsToldByTheLink(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.exe = "/tmp/.x/agent (deleted)"
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"path": "/tmp/.x/agent", "exe_deleted": true, "on_disk": false, "exe_replaced": false,
			"exe_memfd": false, "exe_sha256": nil})
	})
}

func TestDeletedProgramWithAnotherFileAtItsPathIsReplaced(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.exe = "/usr/sbin/sshd (deleted)"
	f.process(p)
	f.write("/usr/sbin/sshd", "new")

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"exe_deleted": true, "exe_replaced": true, "on_disk": false})
	})
}

func TestMemoryFileIsNoDeletedFileOnDisk(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.exe = "/memfd:payload (deleted)"
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"path": "/memfd:payload", "exe_memfd": true, "exe_deleted": true, "on_disk": false})
	})
}

func TestProgramFileOfAFixtureIsReadInsideIt(t *testing.T) {
	f := newFixture(t)
	f.process(shell())
	f.write("/usr/bin/bash", "#!/bin/sh\n")

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"on_disk": true, "exe_size": int64(10), "exe_mode": "0644", "exe_magic": "script"})
	})
}

func TestKernelThreadHasNoProgramAndPretenderHas(t *testing.T) {
	f := newFixture(t)
	f.process(facts{pid: 2, name: "kthreadd", flags: 0x208040})
	f.process(facts{pid: 90, parent: 1, name: "[kworker/0:1]", exe: "/tmp/miner", argv: []string{"[kworker/0:1]"}})

	with(t, f.env(), "process", "pid", int64(2), func(r record) {
		r.expect(map[string]any{"is_kernel_thread": true, "path": nil, "cmdline": nil, "argv": nil, "on_disk": nil, "cwd": nil,
			"stdin": nil, "exe_size": nil, "script_path": nil})
	})
	with(t, f.env(), "process", "pid", int64(90), func(r record) {
		r.expect(map[string]any{"is_kernel_thread": false, "path": "/tmp/miner", "cmdline": "[kworker/0:1]"})
	})
}

func TestAncestorsEndAtTheFirstProcess(t *testing.T) {
	f := newFixture(t)
	f.process(facts{pid: 1, name: "systemd", exe: "/usr/lib/systemd/systemd"})
	f.process(facts{pid: 50, parent: 1, name: "nginx", exe: "/usr/sbin/nginx", argv: []string{"nginx:", "master"}, uid: 33})
	p := shell()
	p.parent = 50
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"parent.pid": int64(50), "parent.name": "nginx", "parent.path": "/usr/sbin/nginx",
			"parent.cmdline": "nginx: master", "parent.uid": int64(33), "ancestors.name": []string{"nginx", "systemd"},
			"ancestors.path": []string{"/usr/sbin/nginx", "/usr/lib/systemd/systemd"}, "ancestors.pid": []int64{50, 1}})
	})
	with(t, f.env(), "process", "pid", int64(1), func(r record) {
		r.expect(map[string]any{"parent": int64(0), "parent.pid": nil, "parent.name": nil, "ancestors.name": []string{}})
	})
}

func TestAllFactsOfTheParentAreThoseOfItsOwnRecord(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.environ, p.cgroup = []string{"HISTFILE=/dev/null", "LD_PRELOAD=/tmp/a.so"}, "0::/docker-"+strings.Repeat("ab", 32)+".scope"
	p.fds = map[string]string{"0": "/dev/null", "3": "/tmp/gone (deleted)"}
	f.write("/usr/bin/bash", "#!/bin/sh\n")
	p.status = "TracerPid:\t71\n"
	f.process(p)
	f.process(facts{pid: 1, name: "init"})
	f.link("/proc/1/ns/net", "net:[1]")
	f.link("/proc/70/ns/net", "net:[2]")
	f.write("/proc/70/attr/current", "unconfined\n")
	f.process(facts{pid: 80, parent: 70, name: "sh", exe: "/bin/sh"})
	f.process(facts{pid: 81, parent: 70, name: "sh", exe: "/bin/sh"})
	own := map[string]any{}
	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		for _, field := range ownFields {
			own[collect.ParentPrefix+field.Name] = r.get(field.Name)
		}
	})

	for _, child := range []int64{80, 81} {
		with(t, f.env(), "process", "pid", child, func(r record) { r.expect(own) })
	}
	if own["parent.exe_size"] != int64(10) || own["parent.histfile"] != "/dev/null" || own["parent.container_id"] != strings.Repeat("ab", 32) {
		t.Errorf("the parent's record has %v", own)
	}
}

func TestWhatIsReadOfAParentIsNotKept(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds, p.environ = map[string]string{"3": "/etc/passwd"}, []string{"A=1"}
	f.process(p)
	f.process(facts{pid: 80, parent: 70, name: "sh", exe: "/bin/sh"})
	var parent *process
	collectAll(t, f.env(), "process", func(r record) {
		if parent != nil {
			r.get("parent.fd_targets")
			r.get("parent.environ")
			return
		}
		parent = r.rec.(*process)
	})

	if parent.fds.done || parent.environ.done {
		t.Error("descriptors or environment are still held")
	}
}

func TestAncestorsThatFormARingEnd(t *testing.T) {
	f := newFixture(t)
	f.process(facts{pid: 5, parent: 6, name: "a", exe: "/a"})
	f.process(facts{pid: 6, parent: 5, name: "b", exe: "/b"})

	with(t, f.env(), "process", "pid", int64(5), func(r record) {
		if n := len(r.get("ancestors.pid").([]int64)); n != maxAncestors {
			t.Errorf("%d ancestors", n)
		}
	})
}

func TestSecretsOfTheEnvironmentAreRedacted(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.environ = []string{"HOME=/", "DB_PASSWORD=hunter2", "aws_secret=x", "Api_Key=abc", "GITHUB_TOKEN=", "my_credentials=ab=cd",
		"LD_PRELOAD=/tmp/a.so", "HISTFILE=/dev/null", "LD_PRELOAD=/second", "TOKEN"}
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{
			"environ": []string{"HOME=/", "DB_PASSWORD=[redacted 7]", "aws_secret=[redacted 1]", "Api_Key=[redacted 3]",
				"GITHUB_TOKEN=[redacted 0]", "my_credentials=[redacted 5]", "LD_PRELOAD=/tmp/a.so", "HISTFILE=/dev/null",
				"LD_PRELOAD=/second", "TOKEN"},
			"ld_preload": "/tmp/a.so", "histfile": "/dev/null", "ld_audit": nil,
		})
	})
}

func TestDescriptorsOfAShellBehindAConnection(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{"0": "socket:[11]", "1": "socket:[11]", "2": "/dev/pts/0", "7": "/tmp/gone (deleted)",
		"8": "/memfd:x (deleted)", "9": "/tmp/gone (deleted)"}
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"stdin": "socket:[11]", "stdout": "socket:[11]", "stderr": "/dev/pts/0", "socket_std": true,
			"fd_count": int64(6), "socket_count": int64(1), "open_deleted": []string{"/tmp/gone"},
			"fd_targets": []string{"socket:[11]", "/dev/pts/0", "/tmp/gone (deleted)", "/memfd:x (deleted)"}})
	})
}

func TestMemoryOfOtherProcessesIsToldFromItsOwn(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{"3": "/proc/70/mem", "4": "/proc/99/mem", "5": "/proc/98/task/97/mem", "6": "/proc/99/mem", "7": "/proc/meminfo"}
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"memory_of": []int64{99, 98}})
	})
}

func TestIgnoredSignalsThatEndAProcessAreNamed(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.status = "SigIgn:\t0000000000005001\n"
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"signals_ignored": []string{"SIGHUP", "SIGTERM"}})
	})
}

func TestOneSocketAmongTheStandardDescriptorsIsNoShell(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{"0": "/dev/null", "2": "socket:[11]", "3": "socket:[12]", "4": "socket:[13]"}
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"socket_std": false, "stdout": nil, "socket_count": int64(3)})
	})
}

func TestManySocketsDoNotFillTheTargetsButManyFilesAreALimit(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{}
	for i := range 100 {
		p.fds[itoa(i)] = "socket:[" + itoa(i+1) + "]"
	}
	f.process(p)
	q := facts{pid: 71, name: "db", exe: "/db", fds: map[string]string{}}
	for i := range maxTargets + 1 {
		q.fds[itoa(i)] = "/data/" + itoa(i)
	}
	f.process(q)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		if n := len(r.get("fd_targets").([]string)); n != maxTargetsKind {
			t.Errorf("%d targets", n)
		}
		r.expect(map[string]any{"fd_count": int64(100)})
	})
	with(t, f.env(), "process", "pid", int64(71), func(r record) {
		if _, err := r.try("fd_targets"); !errors.Is(err, collect.ErrLimit) {
			t.Error(err)
		}
	})
}

func TestMappingsTellDeletedLibrariesMemoryFilesAndWritableCode(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.maps = "1-2 r-xp 0 0:0 5 /usr/bin/bash\n2-3 r-xp 0 0:0 6 /tmp/inject.so (deleted)\n3-4 rwxp 0 0:0 0 \n" +
		"4-5 rwxp 0 0:0 0 [heap]\n5-6 r-xp 0 0:0 7 /memfd:jit (deleted)\n6-7 rw-p 0 0:0 8 /tmp/data (deleted)\n" +
		"7-8 r-xp 0 0:0 0 [vdso]\n8-9 r-xp 0 0:0 5 /usr/bin/bash\n"
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"maps_deleted": []string{"/tmp/inject.so"}, "maps_memfd": true, "maps_rwx": int64(2),
			"mapped_files": []string{"/usr/bin/bash", "/tmp/inject.so", "/memfd:jit"}})
	})
}

func TestContainersAreToldByPidNamespaceAndCgroup(t *testing.T) {
	f := newFixture(t)
	id := strings.Repeat("ab", 32)
	p := shell()
	p.status, p.cgroup = "NSpid:\t70\t7\n", "0::/system.slice/docker-"+id+".scope\n"
	f.process(p)

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"in_container": true, "container_id": id, "cgroup": "/system.slice/docker-" + id + ".scope"})
	})
}

func TestScriptPathIsAbsoluteAndExists(t *testing.T) {
	f := newFixture(t)
	f.process(facts{pid: 80, name: "python3", exe: "/usr/bin/python3.11", argv: []string{"python3", "run.py"}})
	f.process(facts{pid: 81, name: "python3", exe: "/usr/bin/python3.11", argv: []string{"python3", "gone.py"}})
	f.write("/srv/app/run.py", "print()")

	with(t, f.env(), "process", "pid", int64(80), func(r record) {
		r.expect(map[string]any{"script_path": "/srv/app/run.py", "exe_interpreter": "python"})
	})
	with(t, f.env(), "process", "pid", int64(81), func(r record) { r.expect(map[string]any{"script_path": nil}) })
}

func TestProcessSocketsAreFoundInTheTables(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{"3": "socket:[11]", "4": "socket:[12]", "5": "socket:[13]"}
	f.process(p)
	f.write("/proc/net/tcp", tcpTable(row{local: "192.0.2.1:8080", state: 10, inode: 11},
		row{local: "192.0.2.1:8080", remote: "198.51.100.7:4444", state: 1, inode: 12}))

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"listening_ports": []int64{8080}, "remote_addresses": []string{"198.51.100.7"},
			"remote_ports": []int64{4444}, "socket_count": int64(3)})
	})
}

func TestMissingProcFailsTheSubject(t *testing.T) {
	status := collectAll(t, environment(t.TempDir()), "process", func(record) { t.Error("a record") })

	if status.Failed["process"] == nil {
		t.Error("nothing there must not pass for no process")
	}
}

func TestUnreadableProcessMakesTheListPartial(t *testing.T) {
	f := newFixture(t)
	f.process(shell())
	f.write("/proc/71/stat", "garbage")
	pids := []int64{}

	status := collectAll(t, f.env(), "process", func(r record) { pids = append(pids, r.get("pid").(int64)) })

	if !slices.Equal(pids, []int64{70}) || len(status.Parts["process"]) != 1 {
		t.Error(pids, status.Parts)
	}
}
