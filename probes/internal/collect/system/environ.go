package system

import (
	"fmt"
	"strings"
)

// environment reads the NAME=value strings the program was started with, which takes ptrace rights over the process.
func (p *process) environment() ([]string, error) {
	return read(p, &p.environ, func() ([]string, error) {
		if !p.hasMemory() {
			return nil, nil
		}
		return p.fs.ReadEnviron(p.dir)
	})
}

// secretWords make the value of a variable a secret when its name holds one of them.
var secretWords = []string{"PASS", "TOKEN", "SECRET", "KEY", "CREDENTIAL"}

// redact keeps secrets on the host: it tells only how many bytes the value has.
func redact(variable string) string {
	name, value, found := strings.Cut(variable, "=")
	upper := strings.ToUpper(name)
	for _, word := range secretWords {
		if found && strings.Contains(upper, word) {
			return fmt.Sprintf("%s=[redacted %d]", name, len(value))
		}
	}
	return variable
}

// environmentField gives the whole environment with its secrets redacted.
func (p *process) environmentField() (any, error) {
	environ, err := p.environment()
	if err != nil {
		return nil, err
	}
	shown := make([]string, len(environ))
	for i, variable := range environ {
		shown[i] = redact(variable)
	}
	return shown, nil
}

func (p *process) environmentNames() (any, error) {
	environ, err := p.environment()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(environ))
	for i, variable := range environ {
		names[i], _, _ = strings.Cut(variable, "=")
	}
	return names, nil
}

// variable gives the value of one variable; absent when it is not set. As getenv(3) does, the first one counts.
func variable(name string) func(p *process) (any, error) {
	return func(p *process) (any, error) {
		environ, err := p.environment()
		if err != nil {
			return nil, err
		}
		for _, v := range environ {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, nil
			}
		}
		return nil, nil
	}
}
