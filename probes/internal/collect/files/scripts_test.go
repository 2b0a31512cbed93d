package files

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// scriptTree is a host whose script anybody may change and no package brought.
func scriptTree(t *testing.T, files map[string]string) string {
	t.Helper()
	files["/opt/job.sh"] = "#!/bin/sh\nrun it\n"
	files["/var/lib/dpkg/status"] = "Package: p\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
	files["/var/lib/dpkg/info/p.list"] = "/usr\n"
	root := tree(t, files)
	if err := os.Chmod(filepath.Join(root, "opt/job.sh"), 0o757); err != nil {
		t.Fatal(err)
	}
	return root
}

// checkScript wants all facts of that script.
func checkScript(t *testing.T, r seen) {
	t.Helper()
	for name, err := range r.errs {
		t.Errorf("%s: %v", name, err)
	}
	for name, want := range map[string]string{
		"script.path": "[/opt/job.sh]", "script.mode": "[0757]", "script.world_writable": "[/opt/job.sh]",
		"script.unpackaged": "[/opt/job.sh]", "script.content": "[#!/bin/sh\nrun it\n]",
		"script.uid": fmt.Sprintf("[%d]", os.Getuid()),
	} {
		if got := fmt.Sprint(r.values[name]); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"script.mtime", "script.ctime_age_s"} {
		if got, _ := r.values[name].([]int64); len(got) != 1 {
			t.Errorf("%s: %v", name, r.values[name])
		}
	}
}

func TestUnitsTellTheScriptsOfTheirExecLines(t *testing.T) {
	root := scriptTree(t, map[string]string{
		"/etc/systemd/system/a.service": "[Service]\nExecStart=-/bin/sh -c '/opt/job.sh >/dev/null'\n",
		"/etc/systemd/system/b.service": "[Service]\nWorkingDirectory=-/opt\nExecStartPre=!/bin/bash job.sh\n",
		"/etc/systemd/system/c.service": "[Service]\nExecStart=/opt/%i.sh\n",
	})
	units, _ := run(t, unitsCollector(), root, "systemd_unit")

	checkScript(t, find(t, units, "name", "a.service"))
	checkScript(t, find(t, units, "name", "b.service"))
	if got := find(t, units, "name", "c.service").values["script.path"]; got != nil {
		t.Errorf("%v", got)
	}
}

func TestCronJobsTellTheScriptsOfTheirCommands(t *testing.T) {
	root := scriptTree(t, map[string]string{
		"/etc/passwd": "bob:x:1000:1000::/opt:/bin/sh\n",
		"/etc/crontab": "* * * * * root cd /opt && ./job.sh%input /opt/no.sh\n2 * * * * bob sh job.sh\nPATH=/bin:/opt\n3 * * * * root job.sh\n" +
			"HOME=/opt\n4 * * * * root . ./job.sh\n5 * * * * root /opt/gone.sh\n",
		"/etc/cron.daily/nightly": "#!/bin/sh\n",
	})
	if err := os.Chmod(filepath.Join(root, "etc/cron.daily/nightly"), 0o755); err != nil {
		t.Fatal(err)
	}
	jobs, _ := run(t, cronCollector(), root, "cron_job")

	for _, command := range []string{"cd /opt && ./job.sh%input /opt/no.sh", "sh job.sh", "job.sh", ". ./job.sh"} {
		checkScript(t, find(t, jobs, "command", command))
	}
	for command, want := range map[string]string{"/opt/gone.sh": "<nil>", "/etc/cron.daily/nightly": "[/etc/cron.daily/nightly]"} {
		if got := fmt.Sprint(find(t, jobs, "command", command).values["script.path"]); got != want {
			t.Errorf("%s: %s", command, got)
		}
	}
}
