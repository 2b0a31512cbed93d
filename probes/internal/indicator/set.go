// Package indicator tells whether a text is on a list of known bad values, by a compact set that stands for the list:
// a value of the list is always found, another one in one of 2^bits cases. What is found is a candidate, which the
// other side compares with the list itself.
//
// A set is a Golomb-Rice coded sequence (S. W. Golomb 1966, R. F. Rice 1979; BIP 158 uses the same): each of n values is
// the upper 64 bits of SHA-256(text) scaled to n·2^bits, sorted, written as differences. It takes bits + 1.6 bits a
// value where a Bloom filter of that size would be wrong two to three times as often, and needs no tables to build.
package indicator

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// Bounds of a set; see check.
const (
	MinBits  = 8
	MaxBits  = 24
	MaxCount = 1 << 24
)

// Spec is what a plan says of a set; the coded values follow the plan.
type Spec struct {
	Kind      string `json:"kind"`
	Count     int    `json:"count"`
	Bits      int    `json:"bits"`
	SizeBytes int    `json:"size_bytes"`
	Digest    string `json:"digest"`    // SHA-256 of the coded values
	Prefixes4 []int  `json:"prefixes4"` // lengths of the IPv4 networks on the list
	Prefixes6 []int  `json:"prefixes6"`
}

// Check holds a spec within bounds, so that what it asks to read and keep can be believed.
func (s *Spec) Check() error {
	switch {
	case finders[s.Kind] == nil:
		return fmt.Errorf("kind: this probe knows no %q", s.Kind)
	case s.Bits < MinBits || s.Bits > MaxBits:
		return fmt.Errorf("bits: %d is not in %d…%d", s.Bits, MinBits, MaxBits)
	case s.Count < 1 || s.Count > MaxCount || uint64(s.Count)<<s.Bits > 1<<32:
		return fmt.Errorf("count: %d values of %d bits are too many", s.Count, s.Bits)
	case s.SizeBytes < 1 || s.SizeBytes > s.MemoryBytes()*2:
		return fmt.Errorf("size_bytes: %d for %d values", s.SizeBytes, s.Count)
	case slices.ContainsFunc(s.Prefixes4, outside(32)) || slices.ContainsFunc(s.Prefixes6, outside(128)):
		return errors.New("prefixes: a length that no network has")
	}
	return nil
}

func outside(most int) func(int) bool { return func(n int) bool { return n < 1 || n > most } }

// MemoryBytes is what the set takes once it is decoded.
func (s *Spec) MemoryBytes() int { return 4 * s.Count }

// Set is a decoded set.
type Set struct {
	Kind      string
	find      finder
	values    []uint32 // sorted
	span      uint64
	prefixes4 []int
	prefixes6 []int
}

// Decode reads a set; spec has been checked. The coded values are not kept.
func Decode(spec *Spec, coded []byte) (*Set, error) {
	if digest := sha256.Sum256(coded); fmt.Sprintf("%x", digest) != spec.Digest {
		return nil, errors.New("the values are not those of the digest")
	}
	s := &Set{
		Kind: spec.Kind, find: finders[spec.Kind], span: uint64(spec.Count) << spec.Bits,
		prefixes4: spec.Prefixes4, prefixes6: spec.Prefixes6,
	}
	values, err := decode(coded, spec.Count, uint(spec.Bits), s.span)
	s.values = values
	return s, err
}

// decode undoes the Golomb-Rice code: the upper part of each difference in unary (ones, then a zero), then its lower bits.
func decode(coded []byte, count int, low uint, span uint64) ([]uint32, error) {
	values := make([]uint32, 0, count)
	r := reader{data: coded}
	last := uint64(0)
	for range count {
		high, ok := r.unary()
		part, okToo := r.take(low)
		last += high<<low | part
		if !ok || !okToo || last >= span {
			return nil, errors.New("the values are cut short or broken")
		}
		values = append(values, uint32(last))
	}
	return values, nil
}

// reader takes bits from the highest down; held has its bits at the upper end.
type reader struct {
	data []byte
	held uint64
	bits uint
}

func (r *reader) fill() {
	for r.bits <= 56 && len(r.data) > 0 {
		r.held |= uint64(r.data[0]) << (56 - r.bits)
		r.data = r.data[1:]
		r.bits += 8
	}
}

func (r *reader) drop(n uint) {
	r.held <<= n
	r.bits -= n
}

// unary counts ones up to a zero.
func (r *reader) unary() (uint64, bool) {
	total := uint64(0)
	for {
		r.fill()
		ones := uint(bits.LeadingZeros64(^r.held))
		if ones < r.bits {
			r.drop(ones + 1)
			return total + uint64(ones), true
		}
		if r.bits == 0 {
			return 0, false
		}
		total += uint64(r.bits)
		r.drop(r.bits)
	}
}

func (r *reader) take(n uint) (uint64, bool) {
	r.fill()
	if r.bits < n {
		return 0, false
	}
	value := r.held >> (64 - n)
	r.drop(n)
	return value, true
}

// Has says whether a canonical text may be on the list.
func (s *Set) Has(text string) bool {
	_, found := slices.BinarySearch(s.values, scale(text, s.span))
	return found
}

// scale gives a text its place below span, which is at most 2^32.
func scale(text string, span uint64) uint32 {
	digest := sha256.Sum256([]byte(text))
	place, _ := bits.Mul64(binary.BigEndian.Uint64(digest[:8]), span)
	return uint32(place)
}

// address looks for an address and for every network it may be in.
func (s *Set) address(a netip.Addr, use func(string)) {
	a = a.Unmap().WithZone("")
	if text := a.String(); s.Has(text) {
		use(text)
	}
	prefixes := s.prefixes6
	if a.Is4() {
		prefixes = s.prefixes4
	}
	for _, length := range prefixes {
		if network, err := a.Prefix(length); err == nil {
			if text := network.String(); s.Has(text) {
				use(text)
			}
		}
	}
}
