package persistence

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/collect/launch"
)

// atJob is a record of the subject at_job.
type atJob struct {
	r      *reader
	origin *origin
	name   atName
	named  bool
	script atScript

	scripts launch.Scripts
}

// Launches are the user's commands.
func (j *atJob) Launches() (*collect.Env, *launch.Scripts, []launch.Line, error) {
	line := launch.Line{Text: j.script.Command, Dir: j.script.Directory}
	for _, variable := range j.script.Environment {
		if home, ok := strings.CutPrefix(variable, "HOME="); ok {
			line.Home = home
		}
	}
	return j.r.env, &j.scripts, []launch.Line{line}, nil
}

// atDirectories are the spools of Debian, Red Hat, SUSE and Slackware.
var atDirectories = []string{"/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/atjobs", "/var/spool/cron/atspool"}

func atCollector() collect.Collector {
	return collector("at_jobs", atSubject(), func(r *reader) error {
		for _, dir := range atDirectories {
			names, err := r.names(dir)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := r.atJob(path.Join(dir, name), name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (r *reader) atJob(file, name string) error {
	if strings.HasPrefix(name, ".SEQ") || name == ".lockfile" {
		return nil // at's own counters
	}
	data, ok, err := r.text(file)
	if err != nil || !ok {
		return err
	}
	job := &atJob{r: r, origin: r.origin(file), script: parseAtScript(data)}
	if job.name, job.named = parseAtName(name); !job.named && strings.Contains(file, "atspool") {
		return nil // output of a job that runs
	}
	return r.emit(job)
}

// username is whose rights the job has: those of the file's owner, which at checks against the line in the script.
func (j *atJob) username() (any, error) {
	if !j.script.HasIDs {
		return nil, nil
	}
	return j.r.accounts().UsernameField(j.script.UID)
}

type atField = collect.Field[*atJob]

func atSubject() *collect.Subject {
	const source = "at(1)"
	ids := func(value func(j *atJob) int64) func(j *atJob) any {
		return func(j *atJob) any {
			if !j.script.HasIDs {
				return nil
			}
			return value(j)
		}
	}
	named := func(value func(j *atJob) any) func(j *atJob) any {
		return func(j *atJob) any {
			if !j.named {
				return nil
			}
			return value(j)
		}
	}
	return collect.NewSubject("at_job", "jobs that at and batch run once",
		[]string{"uid", "command"}, []string{"path", "username", "run_time", "command"},
		concat([]atField{
			free("path", "string", "file in the spool", source, func(j *atJob) any { return j.origin.path }),
			free("queue", "string", "letter of the queue: a for at, b for batch, = while it runs", source, named(func(j *atJob) any { return j.name.Queue })),
			free("job_id", "int", "number of the job", source, named(func(j *atJob) any { return j.name.Job })),
			timed("run_time", "when it is to run, to the minute, from the file's name", source, func(j *atJob) int64 { return j.name.Time }),
			free("is_overdue", "bool", "that time is past by more than an hour and the job is still there", source, named(func(j *atJob) any {
				return j.name.Time+3600 < j.r.env.Now.Unix()
			})),
			free("is_valid", "bool", "name and script have the shape that at writes", source, func(j *atJob) any { return j.named && j.script.HasIDs }),
			free("uid", "int", "user that the script names", source, ids(func(j *atJob) int64 { return j.script.UID })),
			free("gid", "int", "group that the script names", source, ids(func(j *atJob) int64 { return j.script.GID })),
			{Name: "username", Type: "string", Cost: collect.Cheap, Doc: "name of that user", Source: "/etc/passwd", Get: (*atJob).username},
			free("mail_user", "string", "who gets the output", source, func(j *atJob) any { return text(j.script.Mail) }),
			free("directory", "string", "directory that it runs in", source, func(j *atJob) any { return text(j.script.Directory) }),
			free("environment", "strings", "NAME=value that it runs with, secrets as [redacted LENGTH]", source, func(j *atJob) any { return list(fact.Redacted(j.script.Environment)) }),
			free("command", "string", "the user's commands without what at wrote around them", source, func(j *atJob) any { return text(j.script.Command) }),
		}, launch.Fields[*atJob](), originFields(func(j *atJob) *origin { return j.origin })))
}
