package system

import (
	"path"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/launch"
	"sandfly/probes/internal/collect/packages/store"
	"sandfly/probes/internal/procfs"
)

// program is what /proc/PID/exe links to; its path is "" for a process without program.
type program struct {
	path    string
	deleted bool
	memfd   bool
}

// programStat is the state of the program's file; nil when it cannot be reached any more.
type programStat = content.Stat

func (p *process) program() (program, error) {
	return read(p, &p.exe, func() (program, error) {
		if !p.hasMemory() {
			return program{}, nil
		}
		target, err := p.fs.ReadLink(p.dir, "exe")
		if procfs.IsAbsent(err) && p.isAlive() {
			// The process is about to end and has given its memory back.
			return program{}, nil
		}
		if err != nil {
			return program{}, err
		}
		return p.parseProgram(target), nil
	})
}

func (p *process) parseProgram(target string) program {
	name, deleted := procfs.TrimDeleted(target)
	found := program{path: name, deleted: deleted, memfd: strings.HasPrefix(name, "/memfd:")}
	if !deleted || found.memfd || !p.fs.IsLive() {
		return found
	}
	running, err := content.StatPath(p.env, p.exePath())
	if err == nil && isSameFile(p.env, running, target) {
		// The file's real name ends in the kernel's mark.
		return program{path: target}
	}
	return found
}

// programFile is the state of the program's file, also when it has no name any more; nil for none.
func (p *process) programFile() (*programStat, error) {
	return read(p, &p.exeStat, func() (*programStat, error) {
		if exe, err := p.program(); err != nil || exe.path == "" {
			return nil, err
		}
		st, err := content.StatPath(p.env, p.exePath())
		if procfs.IsAbsent(err) && !p.fs.IsLive() {
			return nil, nil
		}
		return st, err
	})
}

// exePath opens the program itself, whatever now lies at its path.
func (p *process) exePath() string { return "/proc/" + p.dir + "/exe" }

// isSameFile says whether the path leads to the file that runs.
func isSameFile(env *collect.Env, running *programStat, name string) bool {
	st, err := content.StatPath(env, name)
	return err == nil && st.Inode == running.Inode && st.Dev == running.Dev
}

// onDisk says whether the path still leads to the program that runs: on the host, or in the process's own file tree
// when it lives in a container.
func (p *process) onDisk() (any, error) {
	exe, err := p.program()
	if err != nil || exe.path == "" {
		return nil, err
	}
	if exe.deleted || exe.memfd {
		return false, nil
	}
	if !p.fs.IsLive() {
		_, err := content.StatPath(p.env, exe.path)
		return err == nil, nil
	}
	running, err := p.programFile()
	if err != nil || running == nil {
		return nil, err
	}
	return isSameFile(p.env, running, exe.path) || isSameFile(p.env, running, "/proc/"+p.dir+"/root"+exe.path), nil
}

// isReplaced says whether another file took the path of the deleted program, as package updates do.
func (p *process) isReplaced() (any, error) {
	exe, err := p.program()
	if err != nil || exe.path == "" {
		return nil, err
	}
	if !exe.deleted || exe.memfd {
		return false, nil
	}
	for _, prefix := range []string{"", "/proc/" + p.dir + "/root"} {
		if st, err := content.Lstat(p.env, prefix+exe.path); err == nil && st.IsRegular() {
			return true, nil
		}
	}
	return false, nil
}

// packageOwned says whether the program's path belongs to a package of the host. A path in another file tree says
// nothing about the host's packages.
func (p *process) packageOwned() (any, error) {
	exe, err := p.program()
	if err != nil || exe.path == "" || exe.memfd {
		return nil, err
	}
	if inside, err := inContainer(p); err != nil || inside == true {
		return nil, err
	}
	if p.fs.IsLive() && !exe.deleted {
		running, err := p.programFile()
		if err != nil || running == nil || !isSameFile(p.env, running, exe.path) {
			return nil, err
		}
	}
	return store.OwnedField(p.env, exe.path)
}

// programKey tells program files apart, so that fifty workers of one server are read once.
type programKey struct {
	dev, inode  uint64
	size, ctime int64
}

// programContent is what was read of one program file.
type programContent struct {
	digests content.Digested
	magic   lazy[string]
	entropy lazy[float64]
}

// content is what is known of the program file's content; nil when there is no program.
func (p *process) content() (*programContent, error) {
	st, err := p.programFile()
	if err != nil || st == nil {
		return nil, err
	}
	key := programKey{st.Dev, st.Inode, st.Size, st.Ctime}
	held := p.programs[key]
	if held == nil {
		held = &programContent{}
		p.programs[key] = held
	}
	return held, nil
}

// ofContent reads a fact of the program's content; absent when there is no program.
func ofContent[T any](p *process, which func(*programContent) *lazy[T], from func(*content.File) (T, error)) (any, error) {
	held, err := p.content()
	if err != nil || held == nil {
		return nil, err
	}
	v, err := which(held).get(func() (v T, err error) {
		file, err := content.Open(p.env, p.exePath())
		if err != nil {
			return v, err
		}
		defer file.Close()
		return from(file)
	})
	if err != nil {
		// Kept errors would hit other processes of the same file, though this one may just have ended.
		*which(held) = lazy[T]{}
		return nil, p.explain(err)
	}
	return v, nil
}

// programDigest is a digest of the program's content; absent when there is no program.
func programDigest(p *process, name string) (any, error) {
	held, err := p.content()
	if err != nil || held == nil {
		return nil, err
	}
	digest, err := held.digests.Get(name, p.hashes, func() (*content.File, error) { return content.Open(p.env, p.exePath()) })
	if err != nil {
		return nil, p.explain(err)
	}
	return digest, nil
}

func (p *process) entropy() (any, error) {
	return ofContent(p, func(c *programContent) *lazy[float64] { return &c.entropy },
		func(f *content.File) (float64, error) { return f.Entropy(content.MaxEntropyBytes) })
}

func (p *process) magic() (any, error) {
	return ofContent(p, func(c *programContent) *lazy[string] { return &c.magic }, (*content.File).Magic)
}

func (p *process) interpreterName() (any, error) {
	exe, err := p.program()
	if err != nil {
		return nil, err
	}
	name, _, _ := launch.Interpreter(exe.path)
	return text(name), nil
}

// scriptPath is the file of the script an interpreter runs, "" when it runs none. The path is the process's own view.
func (p *process) scriptPath() (string, error) {
	return read(p, &p.script, func() (string, error) {
		exe, err := p.program()
		name, valued, inline := launch.Interpreter(exe.path)
		if err != nil || name == "" {
			return "", err
		}
		argv, err := p.arguments()
		if err != nil {
			return "", err
		}
		script := launch.Argument(argv, valued, inline)
		if script == "" {
			return "", nil
		}
		if !path.IsAbs(script) {
			dir, err := p.directory(cwdLink)
			if err != nil || dir == "" {
				return "", err
			}
			script = path.Join(dir, script)
		}
		return p.existing(path.Clean(script))
	})
}

// existing returns the path when a regular file is there in the process's view, else "".
func (p *process) existing(name string) (string, error) {
	prefixes := []string{""}
	if p.fs.IsLive() {
		prefixes = []string{"/proc/" + p.dir + "/root", ""}
	}
	var denied error
	for _, prefix := range prefixes {
		st, err := content.StatPath(p.env, prefix+name)
		if err == nil && st.IsRegular() {
			return name, nil
		}
		if procfs.IsDenied(err) {
			denied = err
		}
	}
	return "", denied
}

// Links to directories that a process has.
const (
	cwdLink = iota
	rootLink
)

// directory is the target of the process's cwd or root link; "" for a process without memory.
func (p *process) directory(which int) (string, error) {
	return read(p, &p.dirs[which], func() (string, error) {
		if !p.hasMemory() {
			return "", nil
		}
		return p.fs.ReadLink(p.dir, [...]string{"cwd", "root"}[which])
	})
}
