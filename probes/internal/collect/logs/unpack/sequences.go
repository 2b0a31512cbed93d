package unpack

import (
	"fmt"
	"slices"

	"sandfly/probes/internal/collect"
)

// code is one row of the tables that turn codes into lengths: a base and how many bits are added to it.
type code struct {
	base  int
	extra int
}

// codes builds such a table: `plain` codes without extra bits that count from first, then those with the bits given.
func codes(first, plain int, extra ...int) []code {
	var out []code
	for i := range plain {
		out = append(out, code{first + i, 0})
	}
	base := first + plain
	for _, n := range extra {
		out = append(out, code{base, n})
		base += 1 << n
	}
	return out
}

var (
	literalCodes = codes(0, 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	matchCodes   = codes(3, 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
)

// kinds are the three tables of a block in their order: literals lengths, offsets, match lengths.
var kinds = [3]struct {
	maxLog, maxSymbol int
	log               int // of the predefined table
	counts            []int
}{
	{9, 35, 6, []int{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}},
	{8, 31, 5, []int{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}},
	{9, 52, 6, slices.Concat([]int{1, 4, 3, 2, 2, 2, 2, 2, 2}, slices.Repeat([]int{1}, 37), slices.Repeat([]int{-1}, 7))},
}

// sequences decodes the sequences of a block and puts the output together.
func (d *zstd) sequences(src, literals []byte) error {
	count, src, err := sequenceCount(src)
	if err != nil {
		return err
	}
	if count == 0 {
		return d.finish(literals)
	}
	if len(src) == 0 || src[0]&3 != 0 {
		return fmt.Errorf("zstd sequences: %w", ErrMalformed)
	}
	modes := src[0]
	src = src[1:]
	for i := range kinds {
		n, err := d.table(i, int(modes>>(6-2*i)&3), src)
		if err != nil {
			return err
		}
		src = src[n:]
	}
	in, err := newBackward(src)
	if err != nil {
		return err
	}
	return d.execute(in, count, literals)
}

func sequenceCount(src []byte) (count int, rest []byte, err error) {
	if len(src) > 0 && src[0] < 128 {
		return int(src[0]), src[1:], nil
	}
	if len(src) > 1 && src[0] < 255 {
		return int(src[0]-128)<<8 + int(src[1]), src[2:], nil
	}
	if len(src) > 2 {
		return int(src[1]) + int(src[2])<<8 + 0x7f00, src[3:], nil
	}
	return 0, nil, fmt.Errorf("zstd sequences: %w", ErrMalformed)
}

// table sets one of the three tables as its mode says: 0 predefined, 1 one symbol, 2 described here, 3 the last one.
func (d *zstd) table(i, mode int, src []byte) (used int, err error) {
	k := kinds[i]
	switch mode {
	case 0:
		d.tables[i], err = buildFSE(k.counts, k.log)
		return 0, err
	case 1:
		if len(src) == 0 || int(src[0]) > k.maxSymbol {
			return 0, fmt.Errorf("zstd table: %w", ErrMalformed)
		}
		d.tables[i] = single(src[0])
		return 1, nil
	case 2:
		d.tables[i], used, err = readFSE(src, k.maxLog, k.maxSymbol)
		return used, err
	}
	if d.tables[i] == nil {
		return 0, fmt.Errorf("zstd table: %w", ErrMalformed)
	}
	return 0, nil
}

func (d *zstd) execute(in *backward, count int, literals []byte) error {
	var states [3]uint16
	for i, t := range d.tables {
		states[i] = uint16(in.take(t.log))
	}
	for n := range count {
		symbol := func(i int) int { return int(d.tables[i].symbols[states[i]]) }
		if symbol(0) >= len(literalCodes) || symbol(1) > 31 || symbol(2) >= len(matchCodes) {
			return fmt.Errorf("zstd sequences: %w", ErrMalformed)
		}
		offset := 1<<symbol(1) + int64(in.take(symbol(1)))
		match := matchCodes[symbol(2)]
		length := match.base + int(in.take(match.extra))
		literal := literalCodes[symbol(0)]
		before := literal.base + int(in.take(literal.extra))
		if n+1 < count {
			for _, i := range [3]int{0, 2, 1} {
				states[i] = d.tables[i].step(states[i], in)
			}
		}
		if in.left < 0 || before > len(literals) {
			return fmt.Errorf("zstd sequences: %w", ErrMalformed)
		}
		if err := d.one(literals[:before], offset, length); err != nil {
			return err
		}
		literals = literals[before:]
	}
	if in.left != 0 {
		return fmt.Errorf("zstd sequences: %w", ErrMalformed)
	}
	return d.finish(literals)
}

// one appends literals and a match.
func (d *zstd) one(literals []byte, value int64, length int) error {
	if len(d.out)+len(literals)+length > d.limit {
		return fmt.Errorf("zstd of more than %d bytes: %w", d.limit, collect.ErrLimit)
	}
	d.out = append(d.out, literals...)
	offset := d.offset(value, len(literals) == 0)
	if offset <= 0 || offset > len(d.out)-d.start {
		return fmt.Errorf("zstd match: %w", ErrMalformed)
	}
	d.out = repeat(d.out, offset, length)
	return nil
}

// offset resolves an offset's value against the last three (RFC 8878, 3.1.1.5) and remembers it.
func (d *zstd) offset(value int64, noLiterals bool) int {
	o := &d.offsets
	if value > 3 {
		if value > maxZstdOutput {
			return 0
		}
		*o = [3]int{int(value - 3), o[0], o[1]}
		return o[0]
	}
	at := int(value) - 1
	if noLiterals {
		at++
	}
	switch at {
	case 0:
	case 1:
		*o = [3]int{o[1], o[0], o[2]}
	case 2:
		*o = [3]int{o[2], o[0], o[1]}
	default:
		*o = [3]int{o[0] - 1, o[0], o[1]}
	}
	return o[0]
}

func (d *zstd) finish(literals []byte) error {
	if len(d.out)+len(literals) > d.limit {
		return fmt.Errorf("zstd of more than %d bytes: %w", d.limit, collect.ErrLimit)
	}
	d.out = append(d.out, literals...)
	return nil
}
