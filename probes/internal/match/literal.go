package match

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"sandfly/probes/internal/seq"
)

const (
	// maxAlternatives bounds the texts of which a pattern needs one.
	maxAlternatives = 64
	// maxNeeds is how many guards of a pattern are kept: the first ones turn nearly everything away.
	maxNeeds = 4
)

const (
	before = atStart | atWord
	after  = atEnd | toWord
)

// needs are guards over one field, of which every match of a pattern satisfies each; the one that fits least is first.
type needs []guard

// needsOf reads them off a pattern that was simplified.
func needsOf(re *syntax.Regexp) needs {
	var n needs
	n.gather(re, anywhere)
	seq.SortStableFunc(n, func(a, b guard) int { return cmp.Compare(b.rank(), a.rank()) })
	return n[:min(len(n), maxNeeds)]
}

// rank tells how rare a guard's most common text is: by its length and by where it must stand.
func (g guard) rank() int {
	least := 0
	for i, a := range g {
		if rank := a.length() + 4*count(a.place&whole); i == 0 || rank < least {
			least = rank
		}
	}
	return least
}

// length of the text, with the ends of a word as one more each.
func (a atom) length() int { return len(a.text) + count(a.place&(atWord|toWord)) }

func count(bits place) (n int) {
	for ; bits != 0; bits &= bits - 1 {
		n++
	}
	return n
}

// gather adds what a part of a pattern needs that stands at a place.
func (n *needs) gather(re *syntax.Regexp, at place) {
	if texts := spelled(re); texts != nil {
		n.take(texts, at)
		return
	}
	switch re.Op {
	case syntax.OpLiteral:
		n.take([]string{plainest(re.Rune, re.Flags&syntax.FoldCase != 0)}, anywhere)
	case syntax.OpCapture:
		n.gather(re.Sub[0], at)
	case syntax.OpPlus:
		n.gather(re.Sub[0], at&before)
	case syntax.OpAlternate:
		var all guard
		for _, side := range re.Sub {
			var own needs
			own.gather(side, at)
			if len(own) == 0 {
				return
			}
			all = append(all, slices.MaxFunc(own, func(a, b guard) int { return cmp.Compare(a.rank(), b.rank()) })...)
		}
		if len(all) <= maxAlternatives {
			*n = append(*n, all)
		}
	case syntax.OpConcat:
		n.sequence(re.Sub, at)
	}
}

// sequence joins neighbours that are spelled out, so that `/dev/(tcp|udp)/` needs one of two whole paths.
func (n *needs) sequence(parts []*syntax.Regexp, at place) {
	var run []string
	begins, next := anywhere, at&before
	for i, part := range parts {
		ends := at & after
		if i+1 < len(parts) {
			_, ends = borders(parts[i+1])
		}
		texts := spelled(part)
		if joined := product(run, texts); joined != nil {
			run = joined
		} else {
			if more := product(run, heads(part)); more != nil {
				run = more
			}
			n.take(run, begins)
			run, begins = texts, next
		}
		if texts == nil {
			n.gather(part, next|ends)
			next, _ = borders(part)
			continue
		}
		if next = anywhere; ends != anywhere || i+1 == len(parts) {
			n.take(run, begins|ends)
			run = nil
		}
	}
}

// borders tells where a text stands that follows an assertion, and one that goes before it.
func borders(re *syntax.Regexp) (follows, precedes place) {
	switch re.Op {
	case syntax.OpBeginText:
		return atStart, anywhere
	case syntax.OpEndText:
		return anywhere, atEnd
	case syntax.OpWordBoundary:
		return atWord, toWord
	}
	return anywhere, anywhere
}

// take adds a guard of texts that all stand at a place; one that is empty is in everything. Where a word ends is to be
// seen only beside what is part of one.
func (n *needs) take(texts []string, at place) {
	var all guard
	for _, text := range texts {
		if text == "" {
			return
		}
		own := at
		if !isWord(text[0]) {
			own &^= atWord
		}
		if !isWord(text[len(text)-1]) {
			own &^= toWord
		}
		all = append(all, atom{text: text, place: own})
	}
	if all != nil {
		*n = append(*n, all)
	}
}

// spelled are all texts, in lower case, that a part of a pattern fits; nil when they are many or not plain ASCII.
func spelled(re *syntax.Regexp) (texts []string) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if !isPlain(r, re.Flags&syntax.FoldCase != 0) {
				return nil
			}
		}
		return []string{strings.ToLower(string(re.Rune))}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if !isPlain(r, false) || len(texts) == 8 {
					return nil
				}
				texts = append(texts, strings.ToLower(string(r)))
			}
		}
	case syntax.OpCapture:
		return spelled(re.Sub[0])
	case syntax.OpQuest:
		if texts = spelled(re.Sub[0]); texts != nil {
			texts = append(texts, "")
		}
	case syntax.OpAlternate:
		for _, side := range re.Sub {
			own := spelled(side)
			if own == nil || len(texts)+len(own) > maxAlternatives {
				return nil
			}
			texts = append(texts, own...)
		}
	case syntax.OpConcat:
		texts = []string{""}
		for _, part := range re.Sub {
			if texts = product(texts, spelled(part)); texts == nil {
				return nil
			}
		}
	}
	return texts
}

// heads are the texts of which all begin with one that a part of a pattern fits.
func heads(re *syntax.Regexp) (texts []string) {
	if texts = spelled(re); texts != nil {
		return texts
	}
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return heads(re.Sub[0])
	case syntax.OpAlternate:
		for _, side := range re.Sub {
			texts = append(texts, heads(side)...)
		}
	case syntax.OpConcat:
		return heads(re.Sub[0])
	}
	if texts == nil || len(texts) > maxAlternatives {
		return []string{""}
	}
	return texts
}

// product is every text of the one followed by every text of the other; nil when one of them is, or when it is large.
func product(heads, tails []string) (texts []string) {
	if len(heads)*len(tails) > maxAlternatives {
		return nil
	}
	for _, head := range heads {
		for _, tail := range tails {
			texts = append(texts, head+tail)
		}
	}
	return texts
}

// isPlain says whether a letter of a pattern fits itself alone, or its other case, which is ASCII too: without case an
// `s` also fits ſ and a `k` the sign of Kelvin.
func isPlain(r rune, fold bool) bool {
	return r < utf8.RuneSelf && !(fold && strings.ContainsRune("sSkK", r))
}

// required are texts, in lower case, of which every match of a pattern holds one; nil when there are none to see.
func required(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if text := plainest(re.Rune, re.Flags&syntax.FoldCase != 0); text != "" {
			return []string{text}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, side := range re.Sub {
			texts := required(side)
			if texts == nil || len(all)+len(texts) > maxAlternatives {
				return nil
			}
			all = append(all, texts...)
		}
		return all
	case syntax.OpConcat:
		var best []string
		for _, part := range re.Sub {
			if texts := required(part); shortest(texts) > shortest(best) {
				best = texts
			}
		}
		return best
	}
	return nil
}

// shortest is the length of the shortest text, 0 when there is none.
func shortest(texts []string) int {
	least := 0
	for _, text := range texts {
		if least == 0 || len(text) < least {
			least = len(text)
		}
	}
	return least
}

// plainest is the longest run of a literal that lower case changes in pattern and value alike. Without case an `s` also
// fits ſ, whose lower case it is not, and beyond ASCII there are more such; U+FFFD fits a byte that is no UTF-8.
func plainest(literal []rune, fold bool) string {
	runs := strings.FieldsFunc(string(literal), func(r rune) bool {
		return r == utf8.RuneError || fold && (r >= utf8.RuneSelf || r == 's' || r == 'S')
	})
	longest := ""
	for _, run := range runs {
		if len(run) > len(longest) {
			longest = run
		}
	}
	return strings.ToLower(longest)
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}
