package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sandfly/probes/internal/collect"
)

func TestWhatStartsByItselfTellsItsScripts(t *testing.T) {
	root := tree(t, map[string]string{
		"/opt/job.sh":                        "#!/bin/sh\nrun it\n",
		"/var/lib/dpkg/status":               "Package: p\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
		"/var/lib/dpkg/info/p.list":          "/usr\n",
		"/etc/rc.local":                      "#!/bin/sh\nnohup /opt/job.sh >/dev/null 2>&1 &\n",
		"/etc/rc2.d/S01job":                  "-> /opt/job.sh",
		"/etc/udev/rules.d/90.rules":         `ACTION=="add", RUN+="/bin/sh -c '/opt/job.sh &'"` + "\n",
		"/etc/udev/rules.d/91.rules":         `ACTION=="add", RUN+="own"` + "\n",
		"/usr/lib/udev/own":                  "-> /opt/job.sh",
		"/etc/xdg/autostart/job.desktop":     "[Desktop Entry]\nType=Application\nExec=bash /opt/job.sh %u\n",
		"/etc/update-motd.d/50-job":          "-> /opt/job.sh",
		"/etc/modules":                       "/opt/job.sh\n",
		"/var/spool/cron/atjobs/a0000101c9f": "#!/bin/sh\n# atrun uid=0 gid=0\n# mail root 0\numask 22\ncd /opt || {\n\t echo 'Execution directory inaccessible' >&2\n\t exit 1\n}\n./job.sh\n",
	})
	must(t, os.Chmod(filepath.Join(root, "opt/job.sh"), 0o757))
	for _, c := range []struct {
		collector          collect.Collector
		field, value, path string
	}{
		{initCollector(), "kind", "rc_local", "/opt/job.sh"},
		{initCollector(), "kind", "link", "/etc/rc2.d/S01job"},
		{udevCollector(), "name", "90.rules", "/opt/job.sh"},
		{udevCollector(), "name", "91.rules", "/usr/lib/udev/own"},
		{autostartCollector(), "kind", "xdg", "/opt/job.sh"},
		{autostartCollector(), "kind", "motd", "/etc/update-motd.d/50-job"},
		{atCollector(), "command", "./job.sh", "/opt/job.sh"},
	} {
		records, _ := run(t, c.collector, root)
		r := find(t, records, c.field, c.value)
		named := "[" + c.path + "]"
		equal(t, r.show("script.path", "script.mode", "script.uid", "script.world_writable", "script.unpackaged", "script.content"),
			named+"|[0757]|"+fmt.Sprintf("[%d]", os.Getuid())+"|"+named+"|"+named+"|[#!/bin/sh\nrun it\n]")
		for _, name := range []string{"script.mtime", "script.ctime_age_s"} {
			if got, _ := r.values[name].([]int64); len(got) != 1 {
				t.Errorf("%s: %v", name, r.values[name])
			}
		}
	}
	records, _ := run(t, autostartCollector(), root)
	if got := find(t, records, "kind", "module_load").values["script.path"]; got != nil {
		t.Errorf("a module's name: %v", got)
	}
}
