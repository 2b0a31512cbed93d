package settings

import (
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/seq"
)

// line is one setting as a file has it.
type line struct {
	path                 string
	number               int64
	section, name, value string
	text                 string
}

// syntax reads the settings of one text, in order.
type syntax func(text string, use func(line))

// eachLine calls use for lines that are neither empty nor comments.
func eachLine(text, comments string, use func(number int64, text string)) {
	number := int64(0)
	for text := range seq.Split(text, "\n") {
		if number++; number > maxLines {
			return
		}
		if text = strings.TrimSpace(text); text != "" && !strings.ContainsRune(comments, rune(text[0])) {
			use(number, text)
		}
	}
}

// blanks is "name value", as login.defs(5) and chrony.conf(5) have it.
func blanks(text string, use func(line)) {
	eachLine(text, "#!;%", func(number int64, text string) {
		name, value, _ := cutBlank(text)
		value, _, _ = strings.Cut(value, " #")
		use(line{number: number, name: name, value: unquote(value), text: text})
	})
}

// equals is "name = value", with [sections] where the file has them; a bare name is set without a value.
func equals(text string, use func(line)) {
	section := ""
	eachLine(text, "#;", func(number int64, text string) {
		if text[0] == '[' {
			section = strings.Trim(text, "[] \t")
			return
		}
		name, value, _ := strings.Cut(text, "=")
		value, _, _ = strings.Cut(value, " #")
		use(line{number: number, section: section, name: strings.TrimSpace(name), value: unquote(value), text: text})
	})
}

// whole takes each line as it is; its first word is its name.
func whole(text string, use func(line)) {
	eachLine(text, "#", func(number int64, text string) {
		name, value, _ := cutBlank(text)
		use(line{number: number, name: name, value: value, text: text})
	})
}

func cutBlank(text string) (first, rest string, found bool) {
	at := strings.IndexAny(text, " \t")
	if at < 0 {
		return text, "", false
	}
	return strings.TrimSpace(text[:at]), strings.TrimSpace(text[at:]), true
}

func unquote(value string) string {
	value = strings.TrimSpace(value)
	if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return value[1 : len(value)-1]
	}
	return value
}

// wanted is a setting that has a record also when no file sets it, with what is built in; "" is not known.
type wanted struct{ section, name, builtIn string }

// builtIn makes wanted settings of one section from names and values in turn.
func builtIn(section string, pairs ...string) []wanted {
	var list []wanted
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, wanted{section, pair[0], pair[1]})
	}
	return list
}

// kindOfFile says how the files of one kind are read: the last setting of a name holds.
type kindOfFile struct {
	syntax    syntax
	files     []string // the first that exists is read
	dropIns   []string // directories whose files are read as well, in order of their names; the first directory wins
	mainLast  bool     // the file above is read after those
	suffix    string   // of files in these directories; "" for .conf
	anyName   bool     // files in these directories may have any ending
	markers   []string // programs that say it is in use though no file is there
	wanted    []wanted
	each      bool     // each line counts
	only      []string // names that are of interest, where files hold much else; nil for all
	skipBlank bool     // lines that begin with a blank continue others
}

func (k kindOfFile) read(r *reader) []*setting {
	lines, exists := k.lines(r)
	if !exists && len(r.misses) == 0 && (len(k.markers) == 0 || r.first(k.markers...) == "") {
		return nil
	}
	var found []*setting
	if k.each {
		for _, l := range lines {
			found = append(found, r.line(l, l.text))
		}
		return found
	}
	return r.last(lines, k.wanted)
}

// line makes the setting of a line.
func (r *reader) line(l line, item string) *setting {
	s := r.setting(l.name, l.value)
	s.section, s.path, s.line = l.section, l.path, l.number
	if s.item = item; item != "" && s.value != l.value {
		s.item = s.name + " " + s.value
	}
	return s
}

// last keeps the last line of each name and adds what is wanted and not set. Where a file could not be read, nothing
// is known for sure: it may set any of them.
func (r *reader) last(lines []line, want []wanted) []*setting {
	place := map[string]int{}
	var found []*setting
	for _, l := range lines {
		key := strings.ToLower(l.section + "\x00" + l.name)
		if at, ok := place[key]; ok {
			found[at] = r.line(l, "")
			continue
		}
		place[key] = len(found)
		found = append(found, r.line(l, ""))
	}
	for _, w := range want {
		if _, ok := place[strings.ToLower(w.section+"\x00"+w.name)]; !ok {
			found = append(found, r.unset(w))
		}
	}
	for _, s := range found {
		s.valueErr = r.missed()
	}
	return found
}

// unset is a setting that no file sets.
func (r *reader) unset(w wanted) *setting {
	s := &setting{env: r.env, kind: r.kind, section: w.section, name: w.name}
	if w.builtIn != "" {
		s.give(w.builtIn)
		s.isSet = false
	}
	return s
}

func (k kindOfFile) lines(r *reader) (lines []line, exists bool) {
	var files []string
	if len(k.files) > 0 {
		if name := r.first(k.files...); name != "" {
			files = append(files, name)
		}
	}
	if added := k.dropInFiles(r); k.mainLast {
		files = append(added, files...)
	} else {
		files = append(files, added...)
	}
	for _, name := range files {
		text, ok := r.text(name)
		if exists = exists || ok; !ok {
			continue
		}
		if k.skipBlank {
			text = withoutContinuations(text)
		}
		k.syntax(text, func(l line) {
			if l.path = name; k.only == nil || slices.Contains(k.only, strings.ToLower(l.name)) {
				lines = append(lines, l)
			}
		})
	}
	return lines, exists
}

func (k kindOfFile) dropInFiles(r *reader) []string {
	suffix := k.suffix
	if suffix == "" && !k.anyName {
		suffix = ".conf"
	}
	byName := map[string]string{}
	for _, dir := range k.dropIns {
		for _, name := range r.names(dir) {
			if _, ok := byName[name]; !ok && strings.HasSuffix(name, suffix) && name[0] != '.' && !strings.HasSuffix(name, "~") {
				byName[name] = path.Join(dir, name)
			}
		}
	}
	var files []string
	for _, name := range sortedKeys(byName) {
		files = append(files, byName[name])
	}
	return files
}

// withoutContinuations blanks the lines that continue others, so that numbers of lines stay.
func withoutContinuations(text string) string {
	lines := strings.Split(text, "\n")
	for i, one := range lines {
		if one != "" && (one[0] == ' ' || one[0] == '\t') {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
