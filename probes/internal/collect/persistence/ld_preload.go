package persistence

import (
	"path"
	"slices"
	"strings"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/glob"
	"sandfly/probes/internal/seq"
)

const maxIncludes = 200 // of linker and sudo configuration; a file that includes itself ends there

// ldEntry is a record of the subject ld_preload.
type ldEntry struct {
	origin *origin
	number int64
	kind   string // preload, directory
	entry  string
}

func ldCollector() collect.Collector {
	return collector("ld_preload", ldSubject(), func(r *reader) error {
		l := &ldReader{reader: r, seen: map[string]bool{}}
		return l.run()
	})
}

type ldReader struct {
	*reader
	seen map[string]bool
}

func (l *ldReader) run() error {
	if err := l.file("/etc/ld.so.preload", "preload"); err != nil {
		return err
	}
	if err := l.conf("/etc/ld.so.conf"); err != nil {
		return err
	}
	// Distributions include this directory; one that lost its ld.so.conf still has it in the cache.
	if err := l.include("/etc/ld.so.conf.d/*.conf"); err != nil {
		return err
	}
	names, err := l.names("/etc")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "ld-musl-") && strings.HasSuffix(name, ".path") {
			if err := l.file("/etc/"+name, "directory"); err != nil {
				return err
			}
		}
	}
	return nil
}

// file emits the entries of a plain list: ld.so.preload and musl's path file.
func (l *ldReader) file(name, kind string) error {
	from := l.origin(name)
	return l.lines(name, false, func(number int64, line string) error {
		return l.emitAll(from, number, kind, parseLibraryList(line))
	})
}

// parseLibraryList divides a line of ld.so.preload(8): blanks and colons are between entries, # starts a comment.
func parseLibraryList(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	return strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' || c == ':' || c == '\r' })
}

func (l *ldReader) emitAll(from *origin, number int64, kind string, entries []string) error {
	for _, entry := range entries {
		if err := l.emit(&ldEntry{origin: from, number: number, kind: kind, entry: entry}); err != nil {
			return err
		}
	}
	return nil
}

// conf emits the directories of one ld.so.conf and follows its include lines.
func (l *ldReader) conf(name string) error {
	if l.seen[name] {
		return nil
	}
	if l.seen[name] = true; len(l.seen) > maxIncludes {
		l.cut(name, "included files", maxIncludes)
		return nil
	}
	from := l.origin(name)
	return l.lines(name, false, func(number int64, line string) error {
		directories, includes := parseLinkerLine(line)
		for _, pattern := range includes {
			if !path.IsAbs(pattern) {
				pattern = path.Join(path.Dir(name), pattern)
			}
			if err := l.include(pattern); err != nil {
				return err
			}
		}
		return l.emitAll(from, number, "directory", directories)
	})
}

// parseLinkerLine reads one line of ld.so.conf, see ldconfig(8): directories, or the patterns of an include line.
func parseLinkerLine(line string) (directories, includes []string) {
	line, _, _ = strings.Cut(line, "#")
	fields := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\r:,", c) })
	if len(fields) > 0 && fields[0] == "include" {
		return nil, fields[1:]
	}
	if len(fields) > 0 && fields[0] == "hwcap" {
		return nil, nil
	}
	for _, f := range fields {
		f, _, _ = strings.Cut(f, "=") // a library type of old times
		if strings.HasPrefix(f, "/") {
			directories = append(directories, f)
		}
	}
	return directories, nil
}

// include follows a pattern whose wildcards are in its last component, as all in use are.
func (l *ldReader) include(pattern string) error {
	dir, last := path.Split(pattern)
	if !glob.HasWildcard(last) {
		return l.conf(pattern)
	}
	names, err := l.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if glob.Match(last, name) && !strings.HasPrefix(name, ".") {
			if err := l.conf(path.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// standardLibraryDirectories are where distributions keep libraries; an entry elsewhere adds a place to load from.
var standardLibraryDirectories = []string{"/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32"}

func (e *ldEntry) inSystemDirectory() any {
	if !strings.HasPrefix(e.entry, "/") {
		return nil
	}
	clean := path.Clean(e.entry)
	return slices.ContainsFunc(standardLibraryDirectories, func(dir string) bool {
		return clean == dir || strings.HasPrefix(clean, dir+"/")
	})
}

func (e *ldEntry) isHidden() any {
	for part := range seq.Split(e.entry, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".." {
			return true
		}
	}
	return false
}

// target is what the entry names; a bare library name is searched for by the linker and has no path here.
func (e *ldEntry) target() target {
	if !strings.HasPrefix(e.entry, "/") {
		return target{}
	}
	return target{env: e.origin.env, path: e.entry}
}

// sha256 is the digest of the library.
func (e *ldEntry) sha256() (any, error) {
	if e.kind != "preload" || e.target().path == "" {
		return nil, nil
	}
	f, err := content.Open(e.origin.env, e.entry)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	digest, err := f.SHA256(content.MaxHashBytes)
	if err != nil {
		return nil, err
	}
	return digest, nil
}

func ldSubject() *collect.Subject {
	const source = "ld.so(8)"
	return collect.NewSubject("ld_preload",
		"libraries that ld.so.preload forces into every program, and directories that the linker was told to search",
		[]string{"path", "kind", "entry"}, []string{"path", "line_number", "kind", "entry"},
		concat([]collect.Field[*ldEntry]{
			free("path", "string", "ld.so.preload, ld.so.conf, a file it includes, or musl's path file", source, func(e *ldEntry) any { return e.origin.path }),
			free("line_number", "int", "line in that file, from 1", source, func(e *ldEntry) any { return e.number }),
			free("kind", "string", "preload: a library; directory: a place to search", source, func(e *ldEntry) any { return e.kind }),
			free("entry", "string", "library or directory as written", source, func(e *ldEntry) any { return e.entry }),
			free("in_system_directory", "bool", "it is, or lies below, a library directory of the distribution; none for a bare name", source, (*ldEntry).inSystemDirectory),
			free("is_hidden", "bool", "a part of its path begins with a dot", source, (*ldEntry).isHidden),
			{Name: "target_sha256", Type: "string", Cost: collect.Costly, Doc: "digest of a preloaded library", Source: "content", Get: (*ldEntry).sha256},
		}, targetFields("target", "the library or directory, when its path is absolute", source, (*ldEntry).target),
			originFields(func(e *ldEntry) *origin { return e.origin })))
}
