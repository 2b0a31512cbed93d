package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// stagePrefix starts the name of every directory a probe is staged in; nothing outside one is ever removed.
const stagePrefix = ".sf-"

// stagedPath is where the running program lies when it was staged by a visit, else "".
func stagedPath() string {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil || !strings.HasPrefix(filepath.Base(filepath.Dir(program)), stagePrefix) {
		return ""
	}
	return program
}

// unlinkSelf removes the running program and its staging directory, so that a cut connection leaves nothing behind. It
// gives the paths that are gone, and sentences for those that are not.
func unlinkSelf() (removed, problems []string) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		program, err = filepath.Abs(os.Args[0])
	}
	if err != nil {
		return nil, []string{fmt.Sprintf("unlink: %v", err)}
	}
	return unlinkStaged(program)
}

func unlinkStaged(program string) (removed, problems []string) {
	directory := filepath.Dir(program)
	if !strings.HasPrefix(filepath.Base(directory), stagePrefix) {
		return nil, nil
	}
	for _, path := range []string{program, directory} {
		if err := os.Remove(path); err != nil { // a directory only when it is empty
			problems = append(problems, fmt.Sprintf("unlink: %v", err))
			continue
		}
		removed = append(removed, path)
	}
	return removed, problems
}
