package system

import (
	"testing"
)

// host gives the one record of a fixture.
func (f *fixture) host(use func(r record)) {
	f.t.Helper()
	count := 0
	collectAll(f.t, f.env(), "host", func(r record) { count++; use(r) })
	if count != 1 {
		f.t.Errorf("%d records", count)
	}
}

func TestHostTellsWhatItIs(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/sys/kernel/hostname", "web01\n")
	f.write("/etc/machine-id", "0123456789abcdef\n")
	f.write("/usr/lib/os-release", "ID=ubuntu\nID_LIKE='debian other'\n# x=1\nVERSION_ID=\"24.04\"\nPRETTY_NAME=\"Ubuntu \\\"24\\\"\"\n")
	f.link("/etc/os-release", "/usr/lib/os-release")
	f.write("/proc/sys/kernel/osrelease", "6.8.0\n")
	f.write("/proc/uptime", "99.97 10.1\n")
	f.write("/proc/loadavg", "0.50 1.25 2.00 1/100 4711\n")
	f.write("/proc/meminfo", "MemTotal: 4 kB\nSwapTotal: 0 kB\nSwapFree: 2 kB\n")
	f.write("/proc/cpuinfo", "processor : 0\nmodel name : Fast CPU\nflags : fpu hypervisor\nbugs\t: spectre_v1 mds\n\nprocessor : 1\nmodel name : Other\n")
	f.link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
	f.write("/usr/share/zoneinfo/Europe/Berlin", "TZif")
	f.process(shell())

	f.host(func(r record) {
		r.expect(map[string]any{"hostname": "web01", "machine_id": "0123456789abcdef", "os_id": "ubuntu", "os_version": "24.04",
			"os_name": `Ubuntu "24"`, "os_like": []string{"debian", "other"}, "kernel_version": "6.8.0", "uptime_s": int64(99),
			"boot_time": int64(1_700_000_000), "load_5": 1.25, "cpu_count": int64(2), "cpu_brand": "Fast CPU",
			"memory_total": int64(4096), "memory_available": nil, "swap_free": int64(2048), "cpu_bugs": []string{"spectre_v1", "mds"}, "swap_total": int64(0), "is_virtual": true,
			"timezone": "Europe/Berlin", "users_count": int64(2), "processes_count": int64(1), "modules_count": nil,
			"clock": now.Unix(), "container": "none", "dmi_vendor": nil, "kernel_build": nil, "architecture": nil})
	})
}

func TestHostSettingsAreNumbersAndAbsentWhenTheKernelHasNone(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/sys/kernel/randomize_va_space", "2\n")
	f.write("/proc/sys/kernel/tainted", "12288\n")
	f.write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
	f.write("/sys/module/apparmor/parameters/enabled", "Y\n")
	f.write("/sys/fs/selinux/enforce", "0")

	f.host(func(r record) {
		r.expect(map[string]any{"aslr": int64(2), "kernel_tainted": int64(12288), "kernel_taints": []string{"O", "E"},
			"lockdown": "integrity", "apparmor": true, "selinux": "permissive", "ptrace_scope": nil, "sysrq": nil})
	})
}

func TestSELinuxThatIsInstalledOnlyIsDisabled(t *testing.T) {
	f := newFixture(t)
	f.host(func(r record) { r.expect(map[string]any{"selinux": "absent", "apparmor": false, "lockdown": nil}) })

	f.write("/etc/selinux/config", "SELINUX=disabled\n")
	f.host(func(r record) { r.expect(map[string]any{"selinux": "disabled"}) })
}

func TestPreloadFileThatIsEmptyIsNotAbsent(t *testing.T) {
	f := newFixture(t)
	f.host(func(r record) { r.expect(map[string]any{"ld_so_preload": nil, "ld_so_preload_exists": false}) })

	f.write("/etc/ld.so.preload", "")
	f.host(func(r record) { r.expect(map[string]any{"ld_so_preload": []string{}, "ld_so_preload_exists": true}) })

	f.write("/etc/ld.so.preload", "/usr/local/lib/evil.so  # hi\n\n/b.so\n")
	f.host(func(r record) { r.expect(map[string]any{"ld_so_preload": []string{"/usr/local/lib/evil.so", "/b.so"}}) })
}

func TestNameServersAndHostsEntriesAreReadWithoutComments(t *testing.T) {
	f := newFixture(t)
	f.write("/etc/resolv.conf", "# nameserver 1.1.1.1\nsearch example.org\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 \n")
	f.write("/etc/hosts", "127.0.0.1\tlocalhost  lo # here\n#x\n")

	f.host(func(r record) {
		r.expect(map[string]any{"dns_servers": []string{"192.0.2.53", "2001:db8::53"},
			"hosts_entries": []string{"127.0.0.1 localhost lo"}})
	})
}

func TestListeningPortsLeaveOutPortsOfClients(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
	f.write("/proc/net/tcp", tcpTable(row{local: "0.0.0.0:22", state: 10}, row{local: "10.0.0.1:22", remote: "10.0.0.2:5", state: 1},
		row{local: "0.0.0.0:40000", state: 10}))
	f.write("/proc/net/tcp6", tcpTable(row{local: "[::]:22", state: 10}))
	f.write("/proc/net/udp", tcpTable(row{local: "0.0.0.0:53", state: 7}, row{local: "0.0.0.0:40001", state: 7}))

	f.host(func(r record) { r.expect(map[string]any{"listening_ports": []int64{22, 53, 40000}}) })
}

func TestInterfacesShowAddressesHardwareAndPromiscuity(t *testing.T) {
	f := newFixture(t)
	f.write("/proc/net/fib_trie", "Local:\n |-- 127.0.0.1\n   /32 host LOCAL\n |-- 192.0.2.2\n   /32 host LOCAL\n |-- 10.9.9.9\n   /32 host LOCAL\n")
	f.write("/proc/net/route", "Iface Destination\n"+
		"eth0\t"+hexEndpoint("0.0.0.0:0", false)[:8]+"\t0\t3\t0\t0\t0\t"+hexEndpoint("0.0.0.0:0", false)[:8]+"\n"+
		"eth1\t"+hexEndpoint("192.0.2.0:0", false)[:8]+"\t0\t1\t0\t0\t0\t"+hexEndpoint("255.255.255.0:0", false)[:8]+"\n")
	f.write("/proc/net/if_inet6", "fd000000000000000000000000000002 04 40 00 82     eth1\n")
	f.write("/sys/class/net/eth1/address", "02:fc:00:00:00:01\n")
	f.write("/sys/class/net/eth1/flags", "0x1103\n")
	f.write("/sys/class/net/lo/address", "00:00:00:00:00:00\n")
	f.write("/sys/class/net/lo/flags", "0x9\n")
	f.write("/sys/class/net/bonding_masters", "")

	f.host(func(r record) {
		r.expect(map[string]any{"interfaces": []string{"?=10.9.9.9", "eth1=192.0.2.2", "eth1=fd00::2", "lo=127.0.0.1"},
			"mac_addresses": []string{"02:fc:00:00:00:01"}, "promiscuous_interfaces": []string{"eth1"}})
	})
}

func TestContainerIsToldByItsTraces(t *testing.T) {
	for want, plant := range map[string]func(f *fixture){
		"lxc":            func(f *fixture) { f.write("/run/systemd/container", "lxc\n") },
		"docker":         func(f *fixture) { f.write("/.dockerenv", "") },
		"podman":         func(f *fixture) { f.write("/run/.containerenv", "") },
		"systemd-nspawn": func(f *fixture) { f.write("/proc/1/environ", "A=b\x00container=systemd-nspawn\x00") },
		"kubernetes":     func(f *fixture) { f.write("/proc/1/cgroup", "1:cpu:/kubepods/pod1\n") },
		"none":           func(f *fixture) { f.write("/proc/1/cgroup", "0::/init.scope\n") },
	} {
		f := newFixture(t)
		plant(f)
		f.host(func(r record) { r.expect(map[string]any{"container": want}) })
	}
}

func TestMachineIsVirtualByItsFirmware(t *testing.T) {
	for vendor, want := range map[string]bool{"QEMU": true, "Amazon EC2": true, "Dell Inc.": false, "Microsoft Corporation": false} {
		f := newFixture(t)
		f.write("/sys/class/dmi/id/sys_vendor", vendor+"\n")
		f.write("/sys/class/dmi/id/product_name", "Box\n")
		f.host(func(r record) {
			r.expect(map[string]any{"is_virtual": want, "dmi_vendor": vendor, "dmi_product": "Box"})
		})
	}
}

func TestUtsnameIsReadWithSignedAndUnsignedBytes(t *testing.T) {
	if fromC([]int8{'m', 'i', 'p', 's', 0, 'x'}) != "mips" || fromC([]uint8{'s', '3', '9', '0'}) != "s390" {
		t.Error("a C string ends at its NUL")
	}
}
