package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readsBytes are the names of what turns bytes of a host, or of the plan, into values.
var readsBytes = regexp.MustCompile(`^([pP]arse|[dD]ecode|[uU]npack)([A-Z]|$)`)

// pkg is every function and variable of a directory with the names that its code uses; parsers are those of the program.
type pkg struct {
	uses    map[string][]string
	parsers []string
}

// A parser counts as fuzzed when the code of a fuzz target of its package names it, or names what names it, and so on, or
// when it hands its bytes on to one that is.
// Names stand for themselves whatever their receiver, which is enough to see what was forgotten.
func TestEveryParserIsReachedByAFuzzTargetOfItsPackage(t *testing.T) {
	for dir, p := range readPackages(t, "../../internal") {
		reached := map[string]bool{}
		var reach func(name string)
		reach = func(name string) {
			if uses, known := p.uses[name]; known && !reached[name] {
				reached[name] = true
				for _, use := range uses {
					reach(use)
				}
			}
		}
		for name := range p.uses {
			if strings.HasPrefix(name, "Fuzz") {
				reach(name)
			}
		}
		isFuzzed := func(name string) bool { return readsBytes.MatchString(name) && reached[name] }
		for _, name := range p.parsers {
			if !reached[name] && !slices.ContainsFunc(p.uses[name], isFuzzed) {
				t.Errorf("%s: %s is in no fuzz target", dir, name)
			}
		}
	}
}

func readPackages(t *testing.T, root string) map[string]*pkg {
	t.Helper()
	packages := map[string]*pkg{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		if packages[dir] == nil {
			packages[dir] = &pkg{uses: map[string][]string{}}
		}
		packages[dir].add(file, strings.HasSuffix(path, "_test.go"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func (p *pkg) add(file *ast.File, isTest bool) {
	for _, declared := range file.Decls {
		switch d := declared.(type) {
		case *ast.FuncDecl:
			p.uses[d.Name.Name] = append(p.uses[d.Name.Name], usedIn(d.Body)...)
			if !isTest && readsBytes.MatchString(d.Name.Name) {
				p.parsers = append(p.parsers, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range v.Names {
						p.uses[name.Name] = append(p.uses[name.Name], usedIn(v)...)
					}
				}
			}
		}
	}
}

func usedIn(node ast.Node) (names []string) {
	if node == (*ast.BlockStmt)(nil) {
		return nil
	}
	ast.Inspect(node, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !slices.Contains(names, id.Name) {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}
