package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func stage(t *testing.T, name string) (directory, program string) {
	t.Helper()
	directory = filepath.Join(t.TempDir(), name)
	program = filepath.Join(directory, "p")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	return directory, program
}

func TestStagedProgramAndItsDirectoryAreRemoved(t *testing.T) {
	directory, program := stage(t, ".sf-0123")

	removed, problems := unlinkStaged(program)

	if fmt.Sprint(removed) != fmt.Sprint([]string{program, directory}) || problems != nil {
		t.Errorf("removed %v, problems %v", removed, problems)
	}
	if _, err := os.Lstat(directory); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestProgramOutsideAStagingDirectoryIsLeftAlone(t *testing.T) {
	_, program := stage(t, "build")

	removed, problems := unlinkStaged(program)

	if _, err := os.Lstat(program); err != nil || removed != nil || problems != nil {
		t.Errorf("removed %v, problems %v, %v", removed, problems, err)
	}
}

func TestDirectoryWithSomebodyElsesFileIsKeptAndSaysSo(t *testing.T) {
	directory, program := stage(t, ".sf-0123")
	other := filepath.Join(directory, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	removed, problems := unlinkStaged(program)

	if _, err := os.Lstat(other); err != nil || len(removed) != 1 || len(problems) != 1 {
		t.Errorf("removed %v, problems %v, %v", removed, problems, err)
	}
}

func TestUnknownOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--exec", "x"}, {"plan.json"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestSubjectsAndTheirFieldsHaveOneNameEachAndIdentitiesExist(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range subjects() {
		for _, f := range s.Fields {
			name := s.Name + " " + f.Name
			if seen[name] || f.Doc == "" || f.Source == "" {
				t.Errorf("%s: twice, or without a meaning or source", name)
			}
			seen[name] = true
		}
		for _, name := range append(append([]string{}, s.Identity...), s.Evidence...) {
			if s.Index(name) < 0 {
				t.Errorf("%s has no field %q", s.Name, name)
			}
		}
	}
}
