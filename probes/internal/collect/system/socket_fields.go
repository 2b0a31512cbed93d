package system

import (
	"sandfly/probes/internal/collect"
)

type socketFields = []collect.Field[*socket]

const (
	sourceSocket = "/proc/PID/net, proc_net(5)"
	sourceHolder = "/proc/PID/fd, proc_pid_fd(5)"
)

var socketBasics = socketFields{
	free("family", asText, "inet, inet6, unix, packet or netlink", sourceSocket, value(socketFamily)),
	free("protocol", asText, "tcp, udp, udplite, raw, icmp, sctp, unix, packet or netlink", sourceSocket,
		value(func(k *socket) any { return k.protocol.String() })),
	free("socket_type", asText, "stream, dgram, raw or seqpacket", sourceSocket, value(socketType)),
	free("local_address", asText, "own address; IPv4 in an IPv6 socket is written as IPv4", sourceSocket,
		value(localAddress)),
	free("local_port", asInt, "own port; absent where the protocol has none", sourceSocket, value(localPort)),
	free("remote_address", asText, "address of the other side; absent when not connected", sourceSocket,
		value(remoteAddress)),
	free("remote_port", asInt, "port of the other side; absent when not connected", sourceSocket,
		value(remotePort)),
	free("state", asText, "TCP state such as LISTEN or ESTABLISHED; UNCONNECTED, CONNECTED and LISTEN of others",
		sourceSocket, value(socketState)),
	free("inode", asInt, "number of the socket; 0 when no process can hold it any more (TIME_WAIT)", sourceSocket,
		value(func(k *socket) any { return int64(k.inode) })),
	free("uid", asInt, "user who owns the socket; absent for unix and netlink", sourceSocket,
		value(func(k *socket) any { return optional(k.uid) })),
	free("is_listening", asBool, "waits for anybody: listening, or UDP that is bound and not connected", sourceSocket,
		value(func(k *socket) any { return k.isListening })),
	free("on_loopback", asBool, "the own address is a loopback address; absent for other families", sourceSocket,
		value(isLoopback)),
	free("is_remote_private", asBool, "the other side is private (RFC 1918, unique local), link-local or loopback; "+
		"absent when not connected", sourceSocket, value(isRemotePrivate)),
	free("path", asText, "name of a unix socket, '@' first when abstract; absent when it has none", sourceSocket,
		value(func(k *socket) any { return text(k.path) })),
	free("packet_protocol", asHex, "Ethernet type of a packet socket, 0003 for all; packet(7)",
		sourceSocket, value(func(k *socket) any { return text(k.packetProtocol) })),
	free("interface_index", asInt, "interface of a packet socket, 0 for all", sourceSocket, numberOf(protoPacket)),
	free("ip_protocol", asInt, "IP protocol of a raw socket, 1 for ICMP", sourceSocket, numberOf(protoRaw)),
	free("netlink_protocol", asInt, "protocol of a netlink socket, 0 for routing; netlink(7)", sourceSocket,
		numberOf(protoNetlink)),
	free("netns", asInt, "number of the network namespace; absent when it cannot be seen", "/proc/PID/ns/net",
		value(func(k *socket) any {
			if k.netns == 0 {
				return nil
			}
			return int64(k.netns)
		})),
}

var socketHolder = socketFields{
	cheap("pid", asInt, "first process that holds the socket; absent for the kernel's own and closed connections",
		sourceHolder, ofHolder(value(func(p *process) any { return int64(p.pid) }))),
	cheap("pids", asInts, "every process that holds the socket; absent when none does", sourceHolder,
		func(k *socket) (any, error) {
			pids, err := k.pids()
			if err != nil || len(pids) == 0 {
				return nil, err
			}
			return pids, nil
		}),
	cheap("process.name", asText, "command name of that process", sourceStat,
		ofHolder(value(func(p *process) any { return p.stat.Comm }))),
	cheap("process.path", asText, "program file of that process", sourceExe, ofHolder(programPath)),
	cheap("process.cmdline", asText, "arguments of that process joined by spaces", "/proc/PID/cmdline",
		ofHolder((*process).cmdline)),
	cheap("process.uid", asInt, "real user id of that process", sourceStatus,
		ofHolder(value(func(p *process) any { return p.status.UID[0] }))),
	cheap("process.exe_deleted", asBool, "that process's program file has been deleted", sourceExe,
		ofHolder(ofProgram(func(exe program) any { return exe.deleted }))),
}
