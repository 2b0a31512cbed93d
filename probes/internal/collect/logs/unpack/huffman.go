package unpack

import (
	"fmt"
	"math/bits"
)

const maxHuffmanBits = 11

// huffman is a decoding table: for each value of the next `log` bits a symbol and how many bits it takes.
type huffman struct {
	log     int
	symbols []uint8
	nbits   []uint8
}

// readHuffman reads a tree's description (RFC 8878, 4.2.1) and says how many bytes it takes.
func readHuffman(src []byte) (*huffman, int, error) {
	if len(src) == 0 {
		return nil, 0, fmt.Errorf("huffman: %w", ErrMalformed)
	}
	head, body := int(src[0]), src[1:]
	var weights []uint8
	used := head
	if head >= 128 {
		n := head - 127
		used = (n + 1) / 2
		for i := 0; i < n && i/2 < len(body); i++ {
			weights = append(weights, body[i/2]>>(4*(1-i%2))&15)
		}
	}
	if used > len(body) {
		return nil, 0, fmt.Errorf("huffman: %w", ErrMalformed)
	}
	if head < 128 {
		var err error
		if weights, err = readWeights(body[:head]); err != nil {
			return nil, 0, err
		}
	}
	table, err := buildHuffman(weights)
	return table, 1 + used, err
}

// readWeights reads weights that are packed with two interleaved states.
func readWeights(src []byte) ([]uint8, error) {
	table, n, err := readFSE(src, 6, 255)
	if err != nil {
		return nil, err
	}
	in, err := newBackward(src[min(n, len(src)):])
	if err != nil {
		return nil, err
	}
	var weights []uint8
	states := [2]uint16{uint16(in.take(table.log)), uint16(in.take(table.log))}
	for turn := 0; len(weights) < 255; turn ^= 1 {
		weights = append(weights, table.symbols[states[turn]])
		states[turn] = table.step(states[turn], in)
		if in.left < 0 {
			return append(weights, table.symbols[states[turn^1]]), nil
		}
	}
	return nil, fmt.Errorf("huffman: %w", ErrMalformed)
}

// buildHuffman makes the table; the last weight is not stored, it fills up to a power of two.
func buildHuffman(weights []uint8) (*huffman, error) {
	total := 0
	for _, w := range weights {
		if w > maxHuffmanBits {
			return nil, fmt.Errorf("huffman: %w", ErrMalformed)
		}
		if w > 0 {
			total += 1 << (w - 1)
		}
	}
	log := bits.Len(uint(total))
	left := 1<<log - total
	if total == 0 || log > maxHuffmanBits || left&(left-1) != 0 || len(weights) > 255 {
		return nil, fmt.Errorf("huffman: %w", ErrMalformed)
	}
	weights = append(weights, uint8(bits.Len(uint(left))))
	h := &huffman{log: log}
	for w := 1; w <= log; w++ {
		for symbol, weight := range weights {
			if int(weight) != w {
				continue
			}
			for range 1 << (w - 1) {
				h.symbols, h.nbits = append(h.symbols, uint8(symbol)), append(h.nbits, uint8(log+1-w))
			}
		}
	}
	if len(h.symbols) != 1<<log {
		return nil, fmt.Errorf("huffman: %w", ErrMalformed)
	}
	return h, nil
}

// decode appends n symbols of one stream.
func (h *huffman) decode(out, src []byte, n int) ([]byte, error) {
	in, err := newBackward(src)
	if err != nil {
		return nil, err
	}
	for range n {
		at := in.peek(h.log)
		out = append(out, h.symbols[at])
		in.left -= int(h.nbits[at])
	}
	if in.left != 0 {
		return nil, fmt.Errorf("huffman: %w", ErrMalformed)
	}
	return out, nil
}
