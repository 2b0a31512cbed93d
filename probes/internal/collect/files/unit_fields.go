package files

import (
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/collect/launch"
)

type unitField = collect.Field[*unit]

func unitSubject() *collect.Subject {
	return collect.NewSubject("systemd_unit",
		"unit files, links to them and drop-ins of the system's systemd and of every user's; each file stands for itself",
		[]string{"path"}, []string{"path", "name", "scope", "username", "exec_all", "user"},
		concat(unitNameFields(), unitExecFields(), launch.Fields[*unit](), unitSettingFields(), unitStateFields(), unitFileFields()))
}

func unitNameFields() []unitField {
	const source = "systemd.unit(5)"
	return []unitField{
		free("name", "string", "name of the unit; of a drop-in, of the unit it changes", source, func(u *unit) any { return u.name }),
		free("path", "string", "file, link or drop-in", source, func(u *unit) any { return u.origin.path }),
		free("type", "string", "service, timer, socket, path, mount, target …", source, func(u *unit) any { return text(unitType(u.name)) }),
		free("scope", "string", "system or user", source, func(u *unit) any { return u.manager.scope }),
		free("username", "string", "whose it is, of units in a home or run-time directory", source, func(u *unit) any { return text(u.manager.username) }),
		free("hidden", "bool", "the name begins with a dot", source, func(u *unit) any { return strings.HasPrefix(u.name, ".") }),
	}
}

// setting is a field that the file's content tells; it is unknown when the file could not be read.
func setting(name, typ, doc, source string, value func(*unitFile) any) unitField {
	return unitField{Name: name, Type: typ, Cost: collect.Free, Doc: doc, Source: source,
		Get: func(u *unit) (any, error) {
			if u.err != nil {
				return nil, u.err
			}
			return value(&u.file), nil
		}}
}

func unitExecFields() []unitField {
	const source = "systemd.service(5)"
	lines := func(name, key string) unitField {
		return setting(name, "strings", "command lines of "+strings.Join(strings.Split(name, "_"), " "), source,
			func(f *unitFile) any { return list(f.all(execSections, key)) })
	}
	return []unitField{
		lines("exec_start", "execstart"), lines("exec_start_pre", "execstartpre"), lines("exec_start_post", "execstartpost"),
		lines("exec_stop", "execstop"), lines("exec_reload", "execreload"),
		setting("exec_all", "strings", "all Exec command lines", source, func(f *unitFile) any { return list(f.execLines()) }),
		setting("exec_paths", "strings", "programs of the Exec lines, without the prefix characters", source,
			func(f *unitFile) any { return list(f.execPaths()) }),
		{Name: "exec_missing", Type: "strings", Cost: collect.Cheap, Doc: "of these, the ones that do not exist", Source: "stat(2)",
			Get: func(u *unit) (any, error) { return u.programsThat(func(st *content.Stat) bool { return st == nil }) }},
		{Name: "exec_world_writable", Type: "strings", Cost: collect.Cheap, Doc: "of these, the ones that others may write to", Source: "stat(2)",
			Get: func(u *unit) (any, error) {
				return u.programsThat(func(st *content.Stat) bool { return st != nil && st.Mode&0o002 != 0 })
			}},
	}
}

func unitSettingFields() []unitField {
	const service, timer, install = "systemd.exec(5)", "systemd.timer(5)", "systemd.unit(5)"
	last := func(name, doc, source string, sections []string, key string) unitField {
		return setting(name, "string", doc, source, func(f *unitFile) any { return text(f.last(sections, key)) })
	}
	words := func(name, doc, source string, sections []string, key string) unitField {
		return setting(name, "strings", doc, source, func(f *unitFile) any { return list(f.words(sections, key)) })
	}
	return []unitField{
		last("description", "Description=", install, unitSection, "description"),
		last("user", "User= that the programs run as; none means root, or the user whose systemd it is", service, execSections, "user"),
		last("working_directory", "WorkingDirectory=", service, execSections, "workingdirectory"),
		setting("environment", "strings", "Environment= as NAME=value, secrets as [redacted LENGTH]", service, func(f *unitFile) any {
			return list(fact.Redacted(f.words(execSections, "environment")))
		}),
		setting("environment_files", "strings", "EnvironmentFile=", service, func(f *unitFile) any { return list(f.all(execSections, "environmentfile")) }),
		words("wanted_by", "WantedBy=", install, installTable, "wantedby"),
		words("required_by", "RequiredBy=", install, installTable, "requiredby"),
		last("restart", "Restart=", "systemd.service(5)", execSections, "restart"),
		last("type_service", "Type= of a service", "systemd.service(5)", []string{"service"}, "type"),
		setting("on_calendar", "strings", "OnCalendar=", timer, func(f *unitFile) any { return list(f.all(timerSection, "oncalendar")) }),
		last("on_boot", "OnBootSec=", timer, timerSection, "onbootsec"),
		setting("on_active", "strings", "the other times relative to something: OnStartupSec=, OnActiveSec=, OnUnitActiveSec=, OnUnitInactiveSec=",
			timer, func(f *unitFile) any { return list(f.all(timerSection, timerKeys...)) }),
		setting("unit", "string", "unit that a timer, path or socket starts, when it says so", timer, func(f *unitFile) any {
			if service := f.last([]string{"socket"}, "service"); service != "" {
				return service
			}
			return text(f.last(triggerTables, "unit"))
		}),
		setting("listen", "strings", "Listen… addresses of a socket", "systemd.socket(5)", func(f *unitFile) any { return list(f.all([]string{"socket"}, listenKeys...)) }),
		setting("path_conditions", "strings", "paths that a path unit watches", "systemd.path(5)", func(f *unitFile) any { return list(f.all([]string{"path"}, pathKeys...)) }),
	}
}

func unitStateFields() []unitField {
	const source = "systemd.unit(5)"
	return []unitField{
		{Name: "is_enabled", Type: "bool", Cost: collect.Cheap, Doc: "a link in a .wants, .requires or .upholds directory names it, or an instance of it",
			Source: source, Get: func(u *unit) (any, error) { return u.isEnabled(), nil }},
		{Name: "is_masked", Type: "bool", Cost: collect.Free, Doc: "it is a link to /dev/null or an empty file", Source: source,
			Get: func(u *unit) (any, error) { return u.isMasked(), u.err }},
		free("is_generated", "bool", "a generator made it at boot", source, func(u *unit) any { return u.isGenerated() }),
		free("is_dropin", "bool", "it changes another unit (NAME.d/*.conf)", source, func(u *unit) any { return u.dropIn }),
		{Name: "drop_ins", Type: "strings", Cost: collect.Cheap, Doc: "drop-ins of the same name in any directory of the same systemd",
			Source: source, Get: func(u *unit) (any, error) {
				if u.dropIn {
					return nil, nil
				}
				return list(u.manager.dropIns[u.name]), nil
			}},
		{Name: "is_symlink", Type: "bool", Cost: collect.Cheap, Doc: "the path is a symbolic link", Source: "lstat(2)",
			Get: func(u *unit) (any, error) { return u.link, nil }},
		free("symlink_target", "string", "text of the link", "readlink(2)", func(u *unit) any { return text(u.target) }),
	}
}

func unitFileFields() []unitField { return originFields(func(u *unit) *origin { return u.origin }) }
