"""Who may import what, beyond the contracts of import-linter: rules over every file, present and future."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SSH_LIBRARIES = {"fabric", "paramiko", "invoke"}
CELERY_FILES = {"app.py", "tasks.py", "celery.py", "beat.py", "dispatch.py", "waiting.py"}
COMPILER = [
    "sigma", "backend", "compiled", "detection", "document", "mapping", "metadata", "placeholders", "plan", "scope",
    "simplify", "select", "explain", "faults", "correlation", "filters", "answerable", "coverage",
]  # fmt: skip
NOT_PURE = {"django", "os", "io", "subprocess", "socket", "time", "random", "requests", "urllib"}


def source_files() -> list[Path]:
    return [path for top in ("scanners", "sandfly_web", "probes") for path in (ROOT / top).rglob("*.py")]


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of all imported modules, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def importers(libraries: set[str]) -> set[str]:
    found = (path for path in source_files() if libraries & {name.split(".")[0] for name in imports_of(path)})
    return {str(path.relative_to(ROOT)) for path in found}


def test_only_the_transport_and_its_packets_speak_ssh() -> None:
    assert importers(SSH_LIBRARIES) == {"scanners/transport.py", "scanners/packets.py"}
    users = {path.name for path in source_files() if "scanners.packets" in imports_of(path)}
    assert users == {"transport.py"}


def test_only_tasks_and_applications_import_celery() -> None:
    assert {Path(name).name for name in importers({"celery"})} <= CELERY_FILES


def test_the_worker_side_imports_nothing_of_the_server() -> None:
    found = importers({"django", "sandfly_web", "rest_framework", "psycopg2"})

    assert not [name for name in found if name.startswith("scanners/")]


def test_one_command_of_the_server_runs_a_visit_itself() -> None:
    allowed = {"scanners.contract", "scanners.errors"}
    users = {
        str(path.relative_to(ROOT))
        for path in source_files()
        if path.is_relative_to(ROOT / "sandfly_web")
        and {name for name in imports_of(path) if name.split(".")[0] == "scanners"} - allowed - {"scanners"}
    }

    assert users == {"sandfly_web/scans/management/commands/scan.py"}


@pytest.mark.parametrize("module", COMPILER)
def test_the_rule_compiler_is_pure(module: str) -> None:
    path = ROOT / "sandfly_web" / "rules" / f"{module}.py"

    assert not {name.split(".")[0] for name in imports_of(path)} & NOT_PURE


def test_nothing_is_pickled() -> None:
    assert importers({"pickle", "shelve", "marshal", "dill"}) == set()


def go_files() -> list[Path]:
    return [path for top in ("cmd", "internal") for path in (ROOT / "probes" / top).rglob("*.go")]


def is_for_tests(path: Path) -> bool:
    """Test files, packages that only test files import, and what only a tagged build has: released ones have none."""
    if path.name.endswith("_test.go") or path.parent.name.endswith("test"):
        return True
    return path.read_text(encoding="utf-8").startswith("//go:build seen\n")


def test_the_probe_needs_no_go_module_and_no_cgo() -> None:
    assert "require" not in (ROOT / "probes" / "go.mod").read_text(encoding="utf-8")
    assert not [path for path in go_files() if 'import "C"' in path.read_text(encoding="utf-8")]


def test_probes_are_built_without_tags() -> None:
    assert "-tags" not in (ROOT / "probes" / "build.py").read_text(encoding="utf-8")


def test_the_probe_never_executes_dials_or_writes_files() -> None:
    forbidden = [
        '"os/exec"', '"net/http"', "net.Dial", "syscall.Exec(", "syscall.ForkExec", "os.StartProcess", "os.WriteFile",
        "os.Create(", "os.Rename", "os.Chmod", "O_WRONLY", "O_RDWR", "O_CREAT", "syscall.Connect(", "syscall.Sendto(",
    ]  # fmt: skip
    sources = {path.name: path.read_text(encoding="utf-8") for path in go_files() if not is_for_tests(path)}

    found = [(name, word) for name, source in sources.items() for word in forbidden if word in source]

    # The one write: its own /proc/self/oom_score_adj, so that it dies before anything of the host does.
    assert found == [("lower.go", "os.WriteFile")]
