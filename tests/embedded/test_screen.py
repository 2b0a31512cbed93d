"""What the terminal shows fits it, and nothing from a host is obeyed by it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sandfly_web.embedded.screen import Access, Screen, shorten
from sandfly_web.findings.models import Finding

PASSWORD = "abcde-fghjk-mnpqr-stuvw"


@pytest.fixture(params=[True, False], ids=["terminal", "plain"])
def screen(request) -> Screen:
    return Screen(Console(file=io.StringIO(), width=80, force_terminal=request.param, highlight=False))


def text_of(screen: Screen) -> str:
    return screen.console.file.getvalue()


def finding(level: str, title: str, explanation: str) -> Finding:
    return Finding(level=level, rule_name=title, title=title, explanation=explanation)


def test_url_user_and_password_are_shown(screen):
    screen.access(Access("http://127.0.0.1:8000", "admin", PASSWORD), "once")

    assert all(word in text_of(screen) for word in ("http://127.0.0.1:8000", "admin", PASSWORD, "once"))


def test_without_a_new_password_there_is_no_line_for_one(screen):
    screen.access(Access("http://127.0.0.1:8000", "admin", ""), "--reset-password")

    assert "Password" not in text_of(screen)


def test_findings_are_counted_by_level_and_the_rest_is_in_the_console(screen):
    screen.findings([finding("high", f"Odd thing {n}", "why") for n in range(11)] + [finding("low", "Small", "why")])

    shown = text_of(screen)
    assert "12 findings" in shown
    assert "11 high" in shown
    assert "Odd thing 9" in shown
    assert "Odd thing 10" not in shown
    assert "2 more rules in the console" in shown


def test_a_rule_that_matched_often_takes_one_line(screen):
    screen.findings([finding("high", "Odd thing", f"seen in {n}") for n in range(30)])

    shown = text_of(screen)
    assert shown.count("Odd thing") == 1
    assert "(30 times)" in shown
    assert "seen in 0" in shown


def test_no_line_is_wider_than_the_terminal():
    screen = Screen(Console(file=io.StringIO(), width=80))
    screen.findings([finding("critical", "A long title " * 8, "A long explanation " * 30)])

    assert max(len(line) for line in text_of(screen).splitlines()) <= 80


def test_control_characters_of_a_host_are_not_obeyed(screen):
    screen.findings([finding("high", "title\x1b]0;owned\x07", "exe \x1b[2J[bold]x")])

    assert "\x1b[2J" not in text_of(screen)
    assert "\x1b]0;" not in text_of(screen)
    assert "[bold]x" in text_of(screen)


def test_a_step_says_what_it_did(screen):
    with screen.step("Rules") as step:
        step.detail = "48 new"

    assert "Rules" in text_of(screen)
    assert "48 new" in text_of(screen)


@pytest.mark.parametrize("text", ["x" * 500, "word " * 100])
def test_a_long_explanation_is_cut(text):
    assert len(shorten(text)) <= 200
    assert shorten(text).endswith(" …")


def test_a_short_explanation_stays_whole():
    assert shorten("Process 1 runs from /tmp.") == "Process 1 runs from /tmp."
