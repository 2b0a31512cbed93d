#!/bin/sh
# Installs the guard on this host: ./install.sh [--root TREE]. Run it as root from the directory it came in.
# What is still to be done by hand is said at its end: an account and its key are the owner's to give.
set -eu
tree=
if [ "${1-}" = --root ]; then tree=$2; fi
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
if command -v sha256sum >/dev/null 2>&1; then sha256sum -c SHA256SUMS >/dev/null; fi
if command -v visudo >/dev/null 2>&1; then visudo -cqf sudoers; fi

put() { # SOURCE TARGET MODE: beside its place first, so that a running visit never reads half a file
    mkdir -p "$tree$(dirname "$2")"
    cp "$1" "$tree$2.new"
    chown 0:0 "$tree$2.new"
    chmod "$3" "$tree$2.new"
    mv -f "$tree$2.new" "$tree$2"
}

put sandfly-guard @PROGRAMS@/sandfly-guard 0755
put sandfly-guard-root @PROGRAMS@/sandfly-guard-root 0755
put probes @LIST@ 0644
has_sudo=yes
if ! command -v sudo >/dev/null 2>&1 && command -v doas >/dev/null 2>&1; then has_sudo=; fi
if [ @USER@ != root ] && [ "$has_sudo" ]; then put sudoers /etc/sudoers.d/sandfly-guard 0440; fi
mkdir -p "$tree@DIRECTORY@"
chown 0:0 "$tree@DIRECTORY@"
chmod 0700 "$tree@DIRECTORY@"
cat <<END
The guard is installed. Now give the account @USER@ its key with this one line in its authorized_keys:
    restrict,command="@PROGRAMS@/sandfly-guard" ssh-ed25519 AAAA… (the public key of sandfly's credential)
and add sshd_config of this directory to that of sshd, so that no other key or password leads past it.
END
if [ @USER@ != root ] && [ -z "$has_sudo" ]; then
    echo "There is no sudo here: add the last line of doas.conf to the end of /etc/doas.conf, so that no later line undoes it."
fi
