package rpm

import (
	"encoding/binary"
	"fmt"
	"io"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/packages/db"
)

// Layout of an ndb file (lib/backend/ndb/rpmpkg.c): pages of slots, then blobs in blocks; all numbers little-endian.
const (
	ndbHeader = 32
	ndbPage   = 4096
	ndbSlot   = 16
	ndbBlock  = 16
	ndbHead   = 16
	ndbPages  = 2048 // more pages of slots than there can be packages
)

// readNDB goes through the slots. A slot is magic, number of the package (0: free), first block and number of blocks.
func readNDB(file io.ReaderAt, size int64, use func(blob []byte) error, broken func(error)) error {
	head, ok, err := readExactly(file, 0, ndbHeader)
	if err != nil {
		return fmt.Errorf("rpm: %w", err)
	}
	if !ok || string(head[:4]) != "RpmP" || binary.LittleEndian.Uint32(head[4:]) != 0 {
		return fmt.Errorf("rpm: ndb header: %w", db.ErrMalformed)
	}
	pages := binary.LittleEndian.Uint32(head[12:])
	if pages == 0 || pages > ndbPages {
		return fmt.Errorf("rpm: %d pages of slots: %w", pages, db.ErrMalformed)
	}
	read := int64(0)
	for page := range pages {
		slots, ok, err := readExactly(file, int64(page)*ndbPage, ndbPage)
		if err != nil {
			return fmt.Errorf("rpm: %w", err)
		}
		if !ok {
			return fmt.Errorf("rpm: page %d of slots: %w", page, db.ErrMalformed)
		}
		if page == 0 {
			slots = slots[ndbHeader:]
		}
		for ; len(slots) > 0; slots = slots[ndbSlot:] {
			if string(slots[:4]) != "Slot" || binary.LittleEndian.Uint32(slots[4:]) == 0 {
				continue
			}
			blob, err := ndbBlob(file, size, slots)
			if read += int64(len(blob)); read > maxBytes {
				return fmt.Errorf("rpm: more than %d bytes: %w", maxBytes, collect.ErrLimit)
			}
			if err != nil {
				broken(err)
				continue
			}
			if err := use(blob); err != nil {
				return err
			}
		}
	}
	return nil
}

// ndbBlob reads what a slot leads to: magic, number of the package, generation, length, then the blob.
func ndbBlob(file io.ReaderAt, size int64, slot []byte) ([]byte, error) {
	number := binary.LittleEndian.Uint32(slot[4:])
	at := int64(binary.LittleEndian.Uint32(slot[8:])) * ndbBlock
	room := int64(binary.LittleEndian.Uint32(slot[12:])) * ndbBlock
	malformed := fmt.Errorf("rpm: package %d: %w", number, db.ErrMalformed)
	head, ok, err := readExactly(file, at, ndbHead)
	if err != nil {
		return nil, fmt.Errorf("rpm: %w", err)
	}
	if !ok || string(head[:4]) != "BlbS" || binary.LittleEndian.Uint32(head[4:]) != number {
		return nil, malformed
	}
	length := int64(binary.LittleEndian.Uint32(head[12:]))
	if length > maxBlob {
		return nil, fmt.Errorf("rpm: package of %d bytes: %w", length, collect.ErrLimit)
	}
	if length > room || at+ndbHead+length > size {
		return nil, malformed
	}
	blob, ok, err := readExactly(file, at+ndbHead, int(length))
	if err != nil {
		return nil, fmt.Errorf("rpm: %w", err)
	}
	if !ok {
		return nil, malformed
	}
	return blob, nil
}
