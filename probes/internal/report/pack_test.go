package report

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"
)

// unpack reads what has no end.
func unpack(t *testing.T, packed []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("it ends by %v", err)
	}
	return data
}

func samples() map[string][]byte {
	random := rand.New(rand.NewSource(1))
	noise := make([]byte, 70_000)
	random.Read(noise)
	var lines strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&lines, `{"type":"match","subject":"process","rules":[%d],"record":{"pid":%d,"path":"/usr/bin/x%x"}}`+"\n", i%7, i, random.Intn(1<<20))
	}
	return map[string][]byte{
		"nothing": {}, "a byte": []byte("x"), "noise": noise, "one letter": bytes.Repeat([]byte("a"), 200_000),
		"lines": []byte(lines.String()), "far apart": append(append(bytes.Clone(noise[:maxDistance]), noise[:300]...), noise[:maxDistance+7]...),
		"every byte": bytes.Repeat(noise[:256], 300),
	}
}

func TestWhatIsPackedComesOutAgainHoweverItIsCut(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	for name, data := range samples() {
		for _, most := range []int{1 << 20, 32 << 10, 5000} {
			var out, said bytes.Buffer
			looks := 3
			p := newPacker(&out)
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+random.Intn(most))
				if written, err := p.Write(rest[:n]); written != n || err != nil {
					t.Fatal(written, err)
				}
				said.Write(rest[:n])
				if rest = rest[n:]; looks > 0 && random.Intn(3) == 0 {
					looks--
					if err := p.Flush(); err != nil {
						t.Fatal(err)
					}
					if got := unpack(t, out.Bytes()); !bytes.Equal(got, said.Bytes()) {
						t.Fatalf("%s in pieces of %d: %d bytes are there after a flush, not %d", name, most, len(got), said.Len())
					}
				}
			}
			if err := p.Flush(); err != nil || !bytes.Equal(unpack(t, out.Bytes()), data) {
				t.Errorf("%s in pieces of %d is not the same, %v", name, most, err)
			}
		}
	}
}

func TestLinesOfAReportShrinkToAFifth(t *testing.T) {
	var out bytes.Buffer
	lines := samples()["lines"]
	p := newPacker(&out)
	if _, err := p.Write(lines); err != nil {
		t.Fatal(err)
	}
	if out.Len() > len(lines)/5 {
		t.Errorf("%d bytes of %d", out.Len(), len(lines))
	}
}

type nobody struct{}

func (nobody) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAPackerSaysThatNobodyReads(t *testing.T) {
	p := newPacker(nobody{})
	if _, err := p.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if err := p.Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
