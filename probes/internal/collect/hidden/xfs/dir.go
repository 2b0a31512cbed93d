package xfs

import (
	"fmt"
)

// Magic numbers of directory blocks: XD2B and XDB3 for a directory of one block, whose end holds an index, XD2D and XDD3 for
// blocks of larger ones.
const (
	singleV4, dataV4     = 0x58443242, 0x58443244
	singleV5, dataV5     = 0x58444233, 0x58444433
	headerV4, headerV5   = 16, 64
	dirSumAt, dirOwnerAt = 4, 40
	unusedTag            = 0xffff
	// leafBytes is where the index of a directory begins in its address space: what lies before are names.
	leafBytes = 32 << 30
)

// longDir reads the blocks that hold names. A directory block can be made of several file system blocks, which need not
// lie together.
func (fs *FS) longDir(n *inode) ([]Entry, error) {
	extents, err := fs.extentsOf(n)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	assembled := make([]byte, 0, fs.blockBytes<<fs.dirBlockLog)
	total := 0
	for _, e := range extents {
		for i := range e.length {
			if e.offset+i >= leafBytes>>fs.blockLog {
				return entries, nil
			}
			if total += int(fs.blockBytes); total > MaxDirBytes {
				return nil, broken("more blocks than its size has")
			}
			b, err := fs.block(e.start + i)
			if err != nil {
				return nil, err
			}
			if assembled = append(assembled, b...); len(assembled) < cap(assembled) {
				continue
			}
			found, err := fs.parseBlock(assembled, n.number)
			if err != nil {
				return nil, fmt.Errorf("block %d: %w", e.start+i, err)
			}
			entries, assembled = append(entries, found...), assembled[:0]
		}
	}
	return entries, nil
}

// parseBlock reads one directory block: a header, then names in use and unused room, each a multiple of eight bytes.
func (fs *FS) parseBlock(b []byte, owner uint64) ([]Entry, error) {
	magic, header := o.Uint32(b), headerV4
	isSingle := magic == singleV4
	if fs.hasChecksums {
		header, isSingle = headerV5, magic == singleV5
		if magic != singleV5 && magic != dataV5 || o.Uint64(b[dirOwnerAt:]) != owner || !checksumFits(b, dirSumAt) {
			return nil, broken("magic, owner or checksum of a directory block")
		}
	} else if magic != singleV4 && magic != dataV4 {
		return nil, broken("magic of a directory block")
	}
	end := len(b)
	if isSingle { // the index: eight bytes for each name, then their number and that of stale ones
		count := int64(o.Uint32(b[end-8:]))
		if count > int64(end-header-8)/8 {
			return nil, broken("index of a directory block")
		}
		end -= 8 + int(count)*8
	}
	return parseNames(b[header:end], fs.hasTypes)
}

// parseNames reads struct xfs_dir2_data_entry: inode u64, length u8, name, type u8 where there are types, own offset u16;
// and xfs_dir2_data_unused: 0xffff, length u16.
func parseNames(b []byte, hasTypes bool) (found []Entry, err error) {
	for len(b) > 0 {
		size := 0
		switch {
		case len(b) < 8:
			return nil, broken("rest of %d bytes", len(b))
		case o.Uint16(b) == unusedTag:
			size = int(o.Uint16(b[2:]))
		case len(b) < 16:
			return nil, broken("rest of %d bytes", len(b))
		default:
			length := int(b[8])
			size = 8 + 1 + length + 2
			if hasTypes {
				size++
			}
			size = (size + 7) &^ 7
			if length == 0 || size > len(b) {
				return nil, broken("a name of %d bytes", length)
			}
			found = addEntry(found, string(b[9:9+length]), o.Uint64(b))
		}
		if size < 8 || size%8 != 0 || size > len(b) {
			return nil, broken("an entry of %d bytes", size)
		}
		b = b[size:]
	}
	return found, nil
}

// parseShort reads a directory that lies in its inode: number of names, number of those with wide inodes, parent, then
// length u8, hint u16, name, type u8 where there are types, inode.
func parseShort(b []byte, size uint64, hasTypes bool) (found []Entry, err error) {
	if size > uint64(len(b)) || size < 6 {
		return nil, broken("%d bytes in an inode", size)
	}
	b = b[:size]
	count, wide := int(b[0]), 4
	if b[1] != 0 {
		wide = 8
	}
	b = b[2:]
	if len(b) < wide {
		return nil, broken("no parent")
	}
	b = b[wide:]
	for range count {
		if len(b) < 3 {
			return nil, broken("fewer names than it has")
		}
		length := int(b[0])
		at := 3 + length
		if hasTypes {
			at++
		}
		if length == 0 || len(b) < at+wide {
			return nil, broken("a name of %d bytes", length)
		}
		number := uint64(0)
		if wide == 8 {
			number = o.Uint64(b[at:])
		} else {
			number = uint64(o.Uint32(b[at:]))
		}
		found = addEntry(found, string(b[3:3+length]), number)
		b = b[at+wide:]
	}
	return found, nil
}

func addEntry(found []Entry, name string, inode uint64) []Entry {
	if name == "." || name == ".." {
		return found
	}
	return append(found, Entry{name, inode})
}
