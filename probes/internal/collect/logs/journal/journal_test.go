package journal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// messages reads all entries since a time as field=value lists.
func messages(t *testing.T, data []byte, since uint64) ([][]string, error) {
	t.Helper()
	f, err := open(data)
	if err != nil {
		return nil, err
	}
	var out [][]string
	err = f.Since(since, func(e *Entry) error {
		var fields []string
		unread, err := f.Each(e, func(name, value string, _ bool) { fields = append(fields, name+"="+value) })
		if unread {
			fields = append(fields, "unread")
		}
		out = append(out, fields)
		return err
	})
	return out, err
}

func TestEntriesOfBothLayoutsAreRead(t *testing.T) {
	for _, compact := range []bool{false, true} {
		b := newBuilder(compact)
		shared := b.datum(0, []byte("_HOSTNAME=web"))
		first := b.entry(1000, []string{"MESSAGE=one"}, shared)
		b.array(0, first)
		b.array(3, b.entry(2000, []string{"MESSAGE=two"}, shared), b.entry(3000, []string{"MESSAGE=three"}))

		got, err := messages(t, b.data, 0)

		want := [][]string{{"_HOSTNAME=web", "MESSAGE=one"}, {"_HOSTNAME=web", "MESSAGE=two"}, {"MESSAGE=three"}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("compact %v: %v %v", compact, got, err)
		}
	}
}

func TestOnlyEntriesSinceATimeAreUsed(t *testing.T) {
	b := newBuilder(true)
	b.array(0, b.entry(1000, []string{"MESSAGE=one"}), b.entry(1500, []string{"MESSAGE=two"}))
	b.array(0, b.entry(1900, []string{"MESSAGE=three"}), b.entry(2000, []string{"MESSAGE=four"}))

	got, err := messages(t, b.data, 2000)

	if err != nil || !reflect.DeepEqual(got, [][]string{{"MESSAGE=four"}}) {
		t.Errorf("%v %v", got, err)
	}
}

func TestCompressedFieldsAreUnpacked(t *testing.T) {
	// "MESSAGE=" and "ab" a hundred times, as zstd -19 writes it.
	zstd, err := hex.DecodeString("28b52ffd00688d0000504d4553534147453d61620100c3288704")
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder(true)
	size := binary.LittleEndian.AppendUint64(nil, 13)
	lz4 := append(size, append([]byte{0xd0}, "MESSAGE=lz4ok"...)...)
	b.array(0, b.entry(1, nil, b.datum(flagZstd, zstd)), b.entry(2, nil, b.datum(flagLZ4, lz4)), b.entry(3, nil, b.datum(flagXZ, []byte("xz"))))

	got, err := messages(t, b.data, 0)

	want := [][]string{{"MESSAGE=" + strings.Repeat("ab", 100)}, {"MESSAGE=lz4ok"}, {"unread"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
}

func TestTheHeaderSaysStateAndTimes(t *testing.T) {
	b := newBuilder(false)
	b.data[8], b.data[16] = sealedBit, 1
	binary.LittleEndian.PutUint64(b.data[152:], 7)
	binary.LittleEndian.PutUint64(b.data[192:], 99)

	f, err := open(b.data)

	if err != nil || f.State != "online" || !f.IsSealed || f.IsCompact || f.Entries != 7 || f.TailTime != 99 {
		t.Errorf("%+v %v", f, err)
	}
}

func TestABrokenEntryIsPassedOverAndSaid(t *testing.T) {
	b := newBuilder(false)
	broken := b.entry(1, []string{"MESSAGE=one"})
	b.array(0, broken, b.entry(2, []string{"MESSAGE=two"}))
	b.data[broken] = 9

	got, err := messages(t, b.data, 0)

	if !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(got, [][]string{{"MESSAGE=two"}}) {
		t.Errorf("%v %v", got, err)
	}
}

func TestArraysThatLeadBackEnd(t *testing.T) {
	b := newBuilder(false)
	b.array(0, b.entry(1, []string{"MESSAGE=one"}))
	binary.LittleEndian.PutUint64(b.data[b.lastAt+objectHead:], uint64(b.lastAt))

	if _, err := messages(t, b.data, 0); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestWhatIsNoJournalIsMalformed(t *testing.T) {
	for _, data := range []string{"", "LPKSHHRH", strings.Repeat("x", 4096)} {
		if _, err := open([]byte(data)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.9q: %v", data, err)
		}
	}
}

func TestALongFieldIsCut(t *testing.T) {
	b := newBuilder(false)
	b.array(0, b.entry(1, []string{"MESSAGE=" + strings.Repeat("x", 3*maxData)}))
	f, err := open(b.data)
	if err != nil {
		t.Fatal(err)
	}
	length, wasCut := 0, false
	err = f.Since(0, func(e *Entry) error {
		_, err := f.Each(e, func(_, value string, isCut bool) { length, wasCut = len(value), isCut })
		return err
	})

	if err != nil || length > maxData || length < maxData-16 || !wasCut {
		t.Error(length, wasCut, err)
	}
}

func FuzzJournal(f *testing.F) {
	for _, compact := range []bool{false, true} {
		b := newBuilder(compact)
		b.array(2, b.entry(1, []string{"MESSAGE=one", "PRIORITY=6"}), b.entry(2, []string{"MESSAGE=two"}))
		f.Add(b.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := open(data)
		if err != nil {
			return
		}
		n := 0
		_ = file.Since(0, func(e *Entry) error {
			if n++; n > 2000 {
				return errors.New("enough")
			}
			_, err := file.Each(e, func(string, string, bool) {})
			return err
		})
	})
}
