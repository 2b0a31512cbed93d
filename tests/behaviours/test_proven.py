"""Which rules are proven by enacted behaviours is written down beside the rules, for `rules coverage`."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

from sandfly_web.rules import attack
from tests.behaviours.hosts import BEHAVIOURS, HOSTS
from tests.behaviours.scan import detections

PROVEN = Path(__file__).resolve().parents[2] / "sandfly_web/rules/proven.json"


def proven() -> dict[str, list[str]]:
    """Names of the behaviours that raise each rule."""
    rules = {rule for behaviour in BEHAVIOURS for rule in behaviour.raises}
    return {rule: sorted(one.name for one in BEHAVIOURS if rule in one.raises) for rule in rules}


def test_the_list_of_proven_rules_is_current() -> None:
    text = json.dumps(proven(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_PROVEN"):
        PROVEN.write_text(text, encoding="utf-8")

    assert PROVEN.read_text(encoding="utf-8") == text, "run UPDATE_PROVEN=1 pytest tests/behaviours/test_proven.py"


def test_behaviours_name_rules_and_techniques_that_exist() -> None:
    names = {rule.name for rule in detections()}
    unknown = [f"{one.name}: {rule}" for one in BEHAVIOURS for rule in one.raises if rule not in names]
    strange = [
        f"{one.name}: {which}" for one in BEHAVIOURS for which in one.techniques if which not in attack.TECHNIQUES
    ]

    assert unknown == []
    assert strange == []


def test_each_behaviour_has_a_name_of_its_own_a_sentence_and_marks_that_no_neighbour_has() -> None:
    repeated = [name for name, count in Counter(one.name for one in BEHAVIOURS).items() if count > 1]
    shared = [
        f"{host}: {mark}"
        for host, behaviours in HOSTS.items()
        for one in behaviours
        for mark in one.marks
        for other in behaviours
        if other is not one and any(mark in theirs or theirs in mark for theirs in other.marks)
    ]

    assert repeated == []
    assert shared == []
    assert [one.name for one in BEHAVIOURS if not re.fullmatch(r"[a-z0-9_]{8,80}", one.name)] == []
    assert [one.name for one in BEHAVIOURS if not one.does.endswith(".") or not one.raises or not one.marks] == []
