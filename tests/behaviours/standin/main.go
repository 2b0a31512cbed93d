// Command standin plays the processes of the behaviour tests: it takes another name, opens what it is told to open and
// then sleeps. It does no harm: it reads and sends nothing, connects to nothing but its own host, and ends with it.
//
// Called as `standin launch` it reads a JSON list of parts on stdin and starts each as a child of the first process.
// A started copy finds its part in the variable STANDIN, so that its arguments may be anything. Called as `standin veil`
// it hides names from one program (veil.go).
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Part is one process. Without Do the program at Exe runs as it is (a shell, a copy of sleep).
type Part struct {
	Exe      string   `json:"exe"`
	Argv     []string `json:"argv"`
	Env      []string `json:"env"`
	Do       []string `json:"do"`
	UID      uint32   `json:"uid"`
	GID      uint32   `json:"gid"`
	Cwd      string   `json:"cwd"`
	Ready    string   `json:"ready"`
	Copied   bool     `json:"copied"`
	Children []Part   `json:"children"`
}

func main() {
	runtime.LockOSThread() // names, tracing and users belong to a thread
	if os.Getenv("STANDIN_BEHIND_VEIL") != "" {
		behindVeil()
	}
	if len(os.Args) > 1 && os.Args[1] == "veil" && os.Getenv("STANDIN") == "" {
		veil(os.Args[2:])
	}
	if text, ok := os.LookupEnv("STANDIN"); ok {
		var part Part
		check(json.Unmarshal([]byte(text), &part))
		play(part)
		return
	}
	var parts []Part
	check(json.NewDecoder(os.Stdin).Decode(&parts))
	for _, part := range parts {
		check(lay(part))
	}
	for _, part := range parts {
		check(start(part, nil))
	}
	for _, part := range parts {
		if part.Copied {
			check(wait(part.Ready))
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func wait(path string) error {
	for range 1000 {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s did not come", path)
}

// start runs a part in a session of its own. A part that is a copy of this program gets its script in STANDIN.
func start(part Part, files []*os.File) error {
	env := append([]string{"PATH=/usr/bin:/bin"}, part.Env...)
	if part.Copied {
		text, err := json.Marshal(part)
		if err != nil {
			return err
		}
		env = append(env, "STANDIN="+string(text))
	}
	if files == nil {
		null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		files = []*os.File{null, null, null}
	}
	attributes := &syscall.SysProcAttr{Setsid: true}
	if part.UID != 0 && os.Getuid() == 0 {
		attributes.Credential = &syscall.Credential{Uid: part.UID, Gid: part.GID}
	}
	_, err := os.StartProcess(part.Exe, part.Argv, &os.ProcAttr{Dir: part.Cwd, Env: env, Files: files, Sys: attributes})
	if err != nil {
		return fmt.Errorf("%s: %w", part.Exe, err)
	}
	return nil
}

// lay puts a copy of this program at the place of each part that is one.
func lay(part Part) error {
	if part.Copied {
		if err := copySelf(part.Exe); err != nil {
			return err
		}
	}
	for _, child := range part.Children {
		if err := lay(child); err != nil {
			return err
		}
	}
	return nil
}

// copySelf lays this program at path; one that is there already (a SUID copy made beforehand) stays.
func copySelf(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer to.Close()
	_, err = io.Copy(to, from)
	return err
}

var held []any // keeps what is open from being closed by the garbage collector

func play(part Part) {
	// Opened first: a step may change the root directory.
	ready, err := os.OpenFile(part.Ready, os.O_WRONLY|os.O_CREATE, 0o600)
	check(err)
	for index, step := range part.Do {
		verb, what, _ := strings.Cut(step, " ")
		if verb == "memfd" {
			part.Do = part.Do[index+1:]
			check(runFromMemory(what, part))
		}
		check(act(verb, what, part))
	}
	for _, child := range part.Children {
		check(start(child, nil))
		if child.Copied {
			check(wait(child.Ready))
		}
	}
	_, err = fmt.Fprintln(ready, os.Getpid())
	check(err)
	check(ready.Close())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}

func act(verb, what string, part Part) error {
	switch verb {
	case "name":
		return setName(what)
	case "unlink":
		return os.Remove(what)
	case "listen":
		return listen(what)
	case "dial":
		return dial(what)
	case "serve":
		return serve(what)
	case "shell":
		return shell(what, part)
	case "packet":
		return socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0x0300)
	case "raw":
		return socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	case "open":
		file, err := os.Open(what)
		held = append(held, file)
		return err
	case "map":
		return mapFile(what)
	case "trace":
		return trace(what)
	case "chroot":
		return syscall.Chroot(what)
	case "bpf":
		return loadFilter()
	case "rwx":
		memory, err := syscall.Mmap(-1, 0, 4096, 7, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		held = append(held, memory)
		return err
	case "root":
		return syscall.Setresuid(int(part.UID), 0, 0)
	}
	return fmt.Errorf("unknown step %q", verb)
}

func setName(name string) error {
	bytes := append([]byte(name), 0)
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_NAME, uintptr(unsafe.Pointer(&bytes[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func listen(what string) error {
	network, address, _ := strings.Cut(what, " ")
	if strings.HasPrefix(network, "udp") {
		connection, err := net.ListenPacket(network, address)
		held = append(held, connection)
		return err
	}
	listener, err := net.Listen(network, address)
	held = append(held, listener)
	return err
}

// serve is listen that also takes connections in and keeps them.
func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			held = append(held, connection)
		}
	}()
	return nil
}

func dial(address string) error {
	connection, err := connect(address)
	held = append(held, connection)
	return err
}

// connect waits for the other side, which may be started at the same time.
func connect(address string) (net.Conn, error) {
	for range 300 {
		if connection, err := net.Dial("tcp", address); err == nil {
			return connection, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("nobody listens on %s", address)
}

// shell starts `program argv…` with a connection to address as its input and output: "ADDRESS PROGRAM ARGV…".
func shell(what string, part Part) error {
	words := strings.Fields(what)
	connection, err := connect(words[0])
	if err != nil {
		return err
	}
	file, err := connection.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(int(file.Fd()), false); err != nil {
		return err
	}
	connection.Close()
	defer file.Close() // only the shell holds it
	return start(Part{Exe: words[1], Argv: words[2:], Env: part.Env, UID: part.UID, GID: part.GID}, []*os.File{file, file, file})
}

func socket(family, kind, protocol int) error {
	_, err := syscall.Socket(family, kind, protocol)
	return err
}

func mapFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	memory, err := syscall.Mmap(int(file.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE)
	held = append(held, memory)
	return err
}

// trace starts a program and stays its tracer; it runs on.
func trace(what string) error {
	words := strings.Fields(what)
	attributes := &syscall.SysProcAttr{Ptrace: true}
	process, err := os.StartProcess(words[0], words[1:], &os.ProcAttr{Files: []*os.File{nil, nil, nil}, Sys: attributes})
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(process.Pid, &status, 0, nil); err != nil {
		return err
	}
	return syscall.PtraceCont(process.Pid, 0)
}

// runFromMemory runs this program again from a memory file, with the rest of its part. It only returns an error.
func runFromMemory(name string, part Part) error {
	number := map[string]uintptr{"amd64": 319, "arm64": 279, "riscv64": 279, "386": 356, "ppc64le": 360, "s390x": 350}[runtime.GOARCH]
	bytes := append([]byte(name), 0)
	descriptor, _, errno := syscall.Syscall(number, uintptr(unsafe.Pointer(&bytes[0])), 1, 0)
	if errno != 0 {
		return errno
	}
	content, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if _, err := syscall.Write(int(descriptor), content); err != nil {
		return err
	}
	text, err := json.Marshal(part)
	if err != nil {
		return err
	}
	env := append([]string{"PATH=/usr/bin:/bin", "STANDIN=" + string(text)}, part.Env...)
	return syscall.Exec(fmt.Sprintf("/proc/self/fd/%d", descriptor), part.Argv, env)
}

// loadFilter loads a BPF program that lets everything through, and attaches it to nothing.
func loadFilter() error {
	number := map[string]uintptr{"amd64": 321, "arm64": 280, "riscv64": 280, "386": 357, "ppc64le": 361, "s390x": 351}[runtime.GOARCH]
	program := [...]uint64{0x00000000000000b7, 0x0000000000000095} // r0 = 0; exit
	license := []byte("GPL\x00")
	attributes := struct {
		kind, count           uint32
		instructions, licence uint64
		level, size           uint32
		log                   uint64
		version, flags        uint32
		name                  [16]byte
	}{kind: 1, count: 2, instructions: uint64(uintptr(unsafe.Pointer(&program[0]))), licence: uint64(uintptr(unsafe.Pointer(&license[0])))}
	_, _, errno := syscall.Syscall(number, 5, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	runtime.KeepAlive(program)
	runtime.KeepAlive(license)
	if errno != 0 {
		return errno
	}
	return nil
}
