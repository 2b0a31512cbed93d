package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

const pageBytes = 512

// image builds a database: page 1 is the schema, whose table has its root on page 2; pages are given from 2 on.
func image(statement string, pages ...[]byte) []byte {
	schema := leafPage(100, cell(1, record("table", "lastlog2", "lastlog2", 2, statement)))
	copy(schema, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(schema[16:], pageBytes)
	binary.BigEndian.PutUint32(schema[56:], 1)
	return append(schema, bytes.Join(pages, nil)...)
}

func leafPage(start int, cells ...[]byte) []byte { return page(leafTable, start, 8, 0, cells) }

func interiorPage(right uint32, children ...uint32) []byte {
	var cells [][]byte
	for i, child := range children {
		cells = append(cells, append(binary.BigEndian.AppendUint32(nil, child), byte(i+1)))
	}
	return page(interiorTable, 0, 12, right, cells)
}

func page(kind byte, start, head int, right uint32, cells [][]byte) []byte {
	b := make([]byte, pageBytes)
	b[start] = kind
	binary.BigEndian.PutUint16(b[start+3:], uint16(len(cells)))
	if head == 12 {
		binary.BigEndian.PutUint32(b[start+8:], right)
	}
	at := pageBytes
	for i, c := range cells {
		at -= len(c)
		copy(b[at:], c)
		binary.BigEndian.PutUint16(b[start+head+2*i:], uint16(at))
	}
	return b
}

func cell(rowid int64, payload []byte) []byte {
	return append(append(put(int64(len(payload))), put(rowid)...), payload...)
}

func put(v int64) []byte {
	if v < 0x80 {
		return []byte{byte(v)}
	}
	return []byte{byte(v>>7) | 0x80, byte(v & 0x7f)}
}

func record(values ...any) []byte {
	var types, body []byte
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			types = append(types, 0)
		case int:
			types = append(types, 6)
			body = binary.BigEndian.AppendUint64(body, uint64(v))
		case string:
			types = append(types, put(int64(len(v)*2+13))...)
			body = append(body, v...)
		}
	}
	return append(append([]byte{byte(len(types) + 1)}, types...), body...)
}

const lastlog = `CREATE TABLE Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT)`

func rows(t *testing.T, data []byte) ([]Row, error) {
	t.Helper()
	db, err := Open(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out []Row
	err = db.Rows("Lastlog2", func(_ int64, r Row) error { out = append(out, r); return nil })
	return out, err
}

func TestRowsOfALeafAreRead(t *testing.T) {
	data := image(lastlog, leafPage(0, cell(1, record("ann", 1700000000, "pts/0", nil)), cell(2, record("bob", -5, "", "h"))))

	got, err := rows(t, data)

	want := []Row{
		{"name": "ann", "time": int64(1700000000), "tty": "pts/0", "remotehost": nil},
		{"name": "bob", "time": int64(-5), "tty": "", "remotehost": "h"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
}

func TestRowsBelowAnInteriorPageComeInOrder(t *testing.T) {
	data := image(lastlog, interiorPage(4, 3),
		leafPage(0, cell(1, record("a", 1, "", ""))), leafPage(0, cell(2, record("b", 2, "", ""))))

	got, err := rows(t, data)

	if err != nil || len(got) != 2 || got[0].Text("name") != "a" || got[1].Text("name") != "b" {
		t.Errorf("%v %v", got, err)
	}
}

func TestAColumnThatIsTheRowidHasItsValue(t *testing.T) {
	statement := `CREATE TABLE lastlog2 (ID INTEGER PRIMARY KEY, "User" TEXT DEFAULT 'a,b', Login NUMERIC(10,2), CHECK (ID > 0))`
	got, err := rows(t, image(statement, leafPage(0, cell(77, record(nil, "ann", 5)))))

	if err != nil || !reflect.DeepEqual(got, []Row{{"id": int64(77), "user": "ann", "login": int64(5)}}) {
		t.Errorf("%v %v", got, err)
	}
}

func TestALongRowIsReadFromItsOverflowPages(t *testing.T) {
	long := strings.Repeat("x", 900)
	payload := record(long, 9, "", "")
	usable := pageBytes
	least := (usable-12)*32/255 - 23
	local := least + (len(payload)-least)%(usable-4)
	if local > usable-35 {
		local = least
	}
	first := append(append(put(int64(len(payload))), put(1)...), payload[:local]...)
	first = binary.BigEndian.AppendUint32(first, 3)
	over := make([]byte, 2*pageBytes)
	binary.BigEndian.PutUint32(over, 4)
	n := copy(over[4:pageBytes], payload[local:])
	copy(over[pageBytes+4:], payload[local+n:])

	got, err := rows(t, image(lastlog, leafPage(0, first), over))

	if err != nil || len(got) != 1 || got[0].Text("name") != long {
		t.Errorf("%d %v", len(got), err)
	}
}

func TestAMissingTableAndAFileOfAnotherKindAreSaidApart(t *testing.T) {
	db, err := Open(bytes.NewReader(image(lastlog, leafPage(0))))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Rows("wtmp", nil); !errors.Is(err, ErrNoTable) {
		t.Error(err)
	}
	if _, err := Open(strings.NewReader(strings.Repeat("no database", 50))); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestATreeThatLeadsToItselfEnds(t *testing.T) {
	_, err := rows(t, image(lastlog, interiorPage(2, 2, 2, 2)))

	if !errors.Is(err, ErrMalformed) && !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func TestUTF16IsRead(t *testing.T) {
	db := &DB{encoding: 2}
	if got := db.text([]byte{'a', 0, 0xe9, 0}); got != "aé" {
		t.Errorf("%q", got)
	}
}

func FuzzRows(f *testing.F) {
	f.Add(image(lastlog, leafPage(0, cell(1, record("ann", 1, "t", "h")))))
	f.Add(image(lastlog, interiorPage(4, 3), leafPage(0), leafPage(0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		db, err := Open(bytes.NewReader(data))
		if err != nil {
			return
		}
		n := 0
		_ = db.Rows("lastlog2", func(int64, Row) error {
			if n++; n > 1000 {
				return fmt.Errorf("enough")
			}
			return nil
		})
	})
}
