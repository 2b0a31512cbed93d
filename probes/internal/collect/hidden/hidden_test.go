package hidden

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/fact"
	"sandfly/probes/internal/collect/fact/facttest"
)

func visitOf(env *collect.Env) *visit {
	v := &visit{ctx: context.Background(), env: env, fs: fact.Tree(env), fields: map[string]bool{}}
	v.sleep = func(time.Duration) error { return nil }
	return v
}

// fakeKernel has processes with their threads; hidden ones are taken and not listed.
type fakeKernel struct {
	threads map[int][]int // by thread group
	hidden  []int
	counted bool // the kernel says how many there are
	lists   int
	onList  func(lists int)
}

func (k *fakeKernel) group(pid int) (int, error) {
	for group, threads := range k.threads {
		if slices.Contains(threads, pid) {
			return group, nil
		}
	}
	return 0, syscall.ESRCH
}

func (k *fakeKernel) view() *kernelView {
	taken := func(pid int) bool { _, err := k.group(pid); return err == nil }
	return &kernelView{
		asks:    []ask{{"kill", everyNumber, func(int) bool { return false }}, {"getsid", everyNumber, taken}},
		isWhole: func(listed []int) bool { return k.counted && len(listed) == len(k.threads) },
		list: func() ([]int, error) {
			if k.lists++; k.onList != nil {
				k.onList(k.lists)
			}
			var pids []int
			for group := range k.threads {
				if !slices.Contains(k.hidden, group) {
					pids = append(pids, group)
				}
			}
			return pids, nil
		},
		group: k.group, threads: func(group int) ([]int, error) { return k.threads[group], nil },
		details: func(_ int, f *finding) { f.name = "stand_in" },
	}
}

func (k *fakeKernel) sweep(t *testing.T, explained, last int) []*finding {
	t.Helper()
	s := &sweep{kernelView: k.view(), v: visitOf(facttest.Env("/"))}
	found, err := s.run(explained, last)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestProcessThatTheListingLeavesOutIsFoundByItsNumber(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}, 40: {40, 41}, 77: {77}}, hidden: []int{77}}

	found := k.sweep(t, 100, 100)

	if len(found) != 1 {
		t.Fatal(found)
	}
	facttest.Record{T: t, Subject: subject, Rec: found[0]}.Expect(map[string]any{"kind": "process", "pid": int64(77),
		"name": "stand_in", "seen_by": []string{"getsid"}, "missing_from": []string{"proc_listing"}, "beyond_allocated": false})
}

func TestThreadsOfListedProcessesAreNotHidden(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}, 40: {40, 41, 42, 43}}}

	if found := k.sweep(t, 100, 100); len(found) != 0 {
		t.Error(found)
	}
}

func TestAHiddenProcessIsToldOnceAndNotForEachOfItsThreads(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}, 40: {40, 41, 42}}, hidden: []int{40}}

	if found := k.sweep(t, 100, 100); len(found) != 1 || *found[0].pid != 40 {
		t.Error(found)
	}
}

func TestThreadsOfAListedProcessWhoseDirectoryIsCoveredAreLeftToTheCheckOfEntries(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}, 40: {40, 41, 42}}}
	view := k.view()
	uncovered := view.group
	view.group = func(pid int) (int, error) {
		if pid == 40 {
			return 0, syscall.ENOENT
		}
		return uncovered(pid)
	}
	view.threads = func(int) ([]int, error) { return nil, syscall.ENOENT }

	found, err := (&sweep{kernelView: view, v: visitOf(facttest.Env("/"))}).run(100, 100)

	if err != nil || len(found) != 0 {
		t.Error(found, err)
	}
}

func TestAThreadThatItsProcessDoesNotShowIsFound(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}, 40: {40, 41}}}
	view := k.view()
	view.threads = func(group int) ([]int, error) { return []int{group}, nil }

	found, err := (&sweep{kernelView: view, v: visitOf(facttest.Env("/"))}).run(100, 100)

	if err != nil || len(found) != 1 || *found[0].pid != 41 {
		t.Error(found, err)
	}
}

func TestProcessesThatComeAndGoMeanwhileAreNoFinding(t *testing.T) {
	for second := 2; second <= 4; second++ {
		k := &fakeKernel{threads: map[int][]int{1: {1}, 50: {50}, 60: {60}}, hidden: []int{50, 60}}
		k.onList = func(lists int) {
			if lists == second {
				k.hidden = nil        // it is listed now: it was new
				delete(k.threads, 60) // and the other one has ended
			}
		}
		if found := k.sweep(t, 100, 100); len(found) != 0 {
			t.Errorf("at look %d: %v", second, found)
		}
	}
}

func TestNumberThatTheKernelCannotHaveGivenIsToldSo(t *testing.T) {
	for _, counted := range []bool{false, true} {
		k := &fakeKernel{threads: map[int][]int{1: {1}, 9000: {9000}}, hidden: []int{9000}, counted: counted}

		found := k.sweep(t, 100, 10000)

		if len(found) != 1 || !*found[0].beyond {
			t.Error(counted, found)
		}
	}
}

func TestHighNumbersAreTriedByAUsualScanUnlessTheKernelCountsNobodyMore(t *testing.T) {
	const explained = 3 * manyNumbers
	cases := []struct {
		counted bool
		hidden  []int
		last    int
		highest int
	}{
		{true, nil, explained, manyNumbers},
		{false, nil, explained, explained},
		{true, []int{77}, explained, explained},  // the counts differ
		{true, nil, explained + 1000, explained}, // a deep scan
		{true, []int{77}, explained + 9, explained + 9},
	}
	for _, c := range cases {
		k := &fakeKernel{threads: map[int][]int{1: {1}, 77: {77}}, hidden: c.hidden, counted: c.counted}
		highest := 0
		view := k.view()
		view.asks = []ask{{"kill", everyNumber, func(pid int) bool { highest = max(highest, pid); return pid == 77 }}}

		found, err := (&sweep{kernelView: view, v: visitOf(facttest.Env("/"))}).run(explained, c.last)

		if err != nil || len(found) != len(c.hidden) || highest != c.highest {
			t.Errorf("%+v: %v %v up to %d", c, found, err, highest)
		}
	}
}

func TestNumbersThatTheKernelCannotHaveGivenAreNotTriedWhenItCountsNobodyMore(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}, 77: {77}}, counted: true}
	highest := 0
	view := k.view()
	view.asks = []ask{{"kill", everyNumber, func(pid int) bool { highest = pid; return false }}}

	found, err := (&sweep{kernelView: view, v: visitOf(facttest.Env("/"))}).run(100, 10000)

	if err != nil || len(found) > 0 || highest != 100 {
		t.Error(found, err, highest)
	}
}

func TestAnInterfaceIsAskedUpToItsBound(t *testing.T) {
	k := &fakeKernel{threads: map[int][]int{1: {1}}}
	asked := map[string]int{}
	view := k.view()
	for _, upTo := range []int{50, 70, 200} {
		name := strconv.Itoa(upTo)
		view.asks = append(view.asks, ask{name, upTo, func(int) bool { asked[name]++; return false }})
	}

	_, err := (&sweep{kernelView: view, v: visitOf(facttest.Env("/"))}).run(100, 100)

	if err != nil || asked["50"] != 49 || asked["70"] != 69 || asked["200"] != 99 { // 1 is told by the first
		t.Error(err, asked)
	}
}

func TestThreadsAreCountedAsTheKernelCountsThem(t *testing.T) {
	v := visitOf(facttest.Env("/"))
	for range 200 { // other processes come and go
		listed, err := v.fs.ReadPIDs()
		if err != nil {
			t.Fatal(err)
		}
		if v.listsAllThreads(listed) && !v.listsAllThreads(listed[1:]) {
			return
		}
	}
	if v.threadCount() > 0 && !inInitialNamespace() {
		return // the kernel counts the threads of others too
	}
	t.Error("the counts never agree")
}

// inInitialNamespace tells by the number that the kernel gave the first pid namespace, PROC_PID_INIT_INO.
func inInitialNamespace() bool {
	name, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && name == "pid:[4026531836]"
}

func TestHighestNumberFollowsFromWhatTheKernelCounts(t *testing.T) {
	for _, c := range []struct {
		stat, load    string
		highest, want int
	}{
		{"cpu 1\nprocesses 20000\n", "0 0 0 1/100 500", 4194304, 20000 + forkMargin},
		{"processes 20\n", "0 0 0 1/100 30000", 4194304, 30000 + forkMargin},
		{"processes 99999999\n", "", 32768, 32768},
		{"cpu 1\n", "x", 4194304, 4194304}, // nothing known: every number
	} {
		f := facttest.NewTree(t)
		f.Write("/proc/stat", c.stat)
		f.Write("/proc/loadavg", c.load)
		f.Write("/proc/123/stat", "")
		if got, err := visitOf(f.Env()).explained(c.highest); err != nil || got != c.want {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}

func TestEveryInterfaceKnowsALivingProcessAndNoDeadOne(t *testing.T) {
	dead := exec.Command("/bin/true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for _, a := range asks {
		if !a.exists(os.Getpid()) || !a.exists(1) {
			t.Error(a.name, "does not see a process that runs")
		}
		if a.exists(pidLimit + 5) {
			t.Error(a.name, "sees a number that nobody can have")
		}
	}
}

// TestANameThatIsAskedForAndNotListedIsFound uses what every kernel does: a thread's directory can be opened by its
// number in /proc, but the listing has only the first thread of each process.
func TestANameThatIsAskedForAndNotListedIsFound(t *testing.T) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var path string
	for _, thread := range threads {
		if thread.Name() != strconv.Itoa(os.Getpid()) {
			path = "/proc/" + thread.Name()
		}
	}

	odd := visitOf(facttest.Env("/")).unlisted([]string{path, "/etc/passwd", "/etc/no-such-file"})

	if path == "" || !slices.Equal(odd, []string{path}) {
		t.Error(path, odd)
	}
}

// TestFileWhoseReadingIsBentIsFound uses a file of the kernel's that says size 0 and gives text.
func TestFileWhoseReadingIsBentIsFound(t *testing.T) {
	s, why, err := visitOf(facttest.Env("/")).readBothWays("/proc/version")

	if err != nil || why == "" || s.stat != 0 || s.read == 0 {
		t.Error(s, why, err)
	}
}

func TestFilesReadTheSameEitherWay(t *testing.T) {
	for _, text := range []string{"", "x", strings.Repeat("line\n", 5000)} {
		f := facttest.NewTree(t)
		f.Write("/etc/passwd", text)
		s, why, err := visitOf(f.Env()).readBothWays("/etc/passwd")
		if err != nil || why != "" || s.read != int64(len(text)) || len(text) > 0 && *s.mapped != s.read {
			t.Error(len(text), s, why, err)
		}
	}
}

func TestMappedContentIsComparedByteByByte(t *testing.T) {
	f := facttest.NewTree(t)
	f.Write("/etc/passwd", "root\nhacker\n")
	file, err := os.Open(filepath.Join(f.Root, "/etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	same, isMapped, err := mappedAs(int(file.Fd()), 12, []byte("root\n"))
	if s := (&sizes{stat: 12, read: 12, mapped: &same}); err != nil || !isMapped || same != 5 || s.disagreement() == "" {
		t.Error(same, isMapped, err)
	}
}

func TestFileCutShortWhileItIsMappedEndsNothing(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	_, _, err = mappedAs(int(file.Fd()), 8192, make([]byte, 8192))

	if !errors.Is(err, errMoved) {
		t.Error(err)
	}
}

// moduleTree has one honest module.
func moduleTree(t *testing.T) *facttest.Tree {
	f := facttest.NewTree(t)
	f.Write("/proc/modules", "ext4 983040 1 - Live 0x0\n")
	f.Write("/proc/self/mountinfo", "20 1 0:20 / /sys/kernel/tracing rw - tracefs tracefs rw\n")
	f.Write("/proc/sys/kernel/tainted", "0\n")
	f.Write("/sys/module/ext4/initstate", "live\n")
	f.Write("/sys/module/printk/parameters/time", "Y\n")
	f.Write("/proc/kallsyms", "ffffffffc0 t ext4_init\t[ext4]\nffffffffc1 t prog\t[bpf]\nffffffffc2 t x\t[__builtin__kprobes]\n")
	return f
}

func modulesOf(t *testing.T, f *facttest.Tree) []*finding {
	t.Helper()
	found, err := compareModules(visitOf(f.Env()))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestModuleIsFoundByEveryPlaceThatForgetsToHideIt(t *testing.T) {
	for source, hide := range map[string]func(f *facttest.Tree){
		"sys_module": func(f *facttest.Tree) { f.Write("/sys/module/rk/initstate", "live\n") },
		"kallsyms":   func(f *facttest.Tree) { f.Write("/proc/kallsyms", "ffffffffc0 t hook\t[rk]\n") },
		"vmallocinfo": func(f *facttest.Tree) {
			f.Write("/proc/vmallocinfo", "0x0-0x1 8192 rk_init+0x10/0x20 [rk] pages=1 vmalloc\n")
		},
		"traceable_functions": func(f *facttest.Tree) {
			f.Write("/sys/kernel/tracing/available_filter_functions", "vfs_read\nhook_getdents [rk]\n")
		},
		"used_by": func(f *facttest.Tree) { f.Write("/proc/modules", "ext4 983040 1 rk, Live 0x0\n") },
	} {
		f := moduleTree(t)
		hide(f)
		found := modulesOf(t, f)
		if len(found) != 1 || found[0].name != "rk" || !slices.Equal(found[0].seenBy, []string{source}) {
			t.Errorf("%s: %v", source, found)
		}
	}
}

func TestHonestModulesAreNoFinding(t *testing.T) {
	if found := modulesOf(t, moduleTree(t)); len(found) != 0 {
		t.Error(found[0])
	}
}

func TestTaintThatNoModuleExplainsIsTold(t *testing.T) {
	f := moduleTree(t)
	f.Write("/proc/sys/kernel/tainted", "12288\n") // O and E
	f.Write("/proc/modules", "vbox 1 0 - Live 0x0 (O)\n")

	found, err := unexplainedTaint(visitOf(f.Env()))

	if err != nil || len(found) != 1 || found[0].name != "E" {
		t.Error(found, err)
	}
}

// TestNameInTheBlocksThatTheListingLacksIsFound makes a file system of a directory and takes a file out of the directory
// afterwards: the blocks have it, the listing has not.
func TestNameInTheBlocksThatTheListingLacksIsFound(t *testing.T) {
	source := t.TempDir()
	for _, name := range []string{"shown", "concealed"} {
		if err := os.WriteFile(filepath.Join(source, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(t.TempDir(), "image")
	command := exec.Command("mkfs.ext4", "-q", "-F", "-d", source, image, "2M")
	command.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/sbin:/usr/sbin")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Mkdir(filepath.Join(source, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	raw, err := openExt4(file)
	if err != nil {
		t.Fatal(err)
	}
	v := visitOf(facttest.Env("/"))
	places := []place{{path: source, inode: 2, raw: raw}}
	if found, err := v.compareBlocks(places); err != nil || len(found) != 0 {
		t.Error("nothing is hidden yet:", found, err)
	}
	if err := os.Remove(filepath.Join(source, "concealed")); err != nil {
		t.Fatal(err)
	}

	found, err := v.compareBlocks(places)

	if err != nil || len(found) != 1 || found[0].path != source+"/concealed" {
		t.Error(found, err)
	}
}

func TestDeviceNameStaysBelowDev(t *testing.T) {
	for text, want := range map[string]string{"MAJOR=8\nDEVNAME=sda1\n": "sda1", "DEVNAME=mapper/x\n": "mapper/x",
		"DEVNAME=../etc/shadow\n": "", "MAJOR=8\n": ""} {
		if got := deviceName(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestMountsThatHideAreToldFromThoseOfContainerEngines(t *testing.T) {
	f := facttest.NewTree(t)
	f.Write("/proc/self/mountinfo", "1 0 0:1 / /proc/77 rw - tmpfs tmpfs rw\n2 0 0:1 / /proc/kcore rw - tmpfs tmpfs rw\n"+
		"3 0 0:1 /proc/meminfo /proc/meminfo rw - fuse lxcfs rw\n4 0 0:1 / /proc/sys/fs/binfmt_misc rw - binfmt_misc b rw\n"+
		"5 0 0:1 /x /proc/modules rw - ext4 /dev/vda rw\n")

	found, err := mountsOver(visitOf(f.Env()))

	if err != nil || len(found) != 2 || *found[0].pid != 77 || found[1].path != "/proc/modules" {
		t.Error(found, err)
	}
}

func TestFieldsAreDescribed(t *testing.T) { facttest.Described(t, Collectors()) }

// TestBusyHostIsSilent runs everything again and again while processes, threads, files and sockets come and go.
// SANDFLY_HIDDEN_RUNS asks for more runs than the few that every test run affords.
func TestBusyHostIsSilent(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv("SANDFLY_HIDDEN_RUNS"))
	if err != nil {
		runs = 5
	}
	stop := makeNoise(t)
	defer stop()
	for i := range runs {
		done := map[any]any{}
		status := facttest.Collect(t, Collectors(), facttest.Env("/"), "hidden", func(r facttest.Record) {
			r.Typed()
			if r.Get("kind") == "method" {
				done[r.Get("name")] = r.Get("is_done")
				return
			}
			t.Errorf("run %d: %v %v: %v", i, r.Get("kind"), r.Get("path"), r.Get("detail"))
		}, "kind")
		if len(status.Failed)+len(status.Parts) > 0 || len(done) != len(methods) {
			t.Errorf("run %d: %v %v", i, status, done)
		}
	}
}
