package kernel

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
)

const (
	fromBPF  = "bpf(2), BPF_OBJ_GET_INFO_BY_FD"
	fromHeld = "/proc/PID/fd, /proc/PID/fdinfo"
)

// ofProgram makes a getter of what bpf(2) says of a program.
func ofProgram(get func(p *progInfo) any) func(ob *object) (any, error) {
	return func(ob *object) (any, error) {
		if ob.prog == nil {
			return nil, ob.unlessTold("program")
		}
		return get(ob.prog), nil
	}
}

// ofMap makes a getter of what bpf(2) says of a map.
func ofMap(get func(m *mapInfo) any) func(ob *object) (any, error) {
	return func(ob *object) (any, error) {
		if ob.mapp == nil {
			return nil, ob.unlessTold("map")
		}
		return get(ob.mapp), nil
	}
}

var ebpfSubject = collect.NewSubject("ebpf",
	"An eBPF program, map or link that is loaded, or a name that one is pinned to. Where bpf(2) is refused, what "+
		"processes hold is told by their descriptors, and the rest is unknown.",
	[]string{"kind", "type", "name", "tag", "path"},
	[]string{"kind", "id", "type", "name", "path"},
	[]collect.Field[*object]{
		fact.Free("kind", fact.Text, "program, map, link or pinned", fromBPF, func(ob *object) any { return ob.kind }),
		fact.Free("id", fact.Int, "number while it is loaded; none for a pinned name", fromBPF, func(ob *object) any {
			if ob.kind == "pinned" {
				return nil
			}
			return int64(ob.id)
		}),
		fact.Free("type", fact.Text, "type as bpftool names it: kprobe, tracing, xdp …; hash, ringbuf …; perf_event …",
			fromBPF, func(ob *object) any { return fact.String(ob.typ) }),
		fact.Cheap("name", fact.Text, "name its loader gave, at most 15 bytes; of a pinned object the file's name",
			fromBPF, func(ob *object) (any, error) {
				if !ob.told && ob.kind != "link" {
					return nil, ob.refused
				}
				return fact.String(ob.name), nil
			}),
		fact.Free("tag", fact.Hex, "digest of a program's instructions", fromBPF,
			func(ob *object) any { return fact.String(ob.tag) }),
		fact.Free("path", fact.Text, "where it is pinned", "readdir(3) of bpf file systems",
			func(ob *object) any { return fact.String(ob.path) }),
		fact.Cheap("loaded_at", fact.Epoch, "when the program was loaded", fromBPF, (*object).loadedAt),
		fact.Cheap("uid", fact.Int, "who loaded the program", fromBPF,
			ofProgram(func(p *progInfo) any { return number(p.uid) })),
		fact.Cheap("username", fact.Text, "name of who loaded it; none when passwd has no such uid", "/etc/passwd",
			func(ob *object) (any, error) {
				if ob.prog == nil {
					return nil, ob.unlessTold("program")
				}
				return ob.username(int64(ob.prog.uid))
			}),
		fact.Cheap("attached", fact.Texts, "what the program's links, or this link, lead to, such as raw_tracepoint "+
			"sys_enter; attachments without a link (tc, older perf events) are not among them", fromBPF, (*object).attached),
		fact.Cheap("program_id", fact.Int, "the program a link attaches", fromBPF, func(ob *object) (any, error) {
			if ob.link == nil {
				return nil, ob.unlessTold("link")
			}
			return number(ob.link.program), nil
		}),
		fact.Cheap("attach_type", fact.Int, "number of the place a link attaches to, enum bpf_attach_type", fromBPF,
			func(ob *object) (any, error) {
				if ob.link == nil || ob.link.attachType == nil {
					return nil, ob.unlessTold("link")
				}
				return number(*ob.link.attachType), nil
			}),
		fact.Cheap("map_ids", fact.Ints, "maps the program uses", fromBPF, ofProgram(func(p *progInfo) any {
			ids := []int64{}
			for _, id := range p.mapIDs {
				ids = append(ids, int64(id))
			}
			return ids
		})),
		fact.Cheap("map_names", fact.Texts, "names of the maps the program uses", fromBPF, (*object).mapNames),
		fact.Costly("helpers", fact.Texts, "kernel functions the program calls, such as bpf_probe_write_user; those that "+
			"the verifier replaced by instructions are not seen", fromBPF+", /proc/kallsyms", (*object).helpers),
		fact.Cheap("is_gpl", fact.Bool, "the program says that its licence is compatible with the kernel's", fromBPF,
			ofProgram(func(p *progInfo) any { return p.isGPL })),
		fact.Cheap("code_bytes", fact.Bytes, "size of its instructions; 0 when the kernel does not show them", fromBPF,
			ofProgram(func(p *progInfo) any { return number(p.codeBytes) })),
		fact.Cheap("jited_bytes", fact.Bytes, "size of its machine code", fromBPF,
			ofProgram(func(p *progInfo) any { return number(p.jitedBytes) })),
		fact.Cheap("verified_instructions", fact.Int, "instructions that the verifier walked; kernels since 5.16", fromBPF,
			ofProgram(func(p *progInfo) any {
				if !p.hasVerified {
					return nil
				}
				return number(p.verified)
			})),
		fact.Cheap("runs", fact.Int, "how often it ran, counted only while kernel.bpf_stats_enabled is set", fromBPF,
			ofProgram(func(p *progInfo) any {
				if !p.hasRuns {
					return nil
				}
				return int64(p.runs)
			})),
		fact.Cheap("interface_index", fact.Int, "network device that runs it in hardware; 0 for none", fromBPF,
			ofProgram(func(p *progInfo) any { return number(p.ifindex) })),
		fact.Cheap("key_size", fact.Bytes, "size of a map's keys", fromBPF,
			ofMap(func(m *mapInfo) any { return number(m.keyBytes) })),
		fact.Cheap("value_size", fact.Bytes, "size of a map's values", fromBPF,
			ofMap(func(m *mapInfo) any { return number(m.valueBytes) })),
		fact.Cheap("max_entries", fact.Int, "how many entries a map may have", fromBPF,
			ofMap(func(m *mapInfo) any { return number(m.maxEntries) })),
		fact.Cheap("map_flags", fact.Int, "flags the map was made with", fromBPF,
			ofMap(func(m *mapInfo) any { return number(m.flags) })),
		fact.Costly("pids", fact.Ints, "processes that hold a descriptor of it, at most 256", fromHeld, (*object).pidsField),
		fact.Costly("is_held", fact.Bool, "some process holds a descriptor of it", fromHeld,
			func(ob *object) (any, error) {
				pids, err := ob.pids()
				if err != nil || pids == nil {
					return nil, err
				}
				return len(pids) > 0, nil
			}),
		fact.Costly("process.names", fact.Texts, "names of those processes", fromHeld, ofHolders(holderName)),
		fact.Costly("process.paths", fact.Texts, "programs of those processes", fromHeld, ofHolders(holderPath)),
	})
