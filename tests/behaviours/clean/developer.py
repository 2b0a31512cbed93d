"""A developer's workstation: containers, virtual environments, node modules, git hooks, editors, a desktop."""

from __future__ import annotations

import json

from tests.behaviours.behaviour import Process
from tests.behaviours.clean import noise
from tests.behaviours.clean.host import PROGRAM, CleanHost, Package, daemon
from tests.behaviours.clean.web import CERTIFICATE_KEY

HOME = "/home/dev"
UID = 1000
CONTAINER = "4f1d" * 16
DOCKER = f"/var/lib/docker/containers/{CONTAINER}"
LAYER = "/var/lib/docker/overlay2/" + "9c" * 32 + "/diff"

BASHRC = r"""
case $- in *i*) ;; *) return;; esac
HISTCONTROL=ignoreboth
HISTSIZE=100000
HISTFILESIZE=200000
shopt -s histappend checkwinsize
[ -x /usr/bin/lesspipe ] && eval "$(SHELL=/bin/sh lesspipe)"
PS1='${debian_chroot:+($debian_chroot)}\u@\h:\w\$ '
export PROMPT_COMMAND="history -a; __git_ps1 '\u' '\$ '"
alias ll='ls -alF'
alias sudo='sudo '
alias ssh='TERM=xterm-256color ssh'
alias serve='python3 -m http.server'
alias k=kubectl
export NVM_DIR="$HOME/.nvm"
[ -s "$NVM_DIR/nvm.sh" ] && \. "$NVM_DIR/nvm.sh"
export PYENV_ROOT="$HOME/.pyenv"
export PATH="$HOME/.local/bin:$HOME/.cargo/bin:$PYENV_ROOT/bin:$HOME/go/bin:$PATH"
eval "$(pyenv init -)"
eval "$(direnv hook bash)"
eval "$(starship init bash)"
source <(kubectl completion bash)
. "$HOME/.cargo/env"
[ -f ~/.fzf.bash ] && source ~/.fzf.bash
if [ -z "$SSH_AUTH_SOCK" ]; then eval "$(ssh-agent -s)" >/dev/null; fi
trap 'rm -f "$HOME/.session.lock"' EXIT
export LESSHISTFILE=-
mkcd() { mkdir -p "$1" && cd "$1"; }
weather() { curl -s "https://wttr.example.org/$1"; }
"""
HISTORY = r"""
curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.example.org | sh
curl -fsSL https://deb.nodesource.example.org/setup_20.x | sudo -E bash -
wget -qO- https://get.docker.example.org | sh
pip install -r requirements.txt
kubectl get secret db -o jsonpath='{.data.password}' | base64 -d
echo aGVsbG8K | base64 -d
nc -zv db.internal 5432
nc -l 8080
python3 -m http.server
python3 -c "import socket; print(socket.gethostname())"
docker run --rm -d --privileged docker:24-dind
docker exec -it web bash
sudo systemctl stop docker
sudo systemctl restart postgresql
ssh -L 5432:localhost:5432 bastion
ssh -D 1080 bastion
chmod +x ./run.sh && ./run.sh
chmod 755 ~/bin/deploy
sudo tcpdump -i eth0 port 80
history | grep curl
rm -rf node_modules dist
tar czf - src | ssh build 'tar xzf - -C /srv'
sudo tee /etc/apt/sources.list.d/vscode.list < list
echo 'fs.inotify.max_user_watches=524288' | sudo tee -a /etc/sysctl.conf
cat /etc/passwd | cut -d: -f1
gdb -p $(pidof app)
strace -f -p 123
touch -d yesterday /tmp/stamp
curl -s localhost:8080/debug | sh -x
bash <(curl -s https://example.org/codecov) -t x
"""
GITCONFIG = """[user]
\tname = Dev
[core]
\tpager = delta
\teditor = vim
\thooksPath = .githooks
\tfsmonitor = true
[credential]
\thelper = cache --timeout=3600
\thelper = !/usr/bin/gh auth git-credential
[alias]
\tlg = log --graph --oneline
\tup = !git fetch --all && git rebase
\tserve = !git daemon --base-path=. --export-all
[filter "lfs"]
\tclean = git-lfs clean -- %f
\tprocess = git-lfs filter-process
[diff "image"]
\ttextconv = exiftool
[gpg]
\tprogram = gpg
"""

FILES = {
    f"{HOME}/.bashrc": BASHRC,
    f"{HOME}/.profile": 'if [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi\nPATH="$HOME/bin:$PATH"\n',
    f"{HOME}/.zshrc": 'export ZSH="$HOME/.oh-my-zsh"\nplugins=(git docker)\nsource $ZSH/oh-my-zsh.sh\nHISTSIZE=50000\nSAVEHIST=50000\nsetopt HIST_IGNORE_SPACE\nprecmd() { vcs_info }\n',
    f"{HOME}/.bash_history": HISTORY,
    f"{HOME}/.python_history": "import os\nos.getcwd()\nimport subprocess\n",
    f"{HOME}/.gitconfig": GITCONFIG,
    f"{HOME}/.ssh/id_ed25519": CERTIFICATE_KEY,
    f"{HOME}/.ssh/id_ed25519.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "U" * 43 + " dev@box\n",
    f"{HOME}/.ssh/known_hosts": "github.example.org,192.0.2.30 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "V" * 43 + "\n*.internal ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "W" * 43 + "\n",
    f"{HOME}/.ssh/config": "Host bastion\n  HostName 192.0.2.31\n  ForwardAgent yes\nHost *.internal\n  ProxyCommand ssh -W %h:%p bastion\n",
    f"{HOME}/.kube/config": "apiVersion: v1\nclusters: []\n",
    f"{HOME}/.docker/config.json": '{"credsStore": "desktop"}\n',
    f"{HOME}/.config/autostart/slack.desktop": "[Desktop Entry]\nType=Application\nName=Slack\nExec=/usr/bin/slack -u\n",
    f"{HOME}/.config/autostart/nextcloud.desktop": "[Desktop Entry]\nType=Application\nName=Nextcloud\nExec=sh -c 'sleep 10 && /usr/bin/nextcloud --background'\n",
    f"{HOME}/.config/autostart/gone.desktop": "[Desktop Entry]\nType=Application\nName=JetBrains\nExec=\"/home/dev/.local/share/JetBrains/Toolbox/bin/jetbrains-toolbox\" --minimize\nHidden=false\n",
    f"{HOME}/.config/systemd/user/syncthing.service": "[Service]\nExecStart=/usr/bin/syncthing serve --no-browser\nRestart=on-failure\n[Install]\nWantedBy=default.target\n",
    f"{HOME}/.config/systemd/user/tunnel.service": "[Service]\nExecStart=/usr/bin/ssh -N -T -R 2222:localhost:22 bastion\nRestart=always\n",
    f"{HOME}/src/app/.git/HEAD": "ref: refs/heads/main\n",
    f"{HOME}/src/app/.git/config": "[core]\n\trepositoryformatversion = 0\n\tsshCommand = ssh -i ~/.ssh/id_ed25519\n",
    f"{HOME}/src/app/.git/hooks/pre-commit": "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\nINSTALL_PYTHON=/home/dev/src/app/.venv/bin/python\nARGS=(hook-impl --config=.pre-commit-config.yaml --hook-type=pre-commit)\n"
    'HERE="$(cd "$(dirname "$0")" && pwd)"\nARGS+=(--hook-dir "$HERE" -- "$@")\nif [ -x "$INSTALL_PYTHON" ]; then\n    exec "$INSTALL_PYTHON" -mpre_commit "${ARGS[@]}"\nfi\n',
    f"{HOME}/src/app/.git/hooks/post-checkout": '#!/bin/sh\ncommand -v git-lfs >/dev/null 2>&1 || { printf >&2 "no git-lfs"; exit 2; }\ngit lfs post-checkout "$@"\n',
    f"{HOME}/src/app/.git/hooks/pre-push": "#!/bin/sh\nnpm test\nsemgrep --config auto . | head\n",
    f"{HOME}/src/app/.husky/pre-commit": '#!/usr/bin/env sh\n. "$(dirname -- "$0")/_/husky.sh"\nnpx lint-staged\n',
    f"{HOME}/src/app/.venv/bin/activate": "deactivate () { :; }\nVIRTUAL_ENV=/home/dev/src/app/.venv\n",
    f"{HOME}/src/app/.venv/lib/python3.11/site-packages/_virtualenv.pth": "import _virtualenv",
    f"{HOME}/src/app/.venv/lib/python3.11/site-packages/distutils-precedence.pth": "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; enabled and __import__('_distutils_hack').add_shim();\n",
    f"{HOME}/src/app/.venv/lib/python3.11/site-packages/__editable__.app-1.0.pth": "import __editable___app_1_0_finder; __editable___app_1_0_finder.install()\n",
    f"{HOME}/.local/lib/python3.11/site-packages/a1_coverage.pth": "import coverage; coverage.process_startup()\n",
    f"{HOME}/.local/lib/python3.11/site-packages/matplotlib-nspkg.pth": "import sys, types, os;has_mfs = sys.version_info > (3, 5);p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('mpl_toolkits',));importlib = has_mfs and __import__('importlib.util');\n",
    f"{HOME}/src/app/node_modules/.bin/esbuild": "#!/usr/bin/env node\nrequire('../esbuild')\n",
    f"{HOME}/src/app/node_modules/shelljs/exec.js": "require('child_process').exec('ls')\n",
    f"{HOME}/src/app/node_modules/sshpk/test/id_rsa": CERTIFICATE_KEY,
    f"{HOME}/src/php/public/index.php": "<?php\neval(\\Psy\\sh());\n",
    f"{HOME}/.config/Code/User/settings.json": "{}\n",
    f"{HOME}/.local/share/applications/x.desktop": "[Desktop Entry]\nExec=/home/dev/Applications/x.AppImage\n",
    "/etc/udev/rules.d/51-android.rules": 'SUBSYSTEM=="usb", ATTR{idVendor}=="18d1", MODE="0660", GROUP="plugdev", TAG+="uaccess"\n',
    "/etc/udev/rules.d/99-platformio-udev.rules": 'ATTRS{idVendor}=="1a86", MODE:="0666", ENV{ID_MM_DEVICE_IGNORE}="1"\n',
    "/etc/udev/rules.d/85-brltty.rules": 'ACTION=="add", SUBSYSTEM=="usb", RUN+="/usr/bin/systemctl --no-block start brltty-udev.service"\n',
    "/etc/sudoers.d/dev": "dev ALL=(ALL:ALL) ALL\nDefaults:dev timestamp_timeout=30\nDefaults env_keep += \"SSH_AUTH_SOCK EDITOR\"\n",
    "/etc/profile.d/apps-bin-path.sh": '[ -d /snap/bin ] && export PATH="$PATH:/snap/bin"\n',
    "/etc/profile.d/vte.sh": '[ -n "$BASH_VERSION" ] || return 0\nPROMPT_COMMAND="__vte_prompt_command"\n',
    "/etc/profile.d/nix.sh": "if [ -e /nix/var/nix/profiles/default/etc/profile.d/nix-daemon.sh ]; then . /nix/var/nix/profiles/default/etc/profile.d/nix-daemon.sh; fi\n",
    "/etc/apt/apt.conf.d/20packagekit": 'DPkg::Post-Invoke {\n"/usr/bin/test -e /usr/share/dbus-1/system-services/org.freedesktop.PackageKit.service && /usr/bin/test -S /var/run/dbus/system_bus_socket && /usr/bin/gdbus call --system --dest org.freedesktop.PackageKit --timeout 4 > /dev/null; /bin/echo > /dev/null";\n};\n',
    "/etc/apt/apt.conf.d/70debconf": 'DPkg::Pre-Install-Pkgs {"/usr/sbin/dpkg-preconfigure --apt || true";};\n',
    f"{DOCKER}/config.v2.json": json.dumps({
        "ID": CONTAINER, "Name": "/web", "State": {"Running": True, "Pid": 4242}, "Image": "sha256:" + "ab" * 32,
        "Config": {"Image": "node:20", "Cmd": ["npm", "run", "dev"], "Env": ["NODE_ENV=development"]},
        "MountPoints": {"/app": {"Source": f"{HOME}/src/app", "Destination": "/app", "RW": True, "Type": "bind"}},
    }),
    f"{DOCKER}/hostconfig.json": json.dumps({"Privileged": False, "NetworkMode": "bridge", "Binds": [f"{HOME}/src/app:/app"], "PidMode": "", "CapAdd": None}),
    f"{DOCKER}/hosts": "127.0.0.1 localhost\n",
    "/tmp/pytest-of-dev/pytest-1/test_x0/file.sh": "#!/bin/sh\necho test\n",
    "/tmp/npm-1234/x.js": "module.exports = 1\n",
    "/tmp/clipboard.png": "PNG",
    "/var/tmp/kdecache-dev/x": "cache",
    "/dev/shm/.org.chromium.Chromium.4fGh2a": "\0" * 64,
    "/dev/shm/pulse-shm-12345": "\0" * 64,
    "/var/log/auth.log": noise.auth("box", "dev"),
    "/var/log/syslog": noise.system("box"),
}  # fmt: skip

HOST = CleanHost(
    name="developer",
    does="Someone writes software here, with containers, many tools in the home, and a desktop.",
    accounts=(f"dev:x:{UID}:{UID}:Dev:/home/dev:/bin/bash",),
    packages=(
        Package("docker-ce", {"/usr/bin/dockerd": PROGRAM, "/lib/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock\n"}),
        Package("containerd.io", {"/usr/bin/containerd": PROGRAM, "/usr/bin/containerd-shim-runc-v2": PROGRAM}),
        Package("code", {"/usr/share/code/code": PROGRAM, "/usr/share/code/chrome-sandbox": PROGRAM}, {"/usr/share/code/chrome-sandbox": 0o755}),
        Package("gnome-shell", {"/usr/bin/gnome-shell": PROGRAM, "/usr/libexec/gnome-session-binary": PROGRAM, "/etc/xdg/autostart/gnome-keyring.desktop": "[Desktop Entry]\nType=Application\nExec=/usr/bin/gnome-keyring-daemon --start --components=ssh\n"}),
        Package("nodejs", {"/usr/bin/node": PROGRAM}),
        Package("tmux", {"/usr/bin/tmux": PROGRAM}),
    ),
    files=FILES,
    modes={
        f"{HOME}/.ssh/id_ed25519": 0o600, f"{HOME}/.bash_history": 0o600, "/etc/sudoers.d/dev": 0o440,
        f"{HOME}/src/app/.git/hooks/pre-commit": 0o755, f"{HOME}/src/app/.git/hooks/post-checkout": 0o755, f"{HOME}/src/app/.git/hooks/pre-push": 0o755,
        f"{HOME}/src/app/.husky/pre-commit": 0o755, "/tmp/pytest-of-dev/pytest-1/test_x0/file.sh": 0o755,
        f"{HOME}/src/app/node_modules/.bin/esbuild": 0o755, f"{HOME}/src/app/node_modules/sshpk/test/id_rsa": 0o644,
        "/dev/shm/.org.chromium.Chromium.4fGh2a": 0o600, "/dev/shm/pulse-shm-12345": 0o700,
    },
    binaries={"/var/log/wtmp": noise.wtmp(["dev"]), "/var/log/btmp": noise.btmp()},
    shell=f"""
mkdir -p {LAYER}/usr/bin {LAYER}/bin {HOME}/.local/bin {HOME}/.cargo/bin {HOME}/.config/google-chrome /opt/google/chrome
cp /bin/true {LAYER}/usr/bin/sudo; chmod 4755 {LAYER}/usr/bin/sudo
cp /bin/true {LAYER}/bin/ping; setcap cap_net_raw+ep {LAYER}/bin/ping
cp /bin/true {HOME}/.local/bin/uv; cp /bin/true {HOME}/.cargo/bin/rustc
cp /bin/true /opt/google/chrome/chrome-sandbox; chmod 4755 /opt/google/chrome/chrome-sandbox
cp /bin/true {HOME}/src/app/node_modules/esbuild-linux-64
mkdir -p /tmp/tmux-1000 /tmp/.X11-unix /tmp/.ICE-unix /tmp/systemd-private-abc-colord/tmp /tmp/.font-unix
ln -s {HOME}/src/dotfiles/vimrc {HOME}/.vimrc
chown -R {UID}:{UID} {HOME} /tmp/pytest-of-dev /tmp/tmux-1000 /tmp/npm-1234 /dev/shm/.org.chromium.Chromium.4fGh2a /dev/shm/pulse-shm-12345
chmod 700 {HOME}/.ssh
touch -d '2 hours ago' /tmp/.X0-lock
""",
    processes=(
        daemon("/usr/bin/dockerd", "/usr/bin/dockerd", "-H", "fd://", do=("listen unix /run/docker-test.sock",)),
        daemon("/usr/bin/containerd"),
        daemon("/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", CONTAINER),
        daemon("/usr/bin/gnome-shell", uid=UID),
        daemon("/usr/share/code/code", "/usr/share/code/code", "--type=renderer", do=("rwx",), uid=UID),
        daemon("/usr/bin/node", "node", f"{HOME}/src/app/node_modules/.bin/vite", do=("listen tcp :5173", "rwx"), uid=UID),
        daemon("/usr/bin/node", "npm run dev", uid=UID),
        daemon("/usr/bin/tmux", "tmux", "new-session", "-s", "work", do=("listen unix /tmp/tmux-1000/default",), uid=UID,
               children=(Process("/bin/bash", ("-bash", "-c", "sleep 100000; :"), None, uid=UID, cwd=HOME),)),
        Process(f"{HOME}/.vscode-server/bin/abc123/node", (f"{HOME}/.vscode-server/bin/abc123/node", "server-main.js", "--host=127.0.0.1"), ("listen tcp 127.0.0.1:36001",), uid=UID),
        Process(f"{HOME}/.local/share/JetBrains/Toolbox/bin/jetbrains-toolbox", ("jetbrains-toolbox", "--minimize"), uid=UID),
        Process(f"{HOME}/.cargo/bin/rust-analyzer", ("rust-analyzer",), uid=UID),
        Process(f"{HOME}/src/app/target/debug/app", ("target/debug/app",), ("listen tcp 127.0.0.1:8080",), uid=UID, cwd=f"{HOME}/src/app"),
        Process("/opt/google/chrome/chrome", ("/opt/google/chrome/chrome", "--type=gpu-process"), ("open /dev/shm/.org.chromium.Chromium.4fGh2a",), uid=UID),
        Process(f"{HOME}/go/bin/dlv", ("dlv", "version"), uid=UID, env=("HISTCONTROL=ignorespace",)),
        Process("/usr/bin/ssh-agent", ("ssh-agent", "-D", "-a", "/tmp/agent.sock"), None, uid=UID),
    ),
)  # fmt: skip
