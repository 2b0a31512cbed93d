// Package persistence collects what makes a host run something again later, or lets somebody back in: at jobs, init
// scripts, shell start-up, sudo and PAM rules, preloaded libraries, udev rules, hooks, keys, histories and web scripts.
// It reads only, follows links only inside the root directory and stays off file systems that could hang.
package persistence

import (
	"context"
	"sandfly/probes/internal/collect"
)

// Collectors are the collectors of this package.
func Collectors() []collect.Collector {
	return []collect.Collector{
		atCollector(), initCollector(), startupCollector(), sudoCollector(), pamCollector(), ldCollector(), udevCollector(),
		historyCollector(), privateKeyCollector(), knownHostCollector(),
		autostartCollector(), webCollector(),
	}
}

// collector builds the collector of one subject.
func collector(name string, subject *collect.Subject, run func(r *reader) error) collect.Collector {
	return collect.Collector{
		Name: name, Subjects: []*collect.Subject{subject},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			r := newReader(ctx, env, subject.Name)
			r.out, r.status = emit, status
			return run(r)
		},
	}
}
