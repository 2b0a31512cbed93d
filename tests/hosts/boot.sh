# Builds the file tree of a throw-away host in fresh namespaces and stays as its process 1. Everything is on one tmpfs
# that dies with the namespace, so nothing has to be unmounted.
# In: BASE (empty directory), SEED (files to lay over the tree), FLAVOUR, HOST_NAME, HIDE, NOEXEC, START.
set -e
mount -t tmpfs -o mode=755,size=1g host "$BASE"
root=$BASE/root
mkdir "$root"
if [ "$FLAVOUR" = openssh ]; then
    mkdir "$BASE/upper" "$BASE/work"
    mount -t overlay -o "lowerdir=/,upperdir=$BASE/upper,workdir=$BASE/work" overlay "$root"
fi
for directory in $HIDE; do mount -t tmpfs -o mode=755,size=64m hidden "$root$directory"; done
cp -a "$SEED/." "$root/"
for directory in proc sys dev tmp run var/tmp; do mkdir -p "$root/$directory"; done
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
mount -t tmpfs -o mode=755 run "$root/run"
for directory in dev/shm tmp var/tmp; do
    case " $NOEXEC " in *" /$directory "*) exec=noexec ;; *) exec=exec ;; esac
    mount -t tmpfs -o "mode=1777,$exec,nosuid,nodev" tmpfs "$root/$directory"
done
hostname "$HOST_NAME"
mkdir -p "$root/run/sshd"
cd "$root"
exec chroot "$root" /bin/sh -c "$START; while :; do sleep 100000 & wait; done"
