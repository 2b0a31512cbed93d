package persistence

import (
	"regexp"
	"slices"
	"strings"

	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/seq"
)

// webFacts are what the text of a web script tells without running it.
type webFacts struct {
	Eval, Exec, Decode, Upload, Input, Network, RunsInput bool

	Markers  []string
	LongLine int64
	Entropy  float64
}

const longLine = 2000 // minified code of a site seldom stands in scripts that the server runs

// webCalls are functions by what they do; a name counts when a parenthesis follows and it is neither part of another
// name nor a method or a declaration.
var webCalls = map[string]string{
	"eval": "eval", "assert": "eval", "create_function": "eval", "execfile": "eval", "defineclass": "eval",
	"system": "exec", "exec": "exec", "shell_exec": "exec", "passthru": "exec", "popen": "exec", "proc_open": "exec", "pcntl_exec": "exec",
	"base64_decode": "decode", "gzinflate": "decode", "gzuncompress": "decode", "gzdecode": "decode", "str_rot13": "decode", "hex2bin": "decode",
	"convert_uudecode": "decode", "rawurldecode": "", "strrev": "decode", "b64decode": "decode", "unescape": "",
	"move_uploaded_file": "upload",
	"fsockopen":          "network", "pfsockopen": "network", "stream_socket_client": "network", "socket_create": "network", "socket_connect": "network",
}

// webTexts are pieces of text, in lower case, that tell the same in other languages.
var webTexts = map[string]string{
	"getruntime().exec": "exec", "processbuilder(": "exec", "wscript.shell": "exec", "process.start(": "exec", "subprocess.": "exec", "os.system(": "exec",
	"os.popen(": "exec", "child_process": "exec", "scriptenginemanager": "eval", "urlclassloader": "eval", "defineclass(": "eval", "preg_replace(\"/.*/e": "eval",
	"base64.getdecoder": "decode", "basedecoder": "decode", "frombase64string": "decode", "sun.misc.base64decoder": "decode",
	"$_get": "input", "$_post": "input", "$_request": "input", "$_cookie": "input", "$_files": "input", "http_raw_post_data": "input", "php://input": "input",
	"getallheaders(": "input", "request.getparameter": "input", "request.getinputstream": "input", "request.form": "input", "request.querystring": "input",
	"request.item": "input", "request[\"": "input", "cgi.fieldstorage": "input", "$_server['http_": "input", "$_server[\"http_": "input", "getheader(": "input",
	"saveas(": "upload", "java.net.socket": "network", "tcpclient(": "network",
}

// webShells are names that known web shells write into their pages.
var webShells = []string{
	"filesman", "c99shell", "r57shell", "b374k", "wso shell", "weevely", "p0wny", "alfa shell", "indoxploit", "mini shell", "phpspy", "antsword",
	"godzilla", "behinder", "rebeyond", "china chopper", "cmdjsp", "jspspy", "aspxspy", "safe0ver", "php web shell", "webshell by", "gecko shell",
}

// runCalls are calls that run what a request brings, directly or through a decoder; runOthers are other ways to do so.
var runCalls = regexp.MustCompile(`(?i)\b(?:eval|assert|system|exec|shell_exec|passthru|popen|proc_open|create_function|call_user_func(?:_array)?|array_map|array_filter|usort)\s*\(\s*(?:@|\(?string\)?|stripslashes\s*\(|trim\s*\(|urldecode\s*\(|base64_decode\s*\(|gzinflate\s*\(|str_rot13\s*\(|hex2bin\s*\(|["']\s*\.?\s*|['"]assert['"]\s*,\s*|array\s*\(\s*)*\s*(?:\$_(?:GET|POST|REQUEST|COOKIE|SERVER)\b|file_get_contents\s*\(\s*['"]php://input|getallheaders\s*\()`)

var runOthers = regexp.MustCompile("(?:=|\\(|;|\\becho|\\bprint|\\breturn)\\s*`[^`\\n]*\\$_(?:GET|POST|REQUEST|COOKIE)\\b[^`\\n]*`" +
	`|\$_(?:GET|POST|REQUEST|COOKIE)\s*\[[^\]]{1,40}\]\s*\(\s*\$?_?` +
	`|(?:getRuntime\s*\(\s*\)\s*\.\s*exec|ProcessBuilder)\s*\([^;]{0,80}request\s*\.\s*getParameter` +
	`|\beval\s*\(?\s*Request(?:\.(?:Item|Form|QueryString))?\s*[\[(]`)

var (
	charChain  = regexp.MustCompile(`(?i)(?:chr\s*\(\s*\d+\s*\)\s*[.+]\s*){12,}`)
	hexEscapes = regexp.MustCompile(`(?:\\x[0-9a-fA-F]{2}){24,}`)
	codeStart  = regexp.MustCompile(`(?i)<\?(?:php|=)`)
)

// webPatterns are what one marker each stands for.
var webPatterns = map[string]*regexp.Regexp{
	"char_chain": charChain, "hex_escapes": hexEscapes, "php_code": codeStart,
	// The name of the file that is run comes with the request.
	"includes_input": regexp.MustCompile(`(?i)\b(?:include|require)(?:_once)?\s*\(?\s*["']?\s*\$_(?:GET|POST|REQUEST|COOKIE)\b`),
	// Both the name of a file and what is written into it come with the request.
	"writes_input": regexp.MustCompile(`(?i)\bfile_put_contents\s*\([^;\n]{0,80}\$_(?:GET|POST|REQUEST|COOKIE)\b[^;\n]{0,80},[^;\n]{0,80}\$_(?:GET|POST|REQUEST|COOKIE)\b`),
	// Text that is fetched is run.
	"evaluates_download": regexp.MustCompile(`(?i)\b(?:eval|assert)\s*\(?[^;\n]{0,60}\b(?:file_get_contents\s*\(\s*["']https?:|curl_exec\s*\()`),
}

// parseWebScript looks through the text of a script. What it gives are facts, not a verdict: many honest scripts have
// some of them.
func parseWebScript(text string) webFacts {
	lower := strings.ToLower(text)
	found := map[string]bool{}
	for name, kind := range webCalls {
		if kind != "" && callsFunction(lower, name) {
			found[kind], found["call "+name] = true, true
		}
	}
	for piece, kind := range webTexts {
		if strings.Contains(lower, piece) {
			found[kind] = true
		}
	}
	f := webFacts{
		Eval: found["eval"], Exec: found["exec"], Decode: found["decode"], Upload: found["upload"], Input: found["input"], Network: found["network"],
		RunsInput: found["input"] && runsInput(text, lower), Entropy: content.Entropy([]byte(text)),
	}
	for key := range found {
		if name, ok := strings.CutPrefix(key, "call "); ok {
			f.Markers = append(f.Markers, name)
		}
	}
	for _, name := range webShells {
		if strings.Contains(lower, name) {
			f.Markers = append(f.Markers, "known_shell")
			break
		}
	}
	for name, pattern := range webPatterns {
		if pattern.MatchString(text) {
			f.Markers = append(f.Markers, name)
		}
	}
	if hasBase64Run(text) {
		f.Markers = append(f.Markers, "long_base64")
	}
	slices.Sort(f.Markers)
	for line := range seq.Split(text, "\n") {
		f.LongLine = max(f.LongLine, int64(len(line)))
	}
	return f
}

const base64Run = 600 // characters of the alphabet in one piece; keys and pictures of style sheets are shorter or elsewhere

// hasBase64Run tells a long piece of nothing but base64 characters. A counted pattern would cost hundreds of states a byte.
func hasBase64Run(text string) bool {
	run := 0
	for i := range len(text) {
		c := text[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			if run++; run >= base64Run {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

// runsInput tells code that hands what the request brings straight to something that runs it.
func runsInput(text, lower string) bool {
	if runOthers.MatchString(text) {
		return true
	}
	if len(lower) != len(text) { // letters whose lower case is longer; places would not fit
		lower = text
	}
	return slices.ContainsFunc(runCalls.FindAllStringIndex(text, maxRunCalls), func(at []int) bool { return startsWord(lower[:at[0]]) })
}

const maxRunCalls = 500

// callsFunction tells whether a function is called by that name.
func callsFunction(lower, name string) bool {
	for from := 0; ; {
		at := strings.Index(lower[from:], name)
		if at < 0 {
			return false
		}
		at += from
		from = at + len(name)
		rest := strings.TrimLeft(lower[from:], " \t")
		if !strings.HasPrefix(rest, "(") || !startsWord(lower[:at]) {
			continue
		}
		return true
	}
}

// startsWord tells whether a name may begin behind the text: not inside another name, a method, a static call, a
// variable or a declaration.
func startsWord(before string) bool {
	if before == "" {
		return true
	}
	c := before[len(before)-1]
	if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("_$>:.-", c) >= 0 {
		return false
	}
	return !strings.HasSuffix(strings.TrimRight(before, " \t&"), "function")
}
