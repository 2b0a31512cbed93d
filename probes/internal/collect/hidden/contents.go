package hidden

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/accounts"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/procfs"
)

// compared are the files that are read in every way: those whose lines an intruder adds and would like to take out of
// what is read.
var compared = []string{
	"/etc/crontab", "/etc/group", "/etc/hosts", "/etc/ld.so.preload", "/etc/modules", "/etc/pam.d/common-auth",
	"/etc/pam.d/sshd", "/etc/pam.d/system-auth", "/etc/passwd", "/etc/profile", "/etc/rc.local", "/etc/shadow",
	"/etc/ssh/sshd_config", "/etc/sudoers", "/root/.bash_profile", "/root/.bashrc", "/root/.profile",
	"/root/.ssh/authorized_keys",
}

const (
	maxCompared = 1 << 20 // bytes of one file
	maxHomes    = 200     // whose authorized_keys are compared
)

// errMoved says that a file changed while it was looked at.
var errMoved = errors.New("changed while it was read")

// compareContent finds files that give another content when read than when mapped, or another length than stat tells.
func compareContent(v *visit) ([]*finding, error) {
	paths := append([]string{}, compared...)
	for i, u := range accounts.Load(v.env).Users {
		if i < maxHomes && u.Home != "/" && u.Home != "/root" && v.isPlain(u.Home) {
			paths = append(paths, u.Home+"/.ssh/authorized_keys")
		}
	}
	odd, unread, err := v.bent(paths)
	if err != nil {
		return nil, err
	}
	again, err := persists(v, keys(odd), func(paths []string) ([]string, error) {
		odd, _, err = v.bent(paths)
		return keys(odd), err
	})
	var found []*finding
	for _, p := range again {
		found = append(found, odd[p])
	}
	return found, errors.Join(err, unread)
}

// notRead is what an error of one file means for the method: nothing when there is no such file or it changes all the
// time, that it does not fit where rights or the bound forbid, and else that something could not be looked at.
func notRead(err error) error {
	switch {
	case content.IsAbsent(err), errors.Is(err, content.ErrNotRegular), errors.Is(err, errMoved):
		return nil
	case procfs.IsDenied(err), errors.Is(err, collect.ErrLimit):
		return unavailable(err.Error())
	}
	return err
}

func keys(findings map[string]*finding) []string {
	var paths []string
	for p := range findings {
		paths = append(paths, p)
	}
	return paths
}

// bent are the paths whose ways of reading disagree; unread says of one that could not be read, the worst that was met.
func (v *visit) bent(paths []string) (odd map[string]*finding, unread, err error) {
	odd = map[string]*finding{}
	for _, p := range paths {
		if err := v.pause(); err != nil {
			return nil, nil, err
		}
		s, why, err := v.readBothWays(p)
		if err = notRead(err); err != nil && (unread == nil || errors.Is(unread, errUnavailable)) {
			unread = err
		}
		if why != "" {
			odd[p] = &finding{kind: "file_content", path: p, detail: why, sizes: s, seenBy: []string{"stat"},
				missingFrom: []string{"read"}}
		}
	}
	return odd, unread, nil
}

// readBothWays reads and maps a file; why is "" when all agree. What cannot be opened, is too large or changes meanwhile
// is an error.
func (v *visit) readBothWays(p string) (s *sizes, why string, err error) {
	file, err := content.Open(v.env, p)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	before, err := content.StatFD(file.FD())
	if err != nil {
		return nil, "", err
	}
	read, err := file.All(maxCompared)
	if err != nil {
		return nil, "", err
	}
	s = &sizes{stat: before.Size, read: int64(len(read))}
	same, isMapped, err := mappedAs(file.FD(), before.Size, read)
	if err != nil {
		return nil, "", err
	}
	if isMapped {
		s.mapped = &same
	}
	after, err := content.StatFD(file.FD())
	if err != nil {
		return nil, "", err
	}
	if after.Size != before.Size || after.Mtime != before.Mtime || after.Ctime != before.Ctime {
		return nil, "", errMoved
	}
	return s, s.disagreement(), nil
}

func (s *sizes) disagreement() string {
	switch {
	case s.read != s.stat:
		return fmt.Sprintf("reading gives %d bytes, stat says %d", s.read, s.stat)
	case s.mapped != nil && *s.mapped != s.read:
		return fmt.Sprintf("mapped content differs from what is read at byte %d", *s.mapped)
	}
	return ""
}

// mappedAs maps size bytes of a file and says how many at the beginning are as they were read. A file that is cut
// short meanwhile makes the processor fault at the missing page, which is errMoved here.
func mappedAs(fd int, size int64, read []byte) (same int64, isMapped bool, err error) {
	if size == 0 || size > maxCompared {
		return 0, false, nil
	}
	memory, err := syscall.Mmap(fd, 0, int(size), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil { // file systems need not be able to
		return 0, false, nil
	}
	defer func() { err = errors.Join(err, syscall.Munmap(memory)) }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %w", errMoved, collect.ErrGone)
		}
	}()
	return samePrefix(memory, read), true, nil
}

// samePrefix is how many bytes at the beginning are the same.
func samePrefix(a, b []byte) int64 {
	if bytes.Equal(a, b) {
		return int64(len(a))
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return int64(n)
}
