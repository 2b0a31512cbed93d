//go:build go1.26

package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/match"
	"sandfly/probes/internal/plan"
)

// The cost of rules per record, dispatched and, as a measure, each asked for itself: `go test -bench Rules`.

type benchRecord map[string]string

// benchSubject has text fields; those behind the first `cheap` ones are free.
func benchSubject(name string, free, cheap []string) *collect.Subject {
	var fields []collect.Field[benchRecord]
	add := func(names []string, cost collect.Cost) {
		for _, n := range names {
			fields = append(fields, collect.Field[benchRecord]{Name: n, Type: "string", Cost: cost, Get: func(r benchRecord) (any, error) {
				if r[n] == "" {
					return nil, nil
				}
				return r[n], nil
			}})
		}
	}
	add(free, collect.Free)
	add(cheap, collect.Cheap)
	return collect.NewSubject(name, "", nil, nil, fields)
}

// word is made of a hundred syllables, so that words have parts in common, as they do everywhere.
func word(d *rand.Rand) string {
	out := ""
	for range 2 + d.IntN(3) {
		out += string("bcdfghjklmnpqrstvwxz"[d.IntN(20)]) + string("aeiou"[d.IntN(5)])
	}
	return out
}

func words(d *rand.Rand, n int, before, behind string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = before + word(d) + behind
	}
	return out
}

type object = map[string]any

func leafOf(field, op string, values []string) object {
	return object{"field": field, "op": op, "values": values}
}

func both(sides ...object) object { return object{"and": sides} }

func fileRule(d *rand.Rand, i int) object {
	dir := []string{"/tmp", "/var/tmp", "/dev/shm", "/etc", "/usr/bin", "/home/*", "/var/www"}[d.IntN(7)]
	when := []object{
		leafOf("name", "eq", words(d, 5, "", "")),
		leafOf("path", "endswith", words(d, 4, "/", ".sh")),
		both(leafOf("extension", "eq", []string{"php", word(d)}), leafOf("mode", "eq", []string{"4755"})),
		leafOf("name", "re", []string{"^" + word(d) + "-[0-9a-f]{8}$"}),
		leafOf("mode", "startswith", []string{"4"}),
	}[i%5]
	return object{"subject": "file", "when": when, "scope": object{"paths": []string{dir}}}
}

func processRule(d *rand.Rand, i int) object {
	when := []object{
		both(leafOf("name", "eq", words(d, 3, "", "")), leafOf("cmdline", "contains", words(d, 4, " -", ""))),
		leafOf("cmdline", "contains", words(d, 6, "", " ")),
		leafOf("path", "endswith", words(d, 5, "/", "")),
		object{"and": []object{leafOf("cmdline", "re", []string{"(?i)" + word(d) + `\s+-[a-z]+`}), leafOf("path", "startswith", []string{"/tmp/"})}},
	}[i%4]
	return object{"subject": "process", "when": when}
}

func lineRule(d *rand.Rand, i int) object {
	when := []object{
		{"field": "", "op": "keyword", "values": words(d, 4, "", " failed")},
		both(leafOf("program", "eq", words(d, 2, "", "")), leafOf("message", "contains", words(d, 3, "", ""))),
		leafOf("message", "re", []string{word(d) + ` (from|to) [0-9.]+`}),
	}[i%3]
	return object{"subject": "log_line", "when": when}
}

func benchProgram(b *testing.B, s *collect.Subject, count int, rule func(*rand.Rand, int) object) *group {
	b.Helper()
	d := rand.New(rand.NewPCG(7, 7))
	rules := make([]object, count)
	for i := range rules {
		rules[i] = rule(d, i)
		rules[i]["id"], rules[i]["fields"] = fmt.Sprint(i), []string{}
	}
	data, err := json.Marshal(object{"schema": 1, "rules": rules})
	if err != nil {
		b.Fatal(err)
	}
	p, err := plan.Decode(data)
	if err != nil {
		b.Fatal(err)
	}
	program, err := Build(p, []*collect.Subject{s})
	if err != nil {
		b.Fatal(err)
	}
	return program.groups[s.Name]
}

func files(d *rand.Rand, count int) []any {
	var out []any
	for len(out) < count {
		dir := []string{"/tmp", "/etc", "/usr/bin", "/usr/lib/x86_64-linux-gnu", "/home/alice/src", "/var/www/html", "/usr/share/doc"}[d.IntN(7)] + "/" + word(d)
		for range 25 {
			name := word(d) + []string{"", ".so", ".php", ".txt", ".py"}[min(d.IntN(40), 4)]
			out = append(out, benchRecord{"path": dir + "/" + name, "directory": dir, "name": name, "mode": "644",
				"extension": strings.TrimPrefix(path.Ext(name), ".")})
		}
	}
	return out
}

func processes(d *rand.Rand, count int) []any {
	out := make([]any, count)
	for i := range out {
		name := word(d)
		out[i] = benchRecord{"name": name, "path": "/usr/bin/" + name, "cmdline": name + " -" + strings.Join(words(d, 12, "-", "=1"), " ")}
	}
	return out
}

func lines(d *rand.Rand, count int) []any {
	out := make([]any, count)
	for i := range out {
		message := strings.Join(words(d, 14, "", ""), " ")
		program := word(d)
		out[i] = benchRecord{"program": program, "hostname": "web1", "message": message, "text": "Nov 24 05:00:00 web1 " + program + ": " + message}
	}
	return out
}

// judgeEach asks every rule, with the scopes looked at once per record.
func judgeEach(g *group, source any) (hits int) {
	g.record.Reset(source)
	value, _ := g.record.Value(g.path)
	text, _ := value.(string)
	for i := range g.scopes {
		g.scopes[i].covered = slices.ContainsFunc(g.scopes[i].scopes, func(s collect.Scope) bool { return s.Covers(text) })
	}
	for _, r := range g.rules {
		if g.dispatch.covers(r.scope) && r.when.Eval(g.record) == match.Yes {
			hits++
		}
	}
	return hits
}

func BenchmarkRules(b *testing.B) {
	kinds := []struct {
		subject *collect.Subject
		rule    func(*rand.Rand, int) object
		records []any
	}{
		{benchSubject("file", []string{"path", "name", "extension", "directory"}, []string{"mode"}), fileRule, files(rand.New(rand.NewPCG(1, 1)), 50_000)},
		{benchSubject("process", []string{"name", "path"}, []string{"cmdline"}), processRule, processes(rand.New(rand.NewPCG(2, 1)), 200)},
		{benchSubject("log_line", []string{"program", "hostname"}, []string{"message", "text", "path"}), lineRule, lines(rand.New(rand.NewPCG(3, 1)), 100_000)},
	}
	for _, k := range kinds {
		for _, count := range []int{40, 400, 1000, 4000} {
			g := benchProgram(b, k.subject, count, k.rule)
			var v verdict
			b.Run(fmt.Sprintf("%s/%d/dispatched", k.subject.Name, count), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					v.judge(g, k.records[i%len(k.records)])
				}
			})
			b.Run(fmt.Sprintf("%s/%d/each", k.subject.Name, count), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					judgeEach(g, k.records[i%len(k.records)])
				}
			})
		}
	}
}
