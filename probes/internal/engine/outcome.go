package engine

import (
	"cmp"
	"errors"
	"io/fs"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/report"
)

// States of collectors and rules, as in scanners/contract.py.
const (
	stateOK      = "ok"
	statePartial = "partial"
	stateError   = "error"
	stateSkipped = "skipped"
	stateAlert   = "alert"
	statePass    = "pass"
)

// maxDetail is how many causes are spelled out for a collector that missed something.
const maxDetail = 5

// WriteOutcomes writes the collector and rule lines after Run and gives the places of the rules that passed.
func (e *Engine) WriteOutcomes() (passed []int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, g := range e.Program.order {
		if err := e.Report.Collector(e.collectorLine(g)); err != nil {
			return nil, err
		}
	}
	for _, r := range e.Program.rules {
		line := e.ruleLine(r)
		if line.State == statePass && line.Reason == "" && len(line.Unknown) == 0 {
			passed = append(passed, r.place)
			continue
		}
		if err := e.Report.Rule(line); err != nil {
			return nil, err
		}
	}
	return passed, nil
}

func (e *Engine) collectorLine(g *group) report.Collector {
	r := e.runs[g.subject.Name]
	line := report.Collector{
		Subject: g.subject.Name, State: stateOK, Records: r.records, WallS: r.wall.Seconds(), CPUS: r.cpu.Seconds(),
	}
	switch {
	case !r.started:
		line.State, line.Reason = stateSkipped, e.stopReason()
	case r.failed != nil:
		line.State, line.Reason = failure(r.failed)
		line.Detail = e.seen(r.failed)
	case !r.ended:
		line.State, line.Reason = statePartial, e.stopReason()
	case len(r.parts) > 0:
		line.State, line.Reason, line.Detail = statePartial, worst(r.parts), e.detail(r.parts)
	}
	line.Reason = e.told(line.Reason)
	return line
}

// ruleLine says what a rule says of the host: never "nothing there" when something could not be looked at.
func (e *Engine) ruleLine(r *rule) report.Rule {
	run := e.runs[r.group.subject.Name]
	line := report.Rule{
		Rule: r.place, State: statePass, Matched: r.tally.matched, Truncated: r.tally.sent < r.tally.matched,
		Unknown: e.toldAll(r.tally.unknown),
	}
	missing := e.concerned(r, run.parts)
	switch {
	case r.tally.matched > 0:
		line.State = stateAlert
	case run.failed != nil:
		line.State, line.Reason = failure(run.failed)
	case !run.ended:
		line.State, line.Reason = stateError, e.stopReason()
	case r.tally.unknown["error"] > 0:
		line.State, line.Reason = stateError, "error"
	case len(missing) > 0:
		line.State, line.Reason = failureCode(worst(missing))
	case r.tally.unknown["needs_root"] > 0:
		line.State, line.Reason = stateSkipped, "needs_root"
	}
	line.Reason = e.told(line.Reason)
	return line
}

// stopReason says why something was not looked at that nothing is known to be wrong with.
func (e *Engine) stopReason() string { return cmp.Or(e.Guard.Reason(), "error") }

// told is a reason as the report has it: root that is refused needs no root, something stands in its way.
func (e *Engine) told(reason string) string {
	if reason == "needs_root" && e.Env.UID == 0 {
		return "denied"
	}
	return reason
}

func (e *Engine) toldAll(counts map[string]int) map[string]int {
	told := make(map[string]int, len(counts))
	for reason, count := range counts {
		told[e.told(reason)] += count
	}
	return told
}

// failure gives state and reason for what could not be collected: missing rights, and file systems that are left alone,
// are no error.
func failure(err error) (state, reason string) { return failureCode(collect.Reason(err)) }

func failureCode(reason string) (state, code string) {
	if reason == "needs_root" || reason == "not_entered" {
		return stateSkipped, reason
	}
	return stateError, reason
}

// worst is the reason that counts where several things are missing: an error, a limit, rights, a place left alone.
func worst(parts []error) string {
	rank := map[string]int{"error": 3, "limit": 2, "needs_root": 1}
	result := "not_entered"
	for _, err := range parts {
		if reason := collect.Reason(err); rank[reason] > rank[result] {
			result = reason
		}
	}
	return result
}

// concerned are the missing parts that a rule would have looked at. A part that names a path outside the rule's scope
// does not matter to it; when too much is missing to be listed, all of it does.
func (e *Engine) concerned(r *rule, parts []error) []error {
	if r.scope < 0 || len(parts) >= collect.MaxParts {
		return parts
	}
	var missing []error
	for _, err := range parts {
		var at *fs.PathError
		if !errors.As(err, &at) || reaches(r.group.scopes[r.scope].scopes, e.inside(at.Path)) {
			missing = append(missing, err)
		}
	}
	return missing
}

func reaches(scopes []collect.Scope, path string) bool {
	for _, s := range scopes {
		if s.Covers(path) || s.Descends(path) {
			return true
		}
	}
	return false
}

// inside is a path as seen from the root directory.
func (e *Engine) inside(path string) string {
	root := strings.TrimRight(e.Env.Root, "/")
	if rest, ok := strings.CutPrefix(path, root); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

func (e *Engine) detail(parts []error) string {
	var texts []string
	for i, err := range parts {
		if i == maxDetail {
			texts = append(texts, "and more")
			break
		}
		texts = append(texts, e.seen(err))
	}
	return strings.Join(texts, "; ")
}

// seen is the text of an error with paths as the host has them.
func (e *Engine) seen(err error) string {
	root := strings.TrimRight(e.Env.Root, "/")
	if root == "" {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), root+"/", "/")
}
