package persistence

import (
	"path"
	"slices"
	"strings"
	"sync"

	"sandfly/probes/internal/collect"
	"sandfly/probes/internal/collect/content"
	"sandfly/probes/internal/seq"
)

const (
	maxWebEntries = 300_000 // entries looked at below all web roots together
	maxWebScripts = 50_000
	maxWebDepth   = 16
	maxWebBytes   = 1 << 20 // of a script that is looked through; a larger one is told as such
)

// webScript is a record of the subject web_script.
type webScript struct {
	r      *reader
	origin *origin
	root   string
	facts  func() (*webFacts, error)
}

// webRoots are where distributions, panels and servers keep sites; wildcards cross no slash.
var webRoots = []string{
	"/var/www", "/srv/www", "/srv/http", "/srv/*/public_html", "/srv/*/htdocs", "/srv/*/www", "/usr/share/nginx", "/usr/share/apache2/default-site",
	"/usr/local/apache2/htdocs", "/usr/local/www", "/usr/local/nginx/html", "/usr/local/lsws/*/html", "/opt/lampp/htdocs", "/opt/bitnami/*/htdocs",
	"/var/lib/tomcat*/webapps", "/opt/tomcat*/webapps", "/usr/share/tomcat*/webapps", "/usr/local/tomcat*/webapps", "/opt/*/webapps", "/usr/local/*/webapps",
	"/home/*/public_html", "/home/*/www", "/home/*/htdocs", "/home/*/domains", "/usr/lib/cgi-bin", "/var/lib/jetty*/webapps",
}

var webExtensions = map[string]string{
	"php": "php", "php3": "php", "php4": "php", "php5": "php", "php7": "php", "php8": "php", "phtml": "php", "pht": "php", "phar": "php", "phps": "php", "inc": "php", "module": "php",
	"jsp": "jsp", "jspx": "jsp", "jsw": "jsp", "jsv": "jsp", "asp": "asp", "aspx": "asp", "ashx": "asp", "asmx": "asp", "cer": "asp",
	"cgi": "cgi", "pl": "perl", "pm": "perl", "py": "python", "rb": "ruby", "lua": "lua", "cfm": "coldfusion", "sh": "shell",
}

// webConfigurations can make a server run files of any name.
var webConfigurations = map[string]bool{".htaccess": true, ".user.ini": true, "web.config": true}

func webCollector() collect.Collector {
	return collector("web_scripts", webSubject(), func(r *reader) error {
		a := &autostartReader{reader: r}
		w := &webFinder{reader: r, seen: map[string]bool{}}
		for _, pattern := range webRoots {
			dirs, err := a.expand(pattern)
			if err != nil {
				return err
			}
			for _, dir := range dirs {
				real, err := content.Resolve(r.env, dir)
				if err != nil || r.onNetwork(real) {
					continue
				}
				if err := w.walk(dir, dir, maxWebDepth); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

type webFinder struct {
	*reader
	seen             map[string]bool
	entered, scripts int
	full             bool
}

// walk goes through the directories below a web root; links to directories are not followed.
func (w *webFinder) walk(root, dir string, depth int) error {
	if w.full || depth < 0 || w.seen[dir] {
		return nil
	}
	w.seen[dir] = true
	entries, err := w.entries(dir)
	if err != nil {
		return err
	}
	if w.entered += len(entries); w.entered > maxWebEntries || w.scripts > maxWebScripts {
		w.full = true
		w.cut(dir, "entries", maxWebEntries)
		return nil
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Type == content.TypeDir && e.Name != "node_modules" && e.Name != ".git":
			err = w.walk(root, name, depth-1)
		case (e.Type == content.TypeRegular || e.Type == content.TypeUnknown) && isWebName(e.Name):
			err = w.script(root, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isWebName tells a script by any of its extensions: servers may run x.php.jpg, too.
func isWebName(name string) bool {
	return webConfigurations[name] || webLanguage(name) != ""
}

func webLanguage(name string) string {
	parts := strings.Split(strings.ToLower(name), ".")
	for _, part := range slices.Backward(parts[1:]) {
		if language := webExtensions[part]; language != "" {
			return language
		}
	}
	return ""
}

func (w *webFinder) script(root, name string) error {
	w.scripts++
	s := &webScript{r: w.reader, origin: w.origin(name), root: root}
	s.facts = sync.OnceValues(s.read)
	return w.emit(s)
}

// read looks through the script once; nil when it is no text.
func (s *webScript) read() (*webFacts, error) {
	f, err := content.Open(s.r.env, s.origin.path)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, isText, err := f.Text(maxWebBytes)
	if err != nil || !isText {
		return nil, err
	}
	facts := parseWebScript(data)
	return &facts, nil
}

// webOwners are the accounts that web servers run as.
var webOwners = []string{"www-data", "apache", "httpd", "nginx", "http", "www", "wwwrun", "nobody", "tomcat", "tomcat8", "tomcat9", "tomcat10", "lighttpd", "caddy", "daemon", "php-fpm"}

func (s *webScript) owner() (any, error) {
	st, err := s.origin.stat()
	if err != nil {
		return nil, err
	}
	return s.r.accounts().UsernameField(st.UID)
}

func (s *webScript) isWebOwner() (any, error) {
	name, err := s.owner()
	if err != nil || name == nil {
		return nil, err
	}
	return slices.Contains(webOwners, name.(string)), nil
}

// uploadParts are parts of paths that sites let visitors or themselves fill with pictures, caches and documents.
var uploadParts = []string{"uploads", "upload", "images", "image", "img", "media", "cache", "tmp", "temp", "files", "avatars", "attachments", "thumbnails", "fonts", "css", "js", "logs", "sessions", ".well-known"}

func (s *webScript) inUploads() any {
	below := strings.TrimPrefix(path.Dir(s.origin.path), s.root)
	return slices.ContainsFunc(strings.Split(strings.ToLower(below), "/"), func(part string) bool { return slices.Contains(uploadParts, part) })
}

func (s *webScript) isHidden() any {
	for part := range seq.Split(strings.TrimPrefix(s.origin.path, s.root), "/") {
		if strings.HasPrefix(part, ".") && !webConfigurations[part] && part != ".well-known" {
			return true
		}
	}
	return false
}

func webSubject() *collect.Subject {
	type field = collect.Field[*webScript]
	fact := func(name, typ, unit, doc string, value func(f *webFacts) any) field {
		return field{Name: name, Type: typ, Unit: unit, Cost: collect.Costly, Doc: doc, Source: "first 1 MiB of the text", Get: func(s *webScript) (any, error) {
			f, err := s.facts()
			if err != nil || f == nil {
				return nil, err
			}
			return value(f), nil
		}}
	}
	const source = "path"
	return collect.NewSubject("web_script", "scripts below the roots of web servers, with what their text does",
		[]string{"path"}, []string{"path", "language", "file_mtime", "file_uid", "file_size"},
		concat([]field{
			free("path", "string", "script, .htaccess, .user.ini or web.config", source, func(s *webScript) any { return s.origin.path }),
			free("name", "string", "its last component", source, func(s *webScript) any { return path.Base(s.origin.path) }),
			free("extension", "string", "what follows the last dot, in lower case", source, func(s *webScript) any {
				return text(strings.ToLower(strings.TrimPrefix(path.Ext(s.origin.path), ".")))
			}),
			free("language", "string", "php, jsp, asp, cgi, perl, python … by its extensions", source, func(s *webScript) any { return text(webLanguage(path.Base(s.origin.path))) }),
			free("root", "string", "web root it was found below", source, func(s *webScript) any { return s.root }),
			free("is_hidden", "bool", "a part of the path below the root begins with a dot", source, (*webScript).isHidden),
			free("in_upload_directory", "bool", "it lies where sites keep uploads, pictures or caches", source, (*webScript).inUploads),
			{Name: "username", Type: "string", Cost: collect.Cheap, Doc: "owner of the file", Source: "stat(2), /etc/passwd", Get: (*webScript).owner},
			{Name: "is_web_owner", Type: "bool", Cost: collect.Cheap, Doc: "an account that web servers run as owns it: the server itself may have written it", Source: "stat(2), /etc/passwd", Get: (*webScript).isWebOwner},
			fact("uses_eval", "bool", "", "it runs text as code", func(f *webFacts) any { return f.Eval }),
			fact("uses_exec", "bool", "", "it starts programs", func(f *webFacts) any { return f.Exec }),
			fact("uses_decode", "bool", "", "it decodes or unpacks text", func(f *webFacts) any { return f.Decode }),
			fact("uses_upload", "bool", "", "it stores uploaded files", func(f *webFacts) any { return f.Upload }),
			fact("uses_input", "bool", "", "it reads what the request brings", func(f *webFacts) any { return f.Input }),
			fact("uses_network", "bool", "", "it opens connections", func(f *webFacts) any { return f.Network }),
			fact("runs_input", "bool", "", "it hands what the request brings straight to something that runs it", func(f *webFacts) any { return f.RunsInput }),
			fact("has_long_line", "bool", "", "a line has more than 2000 bytes", func(f *webFacts) any { return f.LongLine > longLine }),
			fact("max_line_length", "int", "bytes", "its longest line", func(f *webFacts) any { return f.LongLine }),
			fact("markers", "strings", "", "functions called and patterns found: eval, base64_decode, char_chain, hex_escapes, long_base64, php_code, known_shell …", func(f *webFacts) any { return list(f.Markers) }),
			fact("entropy", "float", "bits per byte", "0 to 8, of that text", func(f *webFacts) any { return f.Entropy }),
		}, originFields(func(s *webScript) *origin { return s.origin })))
}
