package db

import "strings"

// documentation are places that images of containers and small systems leave out (path-exclude of dpkg.cfg(5)).
var documentation = []string{
	"/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/", "/usr/share/help/",
	"/usr/share/gnome/help/", "/usr/share/omf/", "/usr/share/lintian/", "/usr/share/linda/", "/usr/share/groff/",
	"/usr/share/i18n/", "/usr/share/bug/", "/usr/share/reportbug/", "/usr/share/icons/", "/usr/share/doc-base/",
}

// IsDocumentation tells a path that a system may be installed without.
func IsDocumentation(name string) bool {
	for _, dir := range documentation {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}
