package match

// grams finds which of many texts a value holds, at the price of a look or two at each of its bytes.
type grams struct {
	sets  []*gramSet
	short []needle // shorter than any gram: looked for one by one
}

// needle is a text with the rules that wait for it.
type needle struct {
	text   string
	offset int // of its gram in the text
	place  place
	rules  []int32
}

// gramSizes are how many bytes of a text are looked for first: the more, the fewer values come near by chance.
var gramSizes = []int{6, minGram}

const minGram = 3

// gramSet is the texts that are found by grams of one size.
type gramSet struct {
	size  int
	mask  uint64
	seen  [1 << 10]uint64 // one bit per hash of a gram: most of a value ends here
	table map[uint64][]needle
}

// newGrams takes all texts at once, since the rarest gram among them stands for a text.
func newGrams(needles []needle) *grams {
	g := &grams{}
	for _, size := range gramSizes {
		var own, rest []needle
		for _, n := range needles {
			if len(n.text) >= size {
				own = append(own, n)
			} else {
				rest = append(rest, n)
			}
		}
		if len(own) > 0 {
			g.sets = append(g.sets, newGramSet(size, own))
		}
		needles = rest
	}
	g.short = needles
	return g
}

func newGramSet(size int, needles []needle) *gramSet {
	s := &gramSet{size: size, mask: 1<<(8*size) - 1, table: map[uint64][]needle{}}
	count := map[uint64]int{}
	for _, n := range needles {
		for i := 0; i+size <= len(n.text); i++ {
			count[s.gram(n.text[i:])]++
		}
	}
	for _, n := range needles {
		for i := 1; i+size <= len(n.text); i++ {
			if count[s.gram(n.text[i:])] < count[s.gram(n.text[n.offset:])] {
				n.offset = i
			}
		}
		gram := s.gram(n.text[n.offset:])
		h := gramHash(gram)
		s.seen[h>>6] |= 1 << (h & 63)
		s.table[gram] = append(s.table[gram], n)
	}
	return s
}

func (s *gramSet) gram(text string) (gram uint64) {
	for i := range s.size {
		gram = gram<<8 | uint64(text[i])
	}
	return gram
}

// gramHash spreads grams over 16 bits (Fibonacci hashing).
func gramHash(gram uint64) uint64 { return gram * 0x9e3779b97f4a7c15 >> 48 }

// find calls use with the rules of every text that the value holds at its place.
func (g *grams) find(value string, use func([]int32)) {
	for i := range g.short {
		n := &g.short[i]
		for at := 0; at+len(n.text) <= len(value); at++ {
			if n.fits(value, at) {
				use(n.rules)
				break
			}
		}
	}
	for _, s := range g.sets {
		s.find(value, use)
	}
}

func (s *gramSet) find(value string, use func([]int32)) {
	gram := uint64(0)
	for i := range len(value) {
		gram = (gram<<8 | uint64(value[i])) & s.mask
		if h := gramHash(gram); s.seen[h>>6]>>(h&63)&1 == 0 || i < s.size-1 {
			continue
		}
		bucket := s.table[gram]
		for j := range bucket {
			if n := &bucket[j]; n.fits(value, i+1-s.size-n.offset) {
				use(n.rules)
			}
		}
	}
}

// fits says whether the text stands at this place of the value, and may.
func (n *needle) fits(value string, at int) bool {
	end := at + len(n.text)
	return at >= 0 && end <= len(value) && value[at:end] == n.text && n.place.allows(value, at, end)
}
