package xfs

import (
	"cmp"

	"sandfly/probes/internal/seq"
)

// Bounds of a map of extents.
const (
	maxExtents = 1 << 16
	maxLevels  = 6 // 4 KiB blocks hold 251 pointers: six levels are more than any file has
)

// Magic numbers of the blocks of an extent tree, BMAP and BMA3, and the sizes of their headers.
const (
	treeMagicV4, treeHeaderV4 = 0x424d4150, 24
	treeMagicV5, treeHeaderV5 = 0x424d4133, 72
	treeOwnerAt, treeSumAt    = 56, 64
	extentBytes               = 16
)

// extent says where a run of blocks of a file lies on the device.
type extent struct{ offset, start, length uint64 }

// parseExtent takes apart 128 bits: 1 for not written, 54 of offset, 52 of start, 21 of length.
func parseExtent(b []byte) extent {
	high, low := o.Uint64(b), o.Uint64(b[8:])
	return extent{offset: high << 1 >> 10, start: (high&0x1ff)<<43 | low>>21, length: low & (1<<21 - 1)}
}

// extentsOf gives the extents of a file in the order of their offsets.
func (fs *FS) extentsOf(n *inode) ([]extent, error) {
	var found []extent
	var err error
	switch n.format {
	case formatExtents:
		if n.extents > uint64(len(n.fork)/extentBytes) {
			return nil, broken("%d extents in an inode", n.extents)
		}
		found = parseExtents(n.fork, int(n.extents))
	case formatTree:
		found, err = fs.tree(n)
	default:
		err = broken("format %d", n.format)
	}
	seq.SortFunc(found, func(a, b extent) int { return cmp.Compare(a.offset, b.offset) })
	return found, err
}

func parseExtents(b []byte, count int) (found []extent) {
	for i := range min(count, len(b)/extentBytes) {
		found = append(found, parseExtent(b[i*extentBytes:]))
	}
	return found
}

// tree reads the root in the inode: level and number of records, keys of 8 bytes, pointers of 8 bytes.
func (fs *FS) tree(n *inode) ([]extent, error) {
	level, count := int(o.Uint16(n.fork)), int(o.Uint16(n.fork[2:]))
	pointers, err := pointersOf(n.fork[4:], count)
	if err != nil || level == 0 || level > maxLevels {
		return nil, broken("root of the extent tree: level %d, %d records", level, count)
	}
	w := &treeWalk{fs: fs, owner: n.number}
	for _, pointer := range pointers {
		if err := w.visit(pointer, level-1); err != nil {
			return nil, err
		}
	}
	return w.found, nil
}

// pointersOf are those behind the keys, for which there is as much room as for them.
func pointersOf(b []byte, count int) (pointers []uint64, err error) {
	room := len(b) / 16
	if count > room {
		return nil, broken("%d records in a block of an extent tree", count)
	}
	for i := range count {
		pointers = append(pointers, o.Uint64(b[8*(room+i):]))
	}
	return pointers, nil
}

// treeWalk gathers the extents of a tree.
type treeWalk struct {
	fs    *FS
	owner uint64
	steps int
	found []extent
}

func (w *treeWalk) visit(block uint64, level int) error {
	if w.steps++; w.steps > maxExtents {
		return broken("an extent tree without end")
	}
	b, err := w.fs.block(block)
	if err != nil {
		return err
	}
	magic, header := uint32(treeMagicV4), treeHeaderV4
	if w.fs.hasChecksums {
		magic, header = treeMagicV5, treeHeaderV5
	}
	count := int(o.Uint16(b[6:]))
	if o.Uint32(b) != magic || int(o.Uint16(b[4:])) != level {
		return broken("block %d belongs to no extent tree, or to another level", block)
	}
	if w.fs.hasChecksums && (o.Uint64(b[treeOwnerAt:]) != w.owner || !checksumFits(b, treeSumAt)) {
		return broken("block %d: owner or checksum", block)
	}
	if level == 0 {
		if count > (len(b)-header)/extentBytes || len(w.found)+count > maxExtents {
			return broken("%d extents in a block", count)
		}
		w.found = append(w.found, parseExtents(b[header:], count)...)
		return nil
	}
	pointers, err := pointersOf(b[header:], count)
	if err != nil {
		return err
	}
	for _, pointer := range pointers {
		if err := w.visit(pointer, level-1); err != nil {
			return err
		}
	}
	return nil
}
