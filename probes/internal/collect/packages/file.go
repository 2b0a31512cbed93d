package packages

import (
	"bytes"
	"crypto/sha1" // #nosec: the digest that apk keeps, not a protection
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/collect/packages/db"
	"sandfly/probes/internal/collect/packages/store"
)

// file is the record of the subject package_file: a path that a package brought, whether or not it is there.
type file struct {
	store.File
	v       *visit
	of      *store.Package
	blocked error // why nothing may be looked up

	looked bool
	st     *content.Stat
	stErr  error
	digest *string
}

// stat looks at the path itself, once; nil when nothing is there.
func (f *file) stat() (*content.Stat, error) {
	if !f.looked {
		f.looked = true
		if f.stErr = f.blocked; f.stErr == nil {
			f.st, f.stErr = content.Lstat(f.v.env, f.Path)
		}
		if content.IsAbsent(f.stErr) {
			f.st, f.stErr = nil, nil
		}
	}
	return f.st, f.stErr
}

// missing tells that the package manager put it there and it is gone. Documentation counts: rules leave it out.
func (f *file) missing() (any, error) {
	st, err := f.stat()
	if err != nil {
		return nil, err
	}
	return st == nil && !f.Ghost && !f.Optional && !f.Absent, nil
}

var typeNames = map[uint32]string{
	syscall.S_IFREG: db.Regular, syscall.S_IFDIR: db.Directory, syscall.S_IFLNK: db.Symlink, syscall.S_IFIFO: "fifo",
	syscall.S_IFSOCK: "socket", syscall.S_IFBLK: "block", syscall.S_IFCHR: "char",
}

func (f *file) typeDiffers() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || f.Type == "" || f.Type == db.Other || f.Ghost {
		return nil, err
	}
	return typeNames[st.Type()] != f.Type, nil
}

// sizeMatches is nil for what is no regular file; its digest could not be the same either, and costs more.
func (f *file) sizeMatches() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || f.Size == db.Unknown || !st.IsRegular() {
		return nil, err
	}
	return st.Size == f.Size, nil
}

func (f *file) modeMatches() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || f.Mode == db.Unknown || st.Type() == syscall.S_IFLNK {
		return nil, err
	}
	return int64(st.Mode&0o7777) == f.Mode, nil
}

// suidAdded tells SUID or SGID on disk that the database does not give; nil where it holds no modes.
func (f *file) suidAdded() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || f.Mode == db.Unknown || !st.IsRegular() {
		return nil, err
	}
	const bits = syscall.S_ISUID | syscall.S_ISGID
	return int64(st.Mode&bits)&^f.Mode != 0, nil
}

// owner is user:group by name, by number where passwd or group has no name.
func (f *file) owner() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil {
		return nil, err
	}
	user, err := f.v.accounts().UsernameField(st.UID)
	if err != nil {
		return nil, err
	}
	group, err := f.v.accounts().GroupnameField(st.GID)
	if err != nil {
		return nil, err
	}
	return named(user, st.UID) + ":" + named(group, st.GID), nil
}

func named(name any, id int64) string {
	if s, ok := name.(string); ok {
		return s
	}
	return strconv.FormatInt(id, 10)
}

func (f *file) ownerExpected() (any, error) {
	if f.User == "" && f.Group == "" {
		return nil, nil
	}
	a := f.v.accounts()
	user, group := f.User, f.Group
	if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
		name, err := a.UsernameField(uid)
		if err != nil {
			return nil, err
		}
		user = named(name, uid)
	}
	if gid, err := strconv.ParseInt(group, 10, 64); err == nil {
		name, err := a.GroupnameField(gid)
		if err != nil {
			return nil, err
		}
		group = named(name, gid)
	}
	return user + ":" + group, nil
}

func (f *file) ownerMatches() (any, error) {
	want, err := f.ownerExpected()
	if err != nil || want == nil {
		return nil, err
	}
	got, err := f.owner()
	if err != nil || got == nil {
		return nil, err
	}
	return got == want, nil
}

// installSlack is how much later than the package's own time the last file of a slow installation is written.
const installSlack = 15 * 60

// changedLater tells that the inode changed after the package was installed: by a write, a rename, or new rights. The
// kernel sets this time itself, so a program that was replaced cannot hide it by setting times back. A copied tree, as
// an image or a restored backup, has it everywhere.
func (f *file) changedLater() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil {
		return nil, err
	}
	at, err := f.of.InstalledAt()
	if err != nil {
		return nil, err
	}
	if at == db.Unknown {
		return true, nil // apk keeps no times: nothing says that it did not change
	}
	return st.Ctime > at+installSlack, nil
}

// actual is the digest of what is there, in the database's algorithm; "" for what has none.
func (f *file) actual() (string, error) {
	st, err := f.stat()
	if err != nil || st == nil || f.Digest == "" {
		return "", err
	}
	if f.digest != nil {
		return *f.digest, nil
	}
	sum := ""
	switch st.Type() {
	case syscall.S_IFREG:
		sum, err = f.contentDigest()
	case syscall.S_IFLNK:
		sum, err = f.linkDigest()
	}
	if err != nil {
		return "", err
	}
	f.digest = &sum
	return sum, nil
}

func (f *file) contentDigest() (string, error) {
	opened, err := content.Open(f.v.env, f.Path)
	if err != nil {
		return "", lookError(err)
	}
	defer opened.Close()
	switch f.Algorithm {
	case "md5", "sha1", "sha256":
		digests, err := opened.Digests(content.MaxHashBytes, f.Algorithm)
		return digests[f.Algorithm], err
	}
	return "", fmt.Errorf("digest %s: %w", f.Algorithm, errors.ErrUnsupported)
}

// linkDigest is that of the link's text, which apk keeps for links. The others have no digest for a link.
func (f *file) linkDigest() (string, error) {
	if f.of.Source != db.APK {
		return "", nil
	}
	target, err := content.Readlink(f.v.env, f.Path)
	if err != nil {
		return "", lookError(err)
	}
	switch f.Algorithm {
	case "sha1":
		sum := sha1.Sum([]byte(target)) // #nosec: as above
		return hex.EncodeToString(sum[:]), nil
	case "sha256":
		sum := sha256.Sum256([]byte(target))
		return hex.EncodeToString(sum[:]), nil
	}
	return "", nil
}

// digestMatches is nil where there is nothing to compare: no digest, nothing there, or a change that the packager
// or prelink(8) announced.
func (f *file) digestMatches() (any, error) {
	if f.Digest == "" || f.NoVerify || f.Absent {
		return nil, nil
	}
	sum, err := f.actual()
	if err != nil || sum == "" {
		return nil, err
	}
	if sum == f.Digest {
		return true, nil
	}
	prelinked, err := f.isPrelinked()
	if err != nil || prelinked {
		return nil, err
	}
	return false, nil
}

// isPrelinked tells a program that prelink(8) changed, on a host where that is installed: its last section names lie
// at the end of the file.
func (f *file) isPrelinked() (bool, error) {
	if !f.v.prelinked() {
		return false, nil
	}
	opened, err := content.Open(f.v.env, f.Path)
	if err != nil {
		return false, lookError(err)
	}
	defer opened.Close()
	tail := make([]byte, min(opened.Size(), content.MaxTextBytes))
	n, err := opened.ReadAt(tail, opened.Size()-int64(len(tail)))
	if n < len(tail) {
		return false, err
	}
	return bytes.Contains(tail, []byte(".gnu.prelink_undo")), nil
}

func (f *file) magic() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || !st.IsRegular() {
		return nil, err
	}
	opened, err := content.Open(f.v.env, f.Path)
	if err != nil {
		return nil, lookError(err)
	}
	defer opened.Close()
	class, err := opened.Magic()
	return text(class), err
}

func (f *file) linkTarget() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || st.Type() != syscall.S_IFLNK {
		return nil, err
	}
	target, err := content.Readlink(f.v.env, f.Path)
	return text(target), lookError(err)
}

// targetPath is where a link leads in the end; nil for what is none, and for a link that leads nowhere.
func (f *file) targetPath() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || st.Type() != syscall.S_IFLNK {
		return nil, err
	}
	to, err := content.Resolve(f.v.env, f.Path)
	if content.IsAbsent(err) {
		return nil, nil
	}
	return text(to), err
}

// immutable is the attribute of a regular file, nil where the file system has none.
func (f *file) immutable() (any, error) {
	st, err := f.stat()
	if err != nil || st == nil || !st.IsRegular() {
		return nil, err
	}
	if st.HasAttributes {
		return st.Immutable, nil
	}
	opened, err := content.Open(f.v.env, f.Path)
	if err != nil {
		return nil, lookError(err)
	}
	defer opened.Close()
	set, _, known, err := content.Flags(opened.FD())
	if err != nil || !known {
		return nil, err
	}
	return set, nil
}

// lookError drops the record of a file that vanishes or is exchanged while it is looked at.
func lookError(err error) error {
	if err != nil && (content.IsAbsent(err) || errors.Is(err, content.ErrNotRegular) || errors.Is(err, syscall.ESTALE)) {
		return collect.ErrGone
	}
	return err
}
