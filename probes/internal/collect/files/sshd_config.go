package files

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/glob"
	"sandfly/probes/internal/seq"
)

const (
	sshdConfig      = "/etc/ssh/sshd_config"
	maxConfigBytes  = 1 << 20
	maxConfigFiles  = 128 // sshd_config and what it includes
	maxIncludeDepth = 16  // as sshd has it
	maxDirEntries   = 4096
)

// defaultKeyFiles are what sshd reads when nothing is configured.
var defaultKeyFiles = []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}

// ConfigWords splits a line of sshd_config(5) into its words: the key in lower case, then arguments, which may be
// quoted. "Key=value" and "Key = value" are the same as "Key value". A comment or empty line has no words.
func ConfigWords(line string) []string {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return []string{strings.ToLower(line)}
	}
	key, rest := strings.ToLower(line[:end]), strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimPrefix(rest, "=")
	words := []string{key}
	for rest = strings.TrimLeft(rest, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		if rest[0] == '#' {
			break
		}
		var word string
		if rest[0] == '"' {
			word, rest, _ = strings.Cut(rest[1:], `"`)
		} else if at := strings.IndexAny(rest, " \t"); at >= 0 {
			word, rest = rest[:at], rest[at:]
		} else {
			word, rest = rest, ""
		}
		words = append(words, word)
	}
	return words
}

// keyFiles are the patterns of AuthorizedKeysFile that may hold on a host.
type keyFiles struct {
	env      *collect.Env
	patterns []string
	global   bool // the setting outside every Match block was seen: the first one counts
	files    int
	errs     []error
}

// readKeyFiles reads sshd's configuration. Patterns of Match blocks are taken for every user: looking into a file
// too many does no harm. errs says which parts could not be read.
func readKeyFiles(env *collect.Env) (patterns []string, errs []error) {
	k := keyFiles{env: env}
	k.read(sshdConfig, 0, false)
	if !k.global {
		k.patterns = append(slices.Clone(defaultKeyFiles), k.patterns...)
	}
	var unique []string
	for _, p := range k.patterns {
		if !slices.Contains(unique, p) && !strings.EqualFold(p, "none") {
			unique = append(unique, p)
		}
	}
	return unique, k.errs
}

func (k *keyFiles) read(name string, depth int, inMatch bool) {
	if k.files++; depth > maxIncludeDepth || k.files > maxConfigFiles {
		k.errs = append(k.errs, fmt.Errorf("%s: too many includes: %w", name, collect.ErrLimit))
		return
	}
	data, err := content.ReadFile(k.env, name, maxConfigBytes)
	if err != nil {
		if !isAbsent(err) {
			k.errs = append(k.errs, err)
		}
		return
	}
	for line := range seq.Split(string(data), "\n") {
		words := ConfigWords(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "match":
			// "Match all" ends the blocks before it.
			inMatch = !strings.EqualFold(words[1], "all")
		case "authorizedkeysfile":
			k.setting(words[1:], inMatch)
		case "include":
			for _, pattern := range words[1:] {
				k.include(pattern, depth, inMatch)
			}
		}
	}
}

func (k *keyFiles) setting(patterns []string, inMatch bool) {
	if !inMatch {
		if k.global {
			return
		}
		k.global = true
	}
	k.patterns = append(k.patterns, patterns...)
}

// include reads the files that a pattern fits, in order of their names; wildcards count in the last component.
func (k *keyFiles) include(pattern string, depth int, inMatch bool) {
	if !strings.HasPrefix(pattern, "/") {
		pattern = "/etc/ssh/" + pattern
	}
	dir, last := path.Split(pattern)
	if !glob.HasWildcard(last) {
		k.read(pattern, depth+1, inMatch)
		return
	}
	entries, err := content.ReadDir(k.env, dir, maxDirEntries)
	if err != nil && !isAbsent(err) {
		k.errs = append(k.errs, err)
	}
	for _, e := range entries {
		if glob.Match(last, e.Name) && (e.Name[0] != '.' || last[0] == '.') {
			k.read(dir+e.Name, depth+1, inMatch)
		}
	}
}

var errNoHome = errors.New("no home directory")

// expand fills in the tokens %%, %h, %u and %U of AuthorizedKeysFile; a path that is not absolute lies in the home.
func expand(pattern string, o owner) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		switch pattern[i] {
		case '%':
			b.WriteByte('%')
		case 'h':
			b.WriteString(o.home)
		case 'u':
			b.WriteString(o.name)
		case 'U':
			b.WriteString(strconv.FormatInt(o.uid, 10))
		default:
			b.WriteByte('%')
			b.WriteByte(pattern[i])
		}
	}
	name := b.String()
	if strings.HasPrefix(name, "/") {
		return path.Clean(name), nil
	}
	if !strings.HasPrefix(o.home, "/") {
		return "", errNoHome
	}
	return path.Join(o.home, name), nil
}
