"""Allow-list entries through the API: from a finding to an entry that hides it, and back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.builders import WebMake

URL = "/api/v1/allowlist"


def post(client: Any, url: str, **body: object) -> Any:
    return client.post(url, body, format="json")


def proposed(rule: Any, changes: dict[str, object] | None = None) -> dict[str, object]:
    return {"title": "Ours", "reason": "the backup agent", "rule": str(rule.pk)} | (changes or {})


def test_a_finding_is_drafted_previewed_hidden_and_opened_again(make: WebMake) -> None:
    rule = make.rule()
    finding, other = make.finding(rule=rule), make.finding(rule=rule, identity={"path": "/tmp/y"})
    client = make.api("analyst")

    draft = post(client, f"{URL}/draft", finding=str(finding.pk), draft="thing").json()
    body = {"title": "Ours", "reason": "the backup agent", **draft}
    preview = post(client, f"{URL}/preview", **body).json()
    entry = post(client, URL, **body)

    assert "path|cased: /tmp/x" in draft["detection"]
    assert (draft["scope"], draft["hosts"]) == ("hosts", [str(finding.host_id)])
    assert (preview["hidden_count"], preview["host_count"], preview["findings"]) == (1, 1, [str(finding.pk)])
    assert entry.status_code == 201
    assert (entry.json()["is_active"], entry.json()["hidden_count"]) == (True, 1)
    shown = client.get(f"/api/v1/findings/{finding.pk}").json()
    assert (shown["status"], shown["allowed_by"]) == ("allowed", entry.json()["id"])
    assert client.get(f"/api/v1/findings/{other.pk}").json()["status"] == "open"

    ended = post(client, f"{URL}/{entry.json()['id']}/end")

    assert (ended.json()["is_active"], ended.json()["hidden_count"]) == (False, 0)
    assert client.get(f"/api/v1/findings/{finding.pk}").json()["status"] == "open"
    assert post(client, f"{URL}/{entry.json()['id']}/end").status_code == 409


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": ""}, "title"),
        ({"reason": ""}, "reason"),
        ({"detection": "detection: {it: {pth: x}, condition: it}"}, "detection"),
        ({"scope": "tags"}, "tags"),
        ({"scope": "tags", "tags": ["nowhere"]}, "tags"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"rule": None, "subject": "process"}, "detection"),
    ],
)
def test_faults_name_their_part(make: WebMake, changes: dict[str, object], field: str) -> None:
    client, rule = make.api("analyst"), make.rule()

    for url in (URL, f"{URL}/preview"):
        answer = post(client, url, **proposed(rule, changes))
        assert answer.status_code == 400
        assert field in {error["field"].partition(".")[0] for error in answer.json()["errors"]}


def test_what_a_visit_itself_found_has_no_draft(make: WebMake) -> None:
    answer = post(make.api("analyst"), f"{URL}/draft", finding=str(make.finding().pk))

    assert answer.status_code == 409


def test_viewers_read_and_change_nothing(make: WebMake) -> None:
    rule = make.rule()
    entry = post(make.api("analyst"), URL, **proposed(rule)).json()
    viewer = make.api("viewer")

    assert viewer.get(f"{URL}/{entry['id']}").json()["reason"] == "the backup agent"
    assert post(viewer, URL, **proposed(rule)).status_code == 403
    assert post(viewer, f"{URL}/preview", **proposed(rule)).status_code == 403
    assert post(viewer, f"{URL}/{entry['id']}/end").status_code == 403


def test_active_entries_are_told_from_ended_ones(make: WebMake) -> None:
    client, rule = make.api("analyst"), make.rule()
    first, second = (post(client, URL, **proposed(rule)).json()["id"] for _ in range(2))
    post(client, f"{URL}/{first}/end")

    def listed(is_active: str) -> list[str]:
        return [entry["id"] for entry in client.get(URL, {"is_active": is_active}).json()["results"]]

    assert (listed("true"), listed("false")) == ([second], [first])
