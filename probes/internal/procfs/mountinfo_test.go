package procfs

import (
	"errors"
	"slices"
	"testing"
)

const mountText = `27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
41 27 0:38 /sub\040dir /mnt/a\040b\134\011c ro,nosuid - btrfs server:/x rw,subvol=/sub\040dir
42 27 0:39 / /none rw - tmpfs  rw
43 27 0:40 / /last rw - overlay overlay
`

func TestMountinfoIsReadWithItsEscapesAndTags(t *testing.T) {
	mounts, err := parseMountinfo([]byte(mountText))
	if err != nil || len(mounts) != 4 {
		t.Fatalf("got %+v, %v", mounts, err)
	}

	root, sub, empty, last := mounts[0], mounts[1], mounts[2], mounts[3]
	if root.Path != "/" || root.Type != "ext4" || root.Source != "/dev/vda" || root.Device != "254:0" || root.ParentID != 1 {
		t.Errorf("%+v", root)
	}
	if sub.Path != "/mnt/a b\\\tc" || sub.Root != "/sub dir" || !slices.Equal(sub.Options, []string{"ro", "nosuid"}) ||
		!slices.Equal(sub.SuperOptions, []string{"rw", "subvol=/sub dir"}) {
		t.Errorf("%+v", sub)
	}
	if empty.Source != "" || !slices.Equal(empty.SuperOptions, []string{"rw"}) || last.Source != "overlay" {
		t.Errorf("%+v %+v", empty, last)
	}
}

func TestMalformedMountinfoIsAnError(t *testing.T) {
	for _, text := range []string{"x\n", "1 2 3\n", "27 1 254:0 / / rw ext4 /dev/vda rw\n", "a 1 254:0 / / rw - ext4 x rw\n",
		"27 1 254:0 / / rw - ext4\n", "\n"} {
		if mounts, err := parseMountinfo([]byte(text)); !errors.Is(err, ErrParse) {
			t.Errorf("%q: got %+v, %v", text, mounts, err)
		}
	}
}

func TestBackslashThatIsNoEscapeStays(t *testing.T) {
	for word, want := range map[string]string{`a\04`: `a\04`, `\999`: `\999`, `\`: `\`, `\777`: `\777`, `\043x`: "#x"} {
		if got := unescape(word); got != want {
			t.Errorf("%s: got %s", word, got)
		}
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add([]byte(mountText))
	f.Add([]byte("1 1 1:1 / / - - - -\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseMountinfo(data); err != nil && !errors.Is(err, ErrParse) {
			t.Error(err)
		}
	})
}
