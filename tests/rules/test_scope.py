"""Where file and directory rules look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandfly_web.rules.compiled import CompiledRule, RuleErrors
from scanners.contract import Scope

Build = Callable[..., CompiledRule]
FILE = {"category": "file", "product": "linux"}


def scope_of(build: Build, selection: Any, condition: str = "selection", scope: Any = None) -> Scope:
    sandfly = {"scope": scope} if scope is not None else {}
    found = build(selection, condition, logsource=FILE, sandfly=sandfly).plan_rule.scope
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("selection", "paths", "depth"),
    [
        ({"path|startswith": "/tmp/"}, ["/tmp"], None),
        ({"path|startswith": "/etc/ld.so"}, ["/etc/ld.so*"], None),
        ({"path|startswith": ["/tmp/", "/var/tmp/"]}, ["/tmp", "/var/tmp"], None),
        ({"path": "/etc/ld.so.preload"}, ["/etc/ld.so.preload"], 0),
        ({"path": "/etc/a*b"}, ["/etc"], None),
        ({"path": "/home/*/.ssh/*"}, ["/home"], None),
        ({"directory": "/usr/bin"}, ["/usr/bin"], 0),
        ({"directory|startswith": "/usr/lib/"}, ["/usr/lib"], None),
        ({"path|startswith": "/tmp/", "suid": True}, ["/tmp"], None),
        ({"path|startswith": ["/", "/usr/"], "directory": "/usr/bin"}, ["/usr/bin"], 0),
        ([{"path|startswith": "/tmp/"}, {"path": "/etc/x"}], ["/tmp", "/etc/x"], None),
        ({"path": r"/etc/a\*b"}, [r"/etc/a\*b"], 0),
    ],
)
def test_bounds_come_from_the_conditions(build: Build, selection: Any, paths: list[str], depth: int | None) -> None:
    scope = scope_of(build, selection)

    assert (scope.paths, scope.max_depth) == (paths, depth)


@pytest.mark.parametrize(
    "selection",
    [
        {"suid": True},
        {"path|contains": "/tmp/"},
        {"path|endswith": "/x"},
        {"path|re": "^/tmp/"},
        [{"path|startswith": "/tmp/"}, {"suid": True}],
        {"path|startswith": "tmp"},
    ],
)
def test_rules_that_could_match_anywhere_must_say_where(build: Build, selection: Any) -> None:
    with pytest.raises(RuleErrors, match=r"sandfly\.scope\.paths"):
        build(selection, logsource=FILE)


def test_what_is_excluded_bounds_nothing(build: Build) -> None:
    with pytest.raises(RuleErrors, match=r"sandfly\.scope\.paths"):
        build({"path|startswith": "/tmp/"}, "not selection", logsource=FILE)


def test_a_written_scope_wins_over_the_conditions(build: Build) -> None:
    scope = scope_of(build, {"path|startswith": "/usr/"}, scope={"paths": ["/usr/bin"], "max_depth": 1})

    assert scope == Scope(paths=["/usr/bin"], max_depth=1)


def test_a_scope_without_paths_adds_to_the_conditions(build: Build) -> None:
    scope = scope_of(build, {"path|startswith": "/var/"}, scope={"exclude": ["/var/lib/docker"], "cross_mounts": True})

    assert scope == Scope(paths=["/var"], exclude=["/var/lib/docker"], cross_mounts=True)


@pytest.mark.parametrize(
    "scope",
    [
        "here",
        {"path": ["/tmp"]},
        {"paths": "/tmp"},
        {"paths": ["tmp"]},
        {"paths": ["/tmp/../etc"]},
        {"paths": ["/tmp"], "max_depth": -1},
        {"paths": ["/tmp"], "max_depth": True},
        {"paths": ["/tmp"], "cross_mounts": "yes"},
    ],
)
def test_faulty_scopes_are_refused(build: Build, scope: Any) -> None:
    with pytest.raises(RuleErrors, match=r"sandfly\.scope"):
        build({"suid": True}, logsource=FILE, sandfly={"scope": scope})


def test_other_subjects_have_no_scope(build: Build) -> None:
    with pytest.raises(RuleErrors, match="only file, directory and package_file"):
        build({"uid": 0}, sandfly={"scope": {"paths": ["/tmp"]}})


def test_a_package_file_rule_looks_where_its_conditions_say(build: Build) -> None:
    rule = build(
        {"path": ["/usr/bin/ps", "/usr/bin/ss"], "digest_matches": False}, logsource={"category": "package_file"}
    )

    assert rule.plan_rule.scope is not None
    assert rule.plan_rule.scope.paths == ["/usr/bin/ps", "/usr/bin/ss"]


def test_a_package_file_rule_must_say_where_to_look(build: Build) -> None:
    with pytest.raises(RuleErrors, match="where to look is not known"):
        build({"digest_matches": False}, logsource={"category": "package_file"})
