// Package hidden looks for what the kernel and the listings disagree about: processes, modules, names in directories,
// content of files and sockets that something takes out of what everybody reads. Each thing is asked for in several ways,
// and a disagreement counts only when it is still there after further looks, since a busy host changes all the time.
package hidden

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/procfs"
)

// Collectors returns the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{{Name: "hidden", Subjects: []*collect.Subject{subject}, Run: run}}
}

// finding is one disagreement, or (kind method) how one way of looking went. Members that a kind does not have are
// absent.
type finding struct {
	kind, name  string
	path        string
	detail      string
	seenBy      []string // ways that showed it
	missingFrom []string // ways that did not
	pid         *int64
	uid         *int64
	program     string
	cmdline     string
	beyond      *bool
	socket      *socket
	sizes       *sizes
	isDone      *bool
}

// sizes are how many bytes of a file each way of reading gives; mapped is nil when the file cannot be mapped.
type sizes struct {
	stat, read int64
	mapped     *int64
}

// visit is what the methods share.
type visit struct {
	ctx    context.Context
	env    *collect.Env
	fs     procfs.FS
	fields map[string]bool
	sleep  func(d time.Duration) error
}

// errUnavailable says that a method does not fit this host; it is no failure, and the method's own record tells it.
var errUnavailable = errors.New("not available on this host")

func unavailable(why string) error { return fmt.Errorf("%w: %s", errUnavailable, why) }

// method is one way of looking. It gives what it found, and why it could not look everywhere.
type method struct {
	name string
	look func(v *visit) ([]*finding, error)
}

var methods = []method{
	{"process_sweep", sweepProcesses},
	{"process_entries", checkEntries},
	{"mounts_over_proc", mountsOver},
	{"modules", compareModules},
	{"taint", unexplainedTaint},
	{"known_names", knownNames},
	{"link_counts", linkCounts},
	{"directory_blocks", directoryBlocks},
	{"file_content", compareContent},
	{"sockets", compareSockets},
}

func run(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	v := &visit{ctx: ctx, env: env, fs: fact.Tree(env), fields: want["hidden"].Fields}
	v.sleep = v.wait
	for _, m := range methods {
		found, err := m.look(v)
		if stop := v.pause(); stop != nil {
			return stop
		}
		if err != nil && !errors.Is(err, errUnavailable) {
			status.Partial("hidden", fmt.Errorf("%s: %w", m.name, err))
		}
		for _, f := range append(found, outcome(m.name, err)) {
			if err := emit("hidden", f); err != nil {
				return err
			}
		}
	}
	return nil
}

// outcome is the record that says how a method went.
func outcome(name string, err error) *finding {
	done := err == nil
	f := &finding{kind: "method", name: name, isDone: &done}
	if err != nil {
		f.detail = err.Error()
	}
	return f
}

// pause lets the visit's limits speak.
func (v *visit) pause() error { return errors.Join(v.ctx.Err(), v.env.Throttle.Pause()) }

// wait sleeps between two looks, unless the visit ends meanwhile.
func (v *visit) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return v.env.Throttle.Pause()
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
}

// Looks after the first: every one of them must show the disagreement too.
const (
	looks       = 3
	betweenLook = 60 * time.Millisecond
)

// persists repeats a look until it shows nothing, or has shown something every time; left narrows the candidates.
func persists[T any](v *visit, candidates []T, left func(candidates []T) ([]T, error)) ([]T, error) {
	for range looks {
		if len(candidates) == 0 {
			return nil, nil
		}
		if err := v.sleep(betweenLook); err != nil {
			return nil, err
		}
		var err error
		if candidates, err = left(candidates); err != nil {
			return nil, err
		}
	}
	return candidates, nil
}

// maxFindings bounds what one method reports.
const maxFindings = 1000

func pointer[T any](v T) *T { return &v }
