package crypt

import "testing"

func BenchmarkOneGuess(b *testing.B) {
	for name, text := range map[string]string{
		"des": "ab" + "01234567890", "md5": "$1$abcdefgh$" + "0123456789012345678901",
		"sha256":   "$5$abcdefghabcdefgh$" + "0123456789012345678901234567890123456789012",
		"sha512":   "$6$abcdefghabcdefgh$" + "01234567890123456789012345678901234567890120123456789012345678901234567890123456789012",
		"bcrypt10": "$2b$10$abcdefghabcdefghabcdeu" + "0123456789012345678901234567890",
		"yescrypt": "$y$j9T$abcdefghabcdefghabcde/$" + "0123456789012345678901234567890123456789012",
		"scrypt":   "$7$AC..../....abcdefgh$" + "0123456789012345678901234567890123456789012",
		"nt":       "$3$$" + "01234567890123456789012345678901",
	} {
		b.Run(name, func(b *testing.B) {
			h, err := Parse(text)
			if err != nil {
				b.Fatal(err)
			}
			run := &Run{Tick: never}
			for range b.N {
				if ok, err := h.Matches(run, []byte("password1")); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
			b.ReportMetric(float64(h.Time.Nanoseconds()), "ns-expected")
		})
	}
	b.Run("pi", func(b *testing.B) {
		for range b.N {
			if _, err := newBlowfish(never); err != nil {
				b.Fatal(err)
			}
		}
	})
}
