package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
)

// maxCodeBytes bounds the instructions of one program that are looked through; the verifier takes a million of 8 bytes.
const maxCodeBytes = 8 << 20

const (
	instructionBytes = 8
	callOpcode       = 0x85 // BPF_JMP | BPF_CALL
)

// errNoAddresses says that the kernel shows neither its addresses nor the targets of calls.
var errNoAddresses = fmt.Errorf("the kernel hides its addresses: %w", collect.ErrNeedsRoot)

// readCode gives the program's instructions as the verifier left them.
func readCode(call caller, fd int, size uint32) ([]byte, error) {
	if size == 0 {
		return nil, errNoAddresses
	}
	if size > maxCodeBytes {
		return nil, fmt.Errorf("eBPF program of %d bytes: %w", size, collect.ErrLimit)
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	code := make([]byte, size)
	pinner.Pin(&code[0])
	structure := make([]byte, progInfoBytes)
	binary.NativeEndian.PutUint32(structure[20:], size)
	putPointer(structure[32:], code)
	filled, err := call.info(fd, structure, &pinner)
	if err != nil {
		return nil, fmt.Errorf("eBPF program: %w", err)
	}
	if len(filled) < 40 || binary.NativeEndian.Uint64(filled[32:]) == 0 {
		return nil, errNoAddresses
	}
	return code, nil
}

// helperCalls are the targets of calls into the kernel, as distances from the helpers' base address.
func helperCalls(code []byte) []int32 {
	var calls []int32
	for len(code) >= instructionBytes {
		// A source register of 0 is a call of a helper; others are calls of the program's own functions.
		if code[0] == callOpcode && sourceRegister(code[1]) == 0 {
			if target := int32(binary.NativeEndian.Uint32(code[4:])); !slices.Contains(calls, target) {
				calls = append(calls, target)
			}
		}
		code = code[instructionBytes:]
	}
	return calls
}

// sourceRegister is the second bit field of the byte with both registers.
func sourceRegister(registers byte) byte {
	if lowestBit() == 1 {
		return registers >> 4
	}
	return registers & 15
}

// symbols are the kernel functions that eBPF helpers can be, by their distance from the base address.
type symbols map[int32]string

const baseSymbol = "__bpf_call_base"

// parseSymbols reads /proc/kallsyms: "address type name[\t[module]]". Only names that begin with bpf_ matter.
func parseSymbols(each func(use func(line []byte) error) error) (symbols, error) {
	addresses := map[string]uint64{}
	err := each(func(line []byte) error {
		address, rest, _ := bytes.Cut(line, []byte(" "))
		_, name, _ := bytes.Cut(rest, []byte(" "))
		name, _, _ = bytes.Cut(name, []byte("\t"))
		if !bytes.HasPrefix(name, []byte("bpf_")) && string(name) != baseSymbol {
			return nil
		}
		at, err := strconv.ParseUint(string(address), 16, 64)
		if err != nil {
			return errors.New("kallsyms: address is no number")
		}
		addresses[string(name)] = at
		return nil
	})
	if err != nil {
		return nil, err
	}
	base := addresses[baseSymbol]
	if base == 0 {
		return nil, errNoAddresses
	}
	names := symbols{}
	for name, at := range addresses {
		// On 64-bit kernels all helpers lie within 2 GiB of the base; what does not cannot be a target.
		if distance := int64(at - base); distance == int64(int32(distance)) {
			names[int32(distance)] = name
		}
	}
	return names, nil
}

// helperNames turns targets of calls into names; those that no symbol fits, such as calls the verifier put in, are
// left out.
func (s symbols) helperNames(calls []int32) ([]string, error) {
	names := []string{}
	for _, target := range calls {
		if target == 0 {
			return nil, errNoAddresses
		}
		if name, found := s[target]; found {
			names = append(names, strings.TrimSuffix(name, "_proto"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
