"""The first question to a host: the script in every shell, the parser on odd answers and on anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners.connection import Chunk
from scanners.contract import Profile
from scanners.errors import PlatformError
from scanners.profile import SCRIPT, HostTools, choose_build, parse_profile, probe_arch, run_profile
from tests.scanners.fakes import FakeConnection, FakeProcess

MINIMAL = "m-begin\nsystem=Linux\nmachine=x86_64\nuid=0\n{}m-end\n"


def tools(*lines: str) -> HostTools:
    return parse_profile(MINIMAL.format("".join(line + "\n" for line in lines)), "m")[1]


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]], ids=" ".join)
def test_script_works_in_every_shell_without_coreutils(shell: list[str]) -> None:
    text = SCRIPT.replace("MARK", "m").replace("PATH=$PATH", "PATH=/nonexistent; X=$PATH")
    env = {"HOME": "/root", "PATH": "/usr/bin:/bin"}

    done = subprocess.run(shell, input=text.encode(), capture_output=True, env=env, check=False)

    profile, _ = parse_profile(done.stdout.decode("utf-8", "backslashreplace"), "m")
    assert done.stderr == b""
    assert (profile.system, profile.bits, profile.little_endian, profile.uid) == ("Linux", 64, True, 0)
    assert profile.kernel and profile.arch and profile.os_id


def test_script_survives_csh_and_fish_as_it_travels_on_standard_input() -> None:
    process = FakeProcess([Chunk(stdout=b"")], status=127)
    connection = FakeConnection(process)

    with pytest.raises(PlatformError, match="cannot run /bin/sh"):
        run_profile(connection, 5)

    assert [command[:2] for command in connection.commands] == [["/bin/sh", "-s"]]
    assert process.is_stdin_closed


def test_noise_before_and_after_is_ignored() -> None:
    text = "Last login: today\nsystem=Plan9\n" + MINIMAL.format("hostname=web1\n") + "logout\nsystem=BeOS\n"

    profile, _ = parse_profile(text, "m")

    assert (profile.system, profile.hostname) == ("Linux", "web1")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_shell"),
        ("This account is currently not available.\n", "no_shell"),
        ("m-begin\nsystem=Linux\n", "profile_malformed"),
        ("m-begin\nsystem=FreeBSD\nm-end\n", "not_linux"),
        ("m-begin\nm-end\n", "not_linux"),
    ],
)
def test_answer_that_is_no_linux_profile(text: str, code: str) -> None:
    with pytest.raises(PlatformError) as raised:
        parse_profile(text, "m")

    assert raised.value.code == code


def test_os_release_quotes_are_removed() -> None:
    text = MINIMAL.format('os_ID="rocky"\nos_VERSION_ID=\'9.4\'\nos_PRETTY_NAME="A \\"B\\" \\$C"\n')

    profile, _ = parse_profile(text, "m")

    assert (profile.os_id, profile.os_version, profile.os_name) == ("rocky", "9.4", 'A "B" $C')


def test_later_answer_is_the_second_try() -> None:
    profile, _ = parse_profile(MINIMAL.format("machine=\nmachine=aarch64\n"), "m")

    assert profile.arch == "arm64"


def test_deepest_mount_decides_whether_programs_run() -> None:
    found = tools(
        "dir=/dev/shm", "dir=/tmp", "dir=/var/tmp", "mount=/ rw,noexec", "mount=/dev rw,noexec", "mount=/dev/shm rw",
        "mount=/var/tmp rw,nosuid"
    )  # fmt: skip

    assert found.directories == ("/dev/shm", "/var/tmp")


def test_last_of_several_mounts_at_one_point_counts() -> None:
    assert tools("dir=/tmp", "mount=/tmp rw", "mount=/tmp rw,noexec").directories == ()


def test_mount_point_with_the_same_beginning_is_another() -> None:
    assert tools("dir=/tmp", "mount=/ rw", "mount=/t rw,noexec").directories == ("/tmp",)


def test_relative_directory_is_never_used() -> None:
    assert tools("dir=tmp", "dir=").directories == ()


@pytest.mark.parametrize(
    ("names", "digest", "unxz", "gunzip"),
    [
        (["sha256sum", "openssl", "xz", "unxz", "gzip"], "sha256sum", "xz -dc", "gzip -dc"),
        (["busybox", "openssl", "unxz"], "busybox sha256sum", "unxz -c", ""),
        (["openssl", "busybox-unxz"], "openssl dgst -sha256 -r", "busybox unxz -c", ""),
        ([], "", "", ""),
    ],
)
def test_tools_for_staging(names: list[str], digest: str, unxz: str, gunzip: str) -> None:
    found = tools(*(f"tool={name}" for name in names))

    assert (found.digest, found.unxz, found.gunzip) == (digest, unxz, gunzip)


@pytest.mark.parametrize(("program", "reads"), [("/usr/bin/xz", True), ("/bin/busybox", False), ("/bin/true", False)])
def test_xz_is_tried_with_the_filter_for_x86(tmp_path: Path, program: str, reads: bool) -> None:
    (tmp_path / "xz").symlink_to(program)
    text = SCRIPT.replace("MARK", "m").replace("PATH=$PATH", f"PATH={tmp_path}:/bin; X=$PATH")

    done = subprocess.run(["/bin/sh"], input=text.encode(), capture_output=True, check=True)

    assert parse_profile(done.stdout.decode(), "m")[1].has_bcj is reads


@pytest.mark.parametrize(("status", "unxz"), [(0, "busybox unxz -c"), (127, "")])
def test_unxz_of_busybox_counts_only_where_it_was_built_in(tmp_path: Path, status: int, unxz: str) -> None:
    (tmp_path / "busybox").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "busybox").chmod(0o755)
    text = SCRIPT.replace("MARK", "m").replace("PATH=$PATH", f"PATH={tmp_path}; X=$PATH")

    done = subprocess.run(["/bin/sh"], input=text.encode(), capture_output=True, check=True)

    assert parse_profile(done.stdout.decode("utf-8", "backslashreplace"), "m")[1].unxz == unxz


@pytest.mark.parametrize(
    ("machine", "bits", "is_little", "has_vfp", "arch"),
    [
        ("x86_64", 64, True, True, "amd64"),
        ("x86_64", 32, True, True, "amd64"),
        ("i686", 32, True, True, "386"),
        ("aarch64", 64, True, True, "arm64"),
        ("armv8l", 32, True, True, "armv7"),
        ("armv7l", 32, True, True, "armv7"),
        ("armv7l", 32, True, False, "armv5"),
        ("armv6l", 32, True, True, "armv6"),
        ("armv5tel", 32, True, False, "armv5"),
        ("mips", 32, False, True, "mips"),
        ("mips", 32, True, True, "mipsle"),
        ("mips64", 64, True, True, "mips64le"),
        ("mips64", 32, False, True, "mips"),
        ("mips", 32, None, True, ""),
        ("riscv64", 64, True, True, "riscv64"),
        ("vax", 32, True, True, ""),
        ("", None, None, True, ""),
    ],
)
def test_probe_for_a_machine(machine: str, bits: int, is_little: bool, has_vfp: bool, arch: str) -> None:
    assert probe_arch(machine, bits, is_little, has_vfp=has_vfp) == arch


@given(st.text(max_size=2000))
def test_any_text_gives_a_profile_or_a_platform_error(text: str) -> None:
    try:
        parse_profile(f"m-begin\n{text}\nm-end", "m")
    except PlatformError as error:
        assert error.message


@given(st.lists(st.tuples(st.sampled_from(["dir", "mount", "uid", "bits", "machine", "os_ID", "tool"]), st.text())))
def test_any_value_of_a_known_key_gives_bounded_text(pairs: list[tuple[str, str]]) -> None:
    profile, found = parse_profile(MINIMAL.format("".join(f"{key}={value}\n" for key, value in pairs)), "m")

    assert len(profile.os_id) <= 255
    assert len(found.directories) <= 8
    assert all(directory.isprintable() for directory in found.directories)


@pytest.mark.parametrize(
    ("kernel", "arch", "build"),
    [
        ("6.12.0-amd64", "amd64", "amd64"),
        ("3.2.0-4-amd64", "amd64", "amd64"),
        ("3.10.0-1160.el7.x86_64", "amd64", "amd64"),
        ("3.1.10", "amd64", "amd64-legacy"),
        ("2.6.32-754.el6.x86_64", "amd64", "amd64-legacy"),
        ("2.6.32-5-686", "386", "386-legacy"),
        ("2.6.60", "armv5", "armv5-legacy"),
        ("3.0-rc1", "s390x", "s390x-legacy"),
        ("3.1.0", "arm64", "arm64"),
        ("", "amd64", "amd64"),
        ("unknown", "amd64", "amd64"),
    ],
)
def test_the_kernels_version_chooses_the_line_of_builds(kernel: str, arch: str, build: str) -> None:
    assert choose_build(Profile(kernel=kernel, arch=arch)) == build


@pytest.mark.parametrize(
    ("kernel", "arch", "code"),
    [
        ("2.6.18-419.el5", "amd64", "unsupported_kernel"),
        ("2.4.37", "386", "unsupported_kernel"),
        ("6.1", "", "unsupported_arch"),
    ],
)
def test_a_host_that_no_build_runs_on_is_refused_with_the_reason(kernel: str, arch: str, code: str) -> None:
    with pytest.raises(PlatformError) as error:
        choose_build(Profile(kernel=kernel, arch=arch))

    assert error.value.code == code
