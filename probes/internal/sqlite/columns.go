package sqlite

import "strings"

// column is one column of a table. isRowid: its value is the rowid and its place in the record is empty.
type column struct {
	name    string
	isRowid bool
}

// parseColumns takes the columns from the text of a CREATE TABLE statement. It knows quotes and brackets; constraints
// of the table are no columns.
func parseColumns(statement string) []column {
	_, body, ok := strings.Cut(statement, "(")
	if !ok {
		return nil
	}
	var out []column
	for _, definition := range splitDefinitions(body) {
		words := strings.Fields(strings.NewReplacer("\"", "", "`", "", "[", "", "]", "").Replace(definition))
		if len(words) == 0 || isConstraint(words[0]) || len(out) == maxColumns {
			continue
		}
		rest := strings.ToUpper(strings.Join(words[1:], " "))
		out = append(out, column{strings.ToLower(words[0]), strings.HasPrefix(rest, "INTEGER PRIMARY KEY")})
	}
	return out
}

func isConstraint(word string) bool {
	word, _, _ = strings.Cut(strings.ToUpper(word), "(")
	switch word {
	case "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
		return true
	}
	return false
}

// splitDefinitions splits at commas outside brackets and quotes, up to the closing bracket of the statement.
func splitDefinitions(body string) []string {
	var out []string
	depth, start, quote := 0, 0, byte(0)
	for i := range len(body) {
		c := body[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"' || c == '`':
			quote = c
		case c == '(':
			depth++
		case c == ')' && depth == 0:
			return append(out, body[start:i])
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out, start = append(out, body[start:i]), i+1
		}
	}
	return append(out, body[start:])
}
