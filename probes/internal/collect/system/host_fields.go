package system

import "sandfly/probes/internal/collect"

type hostFields = []collect.Field[*host]

const (
	sourceRelease = "/etc/os-release, os-release(5)"
	sourceMeminfo = "/proc/meminfo, proc_meminfo(5)"
	sourceLoad    = "/proc/loadavg, proc_loadavg(5)"
)

var hostSystem = hostFields{
	free("hostname", asText, "the kernel's host name", "/proc/sys/kernel/hostname", hostname),
	free("machine_id", asText, "id of the installation; absent when it has none", "/etc/machine-id, machine-id(5)",
		firstConfig("/etc/machine-id", "/var/lib/dbus/machine-id")),
	free("os_id", asText, "distribution, such as debian", sourceRelease, osRelease("ID")),
	free("os_version", asText, "version of the distribution, such as 12", sourceRelease, osRelease("VERSION_ID")),
	free("os_name", asText, "full name of the distribution", sourceRelease, osRelease("PRETTY_NAME")),
	free("os_like", asTexts, "distributions it is made from", sourceRelease, osLike),
	free("boot_time", asEpoch, "when the kernel started", "/proc/stat, proc_stat(5)", bootTime),
	free("uptime_s", asSeconds, "time since then", "/proc/uptime, proc_uptime(5)", uptime),
	free("clock", asEpoch, "the host's clock at the visit", "clock_gettime(2)",
		value(func(h *host) any { return h.env.Now.Unix() })),
	free("load_1", asFloat, "load average of one minute", sourceLoad, loadAverage(0)),
	free("load_5", asFloat, "load average of five minutes", sourceLoad, loadAverage(1)),
	free("load_15", asFloat, "load average of fifteen minutes", sourceLoad, loadAverage(2)),
	free("cpu_count", asInt, "processors that are on", "/proc/stat, proc_stat(5)", cpuCount),
	free("cpu_brand", asText, "model of the processor", "/proc/cpuinfo, proc_cpuinfo(5)", cpuBrand),
	free("cpu_bugs", asTexts, "flaws that the kernel knows of this model, mitigated or not; kind cpu_vulnerability of subject kernel "+
		"says which", "/proc/cpuinfo, proc_cpuinfo(5)", cpuBugs),
	free("memory_total", asBytes, "usable memory", sourceMeminfo, memoryOf("MemTotal")),
	free("memory_available", asBytes, "memory that programs could still get; absent before Linux 3.14",
		sourceMeminfo, memoryOf("MemAvailable")),
	free("swap_total", asBytes, "swap space", sourceMeminfo, memoryOf("SwapTotal")),
	free("swap_free", asBytes, "swap space that is not used", sourceMeminfo, memoryOf("SwapFree")),
	free("users_count", asInt, "lines of passwd", "/etc/passwd, passwd(5)", usersCount),
	free("processes_count", asInt, "processes in /proc, kernel threads included", "/proc", processesCount),
	free("timezone", asText, "name of the time zone, such as Europe/Berlin; absent when not set",
		"/etc/timezone, /etc/localtime", timezone),
}

var hostKernel = hostFields{
	free("kernel_version", asText, "release of the kernel, as uname -r", "/proc/sys/kernel/osrelease",
		kernelText("/proc/sys/kernel/osrelease")),
	free("kernel_build", asText, "build of the kernel, as uname -v", "/proc/sys/kernel/version",
		kernelText("/proc/sys/kernel/version")),
	free("architecture", asText, "machine of the kernel, as uname -m", "/proc/sys/kernel/arch, uname(2)",
		machineName),
	free("kernel_tainted", asInt, "bits why the kernel counts as tainted, 0 for none", "/proc/sys/kernel/tainted",
		kernelInt("/proc/sys/kernel/tainted")),
	free("kernel_taints", asTexts, "the letters of these bits", "/proc/sys/kernel/tainted", kernelTaints),
	free("kernel_cmdline", asText, "parameters the kernel was started with", "/proc/cmdline, proc_cmdline(5)",
		kernelText("/proc/cmdline")),
	free("modules_count", asInt, "loaded modules; absent when the kernel has none", sourceModules, modulesCount),
	free("lockdown", asText, "none, integrity or confidentiality; absent on kernels without lockdown",
		"/sys/kernel/security/lockdown, kernel_lockdown(7)", lockdown),
	free("selinux", asText, "enforcing, permissive, disabled (installed only) or absent",
		"/sys/fs/selinux/enforce", selinux),
	free("apparmor", asBool, "AppArmor is on", "/sys/module/apparmor/parameters/enabled", apparmor),
}

var hostSettings = hostFields{
	free("aslr", asInt, "address space randomisation: 0 off, 1 some, 2 full",
		"/proc/sys/kernel/randomize_va_space", sysctl("kernel/randomize_va_space")),
	free("core_pattern", asText, "file name or program for core dumps", "/proc/sys/kernel/core_pattern, core(5)",
		kernelText("/proc/sys/kernel/core_pattern")),
	free("modules_disabled", asInt, "1: no module can be loaded any more", "/proc/sys/kernel/modules_disabled",
		sysctl("kernel/modules_disabled")),
	free("ptrace_scope", asInt, "0 all, 1 children, 2 root, 3 nobody; absent without Yama",
		"/proc/sys/kernel/yama/ptrace_scope", sysctl("kernel/yama/ptrace_scope")),
	free("kptr_restrict", asInt, "who sees kernel addresses: 0 all, 1 root, 2 nobody",
		"/proc/sys/kernel/kptr_restrict", sysctl("kernel/kptr_restrict")),
	free("dmesg_restrict", asInt, "1: only root reads the kernel's log", "/proc/sys/kernel/dmesg_restrict",
		sysctl("kernel/dmesg_restrict")),
	free("unprivileged_bpf_disabled", asInt, "0: every user may load BPF programs",
		"/proc/sys/kernel/unprivileged_bpf_disabled", sysctl("kernel/unprivileged_bpf_disabled")),
	free("ip_forward", asInt, "1: the host routes IPv4", "/proc/sys/net/ipv4/ip_forward",
		sysctl("net/ipv4/ip_forward")),
	free("sysrq", asInt, "allowed magic SysRq functions", "/proc/sys/kernel/sysrq", sysctl("kernel/sysrq")),
	free("suid_dumpable", asInt, "1: set-user-ID programs dump core", "/proc/sys/fs/suid_dumpable",
		sysctl("fs/suid_dumpable")),
	free("protected_symlinks", asInt, "1: links in sticky directories are followed with care",
		"/proc/sys/fs/protected_symlinks", sysctl("fs/protected_symlinks")),
	free("protected_hardlinks", asInt, "1: no hard links to files of others",
		"/proc/sys/fs/protected_hardlinks", sysctl("fs/protected_hardlinks")),
	free("ld_so_preload", asTexts, "libraries loaded into every program, line by line; absent without the file",
		"/etc/ld.so.preload, ld.so(8)", ldSoPreload),
	free("ld_so_preload_exists", asBool, "the file is there", "/etc/ld.so.preload", ldSoPreloadExists),
}

var hostNetwork = hostFields{
	cheap("listening_ports", asInts, "TCP ports that listen and UDP ports bound below the range for clients",
		sourceSocket, hostListening),
	free("dns_servers", asTexts, "name servers", "/etc/resolv.conf, resolv.conf(5)", dnsServers),
	free("hosts_entries", asTexts, "lines of the hosts file without comments", "/etc/hosts, hosts(5)", hostsEntries),
	cheap("interfaces", asTexts, "name=address for each address of the host", "/proc/net/fib_trie, route, if_inet6",
		interfaces),
	cheap("mac_addresses", asTexts, "hardware addresses, each once", netDirectory, macAddresses),
	cheap("promiscuous_interfaces", asTexts, "interfaces that receive everybody's packets", netDirectory,
		promiscuousInterfaces),
}

var hostMachine = hostFields{
	cheap("dmi_vendor", asText, "vendor of the machine", "/sys/class/dmi/id/sys_vendor", dmi("sys_vendor")),
	cheap("dmi_product", asText, "name of the machine", "/sys/class/dmi/id/product_name, device tree", product),
	cheap("dmi_serial", asText, "serial number; only root may read it", "/sys/class/dmi/id/product_serial",
		dmi("product_serial")),
	cheap("dmi_uuid", asText, "the machine's own id; only root may read it", "/sys/class/dmi/id/product_uuid", dmi("product_uuid")),
	cheap("dmi_board", asText, "name of the main board", "/sys/class/dmi/id/board_name", dmi("board_name")),
	cheap("dmi_bios_vendor", asText, "who made the firmware", "/sys/class/dmi/id/bios_vendor", dmi("bios_vendor")),
	cheap("dmi_bios_version", asText, "version of the firmware", "/sys/class/dmi/id/bios_version", dmi("bios_version")),
	cheap("dmi_bios_date", asText, "date of the firmware, as it writes it: month/day/year", "/sys/class/dmi/id/bios_date", dmi("bios_date")),
	free("container", asText, "kind of container that the host itself is, such as docker or lxc; none for none",
		"/run/systemd/container, /.dockerenv, /proc/1/environ, /proc/1/cgroup", container),
	free("is_virtual", asBool, "a virtual machine", "/proc/cpuinfo, DMI, device tree", isVirtual),
}
