package procfs

import (
	"errors"
	"strings"
	"testing"
)

// statLine has everything of a real line up to the resident size.
const statLine = "4576 (%) S 4535 4532 5025 34816 4532 4194304 10 0 0 0 120 30 0 0 20 -5 4 0 1234567 1292169216 1195\n"

func withName(name string) []byte { return []byte(strings.Replace(statLine, "%", name, 1)) }

func TestStatLineGivesEveryNumber(t *testing.T) {
	s, err := parseStat(withName("bash"))

	want := Stat{PID: 4576, Comm: "bash", State: 'S', PPID: 4535, PGroup: 4532, Session: 5025, TTY: 34816, Flags: 4194304,
		UserTicks: 120, SystemTicks: 30, Nice: -5, Threads: 4, StartTicks: 1234567, VirtualBytes: 1292169216}
	if err != nil || s != want {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestStatNameMayHoldParenthesesSpacesAndNewlines(t *testing.T) {
	for _, name := range []string{"a) R 1 (b", "(sd-pam)", "x y", "tail\n) ", "", "\xff\xfe"} {
		s, err := parseStat(withName(name))
		if err != nil || s.Comm != name || s.PPID != 4535 {
			t.Errorf("%q: got %q with parent %d, %v", name, s.Comm, s.PPID, err)
		}
	}
}

func TestMalformedStatIsAnError(t *testing.T) {
	whole := string(withName("bash"))
	for _, text := range []string{
		"", "\n", "4576", "4576 bash S 1", "(bash) S 1 2 3", "x (bash)" + whole[11:], ") S (", "4576 (bash) S 1 2",
		strings.Replace(whole, "1234567", "late", 1), strings.Replace(whole, " S ", " SS ", 1),
		strings.Replace(whole, "4535", "99999999999999999999", 1),
	} {
		if s, err := parseStat([]byte(text)); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %+v, %v", text, s, err)
		}
	}
}

func TestKernelThreadIsKnownByItsFlagOnly(t *testing.T) {
	kernel, pretender := Stat{Flags: 0x208040, Comm: "x"}, Stat{Flags: 0x400000, Comm: "[kworker/0:1]"}

	if !kernel.IsKernelThread() || pretender.IsKernelThread() {
		t.Error("the name must not matter")
	}
}

func TestTerminalsHaveTheirNamesUnderDev(t *testing.T) {
	for device, want := range map[int]string{
		0: "", 34816: "pts/0", 34816 + 5: "pts/5", 136<<8 | 255: "pts/255", 137 << 8: "pts/256", 136<<8 | 1<<20: "pts/256",
		4<<8 | 1: "tty1", 4<<8 | 64: "ttyS0", 5<<8 | 1: "console", 229 << 8: "hvc0", 204<<8 | 64: "204:64",
	} {
		if got := TTYName(device); got != want {
			t.Errorf("%#x: got %q, want %q", device, got, want)
		}
	}
}

func FuzzStat(f *testing.F) {
	f.Add(withName("bash"))
	f.Add(withName("a) R 1 (b"))
	f.Add([]byte("1 () R"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseStat(data); err != nil && !errors.Is(err, ErrParse) {
			t.Error(err)
		}
	})
}
