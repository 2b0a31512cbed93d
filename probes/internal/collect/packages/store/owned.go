package store

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"sandfly/probes/internal/collect"
)

// ErrNoDatabase tells that the host has no package database, so that nothing can be said about any path.
var ErrNoDatabase = errors.New("no package database")

// maxOwned bounds the index: 8 bytes a path.
const maxOwned = 4_000_000

// index holds a keyed hash of each path that belongs to a package; whoever names a file cannot know the key, so nobody
// can make one that only seems to belong.
type index struct {
	seed    maphash.Seed
	aliases *Aliases
	hashes  []uint64 // sorted
	passed  *passed
	err     error // why a path that is not there may belong to a package all the same
}

// kept is the index of the visit; a process makes one visit.
var kept struct {
	sync.Mutex
	env   *collect.Env
	index *index
}

// Owned tells whether a path, seen from env.Root, belongs to an installed package. The databases are read when this is
// first asked. Errors: ErrNoDatabase, why a database could not be read.
func Owned(env *collect.Env, name string) (bool, error) {
	kept.Lock()
	defer kept.Unlock()
	if kept.env != env {
		built, err := build(env)
		if err != nil {
			return false, err
		}
		kept.env, kept.index = env, built
	}
	return kept.index.owned(name)
}

// OwnedField is Owned as a field's getter wants it: nil for an empty path and for a host without packages.
func OwnedField(env *collect.Env, name string) (any, error) {
	if name == "" {
		return nil, nil
	}
	owned, err := Owned(env, name)
	if errors.Is(err, ErrNoDatabase) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return owned, nil
}

func build(env *collect.Env) (*index, error) {
	x := &index{seed: maphash.MakeSeed(), passed: newPassed(env)}
	x.aliases = FindAliases(env)
	var held *list
	host := &Host{
		env: env, aliases: x.aliases, sumsGap: func(error) { held.isPartial = true },
		gap: func(err error) {
			x.err = cmp.Or(x.err, err)
			if held != nil {
				held.isPartial = true
			}
		},
	}
	found, err := host.Each(func(p *Package) error {
		var full error
		held = x.passed.begin(p)
		add := func(name string) bool {
			if len(x.hashes) < maxOwned {
				x.hashes = append(x.hashes, maphash.String(x.seed, name))
			} else {
				full = fmt.Errorf("more than %d paths in packages: %w", maxOwned, collect.ErrLimit)
			}
			return held.wants(name)
		}
		err := p.Files(add, held.add)
		held.end()
		return errors.Join(err, full)
	})
	if errors.Is(err, collect.ErrLimit) {
		x.err, err = cmp.Or(x.err, err), nil
	}
	if err != nil {
		return nil, err
	}
	if !found && x.err == nil {
		x.err = ErrNoDatabase
	}
	slices.Sort(x.hashes)
	x.hashes = slices.Clip(slices.Compact(x.hashes))
	return x, nil
}

func (x *index) owned(name string) (bool, error) {
	if _, found := slices.BinarySearch(x.hashes, maphash.String(x.seed, x.aliases.Canonical(name))); found {
		return true, nil
	}
	return false, x.err
}
