package unpack

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"sandfly/probes/internal/collect"
)

// XZ decompresses what xz(1) makes (The .xz File Format 1.2): any number of streams of LZMA2 blocks, whose checks are held
// against what comes out. held bounds the dictionary in bytes: a match that lies further back is collect.ErrLimit, as
// are filters for programs (BCJ, delta), which no log has. All else that does not fit is ErrMalformed; a file that
// ends too early is io.ErrUnexpectedEOF.
func XZ(r io.Reader, held int) io.Reader {
	return &xz{in: bufio.NewReader(r), held: held}
}

type xz struct {
	in    *bufio.Reader
	held  int
	err   error
	next  func(*xz) error // what comes next in the file
	check byte            // kind of the blocks' checks
	lzma  *lzma
	chunk []byte

	// out ends with what was decoded last, of which the reader has not had out[given:]; before that lies the dictionary.
	// gone bytes of it were let go since the dictionary was reset.
	out      []byte
	given    int
	gone     uint32
	isCut    bool // the dictionary is larger than what is held, and some of it was let go
	dict     int64
	needs    byte      // what the next chunk must reset: 3 the dictionary too, 2 the properties, 1 the state
	sum      uint64    // CRC of the block so far
	sha256   hash.Hash // of blocks that have that check
	head     int64     // bytes of the block's header
	packed   int64     // of the block so far, without its header
	plain    int64
	sizes    [2]int64 // of the block as its header tells, -1 when it does not
	blocks   int64    // of the stream
	recorded uint32   // digest of their sizes
}

const (
	xzHeaderBytes = 12
	maxChunk      = 1 << 16
	maxPlain      = 2 << 20 // of one chunk
	maxSmall      = 1 << 20 // packed logs that come to less are many, and need no whole dictionary
	dictReset     = 3
)

var (
	xzMagic  = []byte("\xfd7zXZ\x00")
	xzChecks = [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	crc64    = crc64Table()
)

func xzMalformed(what string) error { return fmt.Errorf("xz: %s: %w", what, ErrMalformed) }

// Read gives what comes out (io.Reader).
func (x *xz) Read(p []byte) (int, error) {
	if x.next == nil {
		x.next = (*xz).header
	}
	for x.given == len(x.out) {
		if x.err != nil {
			return 0, x.err
		}
		if err := x.next(x); err != nil {
			x.err = err
			return 0, err
		}
	}
	n := copy(p, x.out[x.given:])
	x.given += n
	return n, nil
}

// take reads n bytes; a file that ends there is cut short.
func (x *xz) take(n int) ([]byte, error) {
	if cap(x.chunk) < n {
		x.chunk = make([]byte, max(n, maxChunk))
	}
	b := x.chunk[:n]
	if _, err := io.ReadFull(x.in, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// header reads that of a stream, and the padding between streams; the end of the file may be there.
func (x *xz) header() error {
	for {
		word, err := x.in.Peek(4)
		if len(word) == 0 && errors.Is(err, io.EOF) && x.lzma != nil {
			return io.EOF
		}
		if len(word) < 4 || x.lzma == nil || binary.LittleEndian.Uint32(word) != 0 {
			break
		}
		if _, err := x.in.Discard(4); err != nil {
			return err
		}
	}
	b, err := x.take(xzHeaderBytes)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, xzMagic) || b[6] != 0 || b[7] > 15 || crc32.ChecksumIEEE(b[6:8]) != binary.LittleEndian.Uint32(b[8:]) {
		return xzMalformed("header")
	}
	if x.lzma == nil {
		x.lzma = &lzma{}
	}
	x.check, x.blocks, x.recorded, x.next = b[7], 0, 0, (*xz).block
	return nil
}

// block reads the header of a block, or goes on to the index.
func (x *xz) block() error {
	first, err := x.take(1)
	if err != nil {
		return err
	}
	if first[0] == 0 {
		x.next = (*xz).indexed
		return nil
	}
	size := int(first[0]) * 4
	b := make([]byte, size+4)
	b[0] = first[0]
	rest, err := x.take(size + 3)
	if err != nil {
		return err
	}
	copy(b[1:], rest)
	if crc32.ChecksumIEEE(b[:size]) != binary.LittleEndian.Uint32(b[size:]) {
		return xzMalformed("header of a block")
	}
	if err := x.blockHeader(b[1:size]); err != nil {
		return err
	}
	x.head, x.packed, x.plain, x.needs, x.next = int64(size+4), 0, 0, dictReset, (*xz).lzma2
	x.sum, x.sha256 = 0, nil
	if x.check == checkSHA256 {
		x.sha256 = sha256.New()
	}
	return nil
}

// Checks of blocks. Others are none, or nobody has defined them.
const (
	checkCRC32  = 1
	checkCRC64  = 4
	checkSHA256 = 10
)

// digest adds what came out to the check.
func (x *xz) digest(b []byte) {
	switch x.check {
	case checkCRC32:
		x.sum = uint64(crc32.Update(uint32(x.sum), crc32.IEEETable, b))
	case checkCRC64:
		sum := ^x.sum
		for _, c := range b {
			sum = crc64[byte(sum)^c] ^ sum>>8
		}
		x.sum = ^sum
	case checkSHA256:
		x.sha256.Write(b)
	}
}

// crc64Table is that of ECMA-182, the lowest bit first.
func crc64Table() (table [256]uint64) {
	for i := range table {
		sum := uint64(i)
		for range 8 {
			sum = sum>>1 ^ sum&1*0xc96c5795d7870f42
		}
		table[i] = sum
	}
	return table
}

// isChecked holds the stored check of a block against what came out.
func (x *xz) isChecked(stored []byte) bool {
	switch x.check {
	case checkCRC32:
		return binary.LittleEndian.Uint32(stored) == uint32(x.sum)
	case checkCRC64:
		return binary.LittleEndian.Uint64(stored) == x.sum
	case checkSHA256:
		return bytes.Equal(x.sha256.Sum(nil), stored)
	}
	return true
}

// blockHeader reads flags, sizes and the one filter.
func (x *xz) blockHeader(b []byte) error {
	flags := b[0]
	b = b[1:]
	for i := range x.sizes {
		x.sizes[i] = -1
		if flags>>(6+i)&1 == 1 {
			n, used := binary.Uvarint(b)
			if used <= 0 || n > 1<<62 {
				return xzMalformed("size of a block")
			}
			x.sizes[i], b = int64(n), b[used:]
		}
	}
	if flags&0x3c != 0 {
		return xzMalformed("flags of a block")
	}
	if flags&3 != 0 || len(b) < 3 || b[0] != 0x21 {
		return fmt.Errorf("xz: filter that is not read: %w", collect.ErrLimit)
	}
	if b[1] != 1 || b[2] > 40 {
		return xzMalformed("filter")
	}
	x.dict = 1<<32 - 1
	if size := b[2]; size < 40 {
		x.dict = (2 | int64(size)&1) << (size/2 + 11)
	}
	return nil
}

// lzma2 decodes the next chunk of a block, or goes on to its end.
func (x *xz) lzma2() error {
	control, err := x.in.ReadByte()
	if err != nil {
		return x.cutShort(err)
	}
	x.packed++
	switch {
	case control == 0:
		x.next = (*xz).blockEnd
		return nil
	case control > 2 && control < 0x80:
		return xzMalformed("chunk")
	}
	reset := control >> 5 & 3
	if control < 0x80 {
		reset = 0
	}
	if control == 1 || control >= 0xe0 {
		x.out, x.given, x.gone, x.isCut, x.needs = x.out[:0], 0, 0, false, min(x.needs, 2)
	} else if x.needs == dictReset {
		return xzMalformed("chunk without a dictionary")
	}
	x.letGo()
	before := len(x.out)
	if control < 0x80 {
		err = x.stored()
	} else {
		err = x.compressed(control, reset)
	}
	if err != nil {
		return err
	}
	x.plain += int64(len(x.out) - before)
	x.digest(x.out[before:])
	return nil
}

func (x *xz) cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// letGo forgets what lies further back than the dictionary, once there is as much of that as of a chunk.
func (x *xz) letGo() {
	keep := int(min(x.dict, int64(x.held)))
	if len(x.out) < keep+maxPlain {
		return
	}
	from := len(x.out) - keep
	x.isCut = x.isCut || x.dict > int64(x.held)
	x.gone += uint32(from)
	x.out = x.out[:copy(x.out, x.out[from:])]
	x.given = len(x.out)
}

// room makes place for a chunk, never for more than the dictionary and two chunks. It grows once: what is left behind by
// growing step by step would be twice as much memory.
func (x *xz) room(size int) {
	if need := len(x.out) + size; need > cap(x.out) {
		most := int(min(x.dict, int64(x.held))) + 2*maxPlain
		if 2*need <= maxSmall {
			most = min(2*need, most)
		}
		x.out = append(make([]byte, 0, max(need, most)), x.out...)
	}
}

// stored takes a chunk that is not compressed.
func (x *xz) stored() error {
	b, err := x.take(2)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(b)) + 1
	if b, err = x.take(size); err != nil {
		return err
	}
	x.packed += int64(2 + size)
	x.room(size)
	x.out = append(x.out, b...)
	x.needs = max(x.needs, 1)
	return nil
}

func (x *xz) compressed(control, reset byte) error {
	b, err := x.take(4)
	if err != nil {
		return err
	}
	plain := int(control&31)<<16 + int(binary.BigEndian.Uint16(b)) + 1
	packed := int(binary.BigEndian.Uint16(b[2:])) + 1
	x.packed += int64(4 + packed)
	if reset < x.needs {
		return xzMalformed("chunk without a state")
	}
	if reset >= 2 {
		x.packed++
		properties, err := x.in.ReadByte()
		if err != nil {
			return x.cutShort(err)
		}
		if !x.lzma.setProperties(properties) {
			return xzMalformed("properties")
		}
	}
	if reset >= 1 {
		x.lzma.reset()
	}
	x.needs = 0
	if b, err = x.take(packed); err != nil {
		return err
	}
	if !x.lzma.start(b) {
		return xzMalformed("chunk")
	}
	x.room(plain)
	out, ok := x.lzma.decode(x.out, plain, x.gone)
	if !ok {
		if x.isCut && int64(x.lzma.back[0]) >= int64(len(out)) {
			return fmt.Errorf("xz: dictionary of %d bytes: %w", x.dict, collect.ErrLimit)
		}
		return xzMalformed("chunk")
	}
	x.out = out
	return nil
}

// blockEnd holds sizes and check against what came out.
func (x *xz) blockEnd() error {
	if x.sizes[0] >= 0 && x.sizes[0] != x.packed || x.sizes[1] >= 0 && x.sizes[1] != x.plain {
		return xzMalformed("size of a block")
	}
	if err := x.padding(x.packed); err != nil {
		return err
	}
	size := xzChecks[x.check]
	stored, err := x.take(int(size))
	if err != nil {
		return err
	}
	if !x.isChecked(stored) {
		return xzMalformed("check of a block")
	}
	x.blocks++
	x.recorded = recordedAs(x.recorded, uint64(x.head+x.packed+size), uint64(x.plain))
	x.next = (*xz).block
	return nil
}

// padding takes the zeros that make a length a multiple of four.
func (x *xz) padding(length int64) error {
	zeros, err := x.take(int(-length & 3))
	if err == nil && len(bytes.Trim(zeros, "\x00")) > 0 {
		err = xzMalformed("padding")
	}
	return err
}

// recordedAs is the digest of the sizes of blocks, with which the index is compared without being held.
func recordedAs(before uint32, packed, plain uint64) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], packed)
	binary.LittleEndian.PutUint64(b[8:], plain)
	return crc32.Update(before, crc32.IEEETable, b[:])
}

// indexReader reads the index byte by byte with its check.
type indexReader struct {
	x   *xz
	crc uint32
	n   int64
}

func (r *indexReader) ReadByte() (byte, error) {
	b, err := r.x.in.ReadByte()
	if err != nil {
		return 0, r.x.cutShort(err)
	}
	r.crc = crc32.Update(r.crc, crc32.IEEETable, []byte{b})
	r.n++
	return b, nil
}

// indexed holds the index, whose first byte was taken, and the end of the stream against the blocks.
func (x *xz) indexed() error {
	r := &indexReader{x: x, crc: crc32.ChecksumIEEE([]byte{0}), n: 1}
	count, err := binary.ReadUvarint(r)
	if err != nil || count != uint64(x.blocks) {
		return indexFault(err)
	}
	recorded := uint32(0)
	for range x.blocks {
		packed, err := binary.ReadUvarint(r)
		if err != nil {
			return indexFault(err)
		}
		plain, err := binary.ReadUvarint(r)
		if err != nil {
			return indexFault(err)
		}
		recorded = recordedAs(recorded, packed, plain)
	}
	for r.n&3 != 0 {
		if b, err := r.ReadByte(); err != nil || b != 0 {
			return indexFault(err)
		}
	}
	b, err := x.take(4 + xzHeaderBytes)
	if err != nil {
		return err
	}
	footer := b[4:]
	if recorded != x.recorded || binary.LittleEndian.Uint32(b) != r.crc ||
		crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) ||
		(int64(binary.LittleEndian.Uint32(footer[4:]))+1)*4 != r.n+4 || string(footer[8:]) != string([]byte{0, x.check, 'Y', 'Z'}) {
		return xzMalformed("index")
	}
	x.next = (*xz).header
	return nil
}

func indexFault(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return xzMalformed("index")
}
