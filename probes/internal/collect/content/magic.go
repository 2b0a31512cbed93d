package content

import (
	"bytes"
	"encoding/binary"
)

// signature is a class of content told by bytes at a fixed place.
type signature struct {
	class string
	at    int
	bytes string
}

// signatures are tried in order; a longer one stands before a shorter that it starts with.
var signatures = []signature{
	{"gzip", 0, "\x1f\x8b"}, {"bzip2", 0, "BZh"}, {"xz", 0, "\xfd7zXZ\x00"}, {"zstd", 0, "\x28\xb5\x2f\xfd"},
	{"lz4", 0, "\x04\x22\x4d\x18"}, {"7z", 0, "7z\xbc\xaf\x27\x1c"}, {"rar", 0, "Rar!\x1a\x07"},
	{"zip", 0, "PK\x03\x04"}, {"zip", 0, "PK\x05\x06"}, {"deb", 0, "!<arch>\ndebian-binary"}, {"ar", 0, "!<arch>\n"},
	{"rpm", 0, "\xed\xab\xee\xdb"}, {"cpio", 0, "070701"}, {"cpio", 0, "070702"}, {"tar", 257, "ustar"},
	{"squashfs", 0, "hsqs"}, {"pdf", 0, "%PDF-"}, {"png", 0, "\x89PNG\r\n\x1a\n"}, {"jpeg", 0, "\xff\xd8\xff"},
	{"gif", 0, "GIF87a"}, {"gif", 0, "GIF89a"}, {"sqlite", 0, "SQLite format 3\x00"}, {"wasm", 0, "\x00asm"},
	{"pcap", 0, "\xd4\xc3\xb2\xa1"}, {"pcap", 0, "\xa1\xb2\xc3\xd4"}, {"pcapng", 0, "\x0a\x0d\x0d\x0a"},
	{"journal", 0, "LPKSHHRH"}, {"putty_key", 0, "PuTTY-User-Key-File-"},
}

// pemClasses are texts that an armoured key or certificate has in its first line.
var pemClasses = []signature{
	{"private_key", 0, "PRIVATE KEY-----"}, {"private_key", 0, "PRIVATE KEY BLOCK-----"},
	{"public_key", 0, "PUBLIC KEY-----"}, {"public_key", 0, "PUBLIC KEY BLOCK-----"},
	{"certificate", 0, "CERTIFICATE-----"},
}

// publicKeyStarts begin a public key line as ssh-keygen writes it.
var publicKeyStarts = []string{"ssh-rsa AAAA", "ssh-ed25519 AAAA", "ssh-dss AAAA", "ecdsa-sha2-nistp", "sk-ssh-ed25519@", "sk-ecdsa-sha2-"}

// Magic is the class of content that begins with head, of which HeadBytes are enough: empty, elf, elf_core, script,
// one of the signatures' classes, java_class, mach_o, pe, pyc, private_key, public_key, certificate, json, text or data.
func Magic(head []byte) string {
	if len(head) == 0 {
		return "empty"
	}
	if class := executableClass(head); class != "" {
		return class
	}
	for _, s := range signatures {
		if len(head) >= s.at && bytes.HasPrefix(head[s.at:], []byte(s.bytes)) {
			return s.class
		}
	}
	if !IsText(head) {
		return "data"
	}
	return textClass(head)
}

// executableClass knows what the kernel or a runtime would execute.
func executableClass(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return elfClass(head)
	case bytes.HasPrefix(head, []byte("#!")):
		return "script"
	case bytes.HasPrefix(head, []byte("MZ")) && !IsText(head):
		return "pe"
	case bytes.HasPrefix(head, []byte("\xca\xfe\xba\xbe")):
		// A universal Mach-O begins alike; there the next number counts architectures and is small.
		if len(head) >= 8 && binary.BigEndian.Uint32(head[4:]) < 30 {
			return "mach_o"
		}
		return "java_class"
	case len(head) >= 16 && head[2] == '\r' && head[3] == '\n' && bytes.IndexByte(head[:16], 0) >= 0:
		return "pyc" // two bytes of version, then "\r\n" (importlib's MAGIC_NUMBER), then flags with zero bytes
	}
	return ""
}

// elfClass tells a memory dump from programs and libraries: e_type 4 at offset 16, in the byte order of e_ident[5].
func elfClass(head []byte) string {
	if len(head) < 18 {
		return "elf"
	}
	kind := binary.LittleEndian.Uint16(head[16:])
	if head[5] == 2 {
		kind = binary.BigEndian.Uint16(head[16:])
	}
	if kind == 4 {
		return "elf_core"
	}
	return "elf"
}

func textClass(head []byte) string {
	trimmed := bytes.TrimLeft(head, " \t\r\n\ufeff")
	if i := bytes.Index(trimmed, []byte("-----BEGIN ")); i >= 0 {
		line, _, _ := bytes.Cut(trimmed[i:], []byte("\n"))
		for _, s := range pemClasses {
			if bytes.Contains(line, []byte(s.bytes)) {
				return s.class
			}
		}
	}
	for _, start := range publicKeyStarts {
		if bytes.HasPrefix(trimmed, []byte(start)) {
			return "public_key"
		}
	}
	if looksJSON(trimmed) {
		return "json"
	}
	return "text"
}

// looksJSON is a guess from the beginning: a brace and a quoted key, or a bracket and the start of a value.
func looksJSON(head []byte) bool {
	if len(head) == 0 {
		return false
	}
	next := bytes.TrimLeft(head[1:], " \t\r\n")
	switch head[0] {
	case '{':
		return len(next) > 0 && (next[0] == '"' || next[0] == '}')
	case '[':
		return len(next) > 0 && (next[0] == '{' || next[0] == '"' && bytes.IndexByte(next, ',') > 0)
	}
	return false
}
