package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"syscall"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
)

const (
	maxHistoryTail  = 1 << 20 // of a longer file the end is read
	maxHistoryLines = 2000
	maxHistoryCount = 8 << 20 // files up to here are counted
	lastlogRecord   = 292     // struct lastlog: int32 time, line[32], host[256]
)

// historyName is a history file and the program that writes it.
type historyName struct{ name, shell string }

var historyNames = []historyName{
	{".bash_history", "bash"}, {".zsh_history", "zsh"}, {".zhistory", "zsh"}, {".histfile", "zsh"}, {".sh_history", "sh"},
	{".ash_history", "ash"}, {".ksh_history", "ksh"}, {".mksh_history", "ksh"}, {".history", "csh"},
	{".local/share/fish/fish_history", "fish"}, {".python_history", "python"}, {".mysql_history", "mysql"},
	{".mariadb_history", "mysql"}, {".psql_history", "psql"}, {".sqlite_history", "sqlite"}, {".rediscli_history", "redis"},
	{".node_repl_history", "node"}, {".irb_history", "ruby"},
}

// historyRecord is a record of the subject shell_history: a file, or a command in it.
type historyRecord struct {
	r      *reader
	home   home
	path   string
	shell  string
	st     *content.Stat // nil: there is no such file
	target string
	isLine bool
	entry  historyEntry // its command may hold secrets: read it through shown only
	shown  func() (command string, hasSecret bool)
}

func historyCollector() collect.Collector {
	return collector("shell_history", historySubject(), func(r *reader) error {
		homes, err := r.homes()
		if err != nil {
			return err
		}
		shells := map[string]string{}
		for _, u := range r.accounts().Users {
			shells[path.Clean(u.Home)] = path.Base(u.Shell)
		}
		for _, h := range homes {
			for _, n := range historyNames {
				if err := r.history(h, n, n.shell == shells[h.path] && (n.name == ".bash_history" || n.name == ".zsh_history")); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// history emits the record of one file and those of its commands. An expected file has a record also when it is not
// there: the shell of the account would have written it.
func (r *reader) history(h home, n historyName, expected bool) error {
	rec := historyRecord{r: r, home: h, path: path.Join(h.path, n.name), shell: n.shell}
	st, err := content.Lstat(r.env, rec.path)
	if err != nil && !content.IsAbsent(err) {
		return r.miss(err)
	}
	if err != nil && !expected {
		return nil
	}
	if rec.st = st; st != nil && st.Type() == syscall.S_IFLNK {
		if rec.target, err = content.Readlink(r.env, rec.path); err != nil {
			rec.target = ""
		}
	}
	if err := r.emit(&rec); err != nil || st == nil {
		return err
	}
	return r.historyLines(rec)
}

func (r *reader) historyLines(rec historyRecord) error {
	data, whole, err := r.tail(rec.path)
	if err != nil {
		return r.miss(err)
	}
	entries := parseHistory(data, rec.shell)
	if len(entries) > maxHistoryLines {
		entries = entries[len(entries)-maxHistoryLines:]
	}
	for _, e := range entries {
		line := rec
		line.isLine, line.entry = true, e
		line.shown = sync.OnceValues(func() (string, bool) { return redactCommand(e.Command) })
		if !whole {
			line.entry.Number = 0
		}
		if err := r.emit(&line); err != nil {
			return err
		}
	}
	return nil
}

// tail reads the end of a file, from the beginning of a line on.
func (r *reader) tail(name string) (data string, whole bool, err error) {
	f, err := content.Open(r.env, name)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	start := max(f.Size()-maxHistoryTail, 0)
	buf := make([]byte, min(f.Size(), maxHistoryTail))
	n, err := f.ReadAt(buf, start)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	data = string(buf[:n])
	if start > 0 {
		_, data, _ = strings.Cut(data, "\n")
	}
	return data, start == 0, nil
}

// count is the number of commands in the whole file.
func (h *historyRecord) count() (any, error) {
	if h.isLine || h.st == nil {
		return nil, nil
	}
	data, err := content.ReadFile(h.r.env, h.path, maxHistoryCount)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return int64(len(parseHistory(string(data), h.shell))), nil
}

// lastLogin is the time in lastlog(8); nil without such a file or for accounts that never signed in.
func (h *historyRecord) lastLogin() (any, error) {
	if !h.home.known || h.isLine || h.home.uid > 1<<24 {
		return nil, nil
	}
	f, err := content.Open(h.r.env, "/var/log/lastlog")
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, 4)
	if _, err := f.ReadAt(buf, h.home.uid*lastlogRecord); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, fmt.Errorf("lastlog: %w", err)
	}
	return positive(int64(binary.NativeEndian.Uint32(buf))), nil
}

func (h *historyRecord) kind() any {
	if h.isLine {
		return "line"
	}
	return "file"
}

// fileType is what lies at the path.
func (h *historyRecord) fileType() any {
	if h.st == nil {
		return nil
	}
	if name, ok := fileTypes[h.st.Type()]; ok {
		return name
	}
	return "other"
}

var fileTypes = map[uint32]string{
	syscall.S_IFREG: "regular", syscall.S_IFLNK: "symlink", syscall.S_IFDIR: "directory", syscall.S_IFIFO: "fifo",
	syscall.S_IFSOCK: "socket", syscall.S_IFCHR: "char", syscall.S_IFBLK: "block",
}

type historyField = collect.Field[*historyRecord]

func historySubject() *collect.Subject {
	return collect.NewSubject("shell_history", "history files of shells and database clients, and the last 2000 commands of each, secrets hidden",
		[]string{"path", "kind", "command"}, []string{"path", "kind", "username", "command", "timestamp"},
		concat(historyPlaceFields(), historyFileFields(), historyLineFields()))
}

func historyPlaceFields() []historyField {
	const source = "history file of the program"
	return []historyField{
		free("path", "string", "history file", source, func(h *historyRecord) any { return h.path }),
		free("kind", "string", "file, or line: a command in it", source, func(h *historyRecord) any { return h.kind() }),
		free("username", "string", "whose home it is in", "/etc/passwd", func(h *historyRecord) any { return text(h.home.username) }),
		free("uid", "int", "uid of that user; none for a stray home", "/etc/passwd", func(h *historyRecord) any {
			if !h.home.known {
				return nil
			}
			return h.home.uid
		}),
		free("shell", "string", "what writes it: bash, zsh, fish, sh, mysql, psql, python …", source, func(h *historyRecord) any { return h.shell }),
	}
}

func historyFileFields() []historyField {
	file := func(name, typ, unit, doc string, value func(st *content.Stat) any) historyField {
		return historyField{Name: name, Type: typ, Unit: unit, Cost: collect.Free, Doc: doc, Source: "lstat(2)", Get: func(h *historyRecord) (any, error) {
			if h.st == nil {
				return nil, nil
			}
			return value(h.st), nil
		}}
	}
	return []historyField{
		free("exists", "bool", "of a file: something is at the path; a missing one has a record where the account's shell would write it", "lstat(2)", func(h *historyRecord) any { return h.st != nil }),
		free("type", "string", "regular, symlink, directory, fifo …", "lstat(2)", func(h *historyRecord) any { return h.fileType() }),
		free("target", "string", "text of a symbolic link", "readlink(2)", func(h *historyRecord) any { return text(h.target) }),
		free("is_empty", "bool", "of a file: it is regular and has no content", "lstat(2)", func(h *historyRecord) any {
			if h.isLine || h.st == nil {
				return nil
			}
			return h.st.IsRegular() && h.st.Size == 0
		}),
		file("file_size", "int", "bytes", "length of the file", func(st *content.Stat) any { return st.Size }),
		file("file_mode", "string", "octal text", "its permission bits", func(st *content.Stat) any { return st.Octal() }),
		file("file_uid", "int", "", "its owner", func(st *content.Stat) any { return st.UID }),
		file("file_mtime", "int", "epoch seconds", "last change of its content", func(st *content.Stat) any { return st.Mtime }),
		file("file_ctime", "int", "epoch seconds", "last change of content, owner, bits or name", func(st *content.Stat) any { return st.Ctime }),
		file("file_immutable", "bool", "", "chattr +i is set; none where the file system does not tell through statx", func(st *content.Stat) any {
			if !st.HasAttributes {
				return nil
			}
			return st.Immutable
		}),
		{Name: "entries", Type: "int", Cost: collect.Costly, Doc: "of a file: number of commands in it", Source: "content", Get: (*historyRecord).count},
		{Name: "last_login", Type: "int", Unit: "epoch seconds", Cost: collect.Cheap, Doc: "of a file: when the user signed in last; none when never", Source: "/var/log/lastlog", Get: (*historyRecord).lastLogin},
	}
}

func historyLineFields() []historyField {
	const source = "history file of the program"
	line := func(name, typ, doc string, value func(h *historyRecord) any) historyField {
		return free(name, typ, doc, source, func(h *historyRecord) any {
			if !h.isLine {
				return nil
			}
			return value(h)
		})
	}
	return []historyField{
		line("command", "string", "the command; passwords, tokens and keys in it are written as ***", func(h *historyRecord) any { command, _ := h.shown(); return text(command) }),
		line("has_secret", "bool", "something was hidden", func(h *historyRecord) any { _, secret := h.shown(); return secret }),
		line("line_number", "int", "line it begins on, from 1; none in files above 1 MiB", func(h *historyRecord) any { return positive(h.entry.Number) }),
		timed("timestamp", "when it was typed, where the shell stamps its history", source, func(h *historyRecord) int64 { return h.entry.Time }),
	}
}
