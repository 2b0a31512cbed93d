package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgressIsSaidOnceASecondAndAtTheEnd(t *testing.T) {
	var out strings.Builder
	at := time.Unix(1000, 0)
	say := sayProgress(&out, func() time.Time { return at })

	for done, later := range []time.Duration{0, time.Second / 2, time.Second / 2, time.Second / 4, 0} {
		at = at.Add(later)
		say(done+1, 5)
	}

	if want := "SANDFLY-AT 1 5\nSANDFLY-AT 3 5\nSANDFLY-AT 5 5\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}
