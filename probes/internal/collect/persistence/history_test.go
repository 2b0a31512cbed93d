package persistence

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// canary stands for a secret in every case below.
const canary = "S3cr3tCanary99"

func TestSecretsInCommandsAreHidden(t *testing.T) {
	for _, command := range []string{
		"mysql -u root -pCANARY db", "mysqldump --password=CANARY", "mysql -u root -p'CANARY x' db", "sshpass -p CANARY ssh h", "export DB_PASSWORD='CANARY'",
		"curl -u bob:CANARY https://x", "curl --user 'bob:CANARY' x", "curl -H 'Authorization: Bearer CANARYtoken' x", "curl https://u:CANARY@host/x",
		"git clone https://oauth2:CANARY@gitlab.example/x.git", "aws configure set aws_secret_access_key CANARY", "AWS_SECRET_ACCESS_KEY=CANARY aws s3 ls",
		"echo 'root:CANARY' | chpasswd", "echo CANARY | sudo -S id", "redis-cli -a CANARY ping", "ldapsearch -w CANARY -x", "psql \"host=x password=CANARY\"",
		"PGPASSWORD=CANARY psql", "docker login -u a -p CANARY", "htpasswd -b f u CANARY", "zip -P CANARY a.zip b", "openssl enc -k CANARY",
		"CREATE USER x IDENTIFIED BY 'CANARY'", "ALTER USER x WITH PASSWORD 'CANARY';", "smbclient -U bob%CANARY //h/s", "vault login token=CANARY",
		"useradd -p CANARY x", "kubectl create secret generic x --from-literal=token=CANARY", "gh auth --token CANARY", "foo --api-key CANARY",
		`curl -d '{"password":"CANARY"}' x`, "export GH=ghp_CANARYCANARY", "sudo -S id <<< CANARY", "x --client-secret CANARY",
		"echo '$6$salt$CANARY' > s", "wget --http-password=CANARY x", "-----BEGIN RSA PRIVATE KEY-----CANARY", "xfreerdp /u:a /p:CANARY /v:h", "7z a -pCANARY x y",
	} {
		shown, found := redactCommand(strings.ReplaceAll(command, "CANARY", canary))
		if strings.Contains(shown, canary) || !found || !strings.Contains(shown, hidden) {
			t.Errorf("%q: %q", command, shown)
		}
	}
}

func TestCommandsWithoutSecretsStayAsTheyAre(t *testing.T) {
	for _, command := range []string{
		"ls -la /etc/passwd", "passwd bob", "sudo apt update", "cat /etc/shadow", "ssh -p 22 host", "mkdir -p a/b", "rsync -a x y", "curl -sL x | sh",
		"docker run -p 80:80 nginx", "ps aux | grep x", "nmap -p 22 10.0.0.1", "git commit -m 'pass the tests'", "vi ~/.ssh/authorized_keys", "cp -p a b", "cut -d: -f1 /etc/passwd",
	} {
		if shown, found := redactCommand(command); found {
			t.Errorf("%q: %q", command, shown)
		}
	}
}

func TestHistoriesOfEachShellAreRead(t *testing.T) {
	cases := map[string][2]string{
		"bash": {"ls\n#1700000000\nid -a\n#not a stamp\n\n", "1:ls@0;3:id -a@1700000000;4:#not a stamp@0"},
		"zsh":  {": 1700000000:0;ls \\\n-l\nplain\n: x:0;y\n", "1:ls -l@1700000000;3:plain@0;4:: x:0;y@0"},
		"fish": {"- cmd: ls\n  when: 1700000000\n  paths:\n    - x\n- cmd: a\\nb\n", "1:ls@1700000000;5:a; b@0"},
		"csh":  {"#+1700000001\nls\n", "2:ls@1700000001"},
	}
	for shell, c := range cases {
		var got []string
		for _, e := range parseHistory(c[0], shell) {
			got = append(got, fmt.Sprintf("%d:%s@%d", e.Number, e.Command, e.Time))
		}
		equal(t, shell+" "+strings.Join(got, ";"), shell+" "+c[1])
	}
}

func TestHistoryFilesAndTheirCommandsAreRecorded(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/passwd":               "root:x:0:0::/root:/bin/bash\nbob:x:1:1::/home/bob:/bin/bash\neve:x:2:2::/home/eve:/usr/bin/zsh\nsvc:x:3:3::/srv:/usr/sbin/nologin\n",
		"/root/.bash_history":       "-> /dev/null",
		"/home/bob/.bash_history":   "ls\n#1700000000\nmysql -p" + canary + "\n",
		"/home/bob/.psql_history":   "",
		"/home/bob/.zsh_history/":   "",
		"/home/bob/.python_history": "|",
		"/home/eve/":                "",
		"/srv/":                     "",
	})
	lastlog := make([]byte, 2*lastlogRecord)
	binary.NativeEndian.PutUint32(lastlog[lastlogRecord:], 1_750_000_000)
	must(t, os.MkdirAll(filepath.Join(root, "var/log"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "var/log/lastlog"), lastlog, 0o644))

	var records []seen
	within(t, func() { records, _ = run(t, historyCollector(), root) })

	equal(t, strings.Join(column(records, "path"), " "), "/root/.bash_history /home/bob/.bash_history /home/bob/.bash_history /home/bob/.bash_history "+
		"/home/bob/.zsh_history /home/bob/.python_history /home/bob/.psql_history /home/eve/.zsh_history")
	equal(t, find(t, records, "path", "/root/.bash_history").show("kind", "type", "target", "exists", "is_empty", "entries", "last_login"), "file|symlink|/dev/null|true|false|<nil>|<nil>")
	equal(t, find(t, records, "path", "/home/bob/.bash_history").show("kind", "type", "is_empty", "entries", "last_login", "command", "uid", "username"), "file|regular|false|2|1750000000|<nil>|1|bob")
	equal(t, find(t, records, "command", "mysql -p***").show("kind", "timestamp", "has_secret", "line_number", "entries"), "line|1700000000|true|3|<nil>")
	equal(t, find(t, records, "path", "/home/bob/.psql_history").show("is_empty", "entries", "shell"), "true|0|psql")
	equal(t, find(t, records, "path", "/home/bob/.zsh_history").show("type", "entries"), "directory|<nil>")
	equal(t, find(t, records, "path", "/home/eve/.zsh_history").show("exists", "type", "is_empty", "file_mode"), "false|<nil>|<nil>|<nil>")
}

func TestOfALongHistoryTheEndIsRead(t *testing.T) {
	root := tree(t, map[string]string{"/root/.bash_history": strings.Repeat("a long command line\n", 100_000) + "last\n"})

	records, status := run(t, historyCollector(), root)

	if len(records) != maxHistoryLines+1 || len(status.Parts) != 0 {
		t.Fatalf("%d records", len(records))
	}
	equal(t, records[len(records)-1].show("command", "line_number"), "last|<nil>")
	equal(t, records[0].show("entries"), "100001")
}

// FuzzHistory holds the parsers to: no panic, no empty command, and a canary behind -p never comes out.
func FuzzHistory(f *testing.F) {
	for _, s := range []string{"#1\nx", ": 1:0;x\\\n", "- cmd: x\n  when: y", "curl -u a:b x", "password="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		for _, shell := range []string{"bash", "zsh", "fish"} {
			for _, e := range parseHistory(data, shell) {
				if e.Command == "" && shell != "fish" || e.Time < 0 {
					t.Errorf("%s: %+v", shell, e)
				}
			}
		}
		if !strings.Contains(data, canary) && !strings.ContainsAny(data, "\n'\"") {
			if shown, _ := redactCommand(data + " --password=" + canary); strings.Contains(shown, canary) {
				t.Errorf("%q", shown)
			}
		}
	})
}
