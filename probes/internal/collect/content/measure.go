package content

import (
	"bytes"
	"crypto/md5"  // #nosec: an indicator that threat feeds use, not a protection
	"crypto/sha1" // #nosec: as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"sandfly/probes/internal/collect"
)

// each hands the first limit bytes to use, chunk by chunk; more tells whether there was something behind them.
func (f *File) each(limit int64, use func(chunk []byte)) (more bool, err error) {
	buf := make([]byte, chunkBytes)
	for off := int64(0); ; {
		n, err := f.ReadAt(buf[:min(chunkBytes, limit-off+1)], off)
		if off+int64(n) > limit {
			use(buf[:limit-off])
			return true, nil
		}
		use(buf[:n])
		off += int64(n)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// hashes are the digests of content that there are fields for.
var hashes = []string{"md5", "sha1", "sha256", "sha512"}

// WantedDigests are the names of digests that a plan may ask for, where prefix stands before them in its fields; they
// are best taken in one reading.
func WantedDigests(fields map[string]bool, prefix string) []string {
	var names []string
	for _, name := range hashes {
		if fields[prefix+name] {
			names = append(names, name)
		}
	}
	return names
}

// DigestFields makes a field for each digest of content: prefix and doc stand before and behind its name.
func DigestFields[R any](prefix, doc, source string, get func(r R, name string) (any, error)) []collect.Field[R] {
	var fields []collect.Field[R]
	for _, name := range hashes {
		fields = append(fields, collect.Field[R]{
			Name: prefix + name, Type: "string", Unit: "hex", Cost: collect.Costly, Source: source,
			Doc: strings.Replace(strings.ToUpper(name), "SHA", "SHA-", 1) + " of " + doc,
			Get: func(r R) (any, error) { return get(r, name) },
		})
	}
	return fields
}

// Digested keeps the digests of one file. Wanted ones are taken in one reading.
type Digested struct{ held map[string]string }

// Get gives one digest, "" where open gives no file.
func (d *Digested) Get(name string, wanted []string, open func() (*File, error)) (string, error) {
	if digest, ok := d.held[name]; ok {
		return digest, nil
	}
	file, err := open()
	if err != nil || file == nil {
		return "", err
	}
	defer file.Close()
	if d.held, err = file.Digests(MaxHashBytes, append([]string{name}, wanted...)...); err != nil {
		return "", err
	}
	return d.held[name], nil
}

// Digests reads the file once and gives the lower-case hex digest for each name of md5, sha1, sha256 and sha512 asked for.
// A file of more than limit bytes is collect.ErrLimit: the digest of a part would match nothing.
func (f *File) Digests(limit int64, names ...string) (map[string]string, error) {
	if f.size > limit {
		return nil, fmt.Errorf("%d bytes: %w", f.size, collect.ErrLimit)
	}
	makers := map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}
	running := map[string]hash.Hash{}
	for _, name := range names {
		if maker, ok := makers[name]; ok {
			running[name] = maker()
		}
	}
	more, err := f.each(limit, func(chunk []byte) {
		for _, h := range running {
			h.Write(chunk)
		}
	})
	if err != nil {
		return nil, err
	}
	if more {
		return nil, fmt.Errorf("grew past %d bytes: %w", limit, collect.ErrLimit)
	}
	out := map[string]string{}
	for name, h := range running {
		out[name] = hex.EncodeToString(h.Sum(nil))
	}
	return out, nil
}

// SHA256 is the lower-case hex SHA-256 of the file, or collect.ErrLimit when it has more than limit bytes.
func (f *File) SHA256(limit int64) (string, error) {
	digests, err := f.Digests(limit, "sha256")
	return digests["sha256"], err
}

// Entropy is Shannon's, in bits per byte (0 to 8), of the first limit bytes, rounded to four places; 0 when empty.
func (f *File) Entropy(limit int64) (float64, error) {
	var counts [256]int64
	_, err := f.each(limit, func(chunk []byte) {
		for _, b := range chunk {
			counts[b]++
		}
	})
	return entropy(&counts), err
}

// Entropy is Shannon's, in bits per byte (0 to 8), of the bytes, rounded to four places; 0 when there are none.
func Entropy(data []byte) float64 {
	var counts [256]int64
	for _, b := range data {
		counts[b]++
	}
	return entropy(&counts)
}

func entropy(counts *[256]int64) float64 {
	total, sum := int64(0), 0.0
	for _, n := range counts {
		total += n
	}
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(total)
			sum -= p * math.Log2(p)
		}
	}
	return math.Abs(math.Round(sum*1e4) / 1e4)
}

// Text gives the first limit bytes of a text file, and false when the content is no text. Bytes that are not UTF-8 are
// left as they are; the report escapes them.
func (f *File) Text(limit int) (string, bool, error) {
	data, err := f.Head(limit)
	if err != nil {
		return "", false, err
	}
	if !IsText(data) {
		return "", false, nil
	}
	return string(data), true, nil
}

// Magic is the class of the file's content; see the function Magic.
func (f *File) Magic() (string, error) {
	head, err := f.Head(HeadBytes)
	if err != nil {
		return "", err
	}
	return Magic(head), nil
}

// Interpreter is the program that the file's #! line names, or "" when it has none.
func (f *File) Interpreter() (string, error) {
	head, err := f.Head(HeadBytes)
	if err != nil {
		return "", err
	}
	return Interpreter(head), nil
}

// Interpreter is the program of a #! line at the beginning of a file, or "". For env it is the program that env
// starts, by the name it has there.
func Interpreter(head []byte) string {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return ""
	}
	if !strings.HasSuffix(words[0], "/env") {
		return words[0]
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return word
		}
	}
	return words[0]
}

// IsText tells whether bytes look like text: no NUL, hardly any control characters, and UTF-8 or an 8-bit code with
// few bytes above 127. A character cut off at the end does not matter.
func IsText(data []byte) bool {
	control, bad := 0, 0
	for rest := data; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == 0:
			return false
		case r == utf8.RuneError && size == 1:
			if len(rest) >= utf8.UTFMax || utf8.FullRune(rest) {
				bad++
			}
		case r < ' ' && !strings.ContainsRune("\t\n\v\f\r\b\x1b", r), r == 0x7f:
			control++
		}
		rest = rest[size:]
	}
	return control*50 <= len(data) && bad*3 <= len(data)
}
