// Package xfs reads directories of XFS, versions 4 and 5, straight from the blocks of a device, past everything that stands
// between the file system and a reader. It is pure: it reads through an io.ReaderAt and never writes. The format is that of
// "XFS Algorithms & Data Structures", 3rd edition, and of fs/xfs/libxfs/xfs_format.h and xfs_da_format.h of Linux.
//
// XFS writes directories back within a minute or so of their change: what is on the device may be older than what the
// kernel shows.
package xfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// MaxDirBytes bounds what is read for one directory.
const MaxDirBytes = 8 << 20

// ErrFormat is wrapped when the bytes are no such file system, are broken, or use something that this reader does not know.
var ErrFormat = errors.New("not readable as XFS")

// FS is a file system on a device.
type FS struct {
	device       io.ReaderAt
	blockBytes   int64
	blockLog     uint
	inodeBytes   int64
	inodeLog     uint // inodes of one block
	groupLog     uint // blocks of one allocation group, rounded up
	groupBlocks  uint64
	groups       uint64
	dirBlockLog  uint // file system blocks of one directory block
	hasChecksums bool
	hasTypes     bool // entries tell the type of what they name
}

// Entry is one name in a directory.
type Entry struct {
	Name  string
	Inode uint64
}

// Numbers of the format.
const (
	superMagic      = 0x58465342 // XFSB
	superBytes      = 512
	typesV4         = 0x200 // of features2
	typesV5         = 1     // of the incompatible features
	largestBlockLog = 16
	largestInodeLog = 11
	inodeMagic      = 0x494e // IN
	largeCounts     = 1 << 4 // XFS_DIFLAG2_NREXT64
	typeDirectory   = 0x4000
	forkV2, forkV3  = 100, 176 // where the data fork begins
	formatLocal     = 1
	formatExtents   = 2
	formatTree      = 3
)

var (
	o          = binary.BigEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func broken(format string, arguments ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, arguments...)...)
}

// Open reads the superblock.
func Open(device io.ReaderAt) (*FS, error) {
	b := make([]byte, superBytes)
	if _, err := device.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	version := o.Uint16(b[100:]) & 15
	if o.Uint32(b) != superMagic || version != 4 && version != 5 {
		return nil, broken("magic or version of the superblock")
	}
	fs := &FS{device: device, blockBytes: int64(o.Uint32(b[4:])), blockLog: uint(b[120]), inodeBytes: int64(o.Uint16(b[104:])),
		inodeLog: uint(b[123]), groupLog: uint(b[124]), groupBlocks: uint64(o.Uint32(b[84:])), groups: uint64(o.Uint32(b[88:])),
		dirBlockLog: uint(b[192]), hasChecksums: version == 5}
	if fs.hasTypes = o.Uint32(b[200:])&typesV4 != 0; fs.hasChecksums {
		fs.hasTypes = o.Uint32(b[216:])&typesV5 != 0
	}
	isSane := fs.blockLog >= 9 && fs.blockLog <= largestBlockLog && fs.blockBytes == 1<<fs.blockLog &&
		fs.inodeBytes >= 256 && fs.inodeBytes <= 1<<largestInodeLog && fs.inodeBytes<<fs.inodeLog == fs.blockBytes &&
		fs.groupLog < 32 && fs.groupBlocks > 0 && fs.groupBlocks <= 1<<fs.groupLog && fs.blockLog+fs.dirBlockLog <= largestBlockLog
	if !isSane {
		return nil, broken("sizes of the superblock")
	}
	return fs, nil
}

// at is where a block lies on the device; its number holds the allocation group above and the block in it below.
func (fs *FS) at(block uint64) (int64, error) {
	group, inGroup := block>>fs.groupLog, block&(1<<fs.groupLog-1)
	if group >= fs.groups || inGroup >= fs.groupBlocks {
		return 0, broken("block %d is out of range", block)
	}
	return int64(group*fs.groupBlocks+inGroup) << fs.blockLog, nil
}

func (fs *FS) block(number uint64) ([]byte, error) {
	at, err := fs.at(number)
	if err != nil {
		return nil, err
	}
	b := make([]byte, fs.blockBytes)
	if _, err := fs.device.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	return b, nil
}

// inode is what is needed of one: how its data fork is written, and the fork.
type inode struct {
	number  uint64
	format  byte
	size    uint64
	extents uint64
	fork    []byte
}

func (fs *FS) inode(number uint64) (*inode, error) {
	b, err := fs.block(number >> fs.inodeLog)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", number, err)
	}
	raw := b[int64(number&(1<<fs.inodeLog-1))*fs.inodeBytes:][:fs.inodeBytes]
	version, fork := raw[4], forkV2
	if fs.hasChecksums {
		fork = forkV3
	}
	switch {
	case o.Uint16(raw) != inodeMagic || (version >= 3) != fs.hasChecksums:
		return nil, broken("inode %d has no such magic or version", number)
	case fs.hasChecksums && (o.Uint64(raw[152:]) != number || !checksumFits(raw, 100)):
		return nil, broken("inode %d: its own number or its checksum", number)
	case o.Uint16(raw[2:])&0xf000 != typeDirectory:
		return nil, broken("inode %d is no directory", number)
	}
	n := &inode{number: number, format: raw[5], size: o.Uint64(raw[56:]), extents: uint64(o.Uint32(raw[76:])), fork: raw[fork:]}
	if fs.hasChecksums && o.Uint64(raw[120:])&largeCounts != 0 {
		n.extents = o.Uint64(raw[24:])
	}
	if attributes := int(raw[82]) * 8; attributes > 0 {
		if attributes > len(n.fork) {
			return nil, broken("inode %d: its attributes begin behind it", number)
		}
		n.fork = n.fork[:attributes]
	}
	return n, nil
}

// checksumFits holds CRC32c of a structure against what stands in it, little endian, and counts as zeros.
func checksumFits(b []byte, at int) bool {
	sum := crc32.Update(0, castagnoli, b[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, b[at+4:]) == binary.LittleEndian.Uint32(b[at:])
}

// ReadDir gives the names of the directory with that inode number, without "." and "..".
func (fs *FS) ReadDir(number uint64) ([]Entry, error) {
	n, err := fs.inode(number)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	switch {
	case n.format == formatLocal:
		entries, err = parseShort(n.fork, n.size, fs.hasTypes)
	case n.size > MaxDirBytes:
		err = broken("directory of %d bytes", n.size)
	default:
		entries, err = fs.longDir(n)
	}
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", number, err)
	}
	return entries, nil
}
