"""Putting the probe on a host and taking it away: what is believed of the host's answers."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scanners import guard
from scanners.connection import Chunk
from scanners.errors import CleanupError, ProbeError, ScanError
from scanners.local import open_local
from scanners.profile import HostTools
from scanners.staging import REMOVE, STAGE, choose_packing, new_name, run_removal, run_stage, script_argv
from tests.scanners.fakes import FakeConnection, FakeProcess
from tests.scanners.standin import script_build

ALL_TOOLS = HostTools(names=frozenset({"xz", "gzip", "sha256sum", "find"}))
NO_TOOLS = HostTools()
PACKINGS = {
    "xz": ALL_TOOLS,
    "unxz": HostTools(names=frozenset({"unxz"})),
    "busybox": HostTools(names=frozenset({"busybox-unxz"})),
    "gzip": HostTools(names=frozenset({"gzip"})),
    "no-tools": NO_TOOLS,
}


@pytest.fixture
def build(tmp_path: Path) -> Any:
    return script_build(tmp_path, padding=1000)


def places(*parents: Path | str) -> list[str]:
    name = new_name()
    return [f"{parent}/{name}" for parent in parents]


class Answering(FakeConnection):
    """Each command answers its lines between the marks; `{}` is the staging directory's name."""

    def __init__(self, *answers: str) -> None:
        super().__init__(*(FakeProcess() for _ in answers))
        self.answers = list(answers)

    def start(self, argv: Any, timeout_s: float) -> FakeProcess:  # type: ignore[override]
        process = super().start(argv, timeout_s)
        assert isinstance(process, FakeProcess)
        answer = self.answers.pop(0).replace("{}", argv[5])
        process.chunks = [Chunk(f"noise\n{argv[4]}-begin\n{answer}\n{argv[4]}-end\nnoise\n".encode())]
        return process


def code_of(connection: FakeConnection, build: Any, tools: HostTools = ALL_TOOLS) -> str:
    with pytest.raises(ScanError) as raised:
        run_stage(connection, build, tools, places("/tmp", "/var/tmp"), 0, 5)
    return raised.value.code


@pytest.mark.parametrize("tools", PACKINGS.values(), ids=PACKINGS)
def test_probe_is_staged_closed_to_others_and_removed(tmp_path: Path, build: Any, tools: HostTools) -> None:
    connection = open_local()

    staged = run_stage(connection, build, tools, places(tmp_path), 0, 10)

    assert Path(staged.path).read_bytes() == build.path.read_bytes()
    assert re.fullmatch(rf"{tmp_path}/\.sf-[0-9a-f]{{16}}", staged.directory)
    assert (Path(staged.directory).stat().st_mode & 0o777, Path(staged.path).stat().st_mode & 0o777) == (0o700, 0o700)
    assert run_removal(connection, [staged.directory], 10).found == (staged.directory,)
    assert not Path(staged.directory).exists()


@pytest.mark.parametrize(
    ("tools", "form"), [("xz", "xz_path"), ("busybox", "xz_path"), ("gzip", "gz_path"), ("no-tools", "path")]
)
def test_smallest_form_that_the_host_unpacks_is_sent(build: Any, tools: str, form: str) -> None:
    assert choose_packing(build, PACKINGS[tools])[0] == getattr(build, form)


@pytest.mark.parametrize(("names", "form"), [({"xz"}, "xz_path"), ({"xz", "xz-bcj"}, "bcj_path")])
def test_form_for_x86_is_sent_where_xz_was_seen_to_read_it(build: Any, names: set[str], form: str) -> None:
    both = replace(build, bcj_path=build.path.with_suffix(".bcj.xz"))

    assert choose_packing(both, HostTools(names=frozenset(names))) == (getattr(both, form), "xz -dc")
    assert guard.choose_packing(both, frozenset(names)) == (getattr(both, form), "xz")
    assert choose_packing(build, HostTools(names=frozenset({"xz", "xz-bcj"})))[0] == build.xz_path


def test_without_an_xz_build_gzip_is_sent(build: Any) -> None:
    assert choose_packing(replace(build, xz_path=None), ALL_TOOLS) == (build.gz_path, "gzip -dc")


def test_directory_that_cannot_be_written_is_passed_over(tmp_path: Path, build: Any) -> None:
    staged = run_stage(open_local(), build, ALL_TOOLS, places("/proc/self", tmp_path), 0, 10)

    assert staged.directory.startswith(str(tmp_path))


def test_each_stay_has_a_new_name() -> None:
    assert len({new_name() for _ in range(100)}) == 100


def test_existing_directory_is_never_used(tmp_path: Path, build: Any) -> None:
    where = places(tmp_path)
    Path(where[0]).mkdir()

    with pytest.raises(ProbeError) as raised:
        run_stage(open_local(), build, ALL_TOOLS, where, 0, 10)

    assert raised.value.code == "no_exec_dir"


@pytest.mark.parametrize("tools", PACKINGS.values(), ids=PACKINGS)
def test_upload_that_is_cut_removes_itself_although_nobody_listens(
    tmp_path: Path, build: Any, tools: HostTools
) -> None:
    where = places(tmp_path)
    source, unpack = choose_packing(build, tools)
    argv = script_argv(STAGE, "m", where[0].rpartition("/")[2], "sf", unpack, "", "0", str(build.size), str(tmp_path))
    half = source.read_bytes()[:-20]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(half)

    for stream in (process.stdout, process.stderr, process.stdin):
        stream.close()

    process.wait(10)
    assert not Path(where[0]).exists()


def test_upload_that_came_whole_when_nobody_listens_any_more_removes_itself(tmp_path: Path, build: Any) -> None:
    where = places(tmp_path)
    argv = script_argv(STAGE, "m", where[0].rpartition("/")[2], "sf", "cat", "", "0", str(build.size), str(tmp_path))
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin and process.stdout
    assert process.stdout.readline() == b"m-begin\n"
    process.stdout.close()

    process.stdin.write(build.path.read_bytes())
    process.stdin.close()

    process.wait(10)
    assert not Path(where[0]).exists()


def test_only_old_directories_of_our_own_form_are_swept(tmp_path: Path, build: Any) -> None:
    names = [".sf-0123456789abcdef", ".sf-short", ".other-0123456789ab", ".sf-fedcba9876543210"]
    for name in names:
        (tmp_path / name).mkdir()
        subprocess.run(["touch", "-d", "2 hours ago", tmp_path / name], check=True)
    subprocess.run(["touch", tmp_path / names[3]], check=True)

    staged = run_stage(open_local(), build, ALL_TOOLS, places(tmp_path), 0, 10)

    assert staged.stale == (str(tmp_path / names[0]),)
    assert [(tmp_path / name).exists() for name in names] == [False, True, True, True]


def test_wrong_digest_is_refused(build: Any) -> None:
    connection = Answering(f"dir=/tmp/{{}}\ndigest={'0' * 64}  -")

    assert code_of(connection, build) == "digest_mismatch"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("refused=/tmp\ndir=", "no_exec_dir"),
        ("dir=/etc", "upload_failed"),
        ("dir=/tmp/../etc/{}", "upload_failed"),
        ("", "no_exec_dir"),
    ],
)
def test_answer_that_is_not_what_was_asked(build: Any, answer: str, code: str) -> None:
    assert code_of(Answering(answer), build) == code


def test_short_file_is_an_upload_that_failed(build: Any) -> None:
    assert code_of(Answering("short=3\ndir=/tmp/{}"), build) == "upload_failed"


def test_answer_without_its_end_is_an_upload_that_failed(build: Any) -> None:
    assert code_of(FakeConnection(FakeProcess([Chunk(b"killed", b"oops")])), build) == "upload_failed"


def test_no_directory_means_no_command(build: Any) -> None:
    with pytest.raises(ProbeError) as raised:
        run_stage(FakeConnection(), build, ALL_TOOLS, [], 0, 5)

    assert raised.value.code == "no_exec_dir"


def test_removal_touches_only_directories_of_our_form(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()

    assert run_removal(open_local(), [str(tmp_path / "precious"), "/"], 10).gone == ()
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    ("answer", "code"),
    [("left=/tmp/.sf-0011223344556677", "cleanup_failed"), ("gone=/tmp/other", "cleanup_unverified")],
)
def test_removal_that_did_not_work_says_so(answer: str, code: str) -> None:
    with pytest.raises(CleanupError) as raised:
        run_removal(Answering(answer), ["/tmp/.sf-0011223344556677"], 5)

    assert raised.value.code == code


@pytest.mark.parametrize("script", [STAGE, REMOVE])
def test_scripts_pass_unchanged_through_every_login_shell(script: str) -> None:
    text = script_argv(script)[2]

    # csh expands ! even in single quotes, fish takes \\ and \' there, and csh ends a quoted word at a newline.
    assert not set("'!\n") & set(text)
    assert "\\" not in text
    assert shlex.split(shlex.quote(text)) == [text]
