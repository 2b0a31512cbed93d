//go:build go1.26

package system

import (
	"bufio"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandfly/probes/internal/collect"
)

// childVariable makes the test program behave as one of the children below instead of running tests.
const childVariable = "SYSTEM_TEST_CHILD"

func init() {
	if os.Getenv(childVariable) == "thread" {
		// The first thread belongs to the goroutine that runs init as long as it is locked to it.
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "renamed":
		if err := os.WriteFile("/proc/self/comm", []byte("kworker/9:9"), 0); err != nil {
			os.Exit(1)
		}
	case "thread":
		go waitForEnd()
		time.Sleep(50 * time.Millisecond)
		syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
	}
	waitForEnd()
}

// waitForEnd tells that the child is ready and lives until its input ends.
func waitForEnd() {
	os.Stdout.WriteString("ready\n")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// start runs a child until the test ends and returns its pid once it is ready.
func start(t *testing.T, cmd *exec.Cmd) int64 {
	t.Helper()
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { input.Close(); cmd.Wait() })
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return int64(cmd.Process.Pid)
}

func child(program, behaviour string) *exec.Cmd {
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childVariable+"="+behaviour, "MY_TOKEN=canary-value")
	return cmd
}

// copyOfSelf is this test program under another path, with its digest.
func copyOfSelf(t *testing.T) (path, digest string) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return path, hex.EncodeToString(sum[:])
}

func TestOwnProcessIsFoundAsItIs(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	with(t, environment("/"), "process", "pid", int64(os.Getpid()), func(r record) {
		r.expect(map[string]any{"cmdline": strings.Join(os.Args, " "), "argv": os.Args, "parent": int64(os.Getppid()),
			"path": exe, "cwd": dir, "uid": int64(os.Getuid()), "on_disk": true, "exe_deleted": false, "is_kernel_thread": false,
			"exe_magic": "elf"})
		if pids := r.get("ancestors.pid").([]int64); pids[0] != int64(os.Getppid()) || pids[len(pids)-1] != 1 {
			t.Errorf("ancestors %v", pids)
		}
		if files := r.get("mapped_files").([]string); !slices.Contains(files, exe) {
			t.Errorf("mapped %v", files)
		}
		if age := time.Now().Unix() - r.get("start_time").(int64); age < -2 || age > 900 {
			t.Errorf("started %d s ago", age)
		}
	})
}

func TestOwnListeningSocketIsFoundWithItsHolder(t *testing.T) {
	const address = "127.0.77.1" // no other test leaves connections there
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := int64(listener.Addr().(*net.TCPAddr).Port)

	with(t, environment("/"), "socket", "local_address", address, func(r record) {
		r.expect(map[string]any{"local_port": port, "is_listening": true, "state": "LISTEN", "on_loopback": true,
			"pid": int64(os.Getpid()), "uid": int64(os.Getuid()), "process.cmdline": strings.Join(os.Args, " ")})
	})
	with(t, environment("/"), "process", "pid", int64(os.Getpid()), func(r record) {
		if ports := r.get("listening_ports").([]int64); !slices.Contains(ports, port) {
			t.Errorf("ports %v", ports)
		}
	})
}

func TestProgramDeletedWhileItRunsIsReadAllTheSame(t *testing.T) {
	program, digest := copyOfSelf(t)
	pid := start(t, child(program, "wait"))
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}

	with(t, environment("/"), "process", "pid", pid, func(r record) {
		r.expect(map[string]any{"path": program, "exe_deleted": true, "on_disk": false, "exe_replaced": false,
			"exe_sha256": digest, "exe_magic": "elf"})
	})
}

func TestProgramHasAllDigestsThatAreAskedFor(t *testing.T) {
	program, digest := copyOfSelf(t)
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	pid := start(t, child(program, "wait"))

	with(t, environment("/"), "process", "pid", pid, func(r record) {
		r.expect(map[string]any{
			"exe_sha512": fmt.Sprintf("%x", sha512.Sum512(data)), "exe_sha1": fmt.Sprintf("%x", sha1.Sum(data)),
			"exe_md5": fmt.Sprintf("%x", md5.Sum(data)), "exe_sha256": digest,
		})
	})
}

func TestProgramNamedLikeADeletedOneIsNotDeleted(t *testing.T) {
	program, _ := copyOfSelf(t)
	odd := program + " (deleted)"
	if err := os.Rename(program, odd); err != nil {
		t.Fatal(err)
	}
	pid := start(t, child(odd, "wait"))

	with(t, environment("/"), "process", "pid", pid, func(r record) {
		r.expect(map[string]any{"path": odd, "exe_deleted": false, "on_disk": true})
	})
}

func TestRenamedProcessKeepsItsPathAndIsNoKernelThread(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pid := start(t, child(exe, "renamed"))

	with(t, environment("/"), "process", "pid", pid, func(r record) {
		r.expect(map[string]any{"name": "kworker/9:9", "path": exe, "is_kernel_thread": false})
	})
}

func TestProcessWhoseFirstThreadEndedIsStillSeen(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pid := start(t, child(exe, "thread"))
	for range 100 {
		if state, err := os.ReadFile("/proc/" + itoa(int(pid)) + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}

	with(t, environment("/"), "process", "pid", pid, func(r record) {
		r.expect(map[string]any{"state": "Z", "path": exe, "cmdline": exe, "exe_deleted": false})
		if open := r.get("fd_count").(int64); open < 3 {
			t.Errorf("%d descriptors", open)
		}
	})
}

func TestShellOnASocketIsSeen(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	shell := exec.Command("/bin/sh")
	shell.Stdin, shell.Stdout, shell.Stderr = theirs, theirs, theirs
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() { ours.Close(); shell.Wait() })
	// The shell answers once it runs; before that, the process is still a copy of this one.
	io.WriteString(ours, "echo ready\n")
	if line, err := bufio.NewReader(ours).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the shell said %q, %v", line, err)
	}

	with(t, environment("/"), "process", "pid", int64(shell.Process.Pid), func(r record) {
		r.expect(map[string]any{"socket_std": true, "socket_count": int64(1), "script_path": nil})
		if stdin := r.get("stdin").(string); !strings.HasPrefix(stdin, "socket:[") {
			t.Errorf("stdin %s", stdin)
		}
	})
}

func TestSecretOfARunningProcessNeverShows(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pid := start(t, child(exe, "wait"))

	with(t, environment("/"), "process", "pid", pid, func(r record) {
		environ := strings.Join(r.get("environ").([]string), "\n")
		if strings.Contains(environ, "canary-value") || !strings.Contains(environ, "MY_TOKEN=[redacted 12]") {
			t.Error(environ)
		}
	})
}

func TestProcessThatEndsWhileItIsReadIsGoneAndNotAnError(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := child(exe, "wait")
	pid := start(t, cmd)
	list, err := readTable(environment("/"))
	if err != nil {
		t.Fatal(err)
	}
	p := list.byPID[int(pid)]

	cmd.Process.Kill()
	cmd.Wait()

	for _, field := range []string{"path", "cmdline", "cwd", "environ", "fd_targets", "maps_rwx", "cgroup", "login_uid", "exe_size"} {
		if _, err := (record{t, processSubject, p}).try(field); !isGone(err) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// BenchmarkProcessTable reads all free and cheap fields of all processes of this machine.
func BenchmarkProcessTable(b *testing.B) {
	env := environment("/")
	start := cpuTime(b)
	for b.Loop() {
		list, err := readTable(env)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range list.list {
			for i, cost := range processSubject.Costs {
				if cost != collect.Costly {
					processSubject.Get(p, i)
				}
			}
			p.release()
		}
		b.ReportMetric(float64(len(list.list)), "processes")
	}
	b.ReportMetric((cpuTime(b)-start).Seconds()*1000/float64(b.N), "cpu-ms/op")
}

// cpuTime is what this process has used so far, in user and system mode.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestProcessesOfTheVisitAreNoRecords(t *testing.T) {
	program, _ := copyOfSelf(t)
	pid := start(t, child(program, "wait"))
	env := environment("/")
	env.OwnPID, env.OwnPath = int(pid), program

	collectAll(t, env, "process", func(r record) {
		if got := r.get("pid"); got == pid {
			t.Errorf("the probe's own process %v is a record", got)
		}
	})
}
