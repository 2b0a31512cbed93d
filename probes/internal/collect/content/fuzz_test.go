package content

import (
	"testing"
)

func FuzzStatx(f *testing.F) {
	f.Add(make([]byte, 256))
	f.Add([]byte("\xff\x0f\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b [256]byte
		copy(b[:], data)
		st := parseStatx(&b)
		if st.Links < 0 || st.UID < 0 || st.UID > 1<<32-1 || len(st.Octal()) != 4 || st.Device() == "" {
			t.Errorf("%+v", st)
		}
	})
}
