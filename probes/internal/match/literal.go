package match

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxAlternatives bounds the texts of which a pattern needs one.
const maxAlternatives = 64

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
