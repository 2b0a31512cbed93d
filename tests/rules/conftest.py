"""What the rule tests share: the shipped catalogue, compiled once, the probe that matches, and a rule to vary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandfly_web.rules.catalog import load_catalog
from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.rules.sigma import parse_rule

RULE: dict[str, Any] = {
    "title": "A rule",
    "id": "5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001",
    "name": "process_example",
    "level": "high",
    "logsource": {"category": "process", "product": "linux"},
}


def rule_text(detection: Any, **changes: Any) -> str:
    """YAML of a small rule with this detection; a change of None removes the key."""
    rule = {**RULE, "detection": detection, **changes}
    return yaml.safe_dump({key: value for key, value in rule.items() if value is not None}, sort_keys=False)


@pytest.fixture
def build() -> Callable[..., CompiledRule]:
    """Compile a rule whose only selection is given; its condition is `selection` unless it brings one."""

    def compile_rule(selection: Any, condition: str = "selection", **changes: Any) -> CompiledRule:
        detection = {"selection": selection, "condition": condition}
        return parse_rule(rule_text(detection, **changes), "process_example.yml")

    return compile_rule


@pytest.fixture(scope="session")
def catalog() -> list[CompiledRule]:
    return load_catalog()


@pytest.fixture(scope="session")
def probe() -> Path:
    from probes.build import ensure, host_arch

    return ensure(host_arch()).path
