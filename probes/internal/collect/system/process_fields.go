package system

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

type processFields = []collect.Field[*process]

const (
	sourceStat   = "/proc/PID/stat, proc_pid_stat(5)"
	sourceStatus = "/proc/PID/status, proc_pid_status(5)"
	sourceExe    = "/proc/PID/exe, proc_pid_exe(5)"
	sourceFD     = "/proc/PID/fd, proc_pid_fd(5)"
	sourceMaps   = "/proc/PID/maps, proc_pid_maps(5)"
	sourceEnv    = "/proc/PID/environ, proc_pid_environ(5)"
	sourceNet    = "/proc/PID/fd and /proc/net, proc_net(5)"
)

var processBasics = processFields{
	free("pid", asInt, "process id", sourceStat, value(func(p *process) any { return int64(p.pid) })),
	free("parent", asInt, "process id of the parent; 0 for the first process and kthreadd", sourceStat,
		value(func(p *process) any { return int64(p.stat.PPID) })),
	free("name", asText, "command name (comm), at most 15 bytes; the process can change it", sourceStat,
		value(func(p *process) any { return p.stat.Comm })),
	cheap("cmdline", asText, "arguments joined by spaces; absent for kernel threads and zombies",
		"/proc/PID/cmdline, proc_pid_cmdline(5)", (*process).cmdline),
	cheap("argv", asTexts, "arguments one by one", "/proc/PID/cmdline, proc_pid_cmdline(5)", argumentList),
	free("state", asText, "R running, S sleeping, D disk sleep, T stopped, t traced, Z zombie, I idle",
		sourceStat, value(state)),
	free("start_time", asEpoch, "when the process started", "/proc/PID/stat and /proc/stat",
		value(func(p *process) any { return p.startTime() })),
	free("elapsed_time", asSeconds, "how long the process has been running", "/proc/PID/stat and /proc/stat",
		value(func(p *process) any { return max(0, p.env.Now.Unix()-p.startTime()) })),
	free("nice", asInt, "-20 (high priority) to 19", sourceStat,
		value(func(p *process) any { return int64(p.stat.Nice) })),
	free("threads", asInt, "number of threads", sourceStat,
		value(func(p *process) any { return int64(p.stat.Threads) })),
	free("tty", asText, "controlling terminal, such as pts/0; absent for none", sourceStat,
		value(func(p *process) any { return text(procfs.TTYName(p.stat.TTY)) })),
	free("session", asInt, "session id", sourceStat,
		value(func(p *process) any { return int64(p.stat.Session) })),
	free("pgroup", asInt, "process group id", sourceStat,
		value(func(p *process) any { return int64(p.stat.PGroup) })),
	free("is_kernel_thread", asBool, "the kernel's own thread (PF_KTHREAD), which no program can pretend",
		sourceStat, value(func(p *process) any { return p.isKernelThread() })),
	free("resident_size", asBytes, "memory in RAM; absent for kernel threads", sourceStatus,
		value(func(p *process) any { return memory(p.status.ResidentKB) })),
	free("total_size", asBytes, "virtual memory; absent for kernel threads", sourceStatus,
		value(func(p *process) any { return memory(p.status.VirtualKB) })),
	free("cpu_time", asCPUTime, "CPU time in user and system mode", sourceStat,
		value(func(p *process) any {
			return float64(p.stat.UserTicks+p.stat.SystemTicks) / procfs.ClockTicks
		})),
}

// id makes a getter of one of the four ids of a kind.
func id(get func(p *process) int64) func(p *process) (any, error) {
	return value(func(p *process) any { return get(p) })
}

var processCredentials = processFields{
	free("uid", asInt, "real user id", sourceStatus, id(func(p *process) int64 { return p.status.UID[0] })),
	free("euid", asInt, "effective user id", sourceStatus,
		id(func(p *process) int64 { return p.status.UID[1] })),
	free("suid", asInt, "saved user id", sourceStatus, id(func(p *process) int64 { return p.status.UID[2] })),
	free("fsuid", asInt, "file system user id", sourceStatus,
		id(func(p *process) int64 { return p.status.UID[3] })),
	free("gid", asInt, "real group id", sourceStatus, id(func(p *process) int64 { return p.status.GID[0] })),
	free("egid", asInt, "effective group id", sourceStatus,
		id(func(p *process) int64 { return p.status.GID[1] })),
	free("sgid", asInt, "saved group id", sourceStatus, id(func(p *process) int64 { return p.status.GID[2] })),
	free("groups", asInts, "supplementary group ids", sourceStatus,
		value(func(p *process) any { return append([]int64{}, p.status.Groups...) })),
	cheap("username", asText, "name of the real user id in the host's passwd; absent when it has none",
		"/etc/passwd", func(p *process) (any, error) { return p.users().UsernameField(p.status.UID[0]) }),
	free("tracer_pid", asInt, "process that traces this one; absent when none does", sourceStatus, value(tracer)),
	free("cap_effective", asHex, "effective capabilities, 16 digits", sourceStatus,
		value(hexCapabilities)),
	free("capabilities", asTexts, "names of the effective capabilities, such as cap_net_raw; capabilities(7)",
		sourceStatus, value(func(p *process) any { return procfs.CapabilityNames(p.status.CapEffective) })),
	free("capabilities_permitted", asTexts, "those it may make effective", sourceStatus,
		value(func(p *process) any { return procfs.CapabilityNames(p.status.CapPermitted) })),
	free("capabilities_inheritable", asTexts, "those it may pass on to programs whose file inherits them", sourceStatus,
		value(func(p *process) any { return procfs.CapabilityNames(p.status.CapInheritable) })),
	free("capabilities_bounding", asTexts, "those that it or a program it runs can ever get from a file", sourceStatus,
		value(func(p *process) any { return procfs.CapabilityNames(p.status.CapBounding) })),
	free("capabilities_ambient", asTexts, "those that programs it runs keep without being root; absent before Linux 4.3",
		sourceStatus, value(ambientCapabilities)),
	free("no_new_privs", asBool, "can gain no rights by running programs; absent before Linux 4.10",
		sourceStatus, value(noNewPrivileges)),
	free("seccomp", asInt, "0 off, 1 strict, 2 filter; absent on kernels without it", sourceStatus,
		value(func(p *process) any { return optional(int64(p.status.Seccomp)) })),
	free("signals_ignored", asTexts, "signals that end a process and that this one ignores: SIGHUP, SIGINT, SIGQUIT, SIGTERM",
		sourceStatus, value(ignoredSignals)),
	cheap("login_uid", asInt, "user id at login, which sudo and su do not change; absent when nobody logged in",
		"/proc/PID/loginuid", loginUID),
}

var processProgram = processFields{
	cheap("path", asText, "program file, without the kernel's \" (deleted)\"; absent for kernel threads",
		sourceExe, programPath),
	cheap("exe_deleted", asBool, "the program file has been deleted since the start", sourceExe,
		ofProgram(func(exe program) any { return exe.deleted })),
	cheap("exe_memfd", asBool, "the program was run from memory (memfd_create) and never was a file", sourceExe,
		ofProgram(func(exe program) any { return exe.memfd })),
	cheap("exe_replaced", asBool, "the program file was deleted and another file has its path, as after an update",
		sourceExe, (*process).isReplaced),
	cheap("on_disk", asBool, "path leads to the very file that runs", sourceExe, (*process).onDisk),
	cheap("exe_mode", asOctal, "permission bits of the program file, four digits", sourceExe,
		ofFile(func(st *programStat) any { return st.Octal() })),
	cheap("exe_uid", asInt, "owner of the program file", sourceExe,
		ofFile(func(st *programStat) any { return st.UID })),
	cheap("exe_size", asBytes, "size of the program file", sourceExe,
		ofFile(func(st *programStat) any { return st.Size })),
	cheap("exe_mtime", asEpoch, "last change of the program file's content", sourceExe,
		ofFile(func(st *programStat) any { return st.Mtime })),
	cheap("exe_ctime", asEpoch, "last change of the program file's inode", sourceExe,
		ofFile(func(st *programStat) any { return st.Ctime })),
	cheap("package_owned", asBool, "the program's path belongs to an installed package of the host; absent in "+
		"containers, for programs that were never files, and without a package database",
		"databases of dpkg, rpm and apk", (*process).packageOwned),
	costly("exe_entropy", asEntropy, "entropy of the program's first 4 MiB, 0 to 8", sourceExe,
		(*process).entropy),
	costly("exe_magic", asText, "class of the program's content, as file.magic", sourceExe, (*process).magic),
	cheap("exe_interpreter", asText, "which script interpreter the program is, by its name: python, bash …; "+
		"absent for other programs", sourceExe, (*process).interpreterName),
	cheap("script_path", asText, "file of the script an interpreter was given, when it exists; absent otherwise",
		"/proc/PID/cmdline", processScript),
}

var processContext = processFields{
	cheap("cwd", asText, "current directory; absent for kernel threads and zombies", "/proc/PID/cwd",
		link(cwdLink)),
	cheap("cwd_deleted", asBool, "the current directory has been deleted", "/proc/PID/cwd", cwdDeleted),
	cheap("root", asText, "root directory (chroot)", "/proc/PID/root", link(rootLink)),
	cheap("cgroup", asText, "control group: of version 2, else the longest path of version 1",
		"/proc/PID/cgroup, cgroups(7)", cgroup),
	cheap("container_id", asText, "64 hexadecimal digits of a container in the control group; absent for none",
		"/proc/PID/cgroup", containerID),
	cheap("own_namespaces", asTexts, "kinds of namespaces in which it lives apart from the first process: cgroup, ipc, mnt, net, pid, "+
		"user, uts", "/proc/PID/ns, namespaces(7)", ownNamespaces),
	cheap("security_label", asText, "SELinux context or AppArmor profile that it runs in; absent without such a module",
		"/proc/PID/attr/current, proc_pid_attr(5)", securityLabel),
	cheap("kernel_stack", asTexts, "functions of the kernel in which it waits, the innermost first; root only",
		"/proc/PID/stack, proc_pid_stack(5)", kernelStack),
	cheap("in_container", asBool, "lives in another pid namespace than the first process", sourceStatus+": NSpid",
		inContainer),
	costly("environ", asTexts, "environment at the start; values of variables whose name looks like a secret "+
		"are given as [redacted LENGTH]", sourceEnv, (*process).environmentField),
	costly("environ_names", asTexts, "names of the environment's variables", sourceEnv,
		(*process).environmentNames),
	costly("ld_preload", asText, "value of LD_PRELOAD; absent when unset", sourceEnv, variable("LD_PRELOAD")),
	costly("ld_audit", asText, "value of LD_AUDIT; absent when unset", sourceEnv, variable("LD_AUDIT")),
	costly("histfile", asText, "value of HISTFILE; absent when unset", sourceEnv, variable("HISTFILE")),
}

var processMemory = processFields{
	cheap("fd_count", asInt, "number of open descriptors", sourceFD, func(p *process) (any, error) {
		open, err := p.descriptors()
		return int64(len(open)), err
	}),
	cheap("fd_targets", asTexts, "what is open, each once; at most 16 of each kind that is only a number "+
		"(socket, pipe …), and unknown (limit) for more than 1024", sourceFD, (*process).targets),
	cheap("stdin", asText, "target of descriptor 0; absent when closed", sourceFD,
		func(p *process) (any, error) { return p.standard(0) }),
	cheap("stdout", asText, "target of descriptor 1; absent when closed", sourceFD,
		func(p *process) (any, error) { return p.standard(1) }),
	cheap("stderr", asText, "target of descriptor 2; absent when closed", sourceFD,
		func(p *process) (any, error) { return p.standard(2) }),
	cheap("socket_std", asBool, "at least two of the descriptors 0 to 2 are sockets", sourceFD,
		(*process).hasSocketStandard),
	cheap("memory_of", asInts, "other processes whose memory (/proc/PID/mem) it holds open", sourceFD, (*process).memoryOf),
	costly("fd_labels", asTexts, "SELinux contexts of what is open, each once; absent on a host without SELinux", "xattr security.selinux",
		fdLabels),
	cheap("open_deleted", asTexts, "open files that have been deleted; no memory files", sourceFD,
		(*process).openDeleted),
	costly("maps_deleted", asTexts, "files mapped executable that have been deleted; no memory files", sourceMaps,
		ofMaps(func(m mapFacts) any { return m.deleted })),
	costly("maps_memfd", asBool, "a memory file (memfd_create) is mapped executable", sourceMaps,
		ofMaps(func(m mapFacts) any { return m.memfd })),
	costly("maps_rwx", asInt, "number of anonymous mappings that are writable and executable at once", sourceMaps,
		ofMaps(func(m mapFacts) any { return m.rwx })),
	costly("mapped_files", asTexts, "files mapped executable, each once", sourceMaps,
		ofMaps(func(m mapFacts) any { return m.files })),
}

// parentFields are the fields of a process, asked of its parent. They cost a look at another process at least.
func parentFields(of processFields) processFields {
	fields := make(processFields, 0, len(of))
	for _, f := range of {
		get := f.Get
		f.Name, f.Doc, f.Cost = collect.ParentPrefix+f.Name, "of the parent: "+f.Doc, max(f.Cost, collect.Cheap)
		f.Get = func(p *process) (any, error) { return p.ofParent(get) }
		fields = append(fields, f)
	}
	return fields
}

var processFamily = processFields{
	cheap("ancestors.name", asTexts, "command names from the parent upwards, at most 64",
		"the ancestors' records", value(ancestorNames)),
	cheap("ancestors.path", asTexts, "program files from the parent upwards, kernel threads left out",
		"the ancestors' records", ancestorPaths),
	cheap("ancestors.pid", asInts, "process ids from the parent upwards", "the ancestors' records",
		value(ancestorPIDs)),
}

var processNetwork = processFields{
	cheap("socket_count", asInt, "number of sockets the process holds, of any family", sourceFD,
		func(p *process) (any, error) {
			inodes, err := p.socketInodes()
			return int64(len(inodes)), err
		}),
	cheap("remote_addresses", asTexts, "remote addresses of its internet sockets, each once", sourceNet,
		remoteAddresses),
	cheap("remote_ports", asInts, "remote ports of its internet sockets, each once", sourceNet, remotePorts),
	cheap("listening_ports", asInts, "local ports on which it listens (TCP) or receives (UDP), each once", sourceNet,
		listeningPorts),
}
