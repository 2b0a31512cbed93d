package main

import (
	"cmp"
	"slices"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/containers"
	"sandfly/probes/internal/collect/files"
	"sandfly/probes/internal/collect/hidden"
	"sandfly/probes/internal/collect/kernel"
	"sandfly/probes/internal/collect/libraries"
	"sandfly/probes/internal/collect/logs"
	"sandfly/probes/internal/collect/network"
	"sandfly/probes/internal/collect/packages"
	"sandfly/probes/internal/collect/persistence"
	"sandfly/probes/internal/collect/settings"
	"sandfly/probes/internal/collect/system"
	"sandfly/probes/internal/seq"
)

// collectors are all of this probe. The file walk comes last: it takes longest, and what is cut off by a limit should
// be its end and not the processes.
func collectors() []collect.Collector {
	return slices.Concat(
		system.Collectors(), kernel.Collectors(), hidden.Collectors(), libraries.Collectors(),
		containers.Collectors(), persistence.Collectors(), settings.Collectors(), network.Collectors(), logs.Collectors(), packages.Collectors(),
		files.Collectors(),
	)
}

// subjects are those of all collectors, by name.
func subjects() []*collect.Subject {
	var all []*collect.Subject
	for _, c := range collectors() {
		all = append(all, c.Subjects...)
	}
	seq.SortFunc(all, func(a, b *collect.Subject) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
