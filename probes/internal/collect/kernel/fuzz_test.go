package kernel

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzSymbols(f *testing.F) {
	f.Add([]byte("ffffffff81000000 T __bpf_call_base\nffffffff81000010 T bpf_map_lookup_elem_proto\t[m]\n"))
	f.Add([]byte("0 T __bpf_call_base\nzz t bpf_x\n \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := parseSymbols(func(use func([]byte) error) error {
			for _, line := range bytes.Split(data, []byte("\n")) {
				if err := use(line); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return
		}
		for distance, name := range names {
			if !strings.HasPrefix(name, "bpf_") && name != baseSymbol {
				t.Errorf("%d: %q", distance, name)
			}
		}
		if _, err := names.helperNames([]int32{1, -1, 16}); err != nil {
			t.Error(err)
		}
	})
}
