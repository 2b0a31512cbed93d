"""What a host is, learned in one round trip of shell built-ins, before anything is put on it.

The script must work in dash, bash and BusyBox's ash, without coreutils; `uname` and `id` are asked only where /proc is
silent. The parser is pure and takes the text as hostile.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from scanners.connection import Connection
from scanners.contract import Profile
from scanners.errors import PlatformError

MAX_PROFILE_BYTES = 64 << 10
MAX_VALUE_CHARS = 255
MAX_DIRECTORIES = 8

# Reads with built-ins only. The first bytes of a program file are \x7fELF, word size and byte order, with no NUL before
# them, so that `read` gets them in every shell; what runs this script is the file. `b` is "ok" packed by xz with its
# filter for x86, which BusyBox does not have: only trying tells, as `xz` may be BusyBox. All is said at once: a shell
# writes each line by itself, and sshd makes a packet of each.
SCRIPT = r"""
LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
has() { command -v "$1" >/dev/null 2>&1; }
if has printf; then s() { printf '%s\n' "$1"; }; else s() { echo "$1"; }; fi
p() { s "$1=$2"; }
r() { v=; [ -r "$2" ] && IFS= read -r v <"$2"; p "$1" "$v"; }
answer() {
echo "MARK-begin"
r system /proc/sys/kernel/ostype
r kernel /proc/sys/kernel/osrelease
r hostname /proc/sys/kernel/hostname
r boot_id /proc/sys/kernel/random/boot_id
r machine /proc/sys/kernel/arch
[ -n "$v" ] || { has uname && p machine "$(uname -m)"; }
[ -r /proc/sys/kernel/ostype ] || { has uname && p system "$(uname -s)" && p kernel "$(uname -r)"; }
r machine_id /etc/machine-id
[ -n "$v" ] || r machine_id /var/lib/dbus/machine-id
u=
[ -r /proc/self/status ] && while read -r k a b c; do
case $k in Uid:) u=$b; break;; esac; done </proc/self/status
[ -n "$u" ] || { has id && u=$(id -u); }
p uid "$u"; p username "${USER:-$LOGNAME}"; p shell "$SHELL"
one=$(printf '\001'); two=$(printf '\002'); h=
[ -r /proc/self/exe ] && IFS= read -r h </proc/self/exe
case $h in *ELF$one*) p bits 32;; *ELF$two*) p bits 64;; esac
case $h in *ELF?$one*) p little_endian 1;; *ELF?$two*) p little_endian 0;; esac
for f in /lib/ld-linux-armhf.so.* /lib/ld-musl-armhf.so.* /lib/arm-linux-gnueabihf/ld-linux*; do
[ -e "$f" ] && p hard_float 1; done
n=0; [ -r /proc/cpuinfo ] && while IFS= read -r l && [ $n -lt 64 ]; do n=$((n+1))
case $l in Features*vfp*) p vfp 1; break;; esac; done </proc/cpuinfo
o=/etc/os-release; [ -r $o ] || o=/usr/lib/os-release
n=0; [ -r $o ] && while IFS= read -r l && [ $n -lt 100 ]; do n=$((n+1))
case $l in ID=*|VERSION_ID=*|NAME=*|PRETTY_NAME=*) p "os_${l%%=*}" "${l#*=}";; esac; done <$o
set --
for d in "$XDG_RUNTIME_DIR" /dev/shm /tmp /var/tmp "$HOME"; do
case $d in /*) [ -d "$d" ] && [ -w "$d" ] && [ -x "$d" ] && set -- "$@" "$d" && p dir "$d";; esac; done
[ -r /proc/mounts ] && while read -r a m t q b; do for d in "$@"; do
case "$d/" in "${m%/}"/*) p mount "$m $q"; break;; esac; done; done </proc/mounts
for t in sudo su doas xz unxz gzip sha256sum busybox openssl find base64; do has $t && p tool $t; done
b='\375\067zXZ\000\000\001i\042\336\066\002\001\004\000\041\001\000\000\332\063\255\003\001\000\002ok'
b=$b'\012\000\000\175\016\026\332\000\001\027\003\007\140\014\274\220B\231\015\001\000\000\000\000\001YZ'
has xz && [ "$(printf "$b" | xz -dc 2>/dev/null)" = ok ] && p tool xz-bcj
has xz || has unxz || { has busybox && busybox unxz --help >/dev/null 2>&1 && p tool busybox-unxz; }
echo "MARK-end"
}
a=$(answer); s "$a"
"""

ARCHES = {
    "x86_64": "amd64", "amd64": "amd64", "i386": "386", "i486": "386", "i586": "386", "i686": "386",
    "aarch64": "arm64", "arm64": "arm64", "armv8l": "armv7", "armv7l": "armv7", "armv6l": "armv6", "armv5tel": "armv5",
    "armv5tejl": "armv5", "armv5tl": "armv5", "ppc64le": "ppc64le", "ppc64": "ppc64", "riscv64": "riscv64",
    "s390x": "s390x", "loongarch64": "loong64",
}  # fmt: skip
# The probe's main builds need Linux 3.2, those of its second line 2.6.32, which these ports have.
MAIN_BUILD_KERNEL = (3, 2)
LEGACY_BUILD_KERNEL = (2, 6, 32)
LEGACY_ARCHES = frozenset(
    {"amd64", "386", "armv5", "armv6", "armv7", "mips", "mipsle", "mips64", "mips64le", "ppc64", "s390x"}
)
MIPS = {(32, False): "mips", (32, True): "mipsle", (64, False): "mips64", (64, True): "mips64le"}


@dataclass(frozen=True, slots=True)
class HostTools:
    """What the host offers for staging. `directories` are writable and not mounted noexec, best first."""

    directories: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    guard: str = ""
    """What a guard on the host says of itself, see `scanners.guard`."""

    @property
    def unxz(self) -> str:
        """Command that turns xz on stdin into bytes on stdout, "" when there is none."""
        commands = {"xz": "xz -dc", "unxz": "unxz -c", "busybox-unxz": "busybox unxz -c"}
        return next((command for name, command in commands.items() if name in self.names), "")

    @property
    def has_bcj(self) -> bool:
        """Whether it also reads what was packed by xz's filter for x86."""
        return "xz-bcj" in self.names

    @property
    def gunzip(self) -> str:
        """The same for gzip."""
        return "gzip -dc" if "gzip" in self.names else ""

    @property
    def digest(self) -> str:
        """Command that prints the SHA-256 of stdin, "" when there is none."""
        if "sha256sum" in self.names:
            return "sha256sum"
        if "busybox" in self.names:
            return "busybox sha256sum"
        return "openssl dgst -sha256 -r" if "openssl" in self.names else ""


def run_profile(connection: Connection, timeout_s: float) -> tuple[Profile, HostTools]:
    """Asks the host. Raises PlatformError, ConnectError."""
    mark = secrets.token_hex(8)
    script = SCRIPT.replace("MARK", mark).encode()
    # The mark as an argument is for the guards of hosts, which run no script but their own.
    done = connection.run(["/bin/sh", "-s", mark], stdin=script, timeout_s=timeout_s, max_bytes=MAX_PROFILE_BYTES)
    if done.is_cut:
        raise PlatformError("profile_malformed", "the host answered the first question with a flood")
    if not done.stdout and done.exit_status in (126, 127):
        raise PlatformError("no_shell", "the account cannot run /bin/sh")
    return parse_profile(done.stdout.decode("utf-8", "backslashreplace"), mark)


def parse_profile(text: str, mark: str) -> tuple[Profile, HostTools]:
    """Reads what the script printed between its marks (at most 64 KiB); noise around them is ignored.

    Raises PlatformError: `no_shell`, `profile_malformed`, `not_linux`.
    """
    _, begun, rest = text[:MAX_PROFILE_BYTES].partition(f"{mark}-begin")
    if not begun:
        raise PlatformError("no_shell", "the account gives no POSIX shell: it may be restricted to other commands")
    body, ended, _ = rest.partition(f"{mark}-end")
    if not ended:
        raise PlatformError("profile_malformed", "the host broke off its answer to the first question")
    facts = _Facts(body)
    system = facts.one("system")
    if system != "Linux":
        raise PlatformError("not_linux", f"the host runs {system or 'something unknown'}, not Linux")
    return _build_profile(facts), HostTools(
        _usable_directories(facts), frozenset(facts.all("tool")), facts.one("guard")
    )


class _Facts:
    """key → values in order; `one` is the last, as later lines are second tries."""

    def __init__(self, body: str) -> None:
        self._values: dict[str, list[str]] = {}
        for line in body.split("\n"):
            key, found, value = line.partition("=")
            if found and re.fullmatch(r"[a-zA-Z_]{1,32}", key):
                self._values.setdefault(key, []).append(_clean(value))

    def one(self, key: str) -> str:
        return next((value for value in reversed(self.all(key)) if value), "")

    def all(self, key: str) -> list[str]:
        return self._values.get(key, [])

    def number(self, key: str, highest: int) -> int | None:
        text = self.one(key)
        return int(text) if re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= highest else None


def _clean(value: str) -> str:
    if value.isprintable():
        return value[:MAX_VALUE_CHARS]
    return "".join(c if c.isprintable() else "?" for c in value)[:MAX_VALUE_CHARS]


def _build_profile(facts: _Facts) -> Profile:
    bits, little = facts.number("bits", 64), facts.number("little_endian", 1)
    is_little = None if little is None else bool(little)
    machine = facts.one("machine")
    has_vfp = facts.number("vfp", 1) == 1
    return Profile(
        hostname=facts.one("hostname"),
        system=facts.one("system"),
        kernel=facts.one("kernel"),
        machine=machine,
        arch=probe_arch(machine, bits, is_little, has_vfp=has_vfp),
        bits=bits,
        little_endian=is_little,
        hard_float=(facts.number("hard_float", 1) == 1 or has_vfp) if machine.startswith("arm") else None,
        os_id=_unquote(facts.one("os_ID")),
        os_version=_unquote(facts.one("os_VERSION_ID")),
        os_name=_unquote(facts.one("os_PRETTY_NAME") or facts.one("os_NAME")),
        uid=facts.number("uid", 2**32 - 1),
        username=facts.one("username"),
        is_root=facts.number("uid", 2**32 - 1) == 0,
        machine_id=_machine_id(facts.one("machine_id")),
        boot_id=_boot_id(facts.one("boot_id")),
        shell=facts.one("shell"),
    )


def probe_arch(machine: str, bits: int | None, is_little: bool | None, *, has_vfp: bool = True) -> str:  # noqa: FBT001
    """Name of the probe build for a kernel's machine; "" when there is none or it cannot be told.

    The probe is static, so what the kernel runs counts, not what the distribution was built for.
    """
    if machine.startswith("mips"):
        width = 64 if machine.startswith("mips64") and bits == 64 else 32
        return "" if is_little is None else MIPS[width, is_little]
    arch = ARCHES.get(machine) or ("armv7" if machine.startswith("armv7") else "")
    # ARMv6 and ARMv7 builds use the floating point unit, which some such cores lack.
    return "armv5" if arch in ("armv6", "armv7") and not has_vfp else arch


def choose_build(profile: Profile) -> str:
    """Name of the probe build for a host, one of `probes.build.BUILDS`; a kernel that says no version counts as new.

    Raises PlatformError: `unsupported_arch`, `unsupported_kernel`.
    """
    if not profile.arch:
        machine = profile.machine or "an unknown machine"
        raise PlatformError("unsupported_arch", f"the host is {machine}, for which there is no probe")
    version = kernel_version(profile.kernel)
    if version is None or version >= MAIN_BUILD_KERNEL or profile.arch not in LEGACY_ARCHES:
        return profile.arch
    if version < LEGACY_BUILD_KERNEL:
        raise PlatformError(
            "unsupported_kernel", f"the host runs Linux {profile.kernel}; the probe needs 2.6.32 or newer"
        )
    return f"{profile.arch}-legacy"


def kernel_version(release: str) -> tuple[int, ...] | None:
    """The numbers that begin `uname -r`: (2, 6, 32) of 2.6.32-754.el6.x86_64; None when there are none."""
    found = re.match(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,2}", release)
    return tuple(int(number) for number in found[0].split(".")) if found else None


def _unquote(value: str) -> str:
    """A value of os-release(5) without its shell quotes."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return re.sub(r"\\(.)", r"\1", value)


def _boot_id(text: str) -> str:
    """The kernel's UUID of this boot; "" for anything else."""
    return text if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) else ""


def _machine_id(value: str) -> str:
    return value if re.fullmatch(r"[0-9a-f]{32}", value) else ""


def _usable_directories(facts: _Facts) -> tuple[str, ...]:
    mounts: list[tuple[str, list[str]]] = []
    for line in facts.all("mount"):
        point, _, flags = line.rpartition(" ")
        mounts.append((point.rstrip("/"), flags.split(",")))
    usable = []
    for directory in dict.fromkeys(facts.all("dir")):
        options = _deciding_options(directory, mounts)
        if directory.startswith("/") and "noexec" not in options and "ro" not in options:
            usable.append(directory)
    return tuple(usable[:MAX_DIRECTORIES])


def _deciding_options(directory: str, mounts: list[tuple[str, list[str]]]) -> list[str]:
    """Options of the mount a directory is on: the deepest mount point, and of several at one point the last."""
    best: tuple[int, list[str]] = (-1, [])
    for point, options in mounts:
        if f"{directory}/".startswith(f"{point}/") and len(point) >= best[0]:
            best = (len(point), options)
    return best[1]
