"""Lists say what each finding is about, and findings of one rule on one host are one row."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from sandfly_web.findings.groups import first_groups
from tests.api.builders import WebMake

pytestmark = pytest.mark.django_db

IDENTITY = {"path": "/tmp/x", "name": "x", "cmdline": "kworkerd\u202e"}
SHOWN = r"/tmp/x (kworkerd\u202e)"


@pytest.fixture
def client(make: WebMake, client: Client) -> Client:
    client.force_login(make.person("viewer"))
    return client


def ordered() -> Any:
    from sandfly_web.findings.models import Finding

    unresolved = Finding.objects.filter(status__in=Finding.UNRESOLVED)
    return unresolved.select_related("host").order_by("-level_rank", "id")


def test_findings_of_one_rule_on_one_host_are_one_group(make: WebMake) -> None:
    first, second, rule = make.host(), make.host(), make.rule()
    for host in (first, first, second):
        make.finding(host, rule=rule)
    make.finding(first, rule=make.rule(), level="critical")

    groups = first_groups(ordered(), 10)

    assert sorted((group.finding.host_id == first.pk, group.count) for group in groups) == [
        (False, 1),
        (True, 1),
        (True, 2),
    ]
    assert groups[0].finding.level == "critical"


def test_the_count_is_true_also_beyond_what_was_read(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandfly_web.findings.groups.READ_ROWS", 2)
    host, rule = make.host(), make.rule()
    for _ in range(4):
        make.finding(host, rule=rule)
    make.finding(host, rule=rule, status="closed")

    [group] = first_groups(ordered(), 10)

    assert (group.count, group.more) == (4, 3)


def test_groups_take_two_queries(make: WebMake, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(3):
        make.finding(rule=make.rule())

    with django_assert_num_queries(2):
        assert len(first_groups(ordered(), 10)) == 3


@pytest.mark.parametrize("has_rule", [True, False])
def test_the_link_of_a_group_lists_just_its_findings(make: WebMake, client: Client, has_rule: bool) -> None:
    host, rule = make.host(), make.rule() if has_rule else None
    for title in ("One of them", "Another of them"):
        make.finding(host, rule=rule, title=title)
    make.finding(host, rule=make.rule(), title="A third")
    make.finding(rule=rule, title="On another host")
    group = first_groups(ordered().filter(host=host, title__endswith="of them"), 1)[0]

    page = client.get(group.url).content.decode()

    shown = [title for title in ("One of them", "Another of them", "A third", "On another host") if title in page]
    assert shown == ["One of them", "Another of them"]


@pytest.mark.parametrize("page", ["admin:index", "admin:findings_finding_changelist"])
def test_rows_name_the_thing_with_hidden_characters_shown(make: WebMake, client: Client, page: str) -> None:
    make.finding(identity=IDENTITY)

    text = client.get(reverse(page)).content.decode()

    assert SHOWN in text
    assert "\u202e" not in text


def test_host_page_shows_one_row_with_how_many_there_are(make: WebMake, client: Client) -> None:
    host, rule = make.host(), make.rule()
    for _ in range(10):
        make.finding(host, rule=rule, title="Shell below a database", identity=IDENTITY)

    text = client.get(reverse("admin:inventory_host_change", args=[host.pk])).content.decode()

    assert (text.count("Shell below a database"), text.count(SHOWN)) == (1, 1)
    assert "and 9 more" in text


def test_api_names_the_thing(make: WebMake) -> None:
    make.finding(identity=IDENTITY)

    [row] = make.api("viewer").get("/api/v1/findings").json()["results"]

    assert row["thing"] == SHOWN
