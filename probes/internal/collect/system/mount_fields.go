package system

import "sandfly/probes/internal/collect"

type mountFields = []collect.Field[*mount]

const (
	sourceMounts = "/proc/self/mountinfo, proc_pid_mountinfo(5)"
	sourceStatfs = "statfs(2), local file systems only"
)

var mountFacts = mountFields{
	free("device", asText, "what is mounted: a device, a server's path or a word", sourceMounts,
		value(func(m *mount) any { return text(m.Source) })),
	free("device_number", asText, "major:minor of the file system, as files have it in device", sourceMounts,
		value(func(m *mount) any { return text(m.Device) })),
	free("path", asText, "where it is mounted", sourceMounts, value(func(m *mount) any { return m.Path })),
	free("type", asText, "type of the file system, such as ext4", sourceMounts,
		value(func(m *mount) any { return text(m.Type) })),
	free("flags", asTexts, "options of the mount and of its file system", sourceMounts,
		value(func(m *mount) any { return m.flags() })),
	free("source", asText, "as device", sourceMounts, value(func(m *mount) any { return text(m.Source) })),
	free("root", asText, "which directory (or file) of the file system is mounted", sourceMounts,
		value(func(m *mount) any { return text(m.Root) })),
	free("is_readonly", asBool, "mount or file system is read-only", sourceMounts, hasFlag("ro")),
	free("is_noexec", asBool, "no program can be run from it", sourceMounts, hasFlag("noexec")),
	free("is_nosuid", asBool, "set-user-ID bits have no effect", sourceMounts, hasFlag("nosuid")),
	free("is_nodev", asBool, "device files have no effect", sourceMounts, hasFlag("nodev")),
	free("is_network", asBool, "the files are on another machine (nfs, cifs, fuse.sshfs …)", sourceMounts,
		value(func(m *mount) any { return m.isNetwork() })),
	free("is_bind", asBool, "a part of a file system is mounted here (bind mount); not for subvolumes", sourceMounts,
		value(func(m *mount) any { return m.isBind() })),
	free("over_proc_pid", asBool, "mounted over a process's directory, or a file in it, which hides the process",
		sourceMounts, value(func(m *mount) any { return m.isOverProcess() })),
	cheap("blocks_size", asBytes, "size of a block", sourceStatfs,
		ofSpace(func(s *space) any { return s.block })),
	cheap("size_bytes", asBytes, "size of the file system", sourceStatfs,
		ofSpace(func(s *space) any { return s.size })),
	cheap("available_bytes", asBytes, "free for users", sourceStatfs,
		ofSpace(func(s *space) any { return s.available })),
	cheap("used_percent", asPercent, "how full it is, as df shows it", sourceStatfs,
		ofSpace((*space).usedPercent)),
	cheap("inodes_used_percent", asPercent, "how many of its files' places are taken; absent where there is no such bound", sourceStatfs,
		ofSpace((*space).inodesUsedPercent)),
}
