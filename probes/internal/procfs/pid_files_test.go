package procfs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

func TestArgumentsEndAtNULAndTitlesLeaveNone(t *testing.T) {
	for text, want := range map[string][]string{
		"":                              nil,
		"\x00\x00":                      nil,
		"sh\x00-c\x00id\x00":            {"sh", "-c", "id"},
		"nginx: worker\x00\x00\x00\x00": {"nginx: worker"},
		"a\x00\x00b\x00":                {"a", "", "b"},
		"no end":                        {"no end"},
	} {
		if got, err := SplitStrings(parseCmdline([]byte(text))); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

func TestMillionsOfEmptyArgumentsAreALimit(t *testing.T) {
	if _, err := SplitStrings(strings.Repeat("\x00", maxStrings) + "x"); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

var id = strings.Repeat("0123456789abcdef", 4)

func TestContainerIDIsFoundInTheCgroupsOfEveryEngine(t *testing.T) {
	for path, want := range map[string]string{
		"/docker/" + id:                                        id,
		"/system.slice/docker-" + id + ".scope":                id,
		"/kubepods.slice/pod1/cri-containerd-" + id + ".scope": id,
		"/machine.slice/libpod-" + id + ".scope/container":     id,
		"/docker/" + strings.Repeat("a", 64) + "/docker/" + id: id,
		"/": "", "/user.slice/user-0.slice": "", "/x/" + id + "0": "", "/x/" + id[1:]: "",
	} {
		if got := ContainerID([]Cgroup{{"0", "", path}}); got != want {
			t.Errorf("%s: got %q", path, got)
		}
	}
}

func TestCgroupPathPrefersVersionTwo(t *testing.T) {
	groups, err := parseCgroup([]byte("12:cpu,cpuacct:/a/long/path\n1:name=systemd:/init:odd\n0::/user.slice\n"))
	if err != nil {
		t.Fatal(err)
	}

	if got := CgroupPath(groups); got != "/user.slice" {
		t.Error(got)
	}
	if got := CgroupPath(groups[:2]); got != "/a/long/path" || groups[1].Path != "/init:odd" {
		t.Error(got, groups)
	}
}

func TestMalformedCgroupIsAnError(t *testing.T) {
	if _, err := parseCgroup([]byte("0::/\nnonsense\n")); !errors.Is(err, ErrParse) {
		t.Error(err)
	}
}

const mapsText = `55d0c0000000-55d0c0002000 r-xp 00001000 fe:00 338944                     /usr/bin/my prog (deleted)
7f54d0000000-7f54d0001000 rw-p 00000000 00:00 0
7f54d0001000-7f54d0002000 rwxp 00000000 00:00 0 
7f54d0002000-7f54d0003000 r-xs 00000000 00:01 12                         /memfd:x\012y (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`

func TestMapsGiveOnlyWhatMayBeExecuted(t *testing.T) {
	var got []Map
	err := parseMaps(strings.NewReader(mapsText), func(m Map) { got = append(got, m) })

	want := []Map{{"r-xp", 338944, "/usr/bin/my prog (deleted)"}, {"rwxp", 0, ""}, {"r-xs", 12, "/memfd:x\ny (deleted)"},
		{"--xp", 0, "[vsyscall]"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if !got[1].IsAnonymous() || got[0].IsAnonymous() || got[3].IsAnonymous() {
		t.Error("only memory without file that is no code of the kernel is anonymous")
	}
}

func TestMalformedMapsAreAnError(t *testing.T) {
	for _, text := range []string{"x\n", "1-2 rwxp 0 0:0\n", "1-2 rwx 0 0:0 5 /a\n", "1-2 rwxp 0 0:0 y /a\n", "\n"} {
		if err := parseMaps(strings.NewReader(text), func(Map) {}); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestTooLongLineIsALimitAndNotACut(t *testing.T) {
	text := "1-2 r-xp 0 0:0 5 /" + strings.Repeat("a", maxLine)

	if err := parseMaps(strings.NewReader(text), func(Map) {}); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func FuzzMaps(f *testing.F) {
	f.Add([]byte(mapsText))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := parseMaps(strings.NewReader(string(data)), func(m Map) {
			if !m.IsExecutable() {
				t.Errorf("%+v", m)
			}
		})
		if err != nil && !errors.Is(err, ErrParse) && !errors.Is(err, collect.ErrLimit) {
			t.Error(err)
		}
	})
}
