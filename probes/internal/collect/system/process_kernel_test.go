package system

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestNamespacesThatAreNotTheFirstProcessesAreNamed(t *testing.T) {
	f := newFixture(t)
	f.process(facts{pid: 1, name: "init", exe: "/sbin/init", argv: []string{"init"}})
	f.process(shell())
	for _, pid := range []int{1, 70} {
		for number, kind := range namespaceKinds {
			if kind == "cgroup" {
				continue // a kernel before 4.6
			}
			if pid == 70 && (kind == "mnt" || kind == "net") {
				number += 100
			}
			f.link(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), fmt.Sprintf("%s:[%d]", kind, 4026531800+number))
		}
	}

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"own_namespaces": []string{"mnt", "net"}})
	})
	with(t, f.env(), "process", "pid", int64(1), func(r record) {
		r.expect(map[string]any{"own_namespaces": []string{}})
	})
}

func TestKernelThreadsAndHostsWithoutFirstProcessHaveNoNamespacesOfTheirOwn(t *testing.T) {
	f := newFixture(t)
	f.process(facts{pid: 2, name: "kthreadd", flags: 0x208040})
	f.process(shell())

	collectAll(t, f.env(), "process", func(r record) { r.expect(map[string]any{"own_namespaces": nil}) })
}

func TestStackOfTheKernelIsNamesOfFunctions(t *testing.T) {
	f := newFixture(t)
	f.process(shell())
	f.write("/proc/70/stack", "[<0>] __skb_wait_for_more_packets+0x11b/0x150\n[<ffffffff81234567>] packet_recvmsg+0x6c/0x4a0\n"+
		"[<ffffffffffffffff>] 0xffffffffffffffff\n")

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"kernel_stack": []string{"__skb_wait_for_more_packets", "packet_recvmsg"}})
	})
}

func TestStackIsBoundedAndAbsentWhereTheKernelShowsNone(t *testing.T) {
	f := newFixture(t)
	f.process(shell())
	f.process(facts{pid: 71, parent: 1, name: "sh", exe: "/bin/sh", argv: []string{"sh"}})
	f.write("/proc/70/stack", strings.Repeat("[<0>] f+0x1/0x2\n", 1000))

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		if got := r.get("kernel_stack").([]string); len(got) != maxFrames {
			t.Errorf("%d functions", len(got))
		}
	})
	with(t, f.env(), "process", "pid", int64(71), func(r record) {
		r.expect(map[string]any{"kernel_stack": nil, "security_label": nil})
	})
}

func TestSecurityLabelEndsAtItsNUL(t *testing.T) {
	f := newFixture(t)
	f.process(shell())
	f.write("/proc/70/attr/current", "system_u:system_r:httpd_t:s0\x00")

	with(t, f.env(), "process", "pid", int64(70), func(r record) {
		r.expect(map[string]any{"security_label": "system_u:system_r:httpd_t:s0"})
	})
}

func TestLabelsOfWhatIsOpenAreToldOnAHostWithSELinux(t *testing.T) {
	f := newFixture(t)
	p := shell()
	p.fds = map[string]string{"3": "/etc/shadow", "4": "/etc/shadow", "5": "/etc/passwd", "6": "socket:[1]"}
	f.process(p)
	f.write("/etc/shadow", "")
	want := []string{}
	if os.Getuid() == 0 { // nobody else may label files
		if err := syscall.Setxattr(f.root+"/etc/shadow", "security.selinux", []byte("system_u:object_r:shadow_t:s0\x00"), 0); err != nil {
			t.Fatal(err)
		}
		want = []string{"system_u:object_r:shadow_t:s0"}
	}

	with(t, f.env(), "process", "pid", int64(70), func(r record) { r.expect(map[string]any{"fd_labels": nil}) })
	f.write("/sys/fs/selinux/enforce", "1")
	with(t, f.env(), "process", "pid", int64(70), func(r record) { r.expect(map[string]any{"fd_labels": want}) })
}
