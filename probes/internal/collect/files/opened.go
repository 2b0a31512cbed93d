package files

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
)

// fileID names an inode on this machine.
type fileID struct{ dev, inode uint64 }

// maxOpened bounds the descriptors looked at; a file server with more would cost seconds.
const maxOpened = 200_000

// maxHolders bounds the programs that are named of one file.
const maxHolders = 16

// readOpenFiles gives every regular file that a process holds a descriptor of, with the programs that do. It is nil when the tree is not the
// running system, and an error when any process could not be looked into: "not open" must be certain.
func readOpenFiles(env *collect.Env) (map[fileID][]string, error) {
	if !procfs.FS(env.Root).IsLive() {
		return nil, nil
	}
	proc, err := content.OpenDir(env, "/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	o := opened{env: env, ids: map[fileID][]string{}}
	for {
		entries, err := proc.Next()
		if err != nil {
			return o.ids, endOfDir(err)
		}
		for _, e := range entries {
			if _, err := strconv.Atoi(e.Name); err != nil {
				continue
			}
			if err := o.process("/proc/" + e.Name); err != nil {
				return nil, err
			}
		}
	}
}

type opened struct {
	env  *collect.Env
	ids  map[fileID][]string
	seen int
}

// process adds the files of one process; one that has ended meanwhile has none.
func (o *opened) process(path string) error {
	dir, err := content.OpenDir(o.env, path+"/fd")
	if isVanished(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	program := sync.OnceValue(func() string { return o.program(path) })
	for {
		entries, err := dir.Next()
		if isVanished(err) {
			return nil
		}
		if err != nil {
			return endOfDir(err)
		}
		if o.seen += len(entries); o.seen > maxOpened {
			return fmt.Errorf("more than %d open descriptors: %w", maxOpened, collect.ErrLimit)
		}
		for _, e := range entries {
			o.add(path+"/fd/"+e.Name, dir.FD(), e.Name, program)
		}
	}
}

// add looks behind a descriptor's magic link. The link's text comes first: it tells pipes and sockets without a stat,
// which could hang on a file of a network file system.
func (o *opened) add(path string, dirfd int, name string, program func() string) {
	target, err := content.ReadlinkAt(dirfd, name)
	if err != nil || !strings.HasPrefix(target, "/") {
		return
	}
	if st, err := content.StatPath(o.env, path); err == nil && st.IsRegular() {
		id := fileID{st.Dev, st.Inode}
		holders := o.ids[id]
		if name := program(); len(holders) < maxHolders && !slices.Contains(holders, name) {
			holders = append(holders, name)
		}
		o.ids[id] = holders
	}
}

// program is the executable of a process; "" when it has none or cannot be told, which still holds the file.
func (o *opened) program(path string) string {
	dir, err := content.OpenDir(o.env, path)
	if err != nil {
		return ""
	}
	defer dir.Close()
	target, err := content.ReadlinkAt(dir.FD(), "exe")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(target, " (deleted)")
}

// isVanished tells that a process ended while it was looked at.
func isVanished(err error) bool {
	return content.IsAbsent(err) || errors.Is(err, syscall.ESRCH)
}
