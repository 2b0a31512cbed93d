package lines

import (
	"encoding/hex"
	"strings"
)

// Audit is one record of auditd: its type, serial number and fields. Values in hexadecimal are decoded for the fields
// that the kernel may write so.
type Audit struct {
	Type   string
	Serial int64
	Fields map[string]string
}

const maxAuditFields = 300

// ParseAudit reads "type=SYSCALL msg=audit(1700000000.123:456): arch=c000003e syscall=59 …". A message within ('msg=…')
// is read as well. typ stands in for a type that the line does not have, as in the journal.
func ParseAudit(line, typ string) (Audit, bool) {
	a := Audit{Type: typ, Fields: map[string]string{}}
	if at := strings.Index(line, "type="); at >= 0 && at < 128 && strings.Contains(line[:min(len(line), 256)], "msg=audit(") {
		a.Type, line, _ = strings.Cut(line[at+len("type="):], " ")
	}
	if _, rest, ok := strings.Cut(line[:min(len(line), 256)], "msg=audit("); ok {
		stamp, _, _ := strings.Cut(rest, ")")
		_, serial, _ := strings.Cut(stamp, ":")
		a.Serial = max(0, whole(serial))
		_, line, _ = strings.Cut(line, "): ")
	}
	if a.Type == "" {
		return a, false
	}
	// The enriched part begins with a separator of its own (GS).
	a.pairs(strings.ReplaceAll(line, "\x1d", " "))
	return a, true
}

// pairs reads key=value, where a value may be in quotes.
func (a *Audit) pairs(s string) {
	for len(a.Fields) < maxAuditFields {
		s = strings.TrimLeft(s, " ,")
		end := strings.IndexAny(s, "= ")
		if end < 0 {
			return
		}
		if s[end] == ' ' {
			s = s[end:]
			continue
		}
		key := s[:end]
		value, rest, isQuoted := auditValue(s[end+1:])
		s = rest
		if key == "msg" && strings.Contains(value, "=") {
			a.pairs(value)
			continue
		}
		if _, known := a.Fields[key]; known {
			continue
		}
		if !isQuoted {
			value = decodeHex(key, value)
		}
		a.Fields[key] = value
	}
}

func auditValue(s string) (value, rest string, isQuoted bool) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : 1+end], s[end+2:], true
		}
	}
	value, rest, _ = strings.Cut(s, " ")
	return strings.TrimSuffix(value, "'"), rest, false
}

// hexFields may hold text in hexadecimal when it has blanks, quotes or control characters (audit_log_untrustedstring).
var hexFields = map[string]bool{
	"exe": true, "comm": true, "name": true, "cwd": true, "proctitle": true, "cmd": true, "acct": true, "key": true,
	"data": true, "path": true, "dir": true, "file": true, "watch": true, "old-disk": true, "new-disk": true,
}

// decodeHex decodes such a value; arguments of a program are separated by NUL, which becomes a blank. In EXECVE every
// argument is such a text; in SYSCALL they are numbers, which decodeHex leaves alone since the kernel writes them in
// lower case.
func decodeHex(key, value string) string {
	isArgument := len(key) > 1 && key[0] == 'a' && strings.Trim(key[1:], "0123456789") == ""
	if !hexFields[key] && !isArgument || len(value) < 2 || len(value)%2 != 0 || strings.ToUpper(value) != value {
		return value
	}
	if isArgument && strings.Trim(value, "0123456789") == "" {
		return value
	}
	raw, err := hex.DecodeString(value)
	if err != nil {
		return value
	}
	if key == "key" {
		return strings.ReplaceAll(string(raw), "\x01", ",")
	}
	return strings.TrimRight(strings.ReplaceAll(string(raw), "\x00", " "), " ")
}

// Get gives a field; "" for none, also when the kernel wrote (null), (none) or ?.
func (a *Audit) Get(name string) string {
	switch v := a.Fields[name]; v {
	case "(null)", "(none)", "?":
		return ""
	default:
		return v
	}
}

// Number gives a numeric field; false when there is none. The unset user id, 2^32-1, is none.
func (a *Audit) Number(name string) (int64, bool) {
	n := whole(a.Fields[name])
	return n, n >= 0 && n != 1<<32-1
}

// CommandLine joins the arguments of EXECVE, or gives the title of PROCTITLE.
func (a *Audit) CommandLine() string {
	if a.Type != "EXECVE" {
		return a.Get("proctitle")
	}
	var b strings.Builder
	for i := 0; ; i++ {
		argument, ok := a.Fields["a"+itoa(i)]
		if !ok {
			return b.String()
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(argument)
	}
}

// Syscall names the system call: as an enriched log does, else from the number of the architectures that matter, else
// the number.
func (a *Audit) Syscall() string {
	if name := a.Get("SYSCALL"); name != "" {
		return name
	}
	number := a.Get("syscall")
	if name := syscallNames[a.Get("arch")][number]; name != "" {
		return name
	}
	return number
}

// syscallNames are the calls that rules ask for, by AUDIT_ARCH in hexadecimal.
var syscallNames = map[string]map[string]string{
	"c000003e": {
		"2": "open", "42": "connect", "49": "bind", "59": "execve", "62": "kill", "80": "chdir", "82": "rename", "83": "mkdir",
		"84": "rmdir", "87": "unlink", "90": "chmod", "92": "chown", "101": "ptrace", "105": "setuid", "106": "setgid",
		"134": "uselib", "155": "pivot_root", "157": "prctl", "159": "adjtimex", "161": "chroot", "164": "settimeofday",
		"165": "mount", "166": "umount2", "169": "reboot", "170": "sethostname", "175": "init_module", "176": "delete_module",
		"227": "clock_settime", "246": "kexec_load", "257": "openat", "263": "unlinkat", "264": "renameat", "268": "fchmodat",
		"272": "unshare", "308": "setns", "310": "process_vm_readv", "311": "process_vm_writev", "313": "finit_module",
		"316": "renameat2", "319": "memfd_create", "320": "kexec_file_load", "321": "bpf", "322": "execveat", "323": "userfaultfd",
	},
	"c00000b7": {
		"35": "unlinkat", "40": "mount", "39": "umount2", "51": "chroot", "53": "fchmodat", "56": "openat", "97": "unshare",
		"104": "kexec_load", "105": "init_module", "106": "delete_module", "117": "ptrace", "129": "kill", "142": "reboot",
		"146": "setuid", "144": "setgid", "167": "prctl", "170": "settimeofday", "171": "adjtimex", "200": "bind",
		"203": "connect", "221": "execve", "268": "setns", "270": "process_vm_readv", "271": "process_vm_writev",
		"273": "finit_module", "276": "renameat2", "279": "memfd_create", "280": "bpf", "281": "execveat", "294": "kexec_file_load",
	},
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}
