package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/plan"
)

// row is a record for tests: a value or an error by field name.
type row map[string]any

var fields = []struct {
	name, kind string
	cost       collect.Cost
}{
	{"pid", "int", collect.Free}, {"name", "string", collect.Free}, {"deleted", "bool", collect.Free},
	{"load", "float", collect.Free}, {"path", "string", collect.Cheap}, {"argv", "strings", collect.Cheap},
	{"ports", "ints", collect.Cheap}, {"address", "string", collect.Cheap}, {"content", "string", collect.Costly},
}

// subject counts in reads how often each field was asked for.
func subject(reads map[string]int) *collect.Subject {
	var list []collect.Field[row]
	for _, f := range fields {
		list = append(list, collect.Field[row]{Name: f.name, Type: f.kind, Cost: f.cost, Get: func(r row) (any, error) {
			reads[f.name]++
			if err, ok := r[f.name].(error); ok {
				return nil, err
			}
			return r[f.name], nil
		}})
	}
	return collect.NewSubject("thing", "", nil, nil, list)
}

func compile(t testing.TB, s *collect.Subject, when string) *Expr {
	t.Helper()
	expr, err := tryCompile(s, when)
	if err != nil {
		t.Fatal(err)
	}
	return expr
}

func tryCompile(s *collect.Subject, when string) (*Expr, error) {
	text := `{"schema":1,"rules":[{"id":"r","subject":"thing","fields":[],"when":` + when + `}]}`
	p, err := plan.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	expr, fault := Compile(s, p.Rules[0].When)
	if fault != nil {
		return nil, fault.In("when")
	}
	return expr, nil
}

func eval(t testing.TB, when string, r row) Truth {
	t.Helper()
	s := subject(map[string]int{})
	record := NewRecord(s)
	record.Reset(r)
	return compile(t, s, when).Eval(record)
}

func leafJSON(field, op, rest string) string {
	return fmt.Sprintf(`{"field":%q,"op":%q%s}`, field, op, rest)
}

func TestOperators(t *testing.T) {
	cases := []struct {
		field, op, rest string
		value           any
		want            Truth
	}{
		{"name", "eq", `,"values":["BASH"]`, "bash", Yes},
		{"name", "eq", `,"values":["BASH"],"cased":true`, "bash", No},
		{"name", "eq", `,"values":["bash"],"cased":true`, "bash", Yes},
		{"name", "eq", `,"values":["ÄRGER"]`, "ärger", Yes},
		{"name", "eq", `,"values":["sh","bash"]`, "bash", Yes},
		{"name", "eq", `,"values":[""]`, "", Yes},
		{"name", "eq", `,"values":["a","b","c","d","e","BASH"]`, "bash", Yes},
		{"name", "eq", `,"values":["a","b","c","d","e","BASH"],"cased":true`, "bash", No},
		{"name", "eq", `,"values":[7]`, "7", Yes},
		{"pid", "eq", `,"values":[7]`, int64(7), Yes},
		{"pid", "eq", `,"values":["7"]`, int64(7), Yes},
		{"pid", "eq", `,"values":["07"]`, int64(7), No},
		{"pid", "eq", `,"values":[7.0]`, int64(7), Yes},
		{"pid", "eq", `,"values":[1,2,3,4,5,"7"]`, int64(7), Yes},
		{"pid", "eq", `,"values":[9007199254740993]`, int64(9007199254740992), No},
		{"load", "eq", `,"values":[0.5]`, 0.5, Yes},
		{"load", "eq", `,"values":["2"]`, 2.0, Yes},
		{"deleted", "eq", `,"values":[true]`, true, Yes},
		{"deleted", "eq", `,"values":["true"]`, true, Yes},
		{"deleted", "eq", `,"values":[false]`, true, No},
		{"deleted", "eq", `,"values":[1]`, true, No},
		{"path", "glob", `,"values":["/TMP/*/x"]`, "/tmp/a/b/x", Yes},
		{"path", "glob", `,"values":["/tmp/?"]`, "/tmp/ab", No},
		{"path", "glob", `,"values":["/tmp/\\*"]`, "/tmp/*", Yes},
		{"path", "glob", `,"values":["/tmp/\\*"]`, "/tmp/a", No},
		{"path", "glob", `,"values":["/TMP/*"],"cased":true`, "/tmp/a", No},
		{"pid", "glob", `,"values":["1*"]`, int64(12), Yes},
		{"path", "contains", `,"values":["MP/"]`, "/tmp/a", Yes},
		{"path", "contains", `,"values":["*"]`, "/tmp/a", No},
		{"path", "contains", `,"values":["/tmp","/a"],"all":true`, "/tmp/a", Yes},
		{"path", "contains", `,"values":["/tmp","/b"],"all":true`, "/tmp/a", No},
		{"pid", "contains", `,"values":[23]`, int64(1234), Yes},
		{"path", "startswith", `,"values":["/Tmp"]`, "/tmp/a", Yes},
		{"path", "startswith", `,"values":["tmp"]`, "/tmp/a", No},
		{"path", "endswith", `,"values":["/A"]`, "/tmp/a", Yes},
		{"path", "endswith", `,"values":["/tmp"]`, "/tmp/a", No},
		{"path", "re", `,"values":["^/t.p/"]`, "/tmp/a", Yes},
		{"path", "re", `,"values":["^/T"]`, "/tmp/a", No},
		{"path", "re", `,"values":["(?i)^/T"]`, "/tmp/a", Yes},
		{"path", "re", `,"values":["^/b","p/a$"]`, "/tmp/a", Yes},
		{"address", "cidr", `,"values":["10.0.0.0/8"]`, "10.2.3.4", Yes},
		{"address", "cidr", `,"values":["10.0.0.0/8"]`, "11.2.3.4", No},
		{"address", "cidr", `,"values":["10.0.0.0/8"]`, "::ffff:10.0.0.1", Yes},
		{"address", "cidr", `,"values":["fe80::/10"]`, "fe80::1%eth0", Yes},
		{"address", "cidr", `,"values":["fe80::/10"]`, "no address", No},
		{"pid", "gt", `,"values":[6]`, int64(7), Yes},
		{"pid", "gt", `,"values":[7]`, int64(7), No},
		{"pid", "gte", `,"values":[7]`, int64(7), Yes},
		{"pid", "lt", `,"values":[7.5]`, int64(7), Yes},
		{"pid", "lte", `,"values":[6]`, int64(7), No},
		{"pid", "gt", `,"values":[9007199254740992]`, int64(9007199254740993), Yes},
		{"load", "gt", `,"values":[1]`, 1.5, Yes},
		{"name", "gt", `,"values":[10]`, "11", Yes},
		{"name", "gt", `,"values":[10]`, "many", No},
		{"name", "lt", `,"values":[10]`, "many", No},
		{"name", "lt", `,"values":[10]`, "0x1", No},
		{"deleted", "gt", `,"values":[0]`, true, No},
		{"name", "exists", `,"values":[true]`, "x", Yes},
		{"name", "exists", `,"values":[true]`, nil, No},
		{"name", "exists", `,"values":[false]`, nil, Yes},
		{"name", "null", ``, nil, Yes},
		{"name", "null", ``, "", No},
		{"argv", "null", ``, []string{}, Yes},
		{"name", "eq", `,"values":[""]`, nil, No},
		{"argv", "eq", `,"values":["-i"]`, []string{"sh", "-I"}, Yes},
		{"argv", "eq", `,"values":["-i","sh"],"all":true`, []string{"sh", "-i"}, Yes},
		{"argv", "eq", `,"values":["-i","-c"],"all":true`, []string{"sh", "-i"}, No},
		{"argv", "contains", `,"values":["dev/tcp"]`, []string{"sh", ">/dev/tcp/1"}, Yes},
		{"ports", "eq", `,"values":["22",80]`, []int64{443, 80}, Yes},
		{"ports", "gt", `,"values":[1000]`, []int64{443, 80}, No},
	}
	for _, c := range cases {
		when := leafJSON(c.field, c.op, c.rest)
		if got := eval(t, when, row{c.field: c.value}); got != c.want {
			t.Errorf("%s on %v = %v, want %v", when, c.value, got, c.want)
		}
	}
}

func TestFieldReferences(t *testing.T) {
	cases := []struct {
		rest string
		row  row
		want Truth
	}{
		{`,"values":["path"]`, row{"name": "A", "path": "a"}, Yes},
		{`,"values":["path"],"cased":true`, row{"name": "A", "path": "a"}, No},
		{`,"values":["pid"]`, row{"name": "7", "pid": int64(7)}, Yes},
		{`,"values":["path","address"]`, row{"name": "a", "path": "b", "address": "a"}, Yes},
		{`,"values":["path","address"],"all":true`, row{"name": "a", "path": "b", "address": "a"}, No},
		{`,"values":["argv"]`, row{"name": "a", "argv": []string{"b", "a"}}, Yes},
		{`,"values":["path"],"mode":"startswith"`, row{"name": "bash", "path": "ba"}, Yes},
		{`,"values":["path"],"mode":"endswith"`, row{"name": "bash", "path": "sh"}, Yes},
		{`,"values":["path"],"mode":"contains"`, row{"name": "bash", "path": "x"}, No},
		{`,"values":["path"]`, row{"name": "a"}, No},
		{`,"values":["path"]`, row{"path": "a"}, No},
		{`,"values":["path"]`, row{"name": "a", "path": collect.ErrNeedsRoot}, UnknownRights},
		{`,"values":["path","address"]`, row{"name": "a", "path": collect.ErrNeedsRoot, "address": "a"}, Yes},
	}
	for _, c := range cases {
		if got := eval(t, leafJSON("name", "fieldref", c.rest), c.row); got != c.want {
			t.Errorf("fieldref%s on %v = %v, want %v", c.rest, c.row, got, c.want)
		}
	}
}

func TestKeywordsLookIntoEveryText(t *testing.T) {
	cases := []struct {
		rest string
		row  row
		want Truth
	}{
		{`,"values":["EVIL"]`, row{"name": "not evil"}, Yes},
		{`,"values":["EVIL"],"cased":true`, row{"name": "not evil"}, No},
		{`,"values":["evil"]`, row{"argv": []string{"a", "evil"}}, Yes},
		{`,"values":["7"]`, row{"pid": int64(7)}, No},
		{`,"values":["e?i*l"]`, row{"name": "so evil you"}, Yes},
		{`,"values":["a\\*b"]`, row{"name": "xa*bx"}, Yes},
		{`,"values":["one","two"],"all":true`, row{"name": "one", "path": "two"}, Yes},
		{`,"values":["one","three"],"all":true`, row{"name": "one", "path": "two"}, No},
		{`,"values":["evil"]`, row{"name": "evil", "content": collect.ErrNeedsRoot}, Yes},
		{`,"values":["evil"]`, row{"name": "good", "content": collect.ErrNeedsRoot}, UnknownRights},
	}
	for _, c := range cases {
		if got := eval(t, leafJSON("", "keyword", c.rest), c.row); got != c.want {
			t.Errorf("keyword%s on %v = %v, want %v", c.rest, c.row, got, c.want)
		}
	}
}

// operands are conditions of known outcome over the record of TestKleene.
var operands = map[Truth]string{
	Yes:           `{"field":"pid","op":"eq","values":[1]}`,
	No:            `{"field":"pid","op":"eq","values":[2]}`,
	UnknownLimit:  `{"field":"content","op":"eq","values":["x"]}`,
	UnknownRights: `{"field":"path","op":"eq","values":["x"]}`,
	UnknownError:  `{"field":"address","op":"eq","values":["x"]}`,
}

func TestKleene(t *testing.T) {
	r := row{"pid": int64(1), "content": collect.ErrLimit, "path": collect.ErrNeedsRoot, "address": errors.New("I/O")}
	for a, left := range operands {
		for b, right := range operands {
			and, or := max(a, b), max(a, b)
			if a == No || b == No {
				and = No
			}
			if a == Yes || b == Yes {
				or = Yes
			}
			if got := eval(t, `{"and":[`+left+`,`+right+`]}`, r); got != and {
				t.Errorf("%d and %d = %d", a, b, got)
			}
			if got := eval(t, `{"or":[`+left+`,`+right+`]}`, r); got != or {
				t.Errorf("%d or %d = %d", a, b, got)
			}
		}
	}
}

func TestNotKeepsWhatIsUnknown(t *testing.T) {
	want := map[Truth]Truth{Yes: No, No: Yes, UnknownRights: UnknownRights, UnknownError: UnknownError}
	r := row{"pid": int64(1), "path": collect.ErrNeedsRoot, "address": errors.New("I/O")}
	for operand, expected := range want {
		if got := eval(t, `{"not":`+operands[operand]+`}`, r); got != expected {
			t.Errorf("not %d = %d", operand, got)
		}
	}
}

func TestUnknownFieldMakesEveryOperatorUnknown(t *testing.T) {
	for _, leaf := range []string{
		leafJSON("path", "null", ""), leafJSON("path", "exists", `,"values":[true]`),
		leafJSON("path", "glob", `,"values":["*"]`), leafJSON("path", "fieldref", `,"values":["name"]`),
	} {
		if got := eval(t, leaf, row{"path": collect.ErrNeedsRoot}); got != UnknownRights {
			t.Errorf("%s = %v", leaf, got)
		}
	}
}

func TestCheaperSideComesFirstAndSparesTheCostlyOne(t *testing.T) {
	reads := map[string]int{}
	s := subject(reads)
	expr := compile(t, s, `{"and":[{"field":"content","op":"contains","values":["x"]},{"field":"name","op":"eq","values":["sh"]}]}`)
	record := NewRecord(s)
	record.Reset(row{"name": "bash", "content": "x"})

	if got := expr.Eval(record); got != No || reads["content"] != 0 {
		t.Errorf("%v after %d reads of the content", got, reads["content"])
	}
}

func TestFieldIsReadOncePerRecord(t *testing.T) {
	reads := map[string]int{}
	s := subject(reads)
	expr := compile(t, s, `{"or":[{"field":"path","op":"eq","values":["a"]},{"field":"path","op":"eq","values":["b"]}]}`)
	record := NewRecord(s)

	for range 2 {
		record.Reset(row{"path": "c"})
		expr.Eval(record)
		expr.Eval(record)
	}

	if reads["path"] != 2 {
		t.Errorf("path was read %d times for two records", reads["path"])
	}
}

func TestRecordThatVanishedIsGone(t *testing.T) {
	s := subject(map[string]int{})
	expr := compile(t, s, `{"not":{"field":"path","op":"eq","values":["a"]}}`)
	record := NewRecord(s)
	record.Reset(row{"path": fmt.Errorf("readlink: %w", collect.ErrGone)})

	expr.Eval(record)

	if !record.Gone() {
		t.Error("the record is still there")
	}
}

func TestExpressionNamesItsFieldsAndCost(t *testing.T) {
	s := subject(map[string]int{})
	expr := compile(t, s, `{"or":[{"field":"path","op":"fieldref","values":["content"]},{"field":"pid","op":"null"}]}`)

	if got := fmt.Sprint(expr.Fields); got != "[0 4 8]" || expr.Cost != collect.Costly {
		t.Errorf("fields %s, cost %v", got, expr.Cost)
	}
}

func TestBadConditionsAreRefusedAndSayWhere(t *testing.T) {
	cases := map[string]string{
		`{"and":[{"field":"nope","op":"null"}]}`:                               `when.and[0]: subject thing has no field "nope"`,
		`{"field":"name","op":"like","values":["x"]}`:                          `when: unknown op "like"`,
		`{"field":"name","op":"eq","values":[]}`:                               `when.values: op "eq" with 0 values`,
		`{"field":"name","op":"null","values":["x"]}`:                          `when.values: op "null" with 1 values`,
		`{"not":{"field":"name","op":"re","values":["ok","("]}}`:               `when.not.values[1]: error parsing regexp`,
		`{"field":"name","op":"re","values":[1]}`:                              `when.values[0]: a pattern is needed`,
		`{"field":"name","op":"cidr","values":["10.0.0.1"]}`:                   `when.values[0]: "10.0.0.1" is no network`,
		`{"field":"pid","op":"gt","values":["many"]}`:                          `when.values[0]: a number is needed`,
		`{"field":"name","op":"contains","values":[true]}`:                     `when.values[0]: text is needed`,
		`{"field":"name","op":"exists","values":["yes"]}`:                      `when.values: exists takes one boolean`,
		`{"field":"name","op":"fieldref","values":["nope"]}`:                   `when.values[0]: subject thing has no field`,
		`{"field":"name","op":"fieldref","values":["path"],"mode":"sideways"}`: `when.mode: unknown mode`,
		`{"field":"name","op":"eq","values":["x"],"mode":"contains"}`:          `when: mode belongs to fieldref`,
		`{"field":"name","op":"keyword","values":["x"]}`:                       `when: the field of a keyword is ""`,
		`{"field":"","op":"keyword","values":[1]}`:                             `when.values[0]: keyword takes text`,
		`{"field":"","op":"eq","values":["x"]}`:                                `when: subject thing has no field ""`,
	}
	for when, want := range cases {
		_, err := tryCompile(subject(map[string]int{}), when)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", when, err, want)
		}
	}
}

func TestEvaluationDoesNotAllocate(t *testing.T) {
	s := subject(map[string]int{})
	expr := compile(t, s, `{"and":[{"field":"pid","op":"eq","values":["7",8]},{"field":"path","op":"startswith","values":["/usr"]},
		{"field":"argv","op":"contains","values":["x"]}]}`)
	record := NewRecord(s)
	source := row{"pid": int64(7), "path": "/usr/bin/sh", "argv": []string{"sh", "-x"}}
	var boxed any = source

	if n := testing.AllocsPerRun(100, func() { record.Reset(boxed); expr.Eval(record) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzValues: numbers and texts of any shape compare without fault, and equality does not depend on the order.
func FuzzValues(f *testing.F) {
	f.Add("1e3", "1000")
	f.Add("-0", "0.0")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, v := range []any{a, json.Number(a)} {
			left, right := planScalar(v), planScalar(b)
			if left.equal(&right, true) != right.equal(&left, true) {
				t.Errorf("%v and %q", v, b)
			}
			left.compare(&right)
		}
	})
}
