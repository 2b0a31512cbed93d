// Package rpm reads the databases of installed packages that rpm keeps: headers (rpm, docs/manual/format_header.md)
// in SQLite, in its own ndb, or in Berkeley DB hash files.
package rpm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect/packages/db"
)

// Tags of a header, from include/rpm/rpmtag.h.
const (
	tagDSAHeader   = 267
	tagRSAHeader   = 268
	tagOpenPGP     = 278
	tagName        = 1000
	tagVersion     = 1001
	tagRelease     = 1002
	tagEpoch       = 1003
	tagBuildTime   = 1006
	tagInstallTime = 1008
	tagSize        = 1009
	tagVendor      = 1011
	tagPackager    = 1015
	tagGroup       = 1016
	tagArch        = 1022
	tagPreIn       = 1023
	tagPostIn      = 1024
	tagPreUn       = 1025
	tagPostUn      = 1026
	tagOldNames    = 1027
	tagSizes       = 1028
	tagStates      = 1029
	tagModes       = 1030
	tagDigests     = 1035
	tagTargets     = 1036
	tagFlags       = 1037
	tagUsers       = 1039
	tagGroups      = 1040
	tagSourceRPM   = 1044
	tagVerifyFlags = 1045
	tagRequires    = 1049
	tagTriggers    = 1065
	tagVerify      = 1079
	tagDirIndexes  = 1116
	tagBaseNames   = 1117
	tagDirNames    = 1118
	tagPreTrans    = 1151
	tagPostTrans   = 1152
	tagLongSizes   = 5008
	tagLongSize    = 5009
	tagDigestAlgo  = 5011
)

// Types of an entry, and how wide one value is; texts have no width of their own.
const (
	typeInt16  = 3
	typeInt32  = 4
	typeInt64  = 5
	typeString = 6
	typeList   = 8
	typeI18n   = 9
)

var widths = map[uint32]int{1: 1, 2: 1, typeInt16: 2, typeInt32: 4, typeInt64: 8, 7: 1}

// Bounds of one header.
const (
	maxEntries = 1 << 16
	maxFiles   = 500_000
)

// Header is one package: entries by tag over one block of data.
type Header struct {
	entries map[uint32]entry
	data    []byte
}

type entry struct{ kind, offset, count uint32 }

// Parse reads a header as the databases hold it: number of entries and bytes, the entries, the data. The blob is kept.
func Parse(blob []byte) (*Header, error) {
	if len(blob) < 8 {
		return nil, fmt.Errorf("rpm header: %w", db.ErrMalformed)
	}
	count, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if count > maxEntries || uint64(len(blob)) < 8+16*uint64(count)+uint64(size) {
		return nil, fmt.Errorf("rpm header: %w", db.ErrMalformed)
	}
	index := blob[8 : 8+16*count]
	h := &Header{entries: make(map[uint32]entry, count), data: blob[8+16*count:][:size]}
	for ; len(index) > 0; index = index[16:] {
		// What was added after the package was built stands behind the rest and counts.
		h.entries[binary.BigEndian.Uint32(index)] = entry{
			binary.BigEndian.Uint32(index[4:]), binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:]),
		}
	}
	return h, nil
}

// numbers gives the values of a tag as a reader by place; n is how many whole values there are.
func (h *Header) numbers(tag uint32) (at func(i int) int64, n int) {
	e, ok := h.entries[tag]
	width := widths[e.kind]
	if !ok || width == 0 || uint64(e.offset) > uint64(len(h.data)) {
		return nil, 0
	}
	data := h.data[e.offset:]
	n = int(min(uint64(e.count), uint64(len(data)/width)))
	switch e.kind {
	case typeInt16:
		at = func(i int) int64 { return int64(binary.BigEndian.Uint16(data[2*i:])) }
	case typeInt32:
		at = func(i int) int64 { return int64(binary.BigEndian.Uint32(data[4*i:])) }
	case typeInt64:
		at = func(i int) int64 { return int64(min(binary.BigEndian.Uint64(data[8*i:]), math.MaxInt64)) }
	default:
		at = func(i int) int64 { return int64(data[i]) }
	}
	return at, n
}

// number is the first value of a tag, db.Unknown when it has none.
func (h *Header) number(tag uint32) int64 {
	at, n := h.numbers(tag)
	if n == 0 {
		return db.Unknown
	}
	return at(0)
}

// texts reads the strings of a tag one after the other.
type texts struct {
	data []byte
	left uint32
}

func (h *Header) texts(tag uint32) *texts {
	e, ok := h.entries[tag]
	if !ok || e.kind != typeString && e.kind != typeList && e.kind != typeI18n || uint64(e.offset) > uint64(len(h.data)) {
		return &texts{}
	}
	return &texts{h.data[e.offset:], e.count}
}

// next gives the next string; false at the end and where the data is cut off.
func (t *texts) next() (string, bool) {
	end := bytes.IndexByte(t.data, 0)
	if t.left == 0 || end < 0 {
		return "", false
	}
	s := string(t.data[:end])
	t.data, t.left = t.data[end+1:], t.left-1
	return s, true
}

func (h *Header) text(tag uint32) string {
	s, _ := h.texts(tag).next()
	return s
}

func (h *Header) has(tag uint32) bool {
	_, ok := h.entries[tag]
	return ok
}

// Package gives the facts of the package; the name is "" when the header has none.
func (h *Header) Package() db.Package {
	p := db.Package{
		Source: db.RPM, Status: "installed", Name: h.text(tagName), Version: h.text(tagVersion), Arch: h.text(tagArch),
		Vendor: h.text(tagVendor), Maintainer: h.text(tagPackager), Section: h.text(tagGroup),
		Origin: h.text(tagSourceRPM), InstallTime: h.number(tagInstallTime), BuildTime: h.number(tagBuildTime),
		Size: h.number(tagSize), Signed: h.has(tagRSAHeader) || h.has(tagDSAHeader) || h.has(tagOpenPGP),
	}
	if release := h.text(tagRelease); release != "" {
		p.Version += "-" + release
	}
	if epoch := h.number(tagEpoch); epoch > 0 {
		p.Version = strconv.FormatInt(epoch, 10) + ":" + p.Version
	}
	if long := h.number(tagLongSize); long >= 0 {
		p.Size = long
	}
	_, n := h.numbers(tagRequires - 1) // REQUIREFLAGS, one for each name
	p.Dependencies = int64(n)
	for _, s := range []struct {
		tag  uint32
		name string
	}{
		{tagPreTrans, "pretrans"}, {tagPreIn, "pre"}, {tagPostIn, "post"}, {tagPreUn, "preun"}, {tagPostUn, "postun"},
		{tagPostTrans, "posttrans"}, {tagTriggers, "trigger"}, {tagVerify, "verify"},
	} {
		if h.has(s.tag) {
			p.Scripts = append(p.Scripts, s.name)
		}
	}
	return p
}

// Bits of FILEFLAGS, FILEVERIFYFLAGS and values of FILESTATES (include/rpm/rpmfiles.h, rpmvf.h).
const (
	flagConfig    = 1
	flagDocs      = 2
	flagMissingOK = 8
	flagGhost     = 64
	flagLicense   = 128
	verifyDigest  = 1
	verifyMode    = 64
	verifyUser    = 8
	stateNormal   = 0
)

// algorithms are numbers of RFC 4880 that packages use.
var algorithms = map[int64]string{1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}

// Files calls use with every file of the package; directories are left out. It stops at the error of use.
func (h *Header) Files(use func(*db.File) error) error {
	names := h.names()
	r := h.fileReader()
	for i := range maxFiles {
		name, ok := names()
		if !ok {
			return nil
		}
		f := r.file(i, name)
		if f.Type == db.Directory {
			continue
		}
		if err := use(f); err != nil {
			return err
		}
	}
	return nil
}

// names gives the paths one by one: base names with the numbers of their directories, or whole ones as rpm 3 had them.
func (h *Header) names() func() (string, bool) {
	if h.has(tagOldNames) && !h.has(tagBaseNames) {
		return h.texts(tagOldNames).next
	}
	var dirs []string
	for all := h.texts(tagDirNames); len(dirs) < maxFiles; {
		dir, ok := all.next()
		if !ok {
			break
		}
		dirs = append(dirs, dir)
	}
	bases := h.texts(tagBaseNames)
	index, n := h.numbers(tagDirIndexes)
	i := -1
	return func() (string, bool) {
		base, ok := bases.next()
		if i++; !ok || i >= n || index(i) >= int64(len(dirs)) {
			return "", false
		}
		return dirs[index(i)] + base, true
	}
}

// fileReader walks the parallel lists of a header's files.
type fileReader struct {
	algorithm                           string
	modes, flags, verify, states, sizes func(i int) int64
	digests, targets, users, groups     *texts
}

func (h *Header) fileReader() *fileReader {
	optional := func(tag uint32) func(int) int64 {
		at, n := h.numbers(tag)
		return func(i int) int64 {
			if i >= n {
				return db.Unknown
			}
			return at(i)
		}
	}
	r := &fileReader{
		algorithm: "md5", modes: optional(tagModes), flags: optional(tagFlags), verify: optional(tagVerifyFlags),
		states: optional(tagStates), sizes: optional(tagSizes), digests: h.texts(tagDigests),
		targets: h.texts(tagTargets), users: h.texts(tagUsers), groups: h.texts(tagGroups),
	}
	if h.has(tagLongSizes) {
		r.sizes = optional(tagLongSizes)
	}
	if number := h.number(tagDigestAlgo); number != db.Unknown {
		r.algorithm = algorithms[number]
	}
	return r
}

// file gives file i; the lists of texts go forward, so every i has to be asked for in turn.
func (r *fileReader) file(i int, name string) *db.File {
	f := &db.File{Path: path.Join("/", name), Size: db.Unknown, Mode: db.Unknown}
	digest, _ := r.digests.next()
	f.Target, _ = r.targets.next()
	f.User, _ = r.users.next()
	f.Group, _ = r.groups.next()
	if mode := r.modes(i); mode != db.Unknown {
		f.Type, f.Mode = fileType(mode), mode&0o7777
	}
	flags, verify := max(0, r.flags(i)), r.verify(i)
	f.Config, f.Docs = flags&flagConfig != 0, flags&(flagDocs|flagLicense) != 0
	f.Ghost, f.Optional = flags&flagGhost != 0, flags&flagMissingOK != 0
	state := r.states(i)
	f.Absent = state != db.Unknown && state != stateNormal
	if f.Type == db.Regular && !f.Ghost {
		f.Size = r.sizes(i)
		f.NoVerify = verify != db.Unknown && verify&verifyDigest == 0
		if sum, err := hex.DecodeString(digest); err == nil && len(sum) >= 16 && r.algorithm != "" {
			f.Digest, f.Algorithm = strings.ToLower(digest), r.algorithm
		}
	}
	if f.Ghost || f.Type == db.Symlink || verify != db.Unknown && verify&verifyMode == 0 {
		f.Mode = db.Unknown
	}
	if f.Ghost || verify != db.Unknown && verify&verifyUser == 0 {
		f.User, f.Group = "", ""
	}
	return f
}

// fileType reads the type bits of st_mode, which are the same on every Linux.
func fileType(mode int64) string {
	switch mode & 0o170000 {
	case 0o100000:
		return db.Regular
	case 0o040000:
		return db.Directory
	case 0o120000:
		return db.Symlink
	case 0:
		return ""
	}
	return db.Other
}
