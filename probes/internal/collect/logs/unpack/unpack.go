// Package unpack decompresses what the standard library cannot: LZ4 blocks, Zstandard frames and xz files, of which systemd's
// journal and rotated logs are made. Everything is bounded and checked; nothing is written.
package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"sandfly/probes/internal/collect"
)

// ErrMalformed tells data that is not in the format.
var ErrMalformed = errors.New("malformed compressed data")

// LZ4 decompresses one LZ4 block (https://github.com/lz4/lz4, lz4_Block_format.md) into exactly size bytes.
func LZ4(src []byte, size, limit int) ([]byte, error) {
	if size < 0 || size > limit {
		return nil, fmt.Errorf("lz4 of %d bytes: %w", size, collect.ErrLimit)
	}
	out := make([]byte, 0, size)
	for len(src) > 0 {
		token := src[0]
		src = src[1:]
		literals, rest, ok := lz4Length(int(token>>4), src)
		if !ok || literals > len(rest) || len(out)+literals > size {
			return nil, fmt.Errorf("lz4: %w", ErrMalformed)
		}
		out, src = append(out, rest[:literals]...), rest[literals:]
		if len(src) == 0 {
			break
		}
		if len(src) < 2 {
			return nil, fmt.Errorf("lz4: %w", ErrMalformed)
		}
		offset := int(binary.LittleEndian.Uint16(src))
		length, rest, ok := lz4Length(int(token&15), src[2:])
		length += 4
		if !ok || offset == 0 || offset > len(out) || len(out)+length > size {
			return nil, fmt.Errorf("lz4: %w", ErrMalformed)
		}
		out, src = repeat(out, offset, length), rest
	}
	if len(out) != size {
		return nil, fmt.Errorf("lz4: %w", ErrMalformed)
	}
	return out, nil
}

// lz4Length reads the bytes that a length of 15 goes on with.
func lz4Length(n int, src []byte) (length int, rest []byte, ok bool) {
	if n < 15 {
		return n, src, true
	}
	for i, b := range src {
		n += int(b)
		if b != 255 {
			return n, src[i+1:], true
		}
	}
	return 0, nil, false
}

// repeat appends length bytes that lie offset bytes back; they may overlap with what is appended.
func repeat(out []byte, offset, length int) []byte {
	from := len(out) - offset
	for length > 0 {
		n := min(length, len(out)-from)
		out = append(out, out[from:from+n]...)
		from, length = from+n, length-n
	}
	return out
}
