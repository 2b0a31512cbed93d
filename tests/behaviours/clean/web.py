"""A web server: nginx, PHP, a WordPress-like and a Laravel-like site, certificates, a firewall that bans."""

from __future__ import annotations

from tests.behaviours.behaviour import Process
from tests.behaviours.clean import noise
from tests.behaviours.clean.host import PROGRAM, CleanHost, Package, daemon

SITE = "/var/www/example.org/html"
APP = "/var/www/app.example.org"
CERTIFICATE_KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n"

FILES = {
    "/etc/nginx/sites-available/example.org": "server {\n  listen 80;\n  root /var/www/example.org/html;\n  location ~ \\.php$ { fastcgi_pass unix:/run/php/php-fpm.sock; }\n}\n",
    "/etc/letsencrypt/live/example.org/privkey.pem": CERTIFICATE_KEY,
    "/etc/letsencrypt/renewal-hooks/deploy/reload.sh": "#!/bin/sh\nsystemctl reload nginx\n",
    "/etc/cron.d/certbot": "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n"
    "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew\n",
    "/etc/cron.d/php": "09,39 *     * * *     root   [ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi\n",
    "/var/spool/cron/crontabs/www-data": "*/5 * * * * cd /var/www/example.org/html && php wp-cron.php >/dev/null 2>&1\n* * * * * php /var/www/app.example.org/artisan schedule:run >> /dev/null 2>&1\n",
    "/var/spool/cron/crontabs/root": "MAILTO=ops@example.org\n15 3 * * * mysqldump --all-databases | gzip > /var/backups/db-$(date +\\%u).sql.gz\n"
    "*/10 * * * * curl -fsS -m 10 --retry 5 -o /dev/null https://hc-ping.example.org/5f3c\n"
    "0 4 * * 0 /root/.acme.sh/acme.sh --cron --home /root/.acme.sh > /dev/null\n@daily find /tmp -type f -atime +10 -delete\n",
    "/etc/systemd/system/queue.service": "[Unit]\nDescription=Queue\nAfter=network.target\n[Service]\nUser=www-data\nExecStart=/usr/bin/php /var/www/app.example.org/artisan queue:work --sleep=3\nRestart=always\n[Install]\nWantedBy=multi-user.target\n",
    "/etc/sudoers.d/deploy": "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl reload nginx, /usr/bin/systemctl restart php8.2-fpm\n",
    f"{SITE}/index.php": "<?php\ndefine('WP_USE_THEMES', true);\nrequire __DIR__ . '/wp-blog-header.php';\n",
    f"{SITE}/wp-config.php": "<?php\ndefine('DB_PASSWORD', 'x');\nif (isset($_SERVER['HTTP_X_FORWARDED_PROTO']) && $_SERVER['HTTP_X_FORWARDED_PROTO'] == 'https') $_SERVER['HTTPS'] = 'on';\n",
    f"{SITE}/wp-includes/class-phpmailer.php": "<?php\nclass PHPMailer { function send($to) { $mail = @popen($this->Sendmail, 'w'); fputs($mail, $to); } }\n",
    f"{SITE}/wp-includes/http.php": "<?php\nfunction fetch($host) { $h = @fsockopen($host, 80, $no, $str, 30); return $h; }\n$ua = $_SERVER['HTTP_USER_AGENT'];\n",
    f"{SITE}/wp-admin/includes/file.php": "<?php\nfunction up($f) { if (!move_uploaded_file($_FILES['x']['tmp_name'], $f)) return false; }\n$z = base64_decode($_POST['nonce']);\n",
    f"{SITE}/wp-content/index.php": "<?php\n// Silence is golden.\n",
    f"{SITE}/wp-content/uploads/index.php": "<?php\n// Silence is golden.\n",
    f"{SITE}/wp-content/uploads/2026/11/photo.jpg": "JFIF picture data",
    f"{SITE}/wp-content/uploads/.htaccess": "<Files *.php>\ndeny from all\n</Files>\n",
    f"{SITE}/wp-content/wflogs/config.php": "<?php exit('Access denied'); __halt_compiler(); ?>\n******\n",
    f"{SITE}/wp-content/cache/page_enhanced/example.org/_index.html_gzip": "\x1f",
    f"{SITE}/wp-content/plugins/imagick/convert.php": "<?php\n$path = trim(shell_exec('which convert'));\n$cmd = escapeshellcmd($path) . ' ' . escapeshellarg($file);\nexec($cmd, $out);\n",
    f"{SITE}/wp-content/plugins/backup/archive.php": "<?php\n$data = gzinflate(base64_decode($packed));\nfunction run($c) { return proc_open($c, array(), $p); }\n",
    f"{SITE}/phpmyadmin/libraries/core.php": "<?php\n$sql = $_POST['sql_query'];\n$r = unserialize(base64_decode($x));\n",
    f"{APP}/artisan": "#!/usr/bin/env php\n<?php\nrequire __DIR__.'/vendor/autoload.php';\n",
    f"{APP}/.env": "APP_KEY=base64:xxxx\nDB_PASSWORD=y\n",
    f"{APP}/.git/config": '[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = git@git.example.org:app.git\n',
    f"{APP}/.git/HEAD": "ref: refs/heads/main\n",
    f"{APP}/.git/hooks/post-merge": "#!/bin/sh\ncomposer install --no-dev\nphp artisan migrate --force\n",
    f"{APP}/public/index.php": "<?php\nrequire __DIR__.'/../vendor/autoload.php';\n$r = Request::capture();\n",
    f"{APP}/public/.htaccess": "RewriteEngine On\nRewriteRule ^ index.php [L]\n",
    f"{APP}/vendor/symfony/process/Process.php": "<?php\nclass Process { function start() { $this->process = @proc_open($this->cmd, $d, $this->pipes, $this->cwd); } }\n",
    f"{APP}/vendor/symfony/mailer/Stream.php": "<?php\nclass S { function a() { $this->s = stream_socket_client('tcp://x'); proc_open($this->command, $d, $p); } }\n",
    f"{APP}/vendor/bin/phpunit": "#!/usr/bin/env php\n<?php\n",
    f"{APP}/storage/framework/views/3f1c.php": "<?php echo e($title); ?>\n<?php if($user): ?> <?php echo e($user->name); ?> <?php endif; ?>\n",
    f"{APP}/storage/framework/sessions/abc": "a:1:{}",
    f"{APP}/bootstrap/cache/packages.php": "<?php return array (\n  'x' => array(),\n);\n",
    "/usr/share/nginx/html/index.html": "<h1>Welcome</h1>\n",
    "/home/deploy/.ssh/authorized_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "Q" * 43 + " deploy@ci\n"
    'from="192.0.2.0/24",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' + "R" * 43 + " backup\n",
    "/home/deploy/.bash_history": "cd /var/www/app.example.org\ngit pull\nphp artisan cache:clear\nsudo systemctl reload nginx\ntail -f /var/log/nginx/error.log\n"
    "curl -I http://localhost/\ngrep -r 'base64_decode' . | head\nnc -zv 127.0.0.1 9000\ncurl -sS https://getcomposer.org/installer | php\n",
    "/var/log/auth.log": noise.auth("web1", "deploy"),
    "/var/log/syslog": noise.system("web1"),
    "/var/log/nginx/access.log": noise.web_access(),
    "/var/log/nginx/error.log": "",
    "/etc/fail2ban/action.d/iptables.conf": "[Definition]\nactionban = <iptables> -I f2b-<name> 1 -s <ip> -j <blocktype>\n",
    "/tmp/sess_4f5": 'user|s:1:"x";',
}

HOST = CleanHost(
    name="web",
    does="Serves two sites with PHP and is scanned by the whole internet.",
    accounts=("deploy:x:1000:1000:Deploy:/home/deploy:/bin/bash",),
    packages=(
        Package(
            "nginx",
            {
                "/usr/sbin/nginx": PROGRAM,
                "/etc/nginx/nginx.conf": "user www-data;\nworker_processes auto;\n",
                "/lib/systemd/system/nginx.service": "[Service]\nType=forking\nExecStart=/usr/sbin/nginx -g 'daemon on; master_process on;'\n"
                "ExecReload=/usr/sbin/nginx -g 'daemon on; master_process on;' -s reload\n[Install]\nWantedBy=multi-user.target\n",
                "/etc/init.d/nginx": "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: nginx\n### END INIT INFO\n. /lib/lsb/init-functions\n",
                "/etc/logrotate.d/nginx": "/var/log/nginx/*.log {\n  daily\n  postrotate\n    invoke-rc.d nginx rotate >/dev/null 2>&1\n  endscript\n}\n",
            },
            {"/etc/init.d/nginx": 0o755},
        ),
        Package(
            "php8.2-fpm",
            {"/usr/sbin/php-fpm8.2": PROGRAM, "/usr/bin/php8.2": PROGRAM, "/usr/lib/php/sessionclean": "#!/bin/sh\n"},
        ),
        Package("mariadb-server", {"/usr/sbin/mariadbd": PROGRAM}),
        Package(
            "fail2ban",
            {"/usr/bin/fail2ban-server": "#!/usr/bin/python3\nimport fail2ban\n"},
            {"/usr/bin/fail2ban-server": 0o755},
        ),
    ),
    files=FILES,
    modes={
        "/etc/letsencrypt/live/example.org/privkey.pem": 0o600,
        "/etc/letsencrypt/renewal-hooks/deploy/reload.sh": 0o755,
        "/var/spool/cron/crontabs/root": 0o600,
        "/var/spool/cron/crontabs/www-data": 0o600,
        "/etc/sudoers.d/deploy": 0o440,
        f"{APP}/.git/hooks/post-merge": 0o755,
        f"{APP}/artisan": 0o755,
        "/home/deploy/.ssh/authorized_keys": 0o600,
        "/home/deploy/.bash_history": 0o600,
        "/tmp/sess_4f5": 0o600,
    },
    binaries={"/var/log/wtmp": noise.wtmp(["deploy"]), "/var/log/btmp": noise.btmp()},
    shell=f"""
ln -sf /etc/nginx/sites-available/example.org /etc/nginx/sites-enabled-example
ln -sf php8.2 /usr/bin/php
chown -R 33:33 {SITE}/wp-content {APP}/storage {APP}/bootstrap/cache /tmp/sess_4f5
chown -R 1000:1000 /home/deploy {APP}/.git
chmod 700 /home/deploy/.ssh
chgrp adm /var/log/nginx/*.log
""",
    processes=(
        daemon(
            "/usr/sbin/nginx",
            "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
            do=("listen tcp :80", "listen tcp :443", "name nginx"),
            children=(
                daemon("/usr/sbin/nginx", "nginx: worker process", do=("name nginx",), uid=33),
                daemon("/usr/sbin/nginx", "nginx: cache manager process", do=("name nginx",), uid=33),
            ),
        ),
        daemon(
            "/usr/sbin/php-fpm8.2",
            "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)",
            do=("listen unix /run/php-fpm.sock",),
            children=(
                Process(
                    "/usr/sbin/php-fpm8.2",
                    ("php-fpm: pool www",),
                    (),
                    uid=33,
                    children=(Process("/bin/sh", ("sh", "-c", "sleep 100000; convert in.jpg out.png"), None, uid=33),),
                ),
            ),
        ),
        daemon(
            "/usr/bin/php8.2", "/usr/bin/php", "/var/www/app.example.org/artisan", "queue:work", "--sleep=3", uid=33
        ),
        daemon("/usr/sbin/mariadbd", do=("listen tcp 127.0.0.1:3306",), uid=100),
    ),
)
