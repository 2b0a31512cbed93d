package crypt

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"sandfly/probes/internal/seq"
)

func never() error { return nil }

// vectors are hashes that libcrypt made, with their passwords.
func vectors(t *testing.T) (passwords [][]byte, hashes []string) {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range seq.Lines(string(data)) {
		password, hash, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		word, err := hex.DecodeString(password)
		if err != nil {
			t.Fatal(err)
		}
		passwords, hashes = append(passwords, word), append(hashes, hash)
	}
	return passwords, hashes
}

func TestHashesOfLibcryptFitTheirPasswordsAndNoOthers(t *testing.T) {
	run := &Run{Tick: never}
	passwords, hashes := vectors(t)
	for i, text := range hashes {
		h, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if ok, err := h.Matches(run, passwords[i]); !ok || err != nil {
			t.Errorf("%s: its own password does not fit: %v", text, err)
		}
		if ok, err := h.Matches(run, []byte("another")); ok || err != nil {
			t.Errorf("%s: another password fits: %v", text, err)
		}
	}
	if len(hashes) < 100 {
		t.Errorf("only %d vectors", len(hashes))
	}
}

var errStop = errors.New("stop")

func TestAGuessEndsAtOnceWhenItIsToldTo(t *testing.T) {
	_, hashes := vectors(t)
	for _, text := range hashes {
		h, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Matches(&Run{Tick: func() error { return errStop }}, []byte("x")); !errors.Is(err, errStop) {
			t.Errorf("%s went on: %v", text, err)
		}
	}
}

func TestWhatCryptCouldNotHaveMadeIsRefused(t *testing.T) {
	text := func(n int) string { return strings.Repeat("a", n) }
	malformed := []string{
		"", "x", "*", "!", "abcdefghijkl", "abcdefghijklm\n", "ab:defghijklm", text(MaxText + 1),
		"$1$salt", "$1$ninechars$" + text(22), "$1$salt$" + text(21), "$1$salt$" + text(21) + "!",
		"$5$salt$" + text(42), "$5$seventeencharacter$" + text(43), "$6$rounds=999$s$" + text(86),
		"$6$rounds=1000000000$s$" + text(86), "$6$rounds=05000$s$" + text(86), "$6$rounds=$s$" + text(86), "$6$rounds=5000",
		"$2b$03$" + text(53), "$2b$32$" + text(53), "$2b$1$" + text(54), "$2b$-1$" + text(53), "$2b$10$" + text(52) + "=",
		"$3$" + text(32), "$3$$" + text(31) + "g", "$3$$" + strings.Repeat("A", 32),
		"$7$", "$7$D6", "$7$D6..../....salt", "$7$.6..../....salt$" + text(43), "$7$D........./....salt$" + text(43),
		"$y$", "$y$j9T$salt", "$y$j9T$a$" + text(43), "$y$j9T$.$" + text(43), "$y$j.T$salt", "$y$j9Tz", "$y$j9T/zzz", "$y$j9T$aa$" + text(43),
		"$y$j9T$" + text(88) + "$" + text(43), "$y$j9T$$$" + text(43), "_" + text(18), "_....aaaa" + text(11),
	}
	for _, hash := range malformed {
		if _, err := Parse(hash); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", hash, err)
		}
	}
	for _, hash := range []string{"$argon2id$v=19$x", "$sha1$1$x$y", "$md5,rounds=1$x", "$gy$j9T$x$y", "$y$j9T7.$a.$" + text(43), "$y$k.9T$a.$" + text(43)} {
		if _, err := Parse(hash); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", hash, err)
		}
	}
}

// TestCostsChosenByAHostAreSeenBeforeTheyArePaid has hashes that would run for hours or take all memory.
func TestCostsChosenByAHostAreSeenBeforeTheyArePaid(t *testing.T) {
	digest := strings.Repeat("a", 43)
	dear := map[string]string{
		"bcrypt of 31":            "$2b$31$" + strings.Repeat("a", 53),
		"sha of 999999999 rounds": "$6$rounds=999999999$s$" + digest + digest,
		"DES of all rounds":       "_zzzzaaaaaaaaaaaaaaa",
		"scrypt of 2^63":          "$7$z6..../....salt$" + digest,
		"scrypt of a wide block":  "$7$/zzzz./....salt$" + digest,
		"scrypt of many lanes":    "$7$CU....zzzz.salt$" + digest,
		"scrypt that would wrap":  "$7$yzzz../....salt$" + digest,
		"yescrypt of 2^40":        "$y$jbT$a.$" + digest,
		"yescrypt of long loops":  "$y$j9T/zzzzzz$a.$" + digest,
		"yescrypt of many lanes":  "$y$jD..u..$a.$" + digest,
	}
	for name, text := range dear {
		h, err := Parse(text)
		if err != nil || h.Memory < 64<<20 && h.Time.Seconds() < 4 {
			t.Errorf("%s looks cheap: %+v, %v", name, h, err)
		}
	}
	usual, err := Parse("$y$j9T$a.$" + digest)
	if err != nil || usual.Memory > 17<<20 || usual.Time.Milliseconds() > 200 {
		t.Errorf("the distributions' own choice: %+v, %v", usual, err)
	}
}

func TestAGuessTakesNoMoreMemoryThanItSaid(t *testing.T) {
	run := &Run{Tick: never}
	passwords, hashes := vectors(t)
	for i, text := range hashes {
		h, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		run.blocks = nil
		if _, err := h.Matches(run, passwords[i]); err != nil || int64(8*cap(run.blocks)) > h.Memory {
			t.Errorf("%s: %d bytes, said %d; %v", text, 8*cap(run.blocks), h.Memory, err)
		}
	}
}

func TestWordsThatCannotBeTypedFitNothing(t *testing.T) {
	h, err := Parse("$3$$31d6cfe0d16ae931b73c59d7e0c089c0") // of nothing
	if err != nil {
		t.Fatal(err)
	}
	for word, fits := range map[string]bool{"": true, "\x00": false, strings.Repeat("a", MaxPassword+1): false} {
		if ok, err := h.Matches(&Run{Tick: never}, []byte(word)); ok != fits || err != nil {
			t.Errorf("%q: %v %v", word, ok, err)
		}
	}
}

func TestBytesSurviveTheirEncoding(t *testing.T) {
	for n := range 70 {
		data := []byte(strings.Repeat("\xff\x00\x81", 30))[:n]
		if back, ok := decodeBytes(string(appendBytes(nil, data))); !ok || string(back) != string(data) {
			t.Errorf("%d bytes: %x, %v", n, back, ok)
		}
		if back := bcryptDecode(string(bcryptEncode(data))); string(back) != string(data) {
			t.Errorf("%d bytes of bcrypt: %x", n, back)
		}
	}
}

// FuzzParse holds that any text is refused or tried without a fault, within the memory and loops it was said to take.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"$1$a$aaaaaaaaaaaaaaaaaaaaaa", "$5$rounds=1000$a$b", "$6$$", "$2b$04$", "$3$$", "$7$20....1....x$y",
		"$y$j75$oN4zquU1D4DVX/9tmeP8k/$W9E5ACOwUPbx.Ifoy7GdMaAqlSIHUZt1tUsSYU1lQWB", "_J9..rasmBYk8r9AiWNc", "aaaaaaaaaaaaa", "$y$j9T/zzzzz$a.$" + strings.Repeat("a", 43),
	} {
		f.Add(seed, "word")
	}
	f.Fuzz(func(t *testing.T, text, word string) {
		h, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnknown) {
				t.Errorf("%v", err)
			}
			return
		}
		if h.Memory < 0 || h.Time <= 0 {
			t.Fatalf("cost %d, %v", h.Memory, h.Time)
		}
		if h.Memory > 1<<20 || h.Time.Milliseconds() > 20 {
			return
		}
		ticks := 0
		_, err = h.Matches(&Run{Tick: func() error {
			if ticks++; ticks > 100000 {
				return errStop
			}
			return nil
		}}, []byte(word))
		if err != nil {
			t.Errorf("went on for long: %v", err)
		}
	})
}
