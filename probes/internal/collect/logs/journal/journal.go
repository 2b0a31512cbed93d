// Package journal reads systemd's journal files (https://systemd.io/JOURNAL_FILE_FORMAT): header, entry arrays,
// entries and their data, plain and compressed by LZ4 or Zstandard. It takes no lock and follows no more than the file
// has room for, so a file that is being written, or was made to mislead, gives less and never hangs.
package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/logs/unpack"
)

// ErrMalformed tells a file that is no journal, or one that contradicts itself.
var ErrMalformed = errors.New("malformed journal")

// Bounds of one reading.
const (
	maxArrays  = 100_000 // entry arrays in a chain
	maxItems   = 1024    // fields of one entry
	maxData    = 64 << 10
	maxKept    = 8192 // data objects that are remembered: hosts, units and programs come again and again
	maxUnpack  = 256 << 10
	objectHead = 16
)

// Types of objects and bits of flags.
const (
	typeData       = 1
	typeEntry      = 3
	typeArray      = 6
	flagXZ         = 1
	flagLZ4        = 2
	flagZstd       = 4
	compactBit     = 16
	knownBits      = 31
	sealedBit      = 1
	minHeaderBytes = 208
)

// Header is what a journal says of itself. Times are microseconds since the epoch.
type Header struct {
	State     string // offline, online or archived
	IsSealed  bool
	IsCompact bool
	Entries   uint64
	HeadTime  uint64
	TailTime  uint64
	HeadSeq   uint64
	TailSeq   uint64
	Size      uint64 // of header and arena
}

// File is an open journal.
type File struct {
	Header
	pages *pages
	size  int64
	first uint64 // offset of the first entry array
	kept  map[uint64]datum
	wants func(field string) bool
}

// datum is one NAME=value. unread: it is compressed in a way that is not read.
type datum struct {
	name   string
	value  string
	isCut  bool
	unread bool
	wanted bool
}

// Open reads the header. wants tells the fields that Each is to give. Errors: ErrMalformed, that of the file.
func Open(r io.ReaderAt, size int64, wants func(field string) bool) (*File, error) {
	f := &File{pages: newPages(r, size), size: size, kept: map[uint64]datum{}, wants: wants}
	b, err := f.pages.read(0, minHeaderBytes)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	incompatible := le.Uint32(b[12:])
	if string(b[:8]) != "LPKSHHRH" || incompatible&^knownBits != 0 {
		return nil, fmt.Errorf("header: %w", ErrMalformed)
	}
	f.Header = Header{
		State: "offline", IsSealed: le.Uint32(b[8:])&sealedBit != 0, IsCompact: incompatible&compactBit != 0,
		Entries: le.Uint64(b[152:]), HeadSeq: le.Uint64(b[168:]), TailSeq: le.Uint64(b[160:]),
		HeadTime: le.Uint64(b[184:]), TailTime: le.Uint64(b[192:]), Size: le.Uint64(b[88:]) + le.Uint64(b[96:]),
	}
	if state := b[16]; int(state) < len(states) {
		f.State = states[state]
	}
	f.first = le.Uint64(b[176:])
	return f, nil
}

var states = [...]string{"offline", "online", "archived"}

// Entry is one entry; Time is in microseconds since the epoch.
type Entry struct {
	Offset uint64
	Seq    uint64
	Time   uint64
	items  []byte
}

// Since calls use with the entries not older than a time, oldest first, until use returns an error, which it gives
// back. What is broken is passed over; ErrMalformed then says so at the end.
func (f *File) Since(us uint64, use func(*Entry) error) error {
	var broken error
	for array, n := f.first, 0; array != 0; n++ {
		next, items, err := f.array(array)
		if err != nil {
			return err
		}
		if n > maxArrays || next != 0 && next <= array {
			return fmt.Errorf("entry arrays: %w", ErrMalformed)
		}
		if err := f.entries(items, us, use); errors.Is(err, ErrMalformed) {
			broken = err
		} else if err != nil {
			return err
		}
		array = next
	}
	return broken
}

// array reads an entry array: the next one and the offsets of its entries.
func (f *File) array(at uint64) (next uint64, items []uint64, err error) {
	size, err := f.object(at, typeArray)
	if err != nil {
		return 0, nil, err
	}
	const head = objectHead + 8
	width := 8
	if f.IsCompact {
		width = 4
	}
	if size < head || size > 16<<20 {
		return 0, nil, fmt.Errorf("entry array: %w", ErrMalformed)
	}
	b, err := f.pages.read(at+objectHead, int(size)-objectHead)
	if err != nil {
		return 0, nil, err
	}
	next = binary.LittleEndian.Uint64(b)
	for b = b[8:]; len(b) >= width; b = b[width:] {
		offset := uint64(binary.LittleEndian.Uint32(b))
		if width == 8 {
			offset = binary.LittleEndian.Uint64(b)
		}
		if offset == 0 {
			break
		}
		items = append(items, offset)
	}
	return next, items, nil
}

// entries uses those of an array that are new enough. Its last entry says whether there are any; the rest is looked at
// one by one, since times may go backwards.
func (f *File) entries(items []uint64, us uint64, use func(*Entry) error) error {
	if len(items) == 0 {
		return nil
	}
	if last, err := f.entry(items[len(items)-1]); err == nil && last.Time < us {
		return nil
	}
	var broken error
	for _, at := range items {
		e, err := f.entry(at)
		if errors.Is(err, ErrMalformed) {
			broken = err
			continue
		}
		if err == nil && e.Time >= us {
			err = use(e)
		}
		if err != nil {
			return err
		}
	}
	return broken
}

func (f *File) entry(at uint64) (*Entry, error) {
	size, err := f.object(at, typeEntry)
	if err != nil {
		return nil, err
	}
	const head = 64
	if size < head {
		return nil, fmt.Errorf("entry: %w", ErrMalformed)
	}
	b, err := f.pages.read(at, int(min(size, head+16*maxItems)))
	if err != nil {
		return nil, err
	}
	return &Entry{
		Offset: at, Seq: binary.LittleEndian.Uint64(b[16:]), Time: binary.LittleEndian.Uint64(b[24:]), items: bytes.Clone(b[head:]),
	}, nil
}

// object checks that an object of a type lies at an offset and gives its size.
func (f *File) object(at uint64, typ byte) (uint64, error) {
	if at < minHeaderBytes || at%8 != 0 || at > uint64(f.size) {
		return 0, fmt.Errorf("object at %d: %w", at, ErrMalformed)
	}
	b, err := f.pages.read(at, objectHead)
	if err != nil {
		return 0, err
	}
	size := binary.LittleEndian.Uint64(b[8:])
	if b[0] != typ || size < objectHead || size > uint64(f.size)-at {
		return 0, fmt.Errorf("object at %d: %w", at, ErrMalformed)
	}
	return size, nil
}

// Each gives the wanted fields of an entry in their order. unread is set when a field could not be read because of how
// it is compressed: it may have been a wanted one.
func (f *File) Each(e *Entry, use func(name, value string, isCut bool)) (unread bool, err error) {
	width := 16
	if f.IsCompact {
		width = 4
	}
	for b := e.items; len(b) >= width; b = b[width:] {
		at := uint64(binary.LittleEndian.Uint32(b))
		if !f.IsCompact {
			at = binary.LittleEndian.Uint64(b)
		}
		d, ok := f.kept[at]
		if !ok {
			if d, err = f.datum(at); err != nil {
				return unread, err
			}
			if len(f.kept) >= maxKept {
				clear(f.kept)
			}
			f.kept[at] = d
		}
		unread = unread || d.unread
		if d.wanted {
			use(d.name, d.value, d.isCut)
		}
	}
	return unread, nil
}

// datum reads a data object.
func (f *File) datum(at uint64) (datum, error) {
	size, err := f.object(at, typeData)
	if err != nil {
		return datum{}, err
	}
	head := 64
	if f.IsCompact {
		head = 72
	}
	if size < uint64(head) {
		return datum{}, fmt.Errorf("data: %w", ErrMalformed)
	}
	whole := int(min(size, uint64(head+maxData)))
	b, err := f.pages.read(at, whole)
	if err != nil {
		return datum{}, err
	}
	flags, isCut := b[1], uint64(whole) < size
	payload, err := plain(b[head:], flags, isCut)
	if errors.Is(err, collect.ErrLimit) {
		return datum{unread: true}, nil
	}
	if err != nil {
		return datum{}, err
	}
	name, value, ok := bytes.Cut(payload, []byte{'='})
	if !ok || len(name) > 64 || !f.wants(string(name)) {
		return datum{}, nil
	}
	return datum{string(name), string(value[:min(len(value), maxData)]), isCut || len(value) > maxData, false, true}, nil
}

// plain decompresses a payload. collect.ErrLimit tells one that is not read.
func plain(b []byte, flags byte, isCut bool) ([]byte, error) {
	var out []byte
	var err error
	switch {
	case flags&(flagXZ|flagLZ4|flagZstd) == 0:
		return b, nil
	case isCut, flags&flagXZ != 0:
		return nil, collect.ErrLimit
	case flags&flagLZ4 != 0:
		if len(b) < 8 || binary.LittleEndian.Uint64(b) > maxUnpack {
			return nil, collect.ErrLimit
		}
		out, err = unpack.LZ4(b[8:], int(binary.LittleEndian.Uint64(b)), maxUnpack)
	default:
		out, err = unpack.Zstd(b, maxUnpack)
	}
	if errors.Is(err, unpack.ErrMalformed) {
		return nil, fmt.Errorf("data: %w", ErrMalformed)
	}
	return out, err
}
