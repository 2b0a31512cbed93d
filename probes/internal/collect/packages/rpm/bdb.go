package rpm

import (
	"encoding/binary"
	"fmt"
	"io"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

// Layout of a Berkeley DB hash file (src/dbinc/db_page.h): pages, of which the first describes the rest.
const (
	bdbMagic        = 0x061561
	bdbMeta         = 72
	bdbPageHead     = 26
	bdbHashUnsorted = 2
	bdbOverflow     = 7
	bdbHash         = 13
	bdbKeyData      = 1 // the value lies on the page
	bdbOffPage      = 3 // the value lies on overflow pages
)

// berkeley is an open hash file. Its numbers have the byte order of the machine that wrote it.
type berkeley struct {
	file     io.ReaderAt
	order    binary.ByteOrder
	pageSize int
	pages    uint32 // number of the last page
	read     int64
}

// readBerkeley looks at every page of buckets: their order does not matter, so neither the hash nor the lists of pages
// are needed.
func readBerkeley(file io.ReaderAt, size int64, use func(blob []byte) error, broken func(error)) error {
	b, err := openBerkeley(file, size)
	if err != nil {
		return err
	}
	for number := uint32(1); number <= b.pages && number != 0; number++ {
		page, err := b.page(number)
		if err != nil {
			return err
		}
		if kind := page[25]; kind != bdbHash && kind != bdbHashUnsorted {
			continue
		}
		err = b.values(page, func(value []byte, err error) error {
			if err != nil {
				broken(err)
				return nil
			}
			if len(value) < 8 { // under the key 0 stands the next number to give away
				return nil
			}
			return use(value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func openBerkeley(file io.ReaderAt, size int64) (*berkeley, error) {
	head, ok, err := readExactly(file, 0, bdbMeta)
	if err != nil {
		return nil, fmt.Errorf("rpm: %w", err)
	}
	b := &berkeley{file: file, order: binary.LittleEndian}
	if ok && b.order.Uint32(head[12:]) != bdbMagic {
		b.order = binary.BigEndian
	}
	if !ok || b.order.Uint32(head[12:]) != bdbMagic || head[24] != 0 { // encrypted files are none of rpm's
		return nil, fmt.Errorf("rpm: Berkeley DB header: %w", db.ErrMalformed)
	}
	pageSize := b.order.Uint32(head[20:])
	if pageSize < 512 || pageSize > 64<<10 || pageSize&(pageSize-1) != 0 {
		return nil, fmt.Errorf("rpm: pages of %d bytes: %w", pageSize, db.ErrMalformed)
	}
	b.pageSize, b.pages = int(pageSize), b.order.Uint32(head[32:])
	if most := size/int64(pageSize) - 1; int64(b.pages) > most {
		return nil, fmt.Errorf("rpm: cut off at page %d of %d: %w", most, b.pages, db.ErrMalformed)
	}
	return b, nil
}

func (b *berkeley) page(number uint32) ([]byte, error) {
	if b.read += int64(b.pageSize); b.read > maxBytes {
		return nil, fmt.Errorf("rpm: more than %d bytes: %w", maxBytes, collect.ErrLimit)
	}
	page, ok, err := readExactly(b.file, int64(number)*int64(b.pageSize), b.pageSize)
	if err == nil && !ok {
		err = fmt.Errorf("page %d: %w", number, db.ErrMalformed)
	}
	if err != nil {
		return nil, fmt.Errorf("rpm: %w", err)
	}
	return page, nil
}

// values calls use with the value of each pair on a page of buckets. The offsets of keys and values stand in turn
// behind the page's head; an item reaches up to the one before it.
func (b *berkeley) values(page []byte, use func([]byte, error) error) error {
	entries := int(b.order.Uint16(page[20:]))
	if bdbPageHead+2*entries > len(page) {
		return use(nil, fmt.Errorf("rpm: %d items on a page: %w", entries, db.ErrMalformed))
	}
	offset := func(i int) int { return int(b.order.Uint16(page[bdbPageHead+2*i:])) }
	for i := 1; i < entries; i += 2 {
		start, end := offset(i), offset(i-1)
		if start >= end || end > len(page) {
			if err := use(nil, fmt.Errorf("rpm: item %d of a page: %w", i, db.ErrMalformed)); err != nil {
				return err
			}
			continue
		}
		if err := use(b.value(page[start:end])); err != nil {
			return err
		}
	}
	return nil
}

func (b *berkeley) value(item []byte) ([]byte, error) {
	switch {
	case item[0] == bdbKeyData:
		return append([]byte(nil), item[1:]...), nil
	case item[0] == bdbOffPage && len(item) >= 12:
		return b.overflow(b.order.Uint32(item[4:]), b.order.Uint32(item[8:]))
	}
	return nil, fmt.Errorf("rpm: item of type %d: %w", item[0], db.ErrMalformed)
}

// overflow puts a value together from a chain of pages.
func (b *berkeley) overflow(number, size uint32) ([]byte, error) {
	if size > maxBlob {
		return nil, fmt.Errorf("rpm: package of %d bytes: %w", size, collect.ErrLimit)
	}
	malformed := fmt.Errorf("rpm: chain of pages: %w", db.ErrMalformed)
	out := make([]byte, 0, min(int(size), 64<<10))
	for len(out) < int(size) {
		if number == 0 || number > b.pages {
			return nil, malformed
		}
		page, err := b.page(number)
		if err != nil {
			return nil, err
		}
		length := int(b.order.Uint16(page[22:])) // for these pages the bytes in use
		if page[25] != bdbOverflow || length == 0 || bdbPageHead+length > len(page) {
			return nil, malformed
		}
		out = append(out, page[bdbPageHead:bdbPageHead+length]...)
		number = b.order.Uint32(page[16:])
	}
	return out[:size], nil
}
