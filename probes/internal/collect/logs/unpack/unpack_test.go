package unpack

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
)

func TestZstandardFramesAreUnpacked(t *testing.T) {
	for packed, want := range map[string]string{zstdBest: plain(), zstdFast: plain()[:700]} {
		got, err := Zstd(decoded(t, packed), 1<<20)

		if err != nil || string(got) != want {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

func TestFramesBehindEachOtherAndSkippableOnesAreOneText(t *testing.T) {
	skippable := []byte{0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}
	got, err := Zstd(bytes.Join([][]byte{decoded(t, zstdFast), skippable, decoded(t, zstdBest)}, nil), 1<<20)

	if err != nil || string(got) != plain()[:700]+plain() {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestRawAndRepeatedBlocksAreUnpacked(t *testing.T) {
	// Single segment, content of 7 bytes: a raw block of "abc", then the last one: "d" four times.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 7, 3 << 3, 0, 0, 'a', 'b', 'c', 4<<3 | 1<<1 | 1, 0, 0, 'd'}

	if got, err := Zstd(frame, 100); err != nil || string(got) != "abcdddd" {
		t.Errorf("%q %v", got, err)
	}
}

func TestAnLZ4BlockIsUnpacked(t *testing.T) {
	got, err := LZ4(decoded(t, lz4Block), len(plain()), 1<<20)

	if err != nil || string(got) != plain() {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestMoreThanTheBoundIsALimit(t *testing.T) {
	if _, err := Zstd(decoded(t, zstdBest), 1000); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
	if _, err := LZ4(decoded(t, lz4Block), len(plain()), 1000); !errors.Is(err, collect.ErrLimit) {
		t.Error(err)
	}
}

func TestWhatIsCutOrChangedIsMalformedOrAnotherTextButNothingElse(t *testing.T) {
	for _, fixture := range []string{zstdBest, zstdFast} {
		data := decoded(t, fixture)
		for i := range data {
			if _, err := Zstd(data[:i], 1<<20); i > 0 && !errors.Is(err, ErrMalformed) {
				t.Fatalf("cut at %d: %v", i, err)
			}
			changed := bytes.Clone(data)
			changed[i] ^= 0x55
			if _, err := Zstd(changed, 1<<20); err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, collect.ErrLimit) {
				t.Fatalf("changed at %d: %v", i, err)
			}
		}
	}
	if _, err := LZ4(decoded(t, lz4Block)[:50], len(plain()), 1<<20); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := Zstd([]byte(strings.Repeat("x", 20)), 100); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(decoded(f, zstdBest))
	f.Add(decoded(f, zstdFast))
	f.Add(decoded(f, lz4Block))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		if out, err := Zstd(data, limit); err == nil && len(out) > limit {
			t.Error("more than the bound")
		}
		if out, err := LZ4(data, 5000, limit); err == nil && len(out) != 5000 {
			t.Error("another length")
		}
	})
}
