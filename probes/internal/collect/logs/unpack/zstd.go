package unpack

import (
	"encoding/binary"
	"fmt"

	"sandfly/probes/internal/collect"
)

const (
	zstdMagic     = 0xfd2fb528
	skippableLow  = 0x184d2a50
	maxZstdBlock  = 128 << 10
	maxZstdOutput = 1 << 30
)

// Zstd decompresses Zstandard frames (RFC 8878) without a dictionary. Checksums are not looked at. More than limit
// bytes are collect.ErrLimit.
func Zstd(src []byte, limit int) ([]byte, error) {
	d := &zstd{limit: min(limit, maxZstdOutput)}
	for len(src) > 0 {
		if len(src) < 8 {
			return nil, fmt.Errorf("zstd: %w", ErrMalformed)
		}
		magic := binary.LittleEndian.Uint32(src)
		if magic&^15 == skippableLow {
			size := int64(binary.LittleEndian.Uint32(src[4:]))
			if size > int64(len(src)-8) {
				return nil, fmt.Errorf("zstd: %w", ErrMalformed)
			}
			src = src[8+size:]
			continue
		}
		if magic != zstdMagic {
			return nil, fmt.Errorf("zstd: %w", ErrMalformed)
		}
		rest, err := d.frame(src[4:])
		if err != nil {
			return nil, err
		}
		src = rest
	}
	return d.out, nil
}

// zstd is what the blocks of a frame share.
type zstd struct {
	limit   int
	out     []byte
	start   int // of the frame in out: matches reach no further back
	tree    *huffman
	tables  [3]*fse // literals lengths, offsets, match lengths
	offsets [3]int
}

// frame decodes one frame and gives what follows it.
func (d *zstd) frame(src []byte) ([]byte, error) {
	head, hasChecksum, err := frameHeader(src)
	if err != nil {
		return nil, err
	}
	src = src[head:]
	d.start, d.tree, d.tables, d.offsets = len(d.out), nil, [3]*fse{}, [3]int{1, 4, 8}
	for last := false; !last; {
		if len(src) < 3 {
			return nil, fmt.Errorf("zstd block: %w", ErrMalformed)
		}
		word := int(src[0]) | int(src[1])<<8 | int(src[2])<<16
		last = word&1 != 0
		if src, err = d.block(src[3:], word>>1&3, word>>3); err != nil {
			return nil, err
		}
	}
	if hasChecksum {
		if len(src) < 4 {
			return nil, fmt.Errorf("zstd checksum: %w", ErrMalformed)
		}
		src = src[4:]
	}
	return src, nil
}

func frameHeader(src []byte) (size int, hasChecksum bool, err error) {
	if len(src) == 0 {
		return 0, false, fmt.Errorf("zstd header: %w", ErrMalformed)
	}
	flags := src[0]
	isSingle := flags&32 != 0
	size = 1 + [4]int{0, 1, 2, 4}[flags&3] + [4]int{0, 2, 4, 8}[flags>>6]
	if !isSingle || flags>>6 == 0 {
		// Either the window's size, or the one byte of a content size.
		size++
	}
	if size > len(src) {
		return 0, false, fmt.Errorf("zstd header: %w", ErrMalformed)
	}
	return size, flags&4 != 0, nil
}

// block decodes one block and gives what follows it.
func (d *zstd) block(src []byte, kind, size int) ([]byte, error) {
	if size > maxZstdBlock || kind == 3 || kind != 1 && size > len(src) || kind == 1 && len(src) == 0 {
		return nil, fmt.Errorf("zstd block: %w", ErrMalformed)
	}
	if kind != 2 && len(d.out)+size > d.limit {
		return nil, fmt.Errorf("zstd of more than %d bytes: %w", d.limit, collect.ErrLimit)
	}
	switch kind {
	case 0:
		d.out = append(d.out, src[:size]...)
	case 1:
		for range size {
			d.out = append(d.out, src[0])
		}
		return src[1:], nil
	default:
		if err := d.compressed(src[:size]); err != nil {
			return nil, err
		}
	}
	return src[size:], nil
}

func (d *zstd) compressed(src []byte) error {
	literals, n, err := d.literals(src)
	if err != nil {
		return err
	}
	return d.sequences(src[n:], literals)
}

// literals decodes the literals of a block and says how many bytes they take.
func (d *zstd) literals(src []byte) ([]byte, int, error) {
	bad := fmt.Errorf("zstd literals: %w", ErrMalformed)
	if len(src) == 0 {
		return nil, 0, bad
	}
	kind, format := src[0]&3, src[0]>>2&3
	var word uint64
	for i := range min(len(src), 5) {
		word |= uint64(src[i]) << (8 * i)
	}
	if kind < 2 {
		head := [4]int{1, 2, 1, 3}[format]
		size := int(word >> [4]int{3, 4, 3, 4}[format] & [4]uint64{31, 4095, 31, 1<<20 - 1}[format])
		taken := head + size
		if kind == 1 {
			taken = head + 1
		}
		if size > maxZstdBlock || taken > len(src) {
			return nil, 0, bad
		}
		if kind == 0 {
			return src[head:taken], taken, nil
		}
		return repeat([]byte{src[head]}, 1, max(0, size-1))[:size], taken, nil
	}
	width := [4]int{10, 10, 14, 18}[format]
	head := [4]int{3, 3, 4, 5}[format]
	size, packed := int(word>>4&(1<<width-1)), int(word>>(4+width)&(1<<width-1))
	if size > maxZstdBlock || head+packed > len(src) {
		return nil, 0, bad
	}
	out, err := d.huffmanLiterals(src[head:head+packed], size, kind == 2, format != 0)
	return out, head + packed, err
}

func (d *zstd) huffmanLiterals(src []byte, size int, hasTree, isFour bool) ([]byte, error) {
	if hasTree {
		tree, n, err := readHuffman(src)
		if err != nil {
			return nil, err
		}
		d.tree, src = tree, src[n:]
	}
	if d.tree == nil {
		return nil, fmt.Errorf("zstd literals: %w", ErrMalformed)
	}
	out := make([]byte, 0, size)
	if !isFour {
		return d.tree.decode(out, src, size)
	}
	if len(src) < 6 {
		return nil, fmt.Errorf("zstd literals: %w", ErrMalformed)
	}
	jumps, src, each := src[:6], src[6:], (size+3)/4
	for i := range 4 {
		stream, n := src, size-len(out)
		if i < 3 {
			length := int(binary.LittleEndian.Uint16(jumps[2*i:]))
			if length > len(src) || each > n {
				return nil, fmt.Errorf("zstd literals: %w", ErrMalformed)
			}
			stream, src, n = src[:length], src[length:], each
		}
		var err error
		if out, err = d.tree.decode(out, stream, n); err != nil {
			return nil, err
		}
	}
	return out, nil
}
