package system

import (
	"strings"

	"sandfly/probes/internal/collect/fact"
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

// environmentField gives the whole environment with its secrets redacted.
func (p *process) environmentField() (any, error) {
	environ, err := p.environment()
	if err != nil {
		return nil, err
	}
	return fact.Redacted(environ), nil
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
