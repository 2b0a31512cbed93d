package system

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

// descriptor is one open file descriptor and what /proc/PID/fd says of it.
type descriptor struct {
	fd     int
	target string
}

// Bounds of fd_targets. What a process has open beyond a few sockets and pipes differs in numbers only.
const (
	maxTargets     = 1024
	maxTargetsKind = 16
)

// Bounds of the descriptors that are kept while a process is looked at: a user can open a million files with paths of
// 4 KiB each.
const (
	maxDescriptors     = 1 << 16
	maxDescriptorBytes = 4 << 20
)

// eachDescriptor reads the links of /proc/PID/fd, which takes ptrace rights over the process.
func (p *process) eachDescriptor(use func(d descriptor) error) error {
	if !p.hasMemory() {
		return nil
	}
	numbers, err := p.fs.ReadFDs(p.dir)
	if err != nil {
		return err
	}
	var closed error
	for _, fd := range numbers {
		target, err := p.fs.ReadLink(p.dir, "fd/"+itoa(fd))
		if procfs.IsAbsent(err) {
			closed = err
			continue
		}
		if err != nil {
			return err
		}
		if err := use(descriptor{fd, target}); err != nil {
			return err
		}
	}
	if closed != nil && !p.isAlive() {
		return closed // not one of them, but all
	}
	return nil
}

// descriptors are all that are open, in rising order.
func (p *process) descriptors() ([]descriptor, error) {
	return read(p, &p.fds, func() ([]descriptor, error) {
		var open []descriptor
		bytes := 0
		err := p.eachDescriptor(func(d descriptor) error {
			open = append(open, d)
			if bytes += len(d.target); bytes > maxDescriptorBytes || len(open) > maxDescriptors {
				return fmt.Errorf("process %d has too much open: %w", p.pid, collect.ErrLimit)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return open, nil
	})
}

// socketInodes are the sockets the process holds, each once. Servers have many, so it takes the descriptors only when
// they have been read.
func (p *process) socketInodes() ([]uint64, error) {
	return read(p, &p.inodes, func() ([]uint64, error) {
		var inodes []uint64
		add := func(d descriptor) error {
			if n, ok := procfs.SocketInode(d.target); ok {
				inodes = append(inodes, n)
			}
			return nil
		}
		var err error
		if p.fds.done && p.fds.err == nil {
			for _, d := range p.fds.value {
				add(d)
			}
		} else {
			err = p.eachDescriptor(add)
		}
		slices.Sort(inodes)
		return slices.Compact(inodes), err
	})
}

// targets are what is open, each once, in the order of descriptors; at most a few of those that are only numbers.
func (p *process) targets() (any, error) {
	open, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	targets := []string{}
	seen := map[string]bool{}
	kinds := map[string]int{}
	for _, d := range open {
		kind, _, isNumber := strings.Cut(d.target, ":[")
		if isNumber && !strings.HasPrefix(kind, "/") {
			kinds[kind]++
		}
		if seen[d.target] || kinds[kind] > maxTargetsKind {
			continue
		}
		seen[d.target] = true
		targets = append(targets, d.target)
	}
	if len(targets) > maxTargets {
		return nil, fmt.Errorf("process %d has more than %d files open: %w", p.pid, maxTargets, collect.ErrLimit)
	}
	return targets, nil
}

// standard is what one of the standard descriptors leads to; absent when it is closed.
func (p *process) standard(fd int) (any, error) {
	open, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	for _, d := range open {
		if d.fd == fd {
			return d.target, nil
		}
	}
	return nil, nil
}

// hasSocketStandard says whether at least two of the standard descriptors are sockets, as of a shell behind a
// connection.
func (p *process) hasSocketStandard() (any, error) {
	open, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	sockets := 0
	for _, d := range open {
		if _, isSocket := procfs.SocketInode(d.target); isSocket && d.fd <= 2 {
			sockets++
		}
	}
	return sockets >= 2, nil
}

// openDeleted are the files that are open and have no name any more. Memory files never had one.
func (p *process) openDeleted() (any, error) {
	open, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	files := []string{}
	for _, d := range open {
		name, deleted := procfs.TrimDeleted(d.target)
		if deleted && isFile(name) && !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	return files, nil
}

// isFile leaves out what has a path in the kernel's words but never had a name: shared memory of all kinds.
func isFile(name string) bool {
	for _, prefix := range []string{"/memfd:", "/SYSV", "/dev/zero", "/anon_hugepage", "/[aio]"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return strings.HasPrefix(name, "/")
}

// mapFacts is what a process's executable mappings say.
type mapFacts struct {
	files   []string // paths of mapped files, without the mark of deleted ones
	deleted []string
	memfd   bool
	rwx     int64
}

// mappings reads /proc/PID/maps, which takes ptrace rights over the process.
func (p *process) mappings() (mapFacts, error) {
	return read(p, &p.maps, func() (mapFacts, error) {
		facts := mapFacts{files: []string{}, deleted: []string{}}
		if !p.hasMemory() {
			return facts, nil
		}
		seen := map[string]bool{}
		err := p.fs.ReadMaps(p.dir, func(m procfs.Map) { facts.add(m, seen) })
		if err == nil && len(facts.files) > maxMapped {
			err = fmt.Errorf("process %d maps more than %d files: %w", p.pid, maxMapped, collect.ErrLimit)
		}
		return facts, err
	})
}

// maxMapped bounds the files a process maps executable; browsers have a few hundred.
const maxMapped = 4096

func (f *mapFacts) add(m procfs.Map, seen map[string]bool) {
	if m.IsAnonymous() && strings.HasPrefix(m.Permissions, "rwx") {
		f.rwx++
	}
	if seen[m.Path] || !strings.HasPrefix(m.Path, "/") || len(f.files) > maxMapped {
		return
	}
	seen[m.Path] = true
	name, deleted := procfs.TrimDeleted(m.Path)
	f.memfd = f.memfd || strings.HasPrefix(name, "/memfd:")
	if deleted && isFile(name) {
		f.deleted = append(f.deleted, name)
	}
	f.files = append(f.files, name)
}

// memoryOf are the other processes whose memory the process holds open.
func (p *process) memoryOf() (any, error) {
	open, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	pids := []int64{}
	for _, d := range open {
		number, found := strings.CutPrefix(d.target, "/proc/")
		if !found {
			continue
		}
		if number, found = strings.CutSuffix(number, "/mem"); !found {
			continue
		}
		// /proc/PID/task/TID/mem is the same memory as /proc/PID/mem.
		number, _, _ = strings.Cut(number, "/task/")
		if pid, err := strconv.Atoi(number); err == nil && pid != p.pid && !slices.Contains(pids, int64(pid)) {
			pids = append(pids, int64(pid))
		}
	}
	return pids, nil
}
