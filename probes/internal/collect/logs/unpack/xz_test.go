package unpack

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

func unxz(data []byte, held int) (string, error) {
	out, err := io.ReadAll(XZ(bytes.NewReader(data), held))
	return string(out), err
}

func TestXZFilesAreUnpacked(t *testing.T) {
	for packed, want := range map[string]string{xzDefault: plain(), xzSHA256: plain()[:700], xzCRC32: plain()[:700]} {
		if got, err := unxz(decoded(t, packed), 1<<20); err != nil || got != want {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

func TestStreamsWithPaddingBetweenThemAreOneText(t *testing.T) {
	one, two := decoded(t, xzDefault), decoded(t, xzCRC32)

	got, err := unxz(bytes.Join([][]byte{one, make([]byte, 8), two, make([]byte, 4)}, nil), 1<<20)

	if err != nil || got != plain()+plain()[:700] {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAnEmptyXZFileIsAnEmptyText(t *testing.T) {
	empty := decoded(t, "/Td6WFoAAATm1rRGAAAAABzfRCEftvN9AQAAAAAEWVo=")

	if got, err := unxz(empty, 1<<20); err != nil || got != "" {
		t.Error(got, err)
	}
}

// pack runs xz(1), which every Debian and Alpine has that builds this.
func pack(t *testing.T, text string, arguments ...string) []byte {
	t.Helper()
	command := exec.Command("xz", append([]string{"-c"}, arguments...)...)
	command.Stdin = strings.NewReader(text)
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// noise is text that packs to about a quarter and repeats itself from far back.
func noise(size int) string {
	var b strings.Builder
	state := uint32(1)
	for b.Len() < size {
		for range 1000 {
			state = state*1664525 + 1013904223
			b.WriteByte("0123456789abcdef"[state>>28])
		}
		if b.Len() > 1<<20 {
			b.WriteString(b.String()[:1000])
		}
	}
	return b.String()[:size]
}

func TestLargeTextsOfManyChunksAndBlocksAreUnpacked(t *testing.T) {
	text := noise(4 << 20)
	for _, arguments := range [][]string{{"-0"}, {"-1", "--block-size=1MiB"}, {"--lzma2=preset=0,dict=64KiB,pb=4,lp=2,lc=2"}} {
		got, err := unxz(pack(t, text, arguments...), 8<<20)
		if err != nil || got != text {
			t.Errorf("%v: %d bytes, %v", arguments, len(got), err)
		}
	}
}

func TestIncompressibleChunksAreTakenAsTheyAre(t *testing.T) {
	raw := make([]byte, 300<<10)
	state := uint32(7)
	for i := range raw {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		raw[i] = byte(state >> 11)
	}
	text := string(raw) + plain()

	if got, err := unxz(pack(t, text, "-0"), 1<<20); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestADictionaryLargerThanTheBoundIsALimitOnlyWhereItIsUsed(t *testing.T) {
	far := noise(5 << 20)
	packed := pack(t, far+far[:4096], "--lzma2=preset=0,dict=8MiB,mf=hc4,nice=273")

	if got, err := unxz(packed, 8<<20); err != nil || len(got) != len(far)+4096 {
		t.Error(len(got), err)
	}
	if _, err := unxz(packed, 1<<20); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
	if got, err := unxz(decoded(t, xzDefault), 4096); err != nil || got != plain() { // 8 MiB in its header
		t.Error(len(got), err)
	}
}

func TestAFilterThatNoLogHasIsALimit(t *testing.T) {
	if _, err := unxz(decoded(t, xzDelta), 1<<20); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func TestWhatIsCutOrChangedIsNeverTakenForWhole(t *testing.T) {
	for _, fixture := range []string{xzDefault, xzSHA256, xzCRC32} {
		data := decoded(t, fixture)
		for i := range data {
			if _, err := unxz(data[:i], 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d: %v", i, err)
			}
			changed := bytes.Clone(data)
			changed[i] ^= 0x55
			_, err := unxz(changed, 1<<20)
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, collect.ErrLimit) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("changed at %d: %v", i, err)
			}
		}
	}
}

func FuzzXZ(f *testing.F) {
	for _, fixture := range []string{xzDefault, xzSHA256, xzCRC32, xzDelta} {
		f.Add(decoded(f, fixture))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 22
		x := XZ(bytes.NewReader(data), 1<<16).(*xz)
		n, err := io.Copy(io.Discard, io.LimitReader(x, limit))
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, collect.ErrLimit) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if cap(x.out) > 1<<16+2*maxPlain || n > limit {
			t.Error(cap(x.out), n)
		}
	})
}
