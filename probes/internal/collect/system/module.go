package system

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/store"
	"sandfly/probes/internal/procfs"
)

var moduleSubject = collect.NewSubject("kernel_module",
	"A loaded kernel module, as /proc/modules or /sys/module shows it.",
	[]string{"name"},
	[]string{"name", "taint", "in_proc_modules", "in_sys_module", "path"},
	slices.Concat(moduleFacts, content.DigestFields("file_", "its file as it lies there, packed or not; absent without a file",
		"the module's file", moduleDigest)))

// modules is what the records of one visit share.
type modules struct {
	env      *collect.Env
	fs       procfs.FS
	noList   bool // the kernel shows no /proc/modules
	files    lazy[map[string]string]
	builtins lazy[map[string]string]
	wanted   []string // digests that the plan may ask for
}

// module is one loaded module; listed is nil when /proc/modules does not have it.
type module struct {
	*modules
	name   string
	listed *procfs.Module
	inSys  bool
	hashes content.Digested
}

func moduleCollector() collect.Collector {
	return collect.Collector{Name: "kernel_module", Subjects: []*collect.Subject{moduleSubject}, Run: runModules}
}

func runModules(ctx context.Context, env *collect.Env, want map[string]collect.Want, emit collect.Emit,
	status *collect.Status) error {
	found, err := readModules(env)
	if err != nil {
		status.Fail("kernel_module", err)
		return nil
	}
	for _, m := range found {
		m.wanted = content.WantedDigests(want["kernel_module"].Fields, "file_")
		if err := errors.Join(ctx.Err(), env.Throttle.Pause()); err != nil {
			return err
		}
		if err := emit("kernel_module", m); err != nil {
			return err
		}
	}
	return nil
}

// readModules joins both lists. A module that comes or goes between the two reads stands in one of them only, as a
// hidden one does; so what they disagree about is looked at once more.
func readModules(env *collect.Env) ([]*module, error) {
	shared := &modules{env: env, fs: tree(env)}
	found, err := shared.read()
	if err != nil || !slices.ContainsFunc(found, (*module).isOneSided) || !shared.fs.IsLive() {
		return found, err
	}
	again, err := shared.read()
	if err != nil {
		return nil, err
	}
	// A disagreement counts when both looks have it; what only the second look has was loaded in between.
	oneSided := map[string]bool{}
	for _, m := range found {
		oneSided[m.name] = m.isOneSided()
	}
	return slices.DeleteFunc(again, func(m *module) bool { return m.isOneSided() && !oneSided[m.name] }), nil
}

func (m *module) isOneSided() bool { return (m.listed != nil) != m.inSys }

func (s *modules) read() ([]*module, error) {
	listed, err := s.fs.ReadModules()
	if s.noList = procfs.IsAbsent(err); err != nil && !s.noList {
		return nil, err
	}
	var found []*module
	byName := map[string]*module{}
	for i := range listed {
		m := &module{modules: s, name: listed[i].Name, listed: &listed[i]}
		byName[m.name] = m
		found = append(found, m)
	}
	names, err := s.fs.ReadNames("/sys/module")
	if err != nil && !procfs.IsAbsent(err) {
		return nil, err
	}
	for _, name := range names {
		// Code built into the kernel stands here too, but has no state.
		if !exists(s.env, "/sys/module/"+name+"/initstate") {
			continue
		}
		m := byName[name]
		if m == nil {
			m = &module{modules: s, name: name}
			found = append(found, m)
		}
		m.inSys = true
	}
	return found, nil
}

func exists(env *collect.Env, path string) bool {
	_, err := content.StatPath(env, path)
	return err == nil
}

// inList is unknown when the whole list is missing though modules are loaded.
func (m *module) inList() (any, error) {
	if m.noList {
		return nil, errors.New("there is no /proc/modules")
	}
	return m.listed != nil, nil
}

// ofListed makes a getter of what /proc/modules says; absent for modules it does not have.
func ofListed(get func(m *procfs.Module) any) func(m *module) (any, error) {
	return func(m *module) (any, error) {
		if m.listed == nil {
			return nil, nil
		}
		return get(m.listed), nil
	}
}

// attribute makes a getter of a file in the module's directory of /sys; absent when there is none.
func attribute(file string) func(m *module) (any, error) {
	return func(m *module) (any, error) {
		v, err := m.fs.ReadText("/sys/module/" + m.name + "/" + file)
		return absentOK(text(v), err)
	}
}

// taint is the letters why the module taints the kernel: from the list, else from /sys.
func (m *module) taint() (any, error) {
	if m.listed != nil {
		return m.listed.Taint, nil
	}
	letters, err := m.fs.ReadText("/sys/module/" + m.name + "/taint")
	return absentOK(letters, err)
}

// tainted makes a getter that says whether a letter is among them, see Documentation/admin-guide/tainted-kernels.rst.
func tainted(letter string) func(m *module) (any, error) {
	return func(m *module) (any, error) {
		v, err := m.taint()
		letters, known := v.(string)
		if err != nil || !known {
			return nil, err
		}
		return strings.Contains(letters, letter), nil
	}
}

func (m *module) size() (any, error) {
	if m.listed != nil {
		return m.listed.SizeBytes, nil
	}
	n, err := m.fs.ReadInt("/sys/module/" + m.name + "/coresize")
	return absentOK(n, err)
}

// holders are the modules that use this one, as /sys shows it.
func (m *module) holders() ([]string, error) {
	names, err := m.fs.ReadNames("/sys/module/" + m.name + "/holders")
	if procfs.IsAbsent(err) {
		return []string{}, nil
	}
	return names, err
}

func (m *module) usedBy() (any, error) {
	if m.listed != nil {
		return m.listed.UsedBy, nil
	}
	names, err := m.holders()
	return names, err
}

// directory is where the running kernel's modules are.
func (s *modules) directory() (string, error) {
	release, err := s.fs.ReadText("/proc/sys/kernel/osrelease")
	if err == nil && (release == "" || strings.Contains(release, "/")) {
		err = errors.New("the kernel has no usable release name")
	}
	return "/lib/modules/" + release, err
}

// maxIndexBytes bounds modules.dep: big distributions have about 1 MB.
const maxIndexBytes = 8 << 20

// index reads modules.dep or modules.builtin as name → path.
func (s *modules) index(file string) (map[string]string, error) {
	dir, err := s.directory()
	if err != nil {
		return nil, err
	}
	data, err := content.ReadFile(s.env, dir+"/"+file, maxIndexBytes)
	if err != nil {
		return nil, err
	}
	files := procfs.ModuleFiles(data)
	for name, path := range files {
		if !strings.HasPrefix(path, "/") {
			files[name] = dir + "/" + path
		}
	}
	return files, nil
}

// path is the module's file, "" when modules.dep does not have the module. Without modules.dep it is unknown.
func (m *module) path() (string, error) {
	files, err := m.files.get(func() (map[string]string, error) { return m.index("modules.dep") })
	return files[m.name], err
}

func modulePath(m *module) (any, error) {
	path, err := m.path()
	return text(path), err
}

func moduleFileExists(m *module) (any, error) {
	path, err := m.path()
	if err != nil {
		return nil, err
	}
	return path != "" && exists(m.env, path), nil
}

func (m *module) packageOwned() (any, error) {
	path, err := m.path()
	if err != nil {
		return nil, err
	}
	return store.OwnedField(m.env, path)
}

// kernelPackageOwned goes by a file that is built with the kernel; those that depmod makes belong to no package.
func (m *module) kernelPackageOwned() (any, error) {
	dir, err := m.directory()
	if err != nil {
		return nil, err
	}
	return store.OwnedField(m.env, dir+"/modules.builtin")
}

func moduleBuiltin(m *module) (any, error) {
	builtins, err := m.builtins.get(func() (map[string]string, error) { return m.index("modules.builtin") })
	if _, depErr := m.path(); content.IsAbsent(err) && depErr == nil {
		return nil, nil // kernels before 2.6.33 have no such list
	}
	if err != nil {
		return nil, err
	}
	_, found := builtins[m.name]
	return found, nil
}

// moduleDigest is a digest of the module's file as it lies there, packed or not; absent when there is none.
func moduleDigest(m *module, name string) (any, error) {
	path, err := m.path()
	if err != nil || path == "" {
		return nil, err
	}
	digest, err := m.hashes.Get(name, m.wanted, func() (*content.File, error) {
		file, err := content.Open(m.env, path)
		if content.IsAbsent(err) {
			return nil, nil
		}
		return file, err
	})
	return text(digest), err
}

// signatureMark ends a signed module file, see scripts/sign-file.c of Linux.
const signatureMark = "~Module signature appended~\n"

// isSigned says whether a signature is appended to the module's file; nothing checks it here. Absent when there is no
// file, or one packed in a way the standard library does not read.
func (m *module) isSigned() (any, error) {
	path, err := m.path()
	if err != nil || path == "" {
		return nil, err
	}
	packed := strings.HasSuffix(path, ".gz")
	if !packed && !strings.HasSuffix(path, ".ko") {
		return nil, nil
	}
	file, err := content.Open(m.env, path)
	if content.IsAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if packed {
		return unpackedEndsIn(file, signatureMark)
	}
	tail := make([]byte, len(signatureMark))
	if _, err := file.ReadAt(tail, max(0, file.Size()-int64(len(tail)))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return string(tail) == signatureMark, nil
}

// maxModuleBytes bounds how much of a packed module is unpacked; the largest drivers have about 20 MB.
const maxModuleBytes = 64 << 20

func unpackedEndsIn(file *content.File, mark string) (any, error) {
	unpacked, err := gzip.NewReader(io.NewSectionReader(file, 0, file.Size()))
	if err != nil {
		return nil, fmt.Errorf("module file: %w", err)
	}
	var tail tailWriter
	n, err := io.Copy(&tail, io.LimitReader(unpacked, maxModuleBytes))
	if err != nil {
		return nil, fmt.Errorf("module file: %w", err)
	}
	if n == maxModuleBytes {
		return nil, fmt.Errorf("module file: %w", collect.ErrLimit)
	}
	return bytes.HasSuffix(tail.last, []byte(mark)), nil
}

// tailWriter keeps the end of what is written to it.
type tailWriter struct{ last []byte }

func (w *tailWriter) Write(p []byte) (int, error) {
	w.last = append(w.last, p...)
	if extra := len(w.last) - len(signatureMark); extra > 0 {
		w.last = append(w.last[:0], w.last[extra:]...)
	}
	return len(p), nil
}
