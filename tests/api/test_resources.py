"""Every resource alike: lists, single things, rights, pages, filters and a number of queries that does not grow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.builders import WebMake


@dataclass(frozen=True)
class Case:
    """A resource, how to make one of its rows, and the least role that reads it."""

    path: str
    build: Callable[[WebMake, Any], Any]
    reader: str = "viewer"


def tag(name: str) -> Any:
    from sandfly_web.inventory.models import Tag

    return Tag.objects.create(name=name)


def indicator_list(name: str) -> Any:
    from sandfly_web.rules.indicators.models import IndicatorList

    return IndicatorList.objects.create(name=name, counts={"ip": 1})


def jump_host(make: WebMake, zone: Any) -> Any:
    from sandfly_web.inventory.models import JumpHost

    credential = make.credential(zone)
    return JumpHost.objects.create(
        name=credential.name, zone=zone, address="10.0.0.1", credential=credential, host_keys="ssh-ed25519 AAAA"
    )


def credential_set(make: WebMake, zone: Any) -> Any:
    from sandfly_web.inventory.models import CredentialSet

    made = CredentialSet.objects.create(name=make.zone().name, zone=zone)
    for position in range(2):
        made.entries.create(credential=make.credential(zone), position=position)
    return made


def discovery(zone: Any) -> Any:
    from sandfly_web.inventory.models import Discovery

    return Discovery.objects.create(name=f"d-{Discovery.objects.count()}", zone=zone, ranges="10.0.0.0/30")


def sweep(zone: Any) -> Any:
    from sandfly_web.inventory.discovery.services import start_sweep
    from tests.server.builders import NOW

    return start_sweep(discovery(zone), NOW)


def batch(make: WebMake) -> Any:
    from sandfly_web.scans.models import ScanBatch

    return ScanBatch.objects.create(requested_by=make.user())


CASES = [
    Case("hosts", lambda make, zone: make.host(zone)),
    Case("zones", lambda make, _zone: make.zone()),
    Case("tags", lambda make, zone: tag(f"tag-{make.zone().name}")),
    Case("credentials", lambda make, zone: make.credential(zone), "operator"),
    Case("credential-sets", credential_set, "operator"),
    Case("jump-hosts", jump_host, "operator"),
    Case("schedules", lambda make, zone: make.schedule(is_enabled=True)),
    Case("scans", lambda make, zone: make.scan(make.host(zone))),
    Case("discoveries", lambda make, zone: discovery(zone)),
    Case("sweeps", lambda make, zone: sweep(zone)),
    Case("batches", lambda make, _zone: batch(make)),
    Case("findings", lambda make, zone: make.finding(make.host(zone), rule=make.rule())),
    Case("records", lambda make, zone: make.record(make.host(zone))),
    Case("rules", lambda make, zone: make.rule()),
    Case("indicator-lists", lambda make, zone: indicator_list(f"list-{make.zone().name}")),
]


@pytest.fixture(params=CASES, ids=lambda case: case.path)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_least_role_reads_list_and_thing(make: WebMake, case: Case) -> None:
    row = case.build(make, make.zone())
    client = make.api(case.reader)

    listed = client.get(f"/api/v1/{case.path}").json()["results"]
    single = client.get(f"/api/v1/{case.path}/{row.pk}")

    assert str(row.pk) in {str(entry["id"]) for entry in listed}
    assert single.status_code == 200
    assert str(single.json()["id"]) == str(row.pk)


def test_user_without_role_is_refused(make: WebMake, case: Case) -> None:
    answer = make.api("").get(f"/api/v1/{case.path}")

    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"


def test_stranger_is_asked_for_a_token(make: WebMake, case: Case) -> None:
    from rest_framework.test import APIClient

    answer = APIClient().get(f"/api/v1/{case.path}")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["status"] == 401


def test_what_is_not_there_is_a_problem_with_404(make: WebMake, case: Case) -> None:
    for key in ("999999", "00000000-0000-0000-0000-000000000000", "not-a-key"):
        answer = make.api("admin").get(f"/api/v1/{case.path}/{key}")

        assert answer.status_code == 404, key
        assert answer.json()["title"] == "Not Found"


def test_filter_that_does_not_exist_is_refused(make: WebMake, case: Case) -> None:
    answer = make.api("admin").get(f"/api/v1/{case.path}?colour=red")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "colour"


def test_pages_forward_and_back_hold_every_row_once(make: WebMake, case: Case) -> None:
    zone = make.zone()
    for _ in range(7):
        case.build(make, zone)
    client = make.api("admin")
    expected = [row["id"] for row in client.get(f"/api/v1/{case.path}").json()["results"]]

    url, forward, last = f"/api/v1/{case.path}?page_size=3", [], None
    while url:
        last = client.get(url).json()
        forward += [row["id"] for row in last["results"]]
        url = last["next"]
    before = client.get(last["previous"]).json()["results"]

    assert forward == expected
    at = len(expected) - len(last["results"])
    assert [row["id"] for row in before] == expected[at - 3 : at]


def test_number_of_queries_does_not_grow_with_rows(make: WebMake, case: Case) -> None:
    client, zone = make.api("admin"), make.zone()
    client.get("/api/v1/me")  # the first use of a token is noted in its row
    counts = []
    for total in (5, 50):
        for _ in range(total):
            case.build(make, zone)
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(f"/api/v1/{case.path}?page_size={total}")
        assert len(answer.json()["results"]) == total
        counts.append(len(captured))

    assert counts[0] == counts[1]
    assert counts[1] <= 8


@pytest.mark.parametrize("page_size", ["0", "-1", "many", "1.5", "²"])
def test_page_size_that_is_no_number_is_refused(make: WebMake, page_size: str) -> None:
    answer = make.api("viewer").get("/api/v1/hosts", {"page_size": page_size})

    assert answer.status_code == 400


@pytest.mark.parametrize("cursor", ["x", "AAAA", "WyI-Il0", "WyI-IiwgMSwgMl0", "W1tdXQ", "\u0000", "a" * 5000])
def test_cursor_that_was_not_given_out_is_refused(make: WebMake, cursor: str) -> None:
    answer = make.api("viewer").get("/api/v1/findings", {"cursor": cursor})

    assert answer.status_code == 400
    assert "cursor" in answer.json()["detail"]


def test_findings_page_through_more_ties_than_a_page(make: WebMake) -> None:
    host = make.host()
    ids = [str(make.finding(host, level="high").pk) for _ in range(25)]
    client = make.api("viewer")

    url, seen = "/api/v1/findings?page_size=4&level=high", []
    while url:
        page = client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]

    assert seen == ids


def test_addresses_under_api_that_lead_nowhere_answer_as_problems(make: WebMake) -> None:
    answer = make.api("viewer").get("/api/v1/nowhere")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
