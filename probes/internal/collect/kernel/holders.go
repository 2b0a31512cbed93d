package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
	"sandfly/probes/internal/seq"
)

// holderKey names an object that processes hold descriptors of.
type holderKey struct {
	kind string
	id   uint32
}

// heldTargets are the links of /proc/PID/fd that lead to eBPF objects.
var heldTargets = map[string]string{
	"anon_inode:bpf-prog": "program", "anon_inode:bpf-map": "map", "anon_inode:bpf_link": "link",
	"anon_inode:bpf-link": "link",
}

// descriptorFact is what /proc/PID/fdinfo says of one eBPF object.
type descriptorFact struct {
	id   uint32
	kind uint32 // number of its type, of programs and maps
	tag  string
}

// parseDescriptor reads the "name:\tvalue" lines of a descriptor of the kind; false when they name no id.
func parseDescriptor(kind, text string) (descriptorFact, bool) {
	words := map[string]string{}
	for line := range seq.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		if _, again := words[key]; !again { // of an object that names others, its own id comes first
			words[key] = strings.TrimSpace(value)
		}
	}
	prefix := map[string]string{"program": "prog", "map": "map", "link": "link"}[kind]
	id, err := strconv.ParseUint(words[prefix+"_id"], 10, 32)
	if err != nil {
		return descriptorFact{}, false
	}
	typ, _ := strconv.ParseUint(words[prefix+"_type"], 10, 32) // links have words here, which is no loss
	return descriptorFact{uint32(id), uint32(typ), words["prog_tag"]}, true
}

// readHolders looks at the descriptors of all processes. The error is that the visit must stop; what could not be read
// is noFDs.
func (o *objects) readHolders(ctx context.Context) error {
	o.holders = map[holderKey][]int64{}
	pids, err := o.fs.ReadPIDs()
	if err != nil {
		o.noFDs = err
		return nil
	}
	for _, pid := range pids {
		if err := errors.Join(ctx.Err(), o.env.Throttle.Pause()); err != nil {
			return err
		}
		if err := o.readDescriptors(pid); err != nil && !procfs.IsAbsent(err) {
			o.noFDs = fmt.Errorf("descriptors of processes: %w", err)
		}
	}
	return nil
}

func (o *objects) readDescriptors(pid int) error {
	dir := strconv.Itoa(pid)
	numbers, err := o.fs.ReadFDs(dir)
	if err != nil {
		return err
	}
	for _, fd := range numbers {
		target, err := o.fs.ReadLink(dir, "fd/"+strconv.Itoa(fd))
		kind := heldTargets[target]
		if err != nil || kind == "" {
			continue
		}
		text, err := o.fs.ReadText("/proc/" + dir + "/fdinfo/" + strconv.Itoa(fd))
		if err != nil {
			continue
		}
		if f, ok := parseDescriptor(kind, text); ok {
			o.hold(kind, f, int64(pid))
		}
	}
	return nil
}

const maxHolders = 256

func (o *objects) hold(kind string, f descriptorFact, pid int64) {
	key := holderKey{kind, f.id}
	if pids := o.holders[key]; !slices.Contains(pids, pid) && len(pids) < maxHolders {
		o.holders[key] = append(pids, pid)
	}
	if o.refused != nil {
		if o.seen == nil {
			o.seen = map[holderKey]descriptorFact{}
		}
		o.seen[key] = f
	}
}

// fromHolders makes records of what descriptors told, for when bpf(2) is refused.
func (o *objects) fromHolders() []*object {
	var found []*object
	for key, f := range o.seen {
		words := map[string][]string{"program": progTypes, "map": mapTypes}[key.kind]
		typ := ""
		if words != nil {
			typ = word(words, f.kind)
		}
		found = append(found, &object{objects: o, kind: key.kind, id: key.id, typ: typ, tag: f.tag})
	}
	seq.SortFunc(found, func(a, b *object) int {
		return strings.Compare(a.kind+decimal(int64(a.id)), b.kind+decimal(int64(b.id)))
	})
	return found
}

// pids are the processes that hold a descriptor of the object; none for pinned names.
func (ob *object) pids() ([]int64, error) {
	if ob.kind == "pinned" {
		return nil, nil
	}
	pids := ob.holders[holderKey{ob.kind, ob.id}]
	if pids == nil {
		return []int64{}, ob.noFDs
	}
	return pids, nil
}

func (ob *object) pidsField() (any, error) {
	pids, err := ob.pids()
	return fact.Integers(pids), err
}

// ofHolders makes a getter of a fact of the processes that hold the object; those that ended meanwhile have none.
func ofHolders(get func(ob *object, dir string) (string, error)) func(ob *object) (any, error) {
	return func(ob *object) (any, error) {
		pids, err := ob.pids()
		if err != nil || pids == nil {
			return nil, err
		}
		facts := []string{}
		for _, pid := range pids {
			if v, err := get(ob, decimal(pid)); err == nil && !slices.Contains(facts, v) {
				facts = append(facts, v)
			}
		}
		return facts, nil
	}
}

func holderName(ob *object, dir string) (string, error) {
	s, err := ob.fs.ReadStat(dir)
	return s.Comm, err
}

func holderPath(ob *object, dir string) (string, error) { return ob.fs.ReadLink(dir, "exe") }
