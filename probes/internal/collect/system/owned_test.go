package system

import "testing"

func TestProgramIsOwnedWhenAPackageOfTheHostListsIt(t *testing.T) {
	f := newFixture(t)
	f.write("/var/lib/dpkg/status", "Package: cron\nStatus: install ok installed\n")
	f.write("/var/lib/dpkg/info/cron.list", "/usr/sbin/cron\n")
	f.process(facts{pid: 10, name: "cron", exe: "/usr/sbin/cron"})
	f.process(facts{pid: 11, name: "kworkerd", exe: "/usr/sbin/kworkerd"})
	f.process(facts{pid: 12, name: "inside", exe: "/usr/sbin/kworkerd", status: "NSpid:\t12\t1\n"})
	f.process(facts{pid: 13, name: "kthreadd", flags: 0x208040})
	f.process(facts{pid: 14, name: "memory", exe: "/memfd:x (deleted)"})

	for pid, want := range map[int64]any{10: true, 11: false, 12: nil, 13: nil, 14: nil} {
		with(t, f.env(), "process", "pid", pid, func(r record) { r.expect(map[string]any{"package_owned": want}) })
	}
}
