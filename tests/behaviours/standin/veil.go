package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// A rootkit in the kernel takes names out of what getdents64(2) gives. The veil does the same to one program and
// nobody else: every call of that program is handed to this one (seccomp_unotify(2)), which answers it without them.
//
//	standin veil PATH… -- PROGRAM ARGV…

const (
	getPIDFD           = 434 // pidfd_open(2), the same number everywhere
	getFD              = 438 // pidfd_getfd(2)
	setModeFilter      = 1
	flagNewListener    = 8
	notifyReceive      = 0xc0502100
	notifySend         = 0xc0182101
	returnNotification = 0x7fc00000
	returnAllow        = 0x7fff0000
)

var seccompNumber = map[string]uintptr{"amd64": 317, "arm64": 277, "riscv64": 277, "386": 354, "ppc64le": 358, "s390x": 348}[runtime.GOARCH]

type notification struct {
	id          uint64
	pid, flags  uint32
	number      int32
	arch        uint32
	instruction uint64
	arguments   [6]uint64
}

type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// veil starts the program and answers its questions until it ends, with its exit code.
func veil(words []string) {
	split := 0
	for split < len(words) && words[split] != "--" {
		split++
	}
	fromChild, toParent, err := os.Pipe()
	check(err)
	fromParent, toChild, err := os.Pipe()
	check(err)
	env := append(os.Environ(), "STANDIN_BEHIND_VEIL=1")
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr, toParent, fromParent}
	child, err := os.StartProcess("/proc/self/exe", words[split+1:], &os.ProcAttr{Env: env, Files: files})
	check(err)
	toParent.Close()
	var number [16]byte
	n, err := fromChild.Read(number[:])
	check(err)
	listener, err := strconv.Atoi(strings.TrimSpace(string(number[:n])))
	check(err)
	descriptor, err := take(child.Pid, listener)
	check(err)
	_, err = toChild.Write([]byte("go\n"))
	check(err)
	go answerAll(descriptor, words[:split])
	state, err := child.Wait()
	check(err)
	os.Exit(state.ExitCode())
}

// behindVeil gives this thread the filter and becomes the program.
func behindVeil() {
	type instruction struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	filter := []instruction{
		{0x20, 0, 0, 0}, // the number of the call
		{0x15, 0, 1, uint32(syscall.SYS_GETDENTS64)},
		{0x06, 0, 0, returnNotification},
		{0x06, 0, 0, returnAllow},
	}
	program := struct {
		length uint16
		filter *instruction
	}{uint16(len(filter)), &filter[0]}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, 38, 1, 0, 0, 0, 0) // PR_SET_NO_NEW_PRIVS
	if errno != 0 {
		check(errno)
	}
	listener, _, errno := syscall.RawSyscall(seccompNumber, setModeFilter, flagNewListener, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		check(errno)
	}
	_, err := os.NewFile(3, "parent").WriteString(strconv.Itoa(int(listener)) + "\n")
	check(err)
	var reply [8]byte
	_, err = os.NewFile(4, "parent").Read(reply[:])
	check(err)
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	env := []string{}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "STANDIN_") {
			env = append(env, variable)
		}
	}
	check(syscall.Exec(os.Args[0], os.Args, env))
}

// take gives a descriptor of another process.
func take(pid, descriptor int) (int, error) {
	process, _, errno := syscall.Syscall(getPIDFD, uintptr(pid), 0, 0)
	if errno != 0 {
		return -1, fmt.Errorf("pidfd_open: %w", errno)
	}
	defer syscall.Close(int(process))
	taken, _, errno := syscall.Syscall(getFD, process, uintptr(descriptor), 0)
	if errno != 0 {
		return -1, fmt.Errorf("pidfd_getfd: %w", errno)
	}
	return int(taken), nil
}

func answerAll(listener int, hidden []string) {
	for {
		var asked notification
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(listener), notifyReceive, uintptr(unsafe.Pointer(&asked)))
		if errno == syscall.EINTR || errno == syscall.ENOENT {
			continue
		}
		if errno != 0 {
			return // the program has ended
		}
		reply := answer{id: asked.id}
		length, err := list(asked, hidden)
		if err != nil {
			reply.errno = -int32(syscall.EIO)
		}
		reply.value = int64(length)
		syscall.Syscall(syscall.SYS_IOCTL, uintptr(listener), notifySend, uintptr(unsafe.Pointer(&reply)))
	}
}

// list makes the call for the program, leaves names out, and lays the rest into its memory.
func list(asked notification, hidden []string) (int, error) {
	// The thread's number will do: pidfd_open wants that of a group, which status has.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", asked.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nTgid:")
	text, _, _ := strings.Cut(rest, "\n")
	group, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, err
	}
	directory, err := take(group, int(int32(asked.arguments[0])))
	if err != nil {
		return 0, err
	}
	defer syscall.Close(directory)
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", directory))
	if err != nil {
		return 0, err
	}
	buffer := make([]byte, asked.arguments[2])
	for {
		length, err := syscall.ReadDirent(directory, buffer)
		if err != nil || length == 0 {
			return length, err
		}
		kept := without(buffer[:length], path, hidden)
		if len(kept) == 0 {
			continue
		}
		memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", group), os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		_, err = memory.WriteAt(kept, int64(asked.arguments[1]))
		memory.Close()
		return len(kept), err
	}
}

// without leaves the hidden entries of a directory out of a buffer of linux_dirent64.
func without(entries []byte, directory string, hidden []string) []byte {
	var kept []byte
	for len(entries) > 0 {
		length := binary.NativeEndian.Uint16(entries[16:])
		name, _, _ := strings.Cut(string(entries[19:length]), "\x00")
		isHidden := false
		for _, path := range hidden {
			isHidden = isHidden || path == filepath.Join(directory, name)
		}
		if !isHidden {
			kept = append(kept, entries[:length]...)
		}
		entries = entries[length:]
	}
	return kept
}
