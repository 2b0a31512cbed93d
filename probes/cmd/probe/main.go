// Command probe answers a plan about one Linux host. See probes/README.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

// Set by the build.
var (
	version = "dev"
	arch    = runtime.GOARCH
)

// Exit codes.
const (
	exitComplete = 0
	exitFailed   = 1
	exitRejected = 2
	exitStopped  = 3
)

type options struct {
	keep     bool
	describe bool
	match    bool
	root     string
}

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(exitComplete)
	case err != nil:
		os.Exit(exitFailed) // package flag has said why
	case o.describe:
		os.Exit(describe(os.Stdout))
	case o.match:
		os.Exit(matchRecords(os.Stdin, os.Stdout))
	}
	os.Exit(visit(o))
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.BoolVar(&o.keep, "keep", false, "do not unlink the program")
	flags.BoolVar(&o.describe, "describe", false, "print subjects and fields as JSON")
	flags.BoolVar(&o.match, "match", false, "run a plan on recorded facts from stdin")
	flags.StringVar(&o.root, "root", "/", "directory that holds the Linux tree to read")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("probe: %q is no option", flags.Arg(0))
		fmt.Fprintln(os.Stderr, err)
		return o, err
	}
	return o, nil
}

// reject says in one JSON line on stderr why input was not taken.
func reject(err error) int {
	line, jsonErr := json.Marshal(map[string]string{"error": err.Error()})
	if jsonErr != nil {
		return exitFailed
	}
	fmt.Fprintf(os.Stderr, "%s\n", line)
	return exitRejected
}

// fail says why the probe could not do its work.
func fail(err error) int {
	fmt.Fprintf(os.Stderr, "probe: %v\n", err)
	return exitFailed
}

// writeJSON writes a document without escaping <, > and &.
func writeJSON(w io.Writer, indent string, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	return encoder.Encode(v)
}
