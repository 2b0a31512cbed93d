package logs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

func FuzzPacked(f *testing.F) {
	for _, ending := range []string{"gz", "bz2", "zst", "xz"} {
		f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00"), ending)
		f.Add([]byte("BZh91AY&SY\x19\x93\x9b\x6b\x00\x00\x00\x01\x00\x20\x00\x20\x00\x21\x00\x82\x0b\x17\x72\x45\x38\x50\x90"), ending)
	}
	env := &collect.Env{Root: f.TempDir(), Throttle: &freely{}}
	f.Fuzz(func(t *testing.T, data []byte, ending string) {
		if err := os.WriteFile(filepath.Join(env.Root, "log"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := content.Open(env, "/log")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if out, err := unpackAll(file, "."+ending); len(out) > maxHeld || err == nil && out == nil {
			t.Errorf("%d bytes, %v", len(out), err)
		}
		if r, err := unpack(file, "."+ending); err == nil {
			if _, err := io.CopyN(io.Discard, r, 1<<20); err == nil || errors.Is(err, io.EOF) {
				return
			}
		}
	})
}
