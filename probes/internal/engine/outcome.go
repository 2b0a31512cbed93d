package engine

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/limits"
	"sandfly/probes/internal/match"
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
	if err := e.conclude(); err != nil {
		return nil, err
	}
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

// conclude decides the rules that look at all records together: alerts of correlations and of what is not there.
func (e *Engine) conclude() error {
	for _, r := range e.Program.rules {
		var lines []*report.Match
		switch {
		case e.isElsewhere(r):
			continue
		case r.absent && r.tally.matched == 0 && e.sawAll(r):
			lines = []*report.Match{r.group.nothing(r)}
		case r.correlation != nil:
			lines = e.correlated(r)
		}
		if !r.absent {
			r.tally.matched += len(lines)
		}
		for _, m := range lines[:min(len(lines), r.max)] {
			if err := e.send(m); errors.Is(err, limits.ErrStopped) {
				return nil // what is in the report must still be told
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// correlated are the alerts of a correlation. One that more records could refute is silent when some are missing.
func (e *Engine) correlated(r *rule) []*report.Match {
	found := r.correlation.conclude()
	if !r.correlation.onlyGrows() && !e.sawAll(r) {
		return nil
	}
	var lines []*report.Match
	for _, f := range found {
		lines = append(lines, r.correlation.describe(f))
	}
	return lines
}

// nothing is the match line for a thing that is not there: an identity without values, and facts of the host.
func (g *group) nothing(r *rule) *report.Match {
	m := &report.Match{Subject: g.subject.Name, Rules: []int{r.place}}
	for _, field := range g.sorted {
		if name := g.subject.Fields[field].Name; slices.Contains(g.subject.Identity, name) {
			m.Identity = append(m.Identity, report.Fact{Name: name})
		}
	}
	g.addHost(m, r)
	return m
}

// isElsewhere says that the rule is for other hosts than this one.
func (e *Engine) isElsewhere(r *rule) bool { return r.host != nil && r.host.Truth() == match.No }

// sawAll says that nothing the rule would have looked at is missing or undecided.
func (e *Engine) sawAll(r *rule) bool {
	state, _ := e.gap(r)
	return state == statePass && len(r.unknown()) == 0
}

// ruleLine says what a rule says of the host: never "nothing there" when something could not be looked at.
func (e *Engine) ruleLine(r *rule) report.Rule {
	if r.idle != "" {
		return report.Rule{Rule: r.place, State: stateSkipped, Reason: r.idle}
	}
	line := report.Rule{
		Rule: r.place, State: statePass, Matched: r.tally.matched, Truncated: r.sends() && r.tally.sent < r.tally.matched,
		Unknown: e.toldAll(r.unknown()),
	}
	switch {
	case e.isElsewhere(r):
		line.State, line.Reason = stateSkipped, "os"
	case r.absent && r.tally.sent > 0:
		line.State, line.Matched = stateAlert, r.tally.sent
	case r.absent && r.tally.matched > 0:
		line.Matched = 0
	case r.absent && !e.sawAll(r):
		line.State, line.Reason = e.gap(r)
		if line.State == statePass { // some records could not be decided, and one of them may be what is looked for
			line.State, line.Reason = failureCode(worstCode(r.unknown()))
		}
	case r.tally.matched > 0:
		line.State = stateAlert
	default:
		line.State, line.Reason = e.gap(r)
	}
	line.Reason = e.told(line.Reason)
	return line
}

// unknown counts the records that could not be decided, by reason; of a correlation over all its parts.
func (r *rule) unknown() map[string]int {
	if r.correlation == nil {
		return r.tally.unknown
	}
	total := map[string]int{}
	for _, leaf := range r.correlation.leaves() {
		for reason, count := range leaf.tally.unknown {
			total[reason] += count
		}
	}
	return total
}

// leaves are the rules that feed a correlation, those of correlations below it too.
func (c *correlation) leaves() []*rule {
	var all []*rule
	for _, p := range c.parts {
		if p.nested != nil {
			all = append(all, p.nested.leaves()...)
		} else {
			all = append(all, p.rule)
		}
	}
	return all
}

// gap says why a rule without a match is none that passes: what it would have looked at is missing.
func (e *Engine) gap(r *rule) (state, reason string) {
	if r.correlation == nil {
		return e.ownGap(r)
	}
	state = statePass
	for _, leaf := range r.correlation.leaves() {
		if s, why := e.ownGap(leaf); s == stateError || s == stateSkipped && state == statePass {
			state, reason = s, why
		}
	}
	if r.correlation.full && state != stateError {
		return stateError, "limit"
	}
	return state, reason
}

func (e *Engine) ownGap(r *rule) (state, reason string) {
	run := e.runs[r.group.subject.Name]
	missing := e.concerned(r, run.parts)
	switch {
	case run.failed != nil:
		return failure(run.failed)
	case !run.ended:
		return stateError, e.stopReason()
	case r.tally.unknown["error"] > 0:
		return stateError, "error"
	case len(missing) > 0:
		return failureCode(worst(missing))
	case r.tally.unknown["needs_root"] > 0:
		return stateSkipped, "needs_root"
	case r.tally.unknown["not_kept"] > 0:
		return stateSkipped, "not_kept"
	case r.absent && r.host != nil && r.host.Truth().Unknown():
		return failureCode(r.host.Truth().Reason())
	}
	return statePass, ""
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
	if reason == "needs_root" || reason == "not_entered" || reason == "not_kept" {
		return stateSkipped, reason
	}
	return stateError, reason
}

// worst is the reason that counts where several things are missing: an error, a limit, rights, a place left alone.
func worst(parts []error) string {
	counts := map[string]int{"not_entered": 1}
	for _, err := range parts {
		counts[collect.Reason(err)]++
	}
	return worstCode(counts)
}

func worstCode(counts map[string]int) string {
	for _, reason := range []string{"error", "limit", "needs_root", "not_entered"} {
		if counts[reason] > 0 {
			return reason
		}
	}
	return "not_kept"
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
