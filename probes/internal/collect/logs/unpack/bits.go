package unpack

import (
	"fmt"
	"math/bits"
)

// forward reads bits from the first byte on, least significant first.
type forward struct {
	src []byte
	at  int // bits taken
}

// peek gives the next n bits (at most 24); bits behind the end are zero.
func (f *forward) peek(n int) uint32 {
	var v uint32
	for i := range 5 {
		if byteAt := f.at/8 + i; byteAt < len(f.src) && i < 4 {
			v |= uint32(f.src[byteAt]) << (8 * i)
		}
	}
	return v >> (f.at % 8) & (1<<n - 1)
}

// backward reads bits from the last byte on, most significant first. The highest set bit of the last byte only marks
// where the bits begin.
type backward struct {
	src  []byte
	left int // bits not taken; negative when more were taken than there are
}

func newBackward(src []byte) (*backward, error) {
	if len(src) == 0 || src[len(src)-1] == 0 {
		return nil, fmt.Errorf("bit stream: %w", ErrMalformed)
	}
	return &backward{src, 8*(len(src)-1) + bits.Len8(src[len(src)-1]) - 1}, nil
}

// take gives the next n bits (at most 32); those behind the end are zero.
func (b *backward) take(n int) uint32 {
	v := b.peek(n)
	b.left -= n
	return v
}

func (b *backward) peek(n int) uint32 {
	if n == 0 {
		return 0
	}
	end := b.left
	start := end - n
	if end <= 0 {
		return 0
	}
	var v uint64
	low := max(start, 0)
	for i := low / 8; i <= (end-1)/8; i++ {
		v |= uint64(b.src[i]) << (8 * (i - low/8))
	}
	v = v >> (low % 8) & (1<<(end-low) - 1)
	return uint32(v << (low - start))
}

// fse is a decoding table of finite state entropy.
type fse struct {
	log     int
	symbols []uint8
	nbits   []uint8
	next    []uint16
}

// readFSE reads a table's description and says how many bytes it takes.
func readFSE(src []byte, maxLog, maxSymbol int) (*fse, int, error) {
	in := &forward{src: src}
	log := int(in.peek(4)) + 5
	in.at = 4
	if log > maxLog {
		return nil, 0, fmt.Errorf("fse: %w", ErrMalformed)
	}
	remaining, threshold, width := 1<<log+1, 1<<log, log+1
	var counts []int
	for remaining > 1 {
		if len(counts) > maxSymbol || in.at > 8*len(src) {
			return nil, 0, fmt.Errorf("fse: %w", ErrMalformed)
		}
		small := 2*threshold - 1 - remaining
		v := int(in.peek(width))
		count := v & (threshold - 1)
		if count < small {
			in.at += width - 1
		} else {
			if count = v; count >= threshold {
				count -= small
			}
			in.at += width
		}
		count--
		counts = append(counts, count)
		remaining -= max(count, -count)
		for more := count == 0; more; {
			skip := int(in.peek(2))
			in.at += 2
			counts = append(counts, make([]int, skip)...)
			more = skip == 3 && len(counts) <= maxSymbol
		}
		for remaining < threshold && width > 1 {
			width--
			threshold >>= 1
		}
	}
	if remaining != 1 || len(counts) > maxSymbol+1 || in.at > 8*len(src) {
		return nil, 0, fmt.Errorf("fse: %w", ErrMalformed)
	}
	table, err := buildFSE(counts, log)
	return table, (in.at + 7) / 8, err
}

// buildFSE spreads the symbols over the states (RFC 8878, 4.1.1). A count of -1 stands for "less than one".
func buildFSE(counts []int, log int) (*fse, error) {
	size := 1 << log
	t := &fse{log, make([]uint8, size), make([]uint8, size), make([]uint16, size)}
	next := make([]int, len(counts))
	high := size - 1
	for symbol, count := range counts {
		next[symbol] = count
		if count == -1 && high >= 0 {
			t.symbols[high], next[symbol] = uint8(symbol), 1
			high--
		}
	}
	step, at := size>>1+size>>3+3, 0
	for symbol, count := range counts {
		for range count {
			t.symbols[at] = uint8(symbol)
			at = (at + step) & (size - 1)
			for at > high {
				at = (at + step) & (size - 1)
			}
		}
	}
	if at != 0 {
		return nil, fmt.Errorf("fse: %w", ErrMalformed)
	}
	for state, symbol := range t.symbols {
		n := next[symbol]
		next[symbol]++
		width := log - (bits.Len(uint(n)) - 1)
		t.nbits[state], t.next[state] = uint8(width), uint16(n<<width-size)
	}
	return t, nil
}

// single is a table with one symbol that takes no bits.
func single(symbol uint8) *fse { return &fse{0, []uint8{symbol}, []uint8{0}, []uint16{0}} }

// step goes to the next state.
func (t *fse) step(state uint16, in *backward) uint16 {
	return t.next[state] + uint16(in.take(int(t.nbits[state])))
}
