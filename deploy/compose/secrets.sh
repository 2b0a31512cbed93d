#!/bin/sh
# Makes the secrets of an installation in ./secrets, once, and writes ./.env with the public half of the zone's key.
# Files that are there stay as they are. As root they are given to the uids of the containers (IMAGE_UID=1000, and 999 for
# PostgreSQL and the broker); rootless engines map those to other uids of the machine: see the README.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
PYTHON=${PYTHON:-}
ENGINE=${ENGINE:-docker}
IMAGE=${SANDFLY_IMAGE:-localhost/sandfly:latest}

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
word() { random 48 | tr -d '+/=' | cut -c1-40; }
keep() { # NAME: standard input, unless there is such a file
    if [ -e "secrets/$1" ]; then cat >/dev/null; else cat >"secrets/$1"; fi
}

word | keep postgres_password
word | keep redis_password
word | keep secret_key
word | keep admin_password
random 32 | keep zone_key
printf 'postgresql://sandfly:%s@postgres/sandfly' "$(cat secrets/postgres_password)" | keep database_url
printf 'redis://:%s@redis:6379/0' "$(cat secrets/redis_password)" | keep redis_url
printf 'requirepass %s\nappendonly yes\ndir /data\nmaxmemory-policy noeviction\n' "$(cat secrets/redis_password)" | keep redis_conf

# A key pair of libsodium's sealed boxes: the public half is computed by the image, or by PYTHON in a checkout.
if [ -n "$PYTHON" ]; then
    public=$(cd ../.. && "$PYTHON" -m scanners.vault public deploy/compose/secrets/zone_key)
else
    public=$("$ENGINE" run --rm --network none --user 0 --volume "$PWD/secrets/zone_key:/key:ro" \
        --entrypoint /opt/sandfly/.venv/bin/python "$IMAGE" -m scanners.vault public /key)
fi
printf 'ZONE_PUBLIC_KEY=%s\n' "$public" >.env

if [ "$(id -u)" = 0 ]; then
    chown 1000 secrets/database_url secrets/redis_url secrets/secret_key secrets/zone_key secrets/admin_password
    chown 999 secrets/postgres_password secrets/redis_conf
    chmod 711 secrets
fi
echo "The first password of admin is in secrets/admin_password; change it after signing in, and remove the line there."
