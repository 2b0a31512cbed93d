package system

import (
	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/procfs"
)

type moduleFields = []collect.Field[*module]

const (
	sourceModules   = "/proc/modules, proc_modules(5)"
	sourceSysModule = "/sys/module/NAME"
	sourceModuleDep = "/lib/modules/RELEASE/modules.dep, modules.dep(5)"
)

var moduleFacts = moduleFields{
	free("name", asText, "name of the module", sourceModules, value(func(m *module) any { return m.name })),
	free("size", asBytes, "memory it takes", sourceModules, (*module).size),
	free("used_by", asTexts, "modules that depend on it", sourceModules, (*module).usedBy),
	free("reference_count", asInt, "uses, by other modules and by the kernel; absent when it cannot be unloaded",
		sourceModules, ofListed(func(m *procfs.Module) any { return optional(m.References) })),
	free("state", asText, "Live, Loading or Unloading", sourceModules,
		ofListed(func(m *procfs.Module) any { return text(m.State) })),
	free("address", asHex, "where it is loaded; zeros unless the kernel shows it", sourceModules,
		ofListed(func(m *procfs.Module) any { return text(m.Address) })),
	free("taint", asText, "letters why it taints the kernel, such as OE; empty for none", sourceModules,
		(*module).taint),
	free("is_out_of_tree", asBool, "built outside the kernel's source (taint O)", sourceModules, tainted("O")),
	free("is_proprietary", asBool, "has a licence that is not the kernel's (taint P)", sourceModules, tainted("P")),
	free("is_unsigned", asBool, "loaded without a valid signature (taint E)", sourceModules, tainted("E")),
	free("is_forced", asBool, "loaded or unloaded by force (taint F or R)", sourceModules,
		func(m *module) (any, error) {
			loaded, err := tainted("F")(m)
			if err != nil || loaded != false {
				return loaded, err
			}
			return tainted("R")(m)
		}),
	cheap("version", asText, "version its author gave", sourceSysModule, attribute("version")),
	cheap("srcversion", asText, "digest of its source files", sourceSysModule, attribute("srcversion")),
	free("in_proc_modules", asBool, "listed in /proc/modules; a module hidden there may still stand in /sys",
		sourceModules, (*module).inList),
	cheap("in_sys_module", asBool, "has a directory in /sys/module", sourceSysModule,
		value(func(m *module) any { return m.inSys })),
	cheap("path", asText, "its file for the running kernel; absent when it is not an installed module",
		sourceModuleDep, modulePath),
	cheap("file_exists", asBool, "that file exists", sourceModuleDep, moduleFileExists),
	cheap("is_builtin", asBool, "a module of this name is part of the kernel itself",
		"/lib/modules/RELEASE/modules.builtin", moduleBuiltin),
	cheap("package_owned", asBool, "its file belongs to an installed package; absent without a file and without a "+
		"package database", "databases of dpkg, rpm and apk", (*module).packageOwned),
	cheap("kernel_package_owned", asBool, "the running kernel was installed as a package, so that its modules should "+
		"belong to one", "databases of dpkg, rpm and apk", (*module).kernelPackageOwned),
	costly("file_signed", asBool, "a signature is appended to its file, unchecked; absent without a file and for "+
		".xz and .zst", "the module's file", (*module).isSigned),
	cheap("init_state", asText, "live, coming or going", sourceSysModule, attribute("initstate")),
	cheap("has_holders", asBool, "other modules use it, as /sys shows it", sourceSysModule,
		func(m *module) (any, error) {
			names, err := m.holders()
			return len(names) > 0, err
		}),
}
