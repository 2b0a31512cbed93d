package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
)

// objects is what the records of one visit share.
type objects struct {
	env      *collect.Env
	fs       procfs.FS
	call     caller
	refused  error // why bpf(2) does not answer; nil when it does
	maps     map[uint32]mapInfo
	links    []linkInfo
	holders  map[holderKey][]int64
	noFDs    error // why some processes' descriptors could not be read
	accounts fact.Lazy[*accounts.Accounts]
	symbols  fact.Lazy[symbols]
	bootTime fact.Lazy[int64]
	seen     map[holderKey]descriptorFact // what descriptors told, when bpf(2) is refused
}

// object is one program, map, link or pinned name. Its members are absent (nil) where they do not belong to the kind.
type object struct {
	*objects
	kind string
	id   uint32
	typ  string
	name string
	path string // of a pinned object
	prog *progInfo
	mapp *mapInfo
	link *linkInfo
	tag  string
	told bool // bpf(2) described it; otherwise only /proc/PID/fdinfo did
}

func runEBPF(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	o := &objects{env: env, fs: fact.Tree(env), call: bpf, maps: map[uint32]mapInfo{}}
	if !o.fs.IsLive() {
		o.call = func(int, []byte) (int, error) { return -1, syscall.ENOSYS }
	}
	return o.run(ctx, want["ebpf"].Fields, emit, status)
}

// heldFields are those for which the descriptors of all processes are read.
var heldFields = []string{"pids", "process.names", "process.paths", "is_held"}

func (o *objects) run(ctx context.Context, fields map[string]bool, emit collect.Emit, status *collect.Status) error {
	send := func(object *object) error {
		if err := errors.Join(ctx.Err(), o.env.Throttle.Pause()); err != nil {
			return err
		}
		return emit("ebpf", object)
	}
	found, err := o.fromKernel()
	if err != nil && !errors.Is(err, collect.ErrLimit) {
		o.refused = err
		status.Partial("ebpf", fmt.Errorf("bpf(2): %w", err))
	}
	if o.refused != nil || slices.ContainsFunc(heldFields, func(name string) bool { return fields[name] }) {
		if err := o.readHolders(ctx); err != nil {
			return err
		}
	}
	if o.refused != nil {
		found = o.fromHolders()
	}
	for _, object := range found {
		if err := send(object); err != nil {
			return err
		}
	}
	return o.pinned(send, status)
}

// fromKernel asks bpf(2). A kernel without it has no objects.
func (o *objects) fromKernel() ([]*object, error) {
	maps, err := o.readMaps()
	if errors.Is(err, syscall.ENOSYS) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	links, err := o.readLinks()
	if err != nil {
		return nil, err
	}
	programs, err := o.readPrograms()
	return slices.Concat(programs, maps, links), err
}

// skipGone lets what was unloaded meanwhile be.
func skipGone(err error) error {
	if errors.Is(err, collect.ErrGone) {
		return nil
	}
	return err
}

func (o *objects) readMaps() ([]*object, error) {
	var found []*object
	err := o.call.each(mapNextID, func(id uint32) error {
		return skipGone(o.call.look(mapFDByID, id, mapReadOnly, func(fd int) error {
			m, err := readMap(o.call, fd)
			if err != nil {
				return err
			}
			o.maps[id] = m
			found = append(found, &object{objects: o, kind: "map", id: id, typ: word(mapTypes, m.kind), name: m.name,
				mapp: &m, told: true})
			return o.env.Throttle.Pause()
		}))
	})
	return found, err
}

// readLinks gives the links; kernels before 5.8 have none that can be listed.
func (o *objects) readLinks() ([]*object, error) {
	var found []*object
	err := o.call.each(linkNextID, func(id uint32) error {
		return skipGone(o.call.look(linkFDByID, id, 0, func(fd int) error {
			l, err := readLink(o.call, fd)
			if err != nil {
				return err
			}
			o.links = append(o.links, l)
			found = append(found, &object{objects: o, kind: "link", id: id, typ: word(linkTypes, l.kind), link: &l,
				told: true})
			return o.env.Throttle.Pause()
		}))
	})
	if errors.Is(err, syscall.EINVAL) {
		return nil, nil
	}
	return found, err
}

func (o *objects) readPrograms() ([]*object, error) {
	var found []*object
	err := o.call.each(progNextID, func(id uint32) error {
		return skipGone(o.call.look(progFDByID, id, 0, func(fd int) error {
			p, err := readProgram(o.call, fd)
			if err != nil {
				return err
			}
			found = append(found, &object{objects: o, kind: "program", id: id, typ: word(progTypes, p.kind),
				name: p.name, tag: p.tag, prog: &p, told: true})
			return o.env.Throttle.Pause()
		}))
	})
	return found, err
}

// helpers reads the program's code and names the kernel functions it calls.
func (ob *object) helpers() (any, error) {
	if ob.prog == nil {
		return nil, ob.unlessTold("program")
	}
	names, err := ob.symbols.Get(ob.readSymbols)
	if err != nil {
		return nil, err
	}
	var code []byte
	err = ob.call.look(progFDByID, ob.id, 0, func(fd int) error {
		code, err = readCode(ob.call, fd, ob.prog.codeBytes)
		return err
	})
	if err != nil {
		return nil, err
	}
	helpers, err := names.helperNames(helperCalls(code))
	return fact.Strings(helpers), err
}

// maxSymbolBytes bounds /proc/kallsyms: 200,000 symbols of 45 bytes are 9 MB.
const maxSymbolBytes = 64 << 20

func (o *objects) readSymbols() (symbols, error) {
	file, err := os.Open(o.fs.Path("/proc/kallsyms"))
	if err != nil {
		return nil, fmt.Errorf("helpers: %w", err)
	}
	defer file.Close()
	return parseSymbols(func(use func(line []byte) error) error {
		lines := bufio.NewScanner(io.LimitReader(file, maxSymbolBytes))
		for n := 0; lines.Scan(); n++ {
			if err := use(lines.Bytes()); err != nil {
				return err
			}
			if n%1024 == 0 {
				if err := o.env.Throttle.Pause(); err != nil {
					return err
				}
			}
		}
		return lines.Err()
	})
}

// unlessTold is why a fact is unknown when bpf(2) did not describe an object of the kind that has it.
func (ob *object) unlessTold(kind string) error {
	if ob.kind == kind && !ob.told {
		return ob.refused
	}
	return nil
}

// pinnedDepth and maxPinned bound the walk over /sys/fs/bpf.
const (
	pinnedDepth = 8
	maxPinned   = 10000
)

// pinned gives the names below every mounted bpf file system. Nothing is opened: only directories are read.
func (o *objects) pinned(send func(*object) error, status *collect.Status) error {
	mounts, err := tree{o.fs, o.env}.mountsOf("bpf")
	if err != nil {
		status.Partial("ebpf", err)
		return nil
	}
	left := maxPinned
	for _, dir := range mounts {
		if err := o.walkPinned(dir, pinnedDepth, &left, send, status); err != nil {
			return err
		}
	}
	return nil
}

func (o *objects) walkPinned(dir string, depth int, left *int, send func(*object) error, status *collect.Status) error {
	entries, err := content.ReadDir(o.env, dir, maxPinned)
	if err != nil {
		status.Partial("ebpf", fmt.Errorf("pinned objects: %w", err))
	}
	for _, e := range entries {
		if *left--; *left < 0 {
			status.Partial("ebpf", fmt.Errorf("pinned objects: %w", collect.ErrLimit))
			return nil
		}
		full := path.Join(dir, e.Name)
		if e.Type == content.TypeDir {
			if depth > 0 {
				if err := o.walkPinned(full, depth-1, left, send, status); err != nil {
					return err
				}
			}
			continue
		}
		if err := send(&object{objects: o, kind: "pinned", name: e.Name, path: full, told: true}); err != nil {
			return err
		}
	}
	return nil
}

func (o *objects) username(uid int64) (any, error) {
	a, _ := o.accounts.Get(func() (*accounts.Accounts, error) { return accounts.Load(o.env), nil })
	return a.UsernameField(uid)
}

// loadedAt turns the kernel's time since boot into a time of day.
func (ob *object) loadedAt() (any, error) {
	if ob.prog == nil {
		return nil, ob.unlessTold("program")
	}
	boot, err := ob.bootTime.Get(func() (int64, error) {
		stat, err := ob.fs.ReadKernelStat()
		return stat.BootTime, err
	})
	if err != nil {
		return nil, err
	}
	return boot + int64(ob.prog.loadedNanos/1e9), nil
}

// mapNames are the names of the maps a program uses.
func (ob *object) mapNames() (any, error) {
	if ob.prog == nil {
		return nil, ob.unlessTold("program")
	}
	names := []string{}
	for _, id := range ob.prog.mapIDs {
		if m, found := ob.maps[id]; found {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// attached says what a link leads to; of a program, what all its links lead to.
func (ob *object) attached() (any, error) {
	switch {
	case ob.link != nil:
		return []string{ob.link.describe()}, nil
	case ob.prog != nil:
		targets := []string{}
		for _, l := range ob.links {
			if l.program == ob.id {
				targets = append(targets, l.describe())
			}
		}
		slices.Sort(targets)
		return slices.Compact(targets), nil
	}
	return nil, errors.Join(ob.unlessTold("program"), ob.unlessTold("link"))
}

// describe is type and target of a link, such as "raw_tracepoint sys_enter" or "xdp interface:2".
func (l *linkInfo) describe() string {
	return strings.TrimSpace(word(linkTypes, l.kind) + " " + l.target)
}

func number(n uint32) any { return int64(n) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
