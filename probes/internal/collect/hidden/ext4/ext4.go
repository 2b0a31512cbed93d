// Package ext4 reads directories of ext2, ext3 and ext4 straight from the blocks of a device, past everything that
// stands between the file system and a reader. It is pure: it reads through an io.ReaderAt and never writes.
package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of what is read for one directory.
const (
	MaxDirBytes = 8 << 20
	maxDepth    = 5 // of an extent tree, as the kernel allows
	maxExtents  = 4096
)

// ErrFormat is wrapped when the bytes are no such file system, or use something that this reader does not know.
var ErrFormat = errors.New("not readable as ext4")

// FS is a file system on a device.
type FS struct {
	device     io.ReaderAt
	blockBytes int64
	inodeBytes int64
	groupBytes int64 // of a group descriptor
	inodes     uint32
	perGroup   uint32
	firstBlock int64
}

// Entry is one name in a directory.
type Entry struct {
	Name  string
	Inode uint32
}

// Features and flags of the format, see Documentation/filesystems/ext4.
const (
	superblockAt    = 1024
	magic           = 0xef53
	incompatMetaBG  = 0x10
	incompat64Bit   = 0x80
	flagEncrypted   = 0x800
	flagExtents     = 0x80000
	flagInline      = 0x10000000
	extentMagic     = 0xf30a
	directBlocks    = 12
	typeDirectory   = 0x4000
	smallestInode   = 128
	largestInode    = 4096
	smallestGroup   = 32
	largestGroup    = 1024
	largestLogBlock = 6 // 64 KiB
)

// Open reads the superblock.
func Open(device io.ReaderAt) (*FS, error) {
	b := make([]byte, 1024)
	if _, err := device.ReadAt(b, superblockAt); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	o := binary.LittleEndian
	if o.Uint16(b[0x38:]) != magic {
		return nil, fmt.Errorf("superblock: %w: wrong magic", ErrFormat)
	}
	logBlock, features := o.Uint32(b[0x18:]), o.Uint32(b[0x60:])
	if logBlock > largestLogBlock || features&incompatMetaBG != 0 {
		return nil, fmt.Errorf("superblock: %w: block size or block groups", ErrFormat)
	}
	fs := &FS{device: device, blockBytes: 1024 << logBlock, inodeBytes: int64(o.Uint16(b[0x58:])), groupBytes: smallestGroup,
		inodes: o.Uint32(b[0x0:]), perGroup: o.Uint32(b[0x28:]), firstBlock: int64(o.Uint32(b[0x14:]))}
	if o.Uint32(b[0x4c:]) == 0 { // revision 0 has inodes of one size
		fs.inodeBytes = smallestInode
	}
	if features&incompat64Bit != 0 {
		fs.groupBytes = int64(o.Uint16(b[0xfe:]))
	}
	if fs.inodeBytes < smallestInode || fs.inodeBytes > largestInode || fs.perGroup == 0 ||
		fs.groupBytes < smallestGroup || fs.groupBytes > largestGroup {
		return nil, fmt.Errorf("superblock: %w: sizes", ErrFormat)
	}
	return fs, nil
}

// inode reads the raw bytes of an inode.
func (fs *FS) inode(number uint64) ([]byte, error) {
	if number == 0 || number > uint64(fs.inodes) {
		return nil, fmt.Errorf("inode %d: %w: out of range", number, ErrFormat)
	}
	index := uint32(number - 1)
	descriptor := make([]byte, fs.groupBytes)
	at := (fs.firstBlock+1)*fs.blockBytes + int64(index/fs.perGroup)*fs.groupBytes
	if _, err := fs.device.ReadAt(descriptor, at); err != nil {
		return nil, fmt.Errorf("group of inode %d: %w", number, err)
	}
	table := int64(binary.LittleEndian.Uint32(descriptor[8:]))
	if fs.groupBytes >= 64 {
		table |= int64(binary.LittleEndian.Uint32(descriptor[40:])) << 32
	}
	raw := make([]byte, smallestInode)
	at, err := fs.offset(table)
	if err != nil {
		return nil, err
	}
	if _, err := fs.device.ReadAt(raw, at+int64(index%fs.perGroup)*fs.inodeBytes); err != nil {
		return nil, fmt.Errorf("inode %d: %w", number, err)
	}
	return raw, nil
}

// offset is where a block lies on the device.
func (fs *FS) offset(block int64) (int64, error) {
	if block < 0 || block > (1<<62)/fs.blockBytes {
		return 0, fmt.Errorf("block %d: %w: out of range", block, ErrFormat)
	}
	return block * fs.blockBytes, nil
}

// ReadDir gives the names in use of the directory with that inode number, without "." and "..". Blocks of a hash tree
// look like unused entries to it, as they are meant to.
func (fs *FS) ReadDir(number uint64) ([]Entry, error) {
	raw, err := fs.inode(number)
	if err != nil {
		return nil, err
	}
	o := binary.LittleEndian
	flags, size := o.Uint32(raw[0x20:]), int64(o.Uint32(raw[4:]))
	switch {
	case o.Uint16(raw)&0xf000 != typeDirectory:
		return nil, fmt.Errorf("inode %d: %w: no directory", number, ErrFormat)
	case flags&(flagEncrypted|flagInline) != 0:
		return nil, fmt.Errorf("inode %d: %w: names are encrypted or inline", number, ErrFormat)
	case size > MaxDirBytes || size == 0:
		return nil, fmt.Errorf("inode %d: %w: directory of %d bytes", number, ErrFormat, size)
	}
	blocks := &blockList{fs: fs, most: int(size/fs.blockBytes) + 1}
	if flags&flagExtents != 0 {
		err = blocks.extents(raw[0x28:0x28+60], maxDepth)
	} else {
		err = blocks.mapped(raw[0x28 : 0x28+60])
	}
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", number, err)
	}
	return fs.entries(blocks.found)
}

func (fs *FS) entries(blocks []int64) ([]Entry, error) {
	var all []Entry
	b := make([]byte, fs.blockBytes)
	for _, block := range blocks {
		at, err := fs.offset(block)
		if err != nil {
			return nil, err
		}
		if _, err := fs.device.ReadAt(b, at); err != nil {
			return nil, fmt.Errorf("block %d: %w", block, err)
		}
		all = append(all, parseBlock(b)...)
	}
	return all, nil
}

// parseBlock reads struct ext4_dir_entry_2: inode u32, length u16, name length u8, type u8, name. A broken length ends
// the block.
func parseBlock(b []byte) []Entry {
	const header = 8
	var found []Entry
	for len(b) >= header {
		inode, length, nameBytes := binary.LittleEndian.Uint32(b), int(binary.LittleEndian.Uint16(b[4:])), int(b[6])
		if length == 0 || length == 0xffff { // how 64 KiB blocks write a length of the whole block
			length = len(b)
		}
		if length < header || length > len(b) || header+nameBytes > length {
			return found
		}
		name := string(b[header : header+nameBytes])
		if inode != 0 && name != "" && name != "." && name != ".." {
			found = append(found, Entry{name, inode})
		}
		b = b[length:]
	}
	return found
}

// blockList gathers the blocks of a directory, at most as many as its size asks for.
type blockList struct {
	fs    *FS
	most  int
	steps int
	found []int64
}

var errTooMany = fmt.Errorf("%w: more blocks than its size has", ErrFormat)

func (l *blockList) add(block int64) error {
	if block == 0 { // a hole
		return nil
	}
	if len(l.found) >= l.most {
		return errTooMany
	}
	l.found = append(l.found, block)
	return nil
}

// extents walks a node of an extent tree: a header of 12 bytes and entries of 12 bytes.
func (l *blockList) extents(node []byte, depth int) error {
	o := binary.LittleEndian
	const header, entry = 12, 12
	if len(node) < header || o.Uint16(node) != extentMagic {
		return fmt.Errorf("extents: %w: wrong magic", ErrFormat)
	}
	count, level := int(o.Uint16(node[2:])), int(o.Uint16(node[6:]))
	if count > (len(node)-header)/entry || level > depth {
		return fmt.Errorf("extents: %w: too many or too deep", ErrFormat)
	}
	for i := range count {
		if l.steps++; l.steps > maxExtents {
			return errTooMany
		}
		e := node[header+entry*i:]
		if level > 0 {
			if err := l.child(int64(o.Uint32(e[4:]))|int64(o.Uint16(e[8:]))<<32, level-1); err != nil {
				return err
			}
			continue
		}
		length, start := int64(o.Uint16(e[4:])), int64(o.Uint32(e[8:]))|int64(o.Uint16(e[6:]))<<32
		if length > 1<<15 { // reserved, not written
			continue
		}
		for j := range length {
			if err := l.add(start + j); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *blockList) child(block int64, depth int) error {
	b, err := l.read(block)
	if err != nil {
		return err
	}
	return l.extents(b, depth)
}

func (l *blockList) read(block int64) ([]byte, error) {
	at, err := l.fs.offset(block)
	if err != nil {
		return nil, err
	}
	b := make([]byte, l.fs.blockBytes)
	if _, err := l.fs.device.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("block %d: %w", block, err)
	}
	return b, nil
}

// mapped reads the block map of ext2 and ext3: twelve blocks, then one block of block numbers. Directories that need
// more than that are larger than MaxDirBytes.
func (l *blockList) mapped(numbers []byte) error {
	for i := range directBlocks {
		if err := l.add(int64(binary.LittleEndian.Uint32(numbers[4*i:]))); err != nil {
			return err
		}
	}
	indirect := int64(binary.LittleEndian.Uint32(numbers[4*directBlocks:]))
	if indirect == 0 || len(l.found) >= l.most {
		return nil
	}
	b, err := l.read(indirect)
	if err != nil {
		return err
	}
	for i := range len(b) / 4 {
		if err := l.add(int64(binary.LittleEndian.Uint32(b[4*i:]))); err != nil {
			return err
		}
	}
	return nil
}
