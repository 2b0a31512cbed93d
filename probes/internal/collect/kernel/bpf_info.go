package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"strconv"
)

// Sizes of the structures of include/uapi/linux/bpf.h; older kernels fill less and say so.
const (
	progInfoBytes = 232
	mapInfoBytes  = 88
	linkInfoBytes = 96
	maxMapIDs     = 64 // BPF_MAX_... is 64 maps a program
	maxNameBytes  = 4096
)

// progInfo is what the kernel says of a program.
type progInfo struct {
	kind, id    uint32
	tag, name   string
	loadedNanos uint64 // since boot
	uid         uint32
	mapIDs      []uint32
	isGPL       bool
	jitedBytes  uint32
	codeBytes   uint32
	verified    uint32
	hasVerified bool
	ifindex     uint32
	runs        uint64
	hasRuns     bool
}

func readProgram(call caller, fd int) (progInfo, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	ids := make([]byte, 4*maxMapIDs)
	pinner.Pin(&ids[0])
	structure := make([]byte, progInfoBytes)
	binary.NativeEndian.PutUint32(structure[52:], maxMapIDs)
	putPointer(structure[56:], ids)
	filled, err := call.info(fd, structure, &pinner)
	if err != nil {
		return progInfo{}, fmt.Errorf("eBPF program: %w", err)
	}
	return parseProgram(filled, ids)
}

func parseProgram(b, ids []byte) (progInfo, error) {
	const least = 80 // up to the name, which came with Linux 4.15
	if len(b) < least {
		return progInfo{}, fmt.Errorf("eBPF program: %d bytes of description", len(b))
	}
	o := binary.NativeEndian
	p := progInfo{kind: o.Uint32(b), id: o.Uint32(b[4:]), tag: hex.EncodeToString(b[8:16]), jitedBytes: o.Uint32(b[16:]),
		codeBytes: o.Uint32(b[20:]), loadedNanos: o.Uint64(b[40:]), uid: o.Uint32(b[48:]), name: cString(b[64:80])}
	for i := range min(int(o.Uint32(b[52:])), len(ids)/4) {
		p.mapIDs = append(p.mapIDs, o.Uint32(ids[4*i:]))
	}
	if len(b) >= 88 {
		p.ifindex, p.isGPL = o.Uint32(b[80:]), o.Uint32(b[84:])&lowestBit() != 0
	}
	if p.hasRuns = len(b) >= 208; p.hasRuns {
		p.runs = o.Uint64(b[200:])
	}
	if p.hasVerified = len(b) >= 220; p.hasVerified {
		p.verified = o.Uint32(b[216:])
	}
	return p, nil
}

// lowestBit is where a C compiler puts the first bit field of a word.
func lowestBit() uint32 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return 1
	}
	return 1 << 31
}

// mapInfo is what the kernel says of a map.
type mapInfo struct {
	kind, id, keyBytes, valueBytes, maxEntries, flags uint32
	name                                              string
}

func readMap(call caller, fd int) (mapInfo, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	filled, err := call.info(fd, make([]byte, mapInfoBytes), &pinner)
	if err != nil {
		return mapInfo{}, fmt.Errorf("eBPF map: %w", err)
	}
	return parseMapInfo(filled)
}

func parseMapInfo(b []byte) (mapInfo, error) {
	if len(b) < 40 {
		return mapInfo{}, fmt.Errorf("eBPF map: %d bytes of description", len(b))
	}
	o := binary.NativeEndian
	return mapInfo{o.Uint32(b), o.Uint32(b[4:]), o.Uint32(b[8:]), o.Uint32(b[12:]), o.Uint32(b[16:]), o.Uint32(b[20:]),
		cString(b[24:40])}, nil
}

// linkInfo is what the kernel says of a link: which program is attached to what.
type linkInfo struct {
	kind, id, program uint32
	attachType        *uint32
	target            string
}

func readLink(call caller, fd int) (linkInfo, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	structure := make([]byte, linkInfoBytes)
	filled, err := call.info(fd, structure, &pinner)
	if err != nil {
		return linkInfo{}, fmt.Errorf("eBPF link: %w", err)
	}
	link, err := parseLink(filled, "")
	if at := nameAt(filled); err == nil && at >= 0 {
		// The second look hands over a buffer for the name, whose place depends on what the first one told.
		name := make([]byte, maxNameBytes)
		pinner.Pin(&name[0])
		second := make([]byte, linkInfoBytes)
		putPointer(second[at:], name)
		binary.NativeEndian.PutUint32(second[at+8:], maxNameBytes)
		if filled, err = call.info(fd, second, &pinner); err == nil {
			return parseLink(filled, cString(name))
		}
		return link, nil // kernels that take no buffer here still tell the rest
	}
	return link, err
}

// Types of links, enum bpf_link_type.
const (
	linkRawTracepoint = 1
	linkTracing       = 2
	linkCgroup        = 3
	linkIter          = 4
	linkNetns         = 5
	linkXDP           = 6
	linkPerfEvent     = 7
	linkKprobeMulti   = 8
	linkNetfilter     = 10
	linkTCX           = 11
	linkNetkit        = 13
)

// nameAt is where the pointer to a link's target name lies; -1 for links that have none.
func nameAt(b []byte) int {
	if len(b) < 28 {
		return -1
	}
	switch binary.NativeEndian.Uint32(b) {
	case linkRawTracepoint, linkIter:
		return 16
	case linkPerfEvent:
		if len(b) >= 40 {
			return 24
		}
	}
	return -1
}

func parseLink(b []byte, name string) (linkInfo, error) {
	if len(b) < 12 {
		return linkInfo{}, fmt.Errorf("eBPF link: %d bytes of description", len(b))
	}
	o := binary.NativeEndian
	l := linkInfo{kind: o.Uint32(b), id: o.Uint32(b[4:]), program: o.Uint32(b[8:]), target: name}
	word := func(at int) *uint32 {
		if len(b) < at+4 {
			return nil
		}
		v := o.Uint32(b[at:])
		return &v
	}
	numbered := func(kind string, at int) {
		if v := word(at); v != nil {
			l.target = kind + strconv.FormatUint(uint64(*v), 10)
		}
	}
	switch l.kind {
	case linkTracing:
		l.attachType = word(16)
	case linkCgroup:
		l.attachType = word(24)
		numbered("cgroup:", 16)
	case linkNetns:
		l.attachType = word(20)
		numbered("net:", 16)
	case linkXDP:
		numbered("interface:", 16)
	case linkTCX, linkNetkit:
		l.attachType = word(20)
		numbered("interface:", 16)
	case linkKprobeMulti:
		numbered("functions:", 24)
	case linkNetfilter:
		numbered("hook:", 20)
	}
	return l, nil
}

func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// word gives the name of a number, or the number as text when this program does not know it.
func word(words []string, number uint32) string {
	if int(number) < len(words) {
		return words[number]
	}
	return strconv.FormatUint(uint64(number), 10)
}

// Names as bpftool prints them, in the order of the enums of include/uapi/linux/bpf.h.
var (
	progTypes = []string{"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event",
		"cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg",
		"raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector",
		"cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup",
		"syscall", "netfilter"}
	mapTypes = []string{"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array",
		"stack_trace", "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps",
		"devmap", "sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray",
		"percpu_cgroup_storage", "queue", "stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage",
		"task_storage", "bloom_filter", "user_ringbuf", "cgrp_storage", "arena"}
	linkTypes = []string{"unspec", "raw_tracepoint", "tracing", "cgroup", "iter", "netns", "xdp", "perf_event",
		"kprobe_multi", "struct_ops", "netfilter", "tcx", "uprobe_multi", "netkit", "sockmap"}
)
