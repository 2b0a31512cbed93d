package files

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/collect/launch"
	"sandfly/probes/internal/seq"
)

const (
	maxCronBytes    = 1 << 20
	maxCronLines    = 10_000
	maxCronEntries  = 20_000 // in one directory
	maxCronVariable = 256    // of one crontab; every job holds its own list
)

// cronJob is a record of the subject cron_job.
type cronJob struct {
	origin      *origin
	source      string
	number      int64 // 0: the job is a script, not a line
	line        cronLine
	environment []string
	ignored     bool // by its name
	script      bool
	scripts     launch.Scripts
}

// Launches is the command up to what cron gives it as input (crontab(5)), or the script of a directory.
func (j *cronJob) Launches() (*collect.Env, *launch.Scripts, []launch.Line, error) {
	line := launch.Line{Text: j.line.Command, Home: j.variable("HOME")}
	if line.Home == "" {
		line.Home = j.origin.v.homeOf(j.line.Username)
	}
	if line.Dir = line.Home; line.Dir == "" {
		line.Dir = "/"
	}
	for _, dir := range strings.Split(j.variable("PATH"), ":") {
		if path.IsAbs(dir) {
			line.Path = append(line.Path, path.Clean(dir))
		}
	}
	if j.script {
		line.Text = launch.Quote(j.origin.path)
	} else if at := strings.IndexByte(line.Text, '%'); at > 0 && line.Text[at-1] != '\\' {
		line.Text = line.Text[:at]
	}
	return j.origin.v.env, &j.scripts, []launch.Line{line}, nil
}

// variable is the value of a variable that the crontab sets above the job.
func (j *cronJob) variable(name string) string {
	for _, variable := range j.environment {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// cronDirectory is a directory of crontabs or of scripts.
type cronDirectory struct {
	path, source string
	period       string // of scripts that run-parts starts: hourly, daily …
	withUser     bool
	userIsName   bool // the file's name is the user
}

// cronDirectories are those of Debian, Red Hat, SUSE, Alpine and Arch. /var/spool/cron holds both crontabs (Red Hat)
// and the directories of the others, which are no regular files.
var cronDirectories = []cronDirectory{
	{path: "/etc/cron.d", source: "cron.d", withUser: true},
	{path: "/var/spool/cron/crontabs", source: "user", userIsName: true},
	{path: "/var/spool/cron/tabs", source: "user", userIsName: true},
	{path: "/var/spool/cron", source: "user", userIsName: true},
	{path: "/etc/crontabs", source: "user", userIsName: true},
	{path: "/etc/cron.hourly", source: "hourly", period: "hourly"},
	{path: "/etc/cron.daily", source: "daily", period: "daily"},
	{path: "/etc/cron.weekly", source: "weekly", period: "weekly"},
	{path: "/etc/cron.monthly", source: "monthly", period: "monthly"},
	{path: "/etc/cron.yearly", source: "yearly", period: "yearly"},
	{path: "/etc/periodic/15min", source: "15min", period: "15min"},
	{path: "/etc/periodic/hourly", source: "hourly", period: "hourly"},
	{path: "/etc/periodic/daily", source: "daily", period: "daily"},
	{path: "/etc/periodic/weekly", source: "weekly", period: "weekly"},
	{path: "/etc/periodic/monthly", source: "monthly", period: "monthly"},
}

func cronCollector() collect.Collector {
	subject := cronSubject()
	return collect.Collector{
		Name: "cron_jobs", Subjects: []*collect.Subject{subject},
		Run: func(ctx context.Context, env *collect.Env, _ map[string]collect.Want, emit collect.Emit, status *collect.Status) error {
			c := &cronReader{ctx: ctx, v: newVisit(env), emit: emit, status: status, seen: map[string]bool{}}
			return c.run()
		},
	}
}

// cronReader walks the places where cron looks.
type cronReader struct {
	ctx    context.Context
	v      *visit
	emit   collect.Emit
	status *collect.Status
	seen   map[string]bool // directories by their path without links: Alpine's spool is a link to /etc/crontabs
}

func (c *cronReader) run() error {
	system := cronDirectory{source: "system", withUser: true}
	err := c.table("/etc/crontab", system, false, func(line string) (cronLine, bool) { return parseCronLine(line, true) })
	if err != nil {
		return err
	}
	if err := c.table("/etc/anacrontab", cronDirectory{source: "anacron"}, false, parseAnacronLine); err != nil {
		return err
	}
	for _, d := range cronDirectories {
		if err := c.directory(d); err != nil {
			return err
		}
	}
	return nil
}

func (c *cronReader) directory(d cronDirectory) error {
	real, err := content.Resolve(c.v.env, d.path)
	if err == nil && c.seen[real] {
		return nil
	}
	c.seen[real] = true
	entries, err := content.ReadDir(c.v.env, d.path, maxCronEntries)
	if err != nil && !isAbsent(err) {
		if !isOurs(err) && !errors.Is(err, collect.ErrLimit) {
			return err
		}
		c.status.Partial("cron_job", err)
	}
	for _, e := range entries {
		if e.Type == content.TypeDir {
			continue
		}
		if err := errors.Join(c.ctx.Err(), c.entry(d, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cronReader) entry(d cronDirectory, name string) error {
	file := join(d.path, name)
	if d.period != "" {
		return c.script(d, file)
	}
	return c.table(file, d, isIgnoredName(name), func(line string) (cronLine, bool) {
		parsed, ok := parseCronLine(line, d.withUser)
		if d.userIsName {
			parsed.Username = name
		}
		return parsed, ok
	})
}

// table emits the jobs of one crontab.
func (c *cronReader) table(file string, d cronDirectory, ignored bool, parse func(string) (cronLine, bool)) error {
	data, err := content.ReadFile(c.v.env, file, maxCronBytes)
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		if !isOurs(err) && !errors.Is(err, collect.ErrLimit) {
			return err
		}
		c.status.Partial("cron_job", err)
		return nil
	}
	from := &origin{v: c.v, path: file}
	var environment []string
	number := int64(0)
	for line := range seq.Split(string(data), "\n") {
		if number++; number > maxCronLines {
			c.status.Partial("cron_job", fmt.Errorf("%s: more than %d lines: %w", file, maxCronLines, collect.ErrLimit))
			return nil
		}
		parsed, ok := parse(line)
		if !ok {
			continue
		}
		if parsed.Variable != "" {
			if environment = setVariable(environment, parsed.Variable); len(environment) > maxCronVariable {
				c.status.Partial("cron_job", fmt.Errorf("%s: more than %d variables: %w", file, maxCronVariable, collect.ErrLimit))
				return nil
			}
			continue
		}
		job := &cronJob{origin: from, source: d.source, number: number, line: parsed, environment: environment, ignored: ignored}
		if err := c.emit("cron_job", job); err != nil {
			return err
		}
	}
	return nil
}

// setVariable gives the environment with one more variable; the slice that earlier jobs hold is left alone.
func setVariable(environment []string, variable string) []string {
	name, _, _ := strings.Cut(variable, "=")
	next := slices.DeleteFunc(slices.Clone(environment), func(v string) bool { return strings.HasPrefix(v, name+"=") })
	return append(next, variable)
}

// script emits a file that run-parts starts.
func (c *cronReader) script(d cronDirectory, file string) error {
	interval := cronEvents[d.period]
	if d.period == "15min" {
		interval = 900
	}
	return c.emit("cron_job", &cronJob{
		origin: &origin{v: c.v, path: file}, source: d.source, script: true, ignored: isIgnoredName(path.Base(file)),
		line: cronLine{Schedule: "@" + d.period, Event: d.period, Username: "root", Command: file, Interval: interval, Valid: true},
	})
}

// isIgnoredName tells a name that cron and run-parts pass over on every distribution: hidden files and what editors
// and package managers leave. Debian's also pass over any name with a dot; others do not, so it counts as a job.
func isIgnoredName(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") {
		return true
	}
	for _, suffix := range []string{"~", ",", ".rpmsave", ".rpmorig", ".rpmnew", ".swp", ".cfsaved"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.Contains(name, ".dpkg-")
}

// isIgnored tells a job that does not run: by its name, or a script that nobody may execute.
func (j *cronJob) isIgnored() (any, error) {
	if j.ignored || !j.script {
		return j.ignored, nil
	}
	st, err := j.origin.stat()
	if err != nil {
		return nil, err
	}
	return !st.IsRegular() || st.Mode&0o111 == 0, nil
}

// scriptContent is the text of a script that run-parts starts.
func (j *cronJob) scriptContent() (any, error) {
	if !j.script {
		return nil, nil
	}
	f, err := content.Open(j.origin.v.env, j.origin.path)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, isText, err := f.Text(content.MaxTextBytes)
	if err != nil || !isText {
		return nil, err
	}
	return s, nil
}

type cronField = collect.Field[*cronJob]

func cronSubject() *collect.Subject {
	return collect.NewSubject("cron_job",
		"lines of crontabs and of anacrontab, and scripts in cron.hourly, daily, weekly, monthly",
		[]string{"path", "username", "command"}, []string{"path", "line_number", "username", "schedule", "command"},
		concat(cronLineFields(), launch.Fields[*cronJob](), cronFileFields()))
}

func cronLineFields() []cronField {
	const source = "crontab(5)"
	return []cronField{
		free("path", "string", "crontab or script", source, func(j *cronJob) any { return j.origin.path }),
		free("line_number", "int", "line in the crontab, from 1; none for a script", source, func(j *cronJob) any { return positive(j.number) }),
		free("source", "string", "system, cron.d, user, anacron, hourly, daily, weekly, monthly, yearly or 15min", source,
			func(j *cronJob) any { return j.source }),
		free("username", "string", "who it runs as", source, func(j *cronJob) any { return text(j.line.Username) }),
		free("schedule", "string", "the five fields, the @word, or anacron's period and delay", source, func(j *cronJob) any { return text(j.line.Schedule) }),
		free("event", "string", "reboot, hourly, daily … when a word stands for the five fields", source, func(j *cronJob) any { return text(j.line.Event) }),
		free("command", "string", "what runs; of a line that cron does not take, the whole line", source, func(j *cronJob) any { return text(j.line.Command) }),
		free("environment", "strings", "NAME=value lines above it, secrets as [redacted LENGTH]", source, func(j *cronJob) any { return list(fact.Redacted(j.environment)) }),
		free("is_valid", "bool", "cron would take the line", source, func(j *cronJob) any { return j.line.Valid }),
		{Name: "interval_s", Type: "int", Unit: "seconds", Cost: collect.Free, Source: source,
			Doc: "smallest gap between two runs; none when the calendar decides",
			Get: func(j *cronJob) (any, error) { return positive(j.line.Interval), nil }},
	}
}

func cronFileFields() []cronField {
	of := func(j *cronJob) *origin { return j.origin }
	return append(originFields(of),
		cronField{Name: "file_immutable", Type: "bool", Cost: collect.Cheap, Doc: "chattr +i is set on the file", Source: "statx(2), FS_IOC_GETFLAGS",
			Get: func(j *cronJob) (any, error) { return j.origin.isImmutable() }},
		cronField{Name: "is_ignored", Type: "bool", Cost: collect.Cheap, Doc: "cron passes it over: by its name, or a script without execute bit",
			Source: "stat(2)", Get: (*cronJob).isIgnored},
		cronField{Name: "script_content", Type: "string", Cost: collect.Costly, Doc: "the first 64 KiB of a script when they are text",
			Source: "content", Get: (*cronJob).scriptContent})
}

// positive is a number's value: nil for 0, which stands for "none".
func positive(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}
