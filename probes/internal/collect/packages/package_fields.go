package packages

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

const sourceDatabase = "/var/lib/dpkg/status, lib/apk/db/installed, rpm headers"

type packageField = collect.Field[*pkg]

func packageSubject() *collect.Subject {
	return collect.NewSubject("package", "packages that dpkg, rpm or apk have installed, wholly or in part",
		[]string{"name", "arch", "source"}, []string{"name", "version", "arch", "source", "status"}, packageFields())
}

func packageFields() []packageField {
	told := func(name, doc string, value func(*pkg) string) packageField {
		return packageField{Name: name, Type: "string", Cost: collect.Free, Doc: doc, Source: sourceDatabase,
			Get: func(p *pkg) (any, error) { return text(value(p)), nil }}
	}
	flag := func(name, doc string, of string, value func(*pkg) bool) packageField {
		return packageField{Name: name, Type: "bool", Cost: collect.Free, Doc: doc, Source: sourceDatabase,
			Get: func(p *pkg) (any, error) {
				if of != "" && p.Source != of {
					return nil, nil
				}
				return value(p), nil
			}}
	}
	count := func(name, unit, doc string, value func(*pkg) int64) packageField {
		return packageField{Name: name, Type: "int", Unit: unit, Cost: collect.Free, Doc: doc, Source: sourceDatabase,
			Get: func(p *pkg) (any, error) { return number(value(p)), nil }}
	}
	return []packageField{
		told("name", "name of the package", func(p *pkg) string { return p.Name }),
		told("version", "version with release, and epoch where there is one", func(p *pkg) string { return p.Version }),
		told("arch", "architecture it was built for", func(p *pkg) string { return p.Arch }),
		told("source", "database it stands in: dpkg, rpm or apk", func(p *pkg) string { return p.Source }),
		told("status", "installed, half-installed, unpacked, half-configured, triggers-awaited, triggers-pending or config-files", func(p *pkg) string { return p.Status }),
		told("origin", "source package that it was built from, where that has another name; of rpm the source's file", func(p *pkg) string { return p.Origin }),
		told("maintainer", "who packaged it; none where the database does not keep it", func(p *pkg) string { return p.Maintainer }),
		told("vendor", "distributor: Vendor of rpm, Origin of dpkg; none where not given", func(p *pkg) string { return p.Vendor }),
		told("section", "section of dpkg, group of rpm", func(p *pkg) string { return p.Section }),
		count("size", "bytes", "what it takes when installed", func(p *pkg) int64 { return p.Size }),
		count("build_time", "epoch seconds", "when it was built; none for dpkg", func(p *pkg) int64 { return p.BuildTime }),
		count("dependencies", "", "how many others it asks for", func(p *pkg) int64 { return p.Dependencies }),
		flag("is_essential", "the system does not work without it; dpkg only", db.Dpkg, func(p *pkg) bool { return p.Essential }),
		flag("is_held", "it is held back from changes; dpkg only", db.Dpkg, func(p *pkg) bool { return p.Held }),
		flag("needs_reinstall", "dpkg broke off and asks for the package again; dpkg only", db.Dpkg, func(p *pkg) bool { return p.ReinstReq }),
		flag("is_signed", "its header is signed, unchecked; rpm only", db.RPM, func(p *pkg) bool { return p.Signed }),
		flag("is_half_installed", "unpacking was broken off", "", func(p *pkg) bool { return p.Status == "half-installed" }),
		flag("is_half_configured", "its scripts failed or never ran", "", func(p *pkg) bool {
			return p.Status == "half-configured" || p.Status == "unpacked"
		}),
		{Name: "install_time", Type: "int", Unit: "epoch seconds", Cost: collect.Cheap,
			Doc: "when it was installed or last changed; none for apk", Source: "rpm INSTALLTIME, stat(2) of dpkg's .list",
			Get: func(p *pkg) (any, error) {
				at, err := p.InstalledAt()
				return number(at), err
			}},
		{Name: "install_age_s", Type: "int", Unit: "seconds", Cost: collect.Cheap,
			Doc: "time since then", Source: "rpm INSTALLTIME, stat(2) of dpkg's .list",
			Get: func(p *pkg) (any, error) {
				at, err := p.InstalledAt()
				if err != nil || number(at) == nil {
					return nil, err
				}
				return p.now - at, nil
			}},
		{Name: "scripts", Type: "strings", Cost: collect.Cheap,
			Doc:    "names of the scripts that run when it comes, changes or goes; none for apk",
			Source: "/var/lib/dpkg/info, rpm headers", Get: func(p *pkg) (any, error) {
				names, err := p.ScriptNames()
				if len(names) == 0 {
					return nil, err
				}
				return names, err
			}},
	}
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number(n int64) any {
	if n == db.Unknown {
		return nil
	}
	return n
}
