package libraries

import (
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect/fact/facttest"
)

// processTree has two processes of one program.
func processTree(t *testing.T) *facttest.Tree {
	f := facttest.NewTree(t)
	f.Link("/proc/1/ns/mnt", "mnt:[1]")
	for pid, more := range map[string]string{"10": "7f00-7f01 r-xp 00000000 08:01 44 /tmp/.x/evil.so\n" +
		"7f02-7f03 r-xp 00000000 00:01 45 /memfd:stage (deleted)\n", "11": "7f02-7f03 r-xp 00000000 08:01 46 /usr/lib/old.so (deleted)\n"} {
		f.Write("/proc/"+pid+"/stat", pid+" (app) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 4096 1")
		f.Write("/proc/"+pid+"/environ", "LD_PRELOAD=/tmp/.x/evil.so:libsmall.so /opt/gone.so\x00LD_LIBRARY_PATH=/opt/lib\x00")
		f.Write("/proc/"+pid+"/maps", "5500-5501 r-xp 00000000 08:01 9 /usr/bin/app\n"+
			"7e00-7e01 r-xp 00000000 08:01 43 /usr/lib/libc.so.6\n7e02-7e03 rw-p 00000000 08:01 43 /usr/lib/data\n"+
			"7e04-7e05 r-xp 00000000 08:01 47 /opt/lib/libmore.so\n7e06-7e07 r-xs 00000000 00:01 3 /dev/zero (deleted)\n"+more)
		f.Link("/proc/"+pid+"/exe", "/usr/bin/app")
		f.Link("/proc/"+pid+"/ns/mnt", "mnt:[1]")
	}
	f.Write("/usr/lib/libc.so.6", "code")
	f.Write("/usr/lib/old.so", "new code")
	f.Write("/etc/ld.so.preload", "# nothing\n/usr/lib/libc.so.6\n")
	return f
}

func TestLibrariesOfAllProcessesAreGathered(t *testing.T) {
	records := map[string]facttest.Record{}
	status := facttest.Collect(t, Collectors(), processTree(t).Env(), "library", func(r facttest.Record) {
		r.Typed()
		records[r.Get("path").(string)] = r
	})
	if len(status.Parts)+len(status.Failed) > 0 || len(records) != 6 {
		t.Error(status, len(records))
	}
	for path, want := range map[string]map[string]any{
		"/usr/lib/libc.so.6": {"process_count": int64(2), "pids": []int64{10, 11}, "process.names": []string{"app"},
			"injected_by": []string{"ld.so.preload"}, "on_disk": true, "deleted": false, "in_container": false, "size": int64(4),
			"md5": "c13367945d5d4c91047b3b50234aa7ab", "sha1": "e6fb06210fafc02fd7479ddbed2d042cc3a5155e",
			"sha256": "5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b"},
		"/tmp/.x/evil.so": {"is_hidden": true, "in_temporary": true, "injected_by": []string{"LD_PRELOAD"}, "on_disk": false,
			"is_mapped": true, "sha256": nil},
		"/memfd:stage":        {"is_memfd": true, "deleted": true, "on_disk": false, "same_file": nil},
		"/usr/lib/old.so":     {"deleted": true, "on_disk": true, "same_file": false, "injected_by": []string{}, "sha256": nil},
		"/opt/lib/libmore.so": {"injected_by": []string{"LD_LIBRARY_PATH"}},
		"/opt/gone.so":        {"is_mapped": false, "injected_by": []string{"LD_PRELOAD"}, "process_count": int64(2)},
	} {
		if r, found := records[path]; found {
			r.Expect(want)
		} else {
			t.Error(path, "is missing")
		}
	}
}

func TestVariablesAreReadOnlyWhenSomebodyAsks(t *testing.T) {
	facttest.Collect(t, Collectors(), processTree(t).Env(), "library", func(r facttest.Record) {
		if r.Get("path") == "/opt/gone.so" {
			t.Error("nobody asked for what variables name")
		}
	}, "path")
}

func TestThisHostHasALibraryInEveryProcess(t *testing.T) {
	seen := 0
	status := facttest.Collect(t, Collectors(), facttest.Env("/"), "library", func(r facttest.Record) {
		seen++
		if seen%10 == 0 {
			r.Typed()
		}
	})

	if seen == 0 || len(status.Failed) > 0 {
		t.Error(seen, status)
	}
}

func TestFieldsAreDescribed(t *testing.T) { facttest.Described(t, Collectors()) }

func FuzzPreload(f *testing.F) {
	f.Add("/lib/a.so:/lib/b.so # x\nlibc.so\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range parsePreload(text) {
			if name == "" || strings.ContainsAny(name, " :\t\n#") {
				t.Errorf("%q", name)
			}
		}
	})
}

func FuzzLoader(f *testing.F) {
	f.Add("LD_PRELOAD=a b:c", "/x/a")
	f.Add("LD_LIBRARY_PATH=/x;/y", "/x/a")
	f.Fuzz(func(t *testing.T, variable, file string) {
		reasons := parseLoader([]string{variable}).reasons(nil, file)
		if len(reasons) > 1 || slices.Contains(reasons, "ld.so.preload") {
			t.Error(reasons)
		}
	})
}
