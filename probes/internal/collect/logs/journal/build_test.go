package journal

import (
	"encoding/binary"
	"strings"
)

// builder writes a journal as journald lays it out, as far as readers look: header, data, entries, entry arrays.
type builder struct {
	compact bool
	data    []byte
	seq     uint64
	lastAt  int // of the array that the next one hangs on; 0: the header
}

func newBuilder(compact bool) *builder {
	b := &builder{compact: compact, data: make([]byte, 272)}
	copy(b.data, "LPKSHHRH")
	if compact {
		b.data[12] = compactBit
	}
	b.data[16] = 2
	binary.LittleEndian.PutUint64(b.data[88:], 272)
	return b
}

// object appends an object and gives its offset.
func (b *builder) object(typ, flags byte, body []byte) uint64 {
	for len(b.data)%8 != 0 {
		b.data = append(b.data, 0)
	}
	at := uint64(len(b.data))
	b.data = append(b.data, typ, flags, 0, 0, 0, 0, 0, 0)
	b.data = binary.LittleEndian.AppendUint64(b.data, uint64(objectHead+len(body)))
	b.data = append(b.data, body...)
	return at
}

func (b *builder) datum(flags byte, payload []byte) uint64 {
	head := 48
	if b.compact {
		head = 56
	}
	return b.object(typeData, flags, append(make([]byte, head), payload...))
}

// entry appends an entry with plain fields and those data objects that are given.
func (b *builder) entry(us uint64, fields []string, data ...uint64) uint64 {
	for _, f := range fields {
		data = append(data, b.datum(0, []byte(f)))
	}
	b.seq++
	body := binary.LittleEndian.AppendUint64(nil, b.seq)
	body = binary.LittleEndian.AppendUint64(body, us)
	body = append(body, make([]byte, 32)...)
	for _, at := range data {
		if b.compact {
			body = binary.LittleEndian.AppendUint32(body, uint32(at))
			continue
		}
		body = binary.LittleEndian.AppendUint64(body, at)
		body = binary.LittleEndian.AppendUint64(body, 0)
	}
	return b.object(typeEntry, 0, body)
}

// array appends an entry array and links it to the one before. room is how many places stay free at its end.
func (b *builder) array(room int, entries ...uint64) {
	body := make([]byte, 8)
	for _, at := range append(entries, make([]uint64, room)...) {
		if b.compact {
			body = binary.LittleEndian.AppendUint32(body, uint32(at))
		} else {
			body = binary.LittleEndian.AppendUint64(body, at)
		}
	}
	at := b.object(typeArray, 0, body)
	link := b.data[176:]
	if b.lastAt > 0 {
		link = b.data[b.lastAt+objectHead:]
	}
	binary.LittleEndian.PutUint64(link, at)
	b.lastAt = int(at)
}

func all(string) bool { return true }

func open(data []byte) (*File, error) {
	return Open(strings.NewReader(string(data)), int64(len(data)), all)
}
