package hidden

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
)

const (
	fromMethods = "several interfaces that must agree, see kind"
	fromSockets = "sock_diag(7) against /proc/net"
	fromFiles   = "stat(2), read(2), mmap(2)"
)

func ofSocket(get func(s *socket) any) func(f *finding) any {
	return func(f *finding) any {
		if f.socket == nil {
			return nil
		}
		return get(f.socket)
	}
}

func ofSizes(get func(s *sizes) any) func(f *finding) any {
	return func(f *finding) any {
		if f.sizes == nil {
			return nil
		}
		return get(f.sizes)
	}
}

var subject = collect.NewSubject("hidden",
	"What the kernel and a listing disagree about: a process, module, directory entry, file content, socket, or a mount "+
		"over /proc. Kind method tells of every way of looking whether it was gone; a host that hides nothing has only those.",
	[]string{"kind", "name", "path", "protocol", "local_address", "local_port"},
	[]string{"kind", "name", "path", "pid", "seen_by", "missing_from", "detail"},
	[]collect.Field[*finding]{
		fact.Free("kind", fact.Text, "process, module, taint, directory_entry, file_content, socket, mount_over or method",
			fromMethods, func(f *finding) any { return f.kind }),
		fact.Free("name", fact.Text, "name of the process, module or entry, letter of a taint, name of the method",
			fromMethods, func(f *finding) any { return fact.String(f.name) }),
		fact.Free("path", fact.Text, "path of the entry, file or mount", fromMethods,
			func(f *finding) any { return fact.String(f.path) }),
		fact.Free("detail", fact.Text, "what the disagreement is, in words; of a method, why it could not be gone",
			fromMethods, func(f *finding) any { return fact.String(f.detail) }),
		fact.Free("seen_by", fact.Texts, "interfaces that show it: kill, getpgid, proc_status, sys_module, kallsyms, "+
			"stat, device, sock_diag …", fromMethods, func(f *finding) any { return fact.Strings(f.seenBy) }),
		fact.Free("missing_from", fact.Texts, "interfaces that should show it and do not: proc_listing, proc_modules …",
			fromMethods, func(f *finding) any { return fact.Strings(f.missingFrom) }),
		fact.Free("is_done", fact.Bool, "the method was gone to its end", fromMethods,
			func(f *finding) any { return fact.Pointer(f.isDone) }),
		fact.Free("pid", fact.Int, "number of the process", "kill(2), getpgid(2), getsid(2), sched_getscheduler(2), "+
			"getpriority(2), /proc/PID", func(f *finding) any { return fact.Pointer(f.pid) }),
		fact.Free("uid", fact.Int, "user of the process, where its status can be read", "/proc/PID/status",
			func(f *finding) any { return fact.Pointer(f.uid) }),
		fact.Free("program", fact.Text, "program of the process, where it can be read", "/proc/PID/exe",
			func(f *finding) any { return fact.String(f.program) }),
		fact.Free("cmdline", fact.Text, "arguments of the process, where they can be read", "/proc/PID/cmdline",
			func(f *finding) any { return fact.String(f.cmdline) }),
		fact.Costly("beyond_allocated", fact.Bool, "the number is above all that the kernel can have handed out by "+
			"itself; a rule that asks makes the sweep try every number up to kernel.pid_max, where more threads run than are listed",
			"/proc/stat, /proc/loadavg, kernel.pid_max", func(f *finding) (any, error) { return fact.Pointer(f.beyond), nil }),
		fact.Free("size_stat", fact.Bytes, "size of the file as stat(2) tells it", fromFiles,
			ofSizes(func(s *sizes) any { return s.stat })),
		fact.Free("size_read", fact.Bytes, "bytes that reading it gives", fromFiles,
			ofSizes(func(s *sizes) any { return s.read })),
		fact.Free("size_mapped", fact.Bytes, "bytes that are the same when it is mapped; none when it cannot be", fromFiles,
			ofSizes(func(s *sizes) any { return fact.Pointer(s.mapped) })),
		fact.Free("protocol", fact.Text, "tcp or udp", fromSockets, ofSocket(func(s *socket) any { return s.protocol })),
		fact.Free("local_address", fact.Text, "address it is bound to", fromSockets,
			ofSocket(func(s *socket) any { return s.local.Addr().String() })),
		fact.Free("local_port", fact.Int, "port it is bound to", fromSockets,
			ofSocket(func(s *socket) any { return int64(s.local.Port()) })),
		fact.Free("remote_address", fact.Text, "address of the other side; 0.0.0.0 or :: for none", fromSockets,
			ofSocket(func(s *socket) any { return s.remote.Addr().String() })),
		fact.Free("remote_port", fact.Int, "port of the other side; 0 for none", fromSockets,
			ofSocket(func(s *socket) any { return int64(s.remote.Port()) })),
		fact.Free("is_listening", fact.Bool, "it waits for connections", fromSockets,
			ofSocket(func(s *socket) any { return s.state == stateListen })),
		fact.Free("inode", fact.Int, "number of the socket", fromSockets,
			ofSocket(func(s *socket) any { return int64(s.inode) })),
	})
