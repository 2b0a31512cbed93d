"""Rules without an answer: in words, with how much was not looked at and what to do about it."""

from __future__ import annotations

import pytest

from sandfly_web.scans.reasons import REASONS, Gap, Miss, gaps, words_for


def miss(
    rule: str = "a", subject: str = "process", reason: str = "denied", state: str = "error", **unknown: int
) -> Miss:
    return Miss(rule, subject, state, reason, unknown)


def only(found: list[Gap]) -> str:
    assert len(found) == 1
    return found[0].sentence


@pytest.mark.parametrize(
    ("misses", "sentence"),
    [
        ([miss(denied=1)], "1 rule … 1 of 118 processes: refused even to root."),
        ([miss("a", denied=2), miss("b", denied=2)], "2 rules … 2 of 118 processes: refused even to root."),
        ([miss("a", denied=1), miss("b", denied=3)], "2 rules … up to 3 of 118 processes: refused even to root."),
        # More than were counted: the number alone.
        ([miss(denied=200)], "1 rule … 200 processes: refused even to root."),
        # Nobody counted: the whole subject.
        ([miss(subject="directory", reason="needs_root")], "1 rule … directories: only root may read them."),
        (
            [miss(subject="kernel_module", reason="limit", limit=1)],
            "1 rule … 1 kernel module: more than a scan reads of one thing.",
        ),
        ([miss(reason="", subject="mount")], "1 rule … mounts: no reason was given."),
        ([miss(reason="brand_new", subject="mount")], "1 rule … mounts: brand new."),
        # An alert has answered; only what else it could not look at is told.
        ([miss(state="alert", reason="", denied=4)], "1 rule … 4 of 118 processes: refused even to root."),
    ],
)
def test_a_gap_says_how_much_and_why(misses: list[Miss], sentence: str) -> None:
    whole = sentence.replace("…", "could not decide about")

    assert only(gaps(misses, {"process": 118})) == whole


def test_rules_are_grouped_by_what_they_miss_with_the_most_rules_first() -> None:
    found = gaps([miss("a", reason="limit"), miss("b", denied=1), miss("c", denied=1)], {})

    assert [entry.rules for entry in found] == [["b", "c"], ["a"]]


def test_one_failed_rule_makes_the_gap_an_error() -> None:
    [found] = gaps([miss("a", state="skipped"), miss("b", state="error")], {})

    assert found.state == "error"


def test_an_alert_that_missed_nothing_is_no_gap() -> None:
    assert gaps([miss(state="alert", reason="")], {}) == []


def test_every_reason_has_something_to_do_about_it() -> None:
    assert [code for code in REASONS if not words_for(code).remedy.endswith(".")] == []
