// Package sqlite reads the rows of a table in a SQLite 3 database file: read only, without locks, indexes or SQL, and
// never past its bounds. The format is https://www.sqlite.org/fileformat2.html. Changes that lie in a write-ahead log
// beside the file are not seen.
package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf16"

	"sandfly/probes/internal/collect"
)

// Bounds that no reader needs other than they are.
const (
	maxDepth   = 20 // levels of a b-tree; SQLite itself allows as many
	maxColumns = 200
)

// Limits bound one reading.
type Limits struct {
	Bytes int64 // read for one table
	Row   int64 // bytes of one row
}

// DefaultLimits are those of Open.
var DefaultLimits = Limits{Bytes: 64 << 20, Row: 1 << 20}

// ErrMalformed tells a file that is no SQLite database, or one that contradicts itself.
var ErrMalformed = errors.New("malformed sqlite database")

// ErrNoTable tells that the database has no such table.
var ErrNoTable = errors.New("no such table")

// Row is one row by the names of its columns, in lower case. A value is nil, int64, float64, string or []byte.
type Row map[string]any

// Text gives a text column, "" when it is none.
func (r Row) Text(name string) string {
	s, _ := r[name].(string)
	return s
}

// Int gives an integer column; false when it is none.
func (r Row) Int(name string) (int64, bool) {
	n, ok := r[name].(int64)
	return n, ok
}

// DB is an open database.
type DB struct {
	file     io.ReaderAt
	pageSize int
	usable   int // bytes of a page without those reserved at its end
	encoding uint32
	limits   Limits
	visited  int64 // bytes
}

// Open reads the header of a database. The error is ErrMalformed, or that of the file.
func Open(file io.ReaderAt) (*DB, error) { return OpenWithin(file, DefaultLimits) }

// OpenWithin is Open with other bounds.
func OpenWithin(file io.ReaderAt, limits Limits) (*DB, error) {
	head := make([]byte, 100)
	if n, err := file.ReadAt(head, 0); n < len(head) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("header: %w", ErrMalformed)
		}
		return nil, fmt.Errorf("header: %w", err)
	}
	size := int(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 65536
	}
	usable := size - int(head[20])
	if string(head[:16]) != "SQLite format 3\x00" || size < 512 || size&(size-1) != 0 || usable < 480 {
		return nil, fmt.Errorf("header: %w", ErrMalformed)
	}
	return &DB{
		file: file, pageSize: size, usable: usable, encoding: binary.BigEndian.Uint32(head[56:]), limits: limits,
	}, nil
}

// Rows calls use with every row of a table in the order of rowids, newest usually last, until use returns an error,
// which it gives back. Errors: ErrNoTable, ErrMalformed, collect.ErrLimit, that of the file.
func (db *DB) Rows(table string, use func(rowid int64, row Row) error) error {
	root, columns, err := db.find(table)
	if err != nil {
		return err
	}
	db.visited = 0
	return db.walk(root, 0, func(rowid int64, values []any) error {
		row := make(Row, len(columns))
		for i, c := range columns {
			if i < len(values) {
				row[c.name] = values[i]
			}
			if c.isRowid {
				row[c.name] = rowid
			}
		}
		return use(rowid, row)
	})
}

// find looks a table up in the schema, whose b-tree begins on page 1.
func (db *DB) find(table string) (root uint32, columns []column, err error) {
	db.visited = 0
	err = db.walk(1, 0, func(_ int64, v []any) error {
		if len(v) < 5 || v[0] != "table" {
			return nil
		}
		name, _ := v[1].(string)
		page, _ := v[3].(int64)
		statement, _ := v[4].(string)
		if strings.EqualFold(name, table) && page > 0 && page <= math.MaxUint32 {
			root, columns = uint32(page), parseColumns(statement)
		}
		return nil
	})
	if err == nil && root == 0 {
		err = fmt.Errorf("%s: %w", table, ErrNoTable)
	}
	return root, columns, err
}

func (db *DB) page(number uint32) ([]byte, error) {
	if db.visited += int64(db.pageSize); db.visited > db.limits.Bytes {
		return nil, fmt.Errorf("more than %d bytes: %w", db.limits.Bytes, collect.ErrLimit)
	}
	if number == 0 {
		return nil, fmt.Errorf("page 0: %w", ErrMalformed)
	}
	page := make([]byte, db.pageSize)
	n, err := db.file.ReadAt(page, int64(number-1)*int64(db.pageSize))
	if n < db.pageSize {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("page %d: %w", number, ErrMalformed)
		}
		return nil, fmt.Errorf("page %d: %w", number, err)
	}
	return page[:db.usable], nil
}

// Types of b-tree pages.
const (
	interiorTable = 5
	leafTable     = 13
)

// walk visits the rows below one page of a table's b-tree.
func (db *DB) walk(number uint32, depth int, use func(rowid int64, values []any) error) error {
	if depth > maxDepth {
		return fmt.Errorf("b-tree too deep: %w", ErrMalformed)
	}
	page, err := db.page(number)
	if err != nil {
		return err
	}
	start := 0
	if number == 1 {
		start = 100
	}
	kind, cells := page[start], int(binary.BigEndian.Uint16(page[start+3:]))
	pointers := start + 8
	if kind == interiorTable {
		pointers = start + 12
	}
	if kind != interiorTable && kind != leafTable || pointers+2*cells > len(page) {
		return fmt.Errorf("page %d: %w", number, ErrMalformed)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if at >= len(page) {
			return fmt.Errorf("page %d: %w", number, ErrMalformed)
		}
		if kind == leafTable {
			err = db.leaf(page[at:], use)
		} else if at+4 > len(page) {
			err = fmt.Errorf("page %d: %w", number, ErrMalformed)
		} else {
			err = db.walk(binary.BigEndian.Uint32(page[at:]), depth+1, use)
		}
		if err != nil {
			return err
		}
	}
	if kind == interiorTable {
		return db.walk(binary.BigEndian.Uint32(page[start+8:]), depth+1, use)
	}
	return nil
}

// leaf reads one cell: length of the payload, rowid, payload, and where the rest of it lies.
func (db *DB) leaf(cell []byte, use func(rowid int64, values []any) error) error {
	size, n := varint(cell)
	rowid, m := varint(cell[n:])
	if n == 0 || m == 0 || size < 0 {
		return fmt.Errorf("cell: %w", ErrMalformed)
	}
	if size > db.limits.Row {
		return fmt.Errorf("row of %d bytes: %w", size, collect.ErrLimit)
	}
	payload, err := db.payload(cell[n+m:], int(size))
	if err != nil {
		return err
	}
	values, err := db.record(payload)
	if err != nil {
		return err
	}
	return use(rowid, values)
}

// payload puts a row together from its cell and the chain of overflow pages.
func (db *DB) payload(cell []byte, size int) ([]byte, error) {
	local := size
	if most := db.usable - 35; size > most {
		least := (db.usable-12)*32/255 - 23
		local = least + (size-least)%(db.usable-4)
		if local > most {
			local = least
		}
	}
	if local > len(cell) {
		return nil, fmt.Errorf("cell: %w", ErrMalformed)
	}
	out := append([]byte(nil), cell[:local]...)
	if local == size {
		return out, nil
	}
	if local+4 > len(cell) {
		return nil, fmt.Errorf("cell: %w", ErrMalformed)
	}
	next := binary.BigEndian.Uint32(cell[local:])
	for len(out) < size {
		page, err := db.page(next)
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(page)
		out = append(out, page[4:min(len(page), 4+size-len(out))]...)
	}
	return out, nil
}

// record decodes a row: the length of its header, a serial type for each column, then the values.
func (db *DB) record(b []byte) ([]any, error) {
	length, n := varint(b)
	if n == 0 || length < int64(n) || length > int64(len(b)) {
		return nil, fmt.Errorf("record: %w", ErrMalformed)
	}
	header, body := b[n:length], b[length:]
	var out []any
	for len(header) > 0 && len(out) < maxColumns {
		serial, n := varint(header)
		if n == 0 {
			return nil, fmt.Errorf("record: %w", ErrMalformed)
		}
		header = header[n:]
		value, size, ok := db.value(serial, body)
		if !ok {
			return nil, fmt.Errorf("record: %w", ErrMalformed)
		}
		out, body = append(out, value), body[size:]
	}
	return out, nil
}

var integerSizes = [...]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

// value decodes one value and says how many bytes it takes.
func (db *DB) value(serial int64, b []byte) (value any, size int, ok bool) {
	switch {
	case serial == 0:
		return nil, 0, true
	case serial == 8, serial == 9:
		return serial - 8, 0, true
	case serial >= 1 && serial <= 6:
		size = integerSizes[serial]
		if size > len(b) {
			return nil, 0, false
		}
		n := int64(int8(b[0]))
		for _, c := range b[1:size] {
			n = n<<8 | int64(c)
		}
		return n, size, true
	case serial == 7:
		if len(b) < 8 {
			return nil, 0, false
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), 8, true
	case serial < 12 || (serial-12)/2 > int64(len(b)):
		return nil, 0, false
	}
	size = int((serial - 12) / 2)
	if serial%2 == 1 {
		return db.text(b[:size]), size, true
	}
	return append([]byte(nil), b[:size]...), size, true
}

// text decodes a text in the database's encoding: UTF-8, or UTF-16 in either byte order.
func (db *DB) text(b []byte) string {
	var order binary.ByteOrder
	switch db.encoding {
	case 2:
		order = binary.LittleEndian
	case 3:
		order = binary.BigEndian
	default:
		return string(b)
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return string(utf16.Decode(units))
}

// varint reads SQLite's integer of 1 to 9 bytes; n is 0 when it is cut short.
func varint(b []byte) (value int64, n int) {
	var v uint64
	for i := range min(len(b), 9) {
		if i == 8 {
			return int64(v<<8 | uint64(b[i])), 9
		}
		v = v<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return int64(v), i + 1
		}
	}
	return 0, 0
}
