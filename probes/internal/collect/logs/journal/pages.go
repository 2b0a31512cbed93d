package journal

import (
	"errors"
	"fmt"
	"io"
)

// Objects of an entry mostly lie close together, so the file is read in pages of which the last few are kept.
const (
	pageBytes = 32 << 10
	maxPages  = 32
)

// pages is a small cache over a file.
type pages struct {
	file io.ReaderAt
	size int64
	kept map[int64][]byte
	turn []int64 // pages in the order they came
}

func newPages(file io.ReaderAt, size int64) *pages {
	return &pages{file: file, size: size, kept: map[int64][]byte{}}
}

// read gives n bytes at an offset; they are good until the next read. ErrMalformed when the file ends before.
func (p *pages) read(at uint64, n int) ([]byte, error) {
	if at > uint64(p.size) || int64(n) > p.size-int64(at) {
		return nil, fmt.Errorf("%d bytes at %d: %w", n, at, ErrMalformed)
	}
	number, offset := int64(at)/pageBytes, int(at%pageBytes)
	page, err := p.page(number)
	if err != nil {
		return nil, err
	}
	if offset+n <= len(page) {
		return page[offset : offset+n], nil
	}
	out := make([]byte, 0, n)
	for len(out) < n {
		if page, err = p.page(number); err != nil {
			return nil, err
		}
		if offset >= len(page) {
			return nil, fmt.Errorf("page %d: %w", number, ErrMalformed)
		}
		out = append(out, page[offset:min(len(page), offset+n-len(out))]...)
		number, offset = number+1, 0
	}
	return out, nil
}

func (p *pages) page(number int64) ([]byte, error) {
	if page, ok := p.kept[number]; ok {
		return page, nil
	}
	buf := make([]byte, pageBytes)
	if len(p.turn) == maxPages {
		buf = p.kept[p.turn[0]]
		delete(p.kept, p.turn[0])
		p.turn = p.turn[1:]
	}
	n, err := p.file.ReadAt(buf[:pageBytes], number*pageBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	p.kept[number] = buf[:n]
	p.turn = append(p.turn, number)
	return buf[:n], nil
}
