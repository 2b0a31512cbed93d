"""A POST that is sent again under its `Idempotency-Key` is done once and answered the same."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.api.builders import WebMake

KEY = "incident-4711"


def post(client: Any, path: str, body: Any, key: str = KEY) -> Any:
    return client.post(f"/api/v1/{path}", body, format="json", headers={"Idempotency-Key": key})


def scan_of(make: WebMake) -> dict[str, Any]:
    make.rule()
    return {"hosts": [str(make.host().pk)]}


def test_a_scan_that_is_asked_for_again_is_made_once_and_answered_the_same(make: WebMake) -> None:
    from sandfly_web.scans.models import Scan, ScanBatch

    client, body = make.api("responder"), scan_of(make)

    first, again = post(client, "scans", body), post(client, "scans", body)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert (Scan.objects.count(), ScanBatch.objects.count()) == (1, 1)


def test_everything_that_creates_or_triages_takes_a_key(make: WebMake) -> None:
    from sandfly_web.accounts.models import IdempotentAnswer
    from sandfly_web.findings.models import FindingEvent
    from sandfly_web.inventory.models import Tag
    from sandfly_web.scans.models import Scan

    make.rule("incident")
    finding, client = make.finding(), make.api("admin")

    tags = [post(client, "tags", {"name": "web"}, "1") for _ in range(2)]
    closed = [post(client, f"findings/{finding.pk}/close", {"reason": "Rebuilt"}, "2") for _ in range(2)]
    collected = [post(client, f"findings/{finding.pk}/collect", {}, "3") for _ in range(2)]

    assert [answer.status_code for answer in (*tags, *closed, *collected)] == [201, 201, 200, 200, 202, 202]
    assert (Tag.objects.count(), Scan.objects.count()) == (1, 1)
    assert FindingEvent.objects.filter(kind="closed").count() == 1
    assert IdempotentAnswer.objects.count() == 3


def test_the_same_key_with_another_body_or_address_is_refused_and_does_nothing(make: WebMake) -> None:
    from sandfly_web.scans.models import Scan

    client, body = make.api("admin"), scan_of(make)
    post(client, "scans", body)

    other = post(client, "scans", {**body, "priority": "high"})
    elsewhere = post(client, "tags", body)

    for answer in (other, elsewhere):
        assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
        assert answer.json()["code"] == "idempotency_key_reused"
    assert Scan.objects.count() == 1


def test_each_token_has_keys_of_its_own(make: WebMake) -> None:
    from sandfly_web.scans.models import Scan

    user, body = make.person("responder"), scan_of(make)

    answers = {post(make.api(user=user), "scans", body).json()["batch"] for _ in range(2)}

    assert len(answers) == Scan.objects.count() == 2


def test_a_request_that_failed_may_be_mended_under_its_key(make: WebMake) -> None:
    client, body = make.api("responder"), scan_of(make)

    refused = post(client, "scans", {**body, "priority": "urgent"})
    mended = post(client, "scans", body)

    assert (refused.status_code, mended.status_code) == (400, 202)


def test_what_a_request_did_before_it_failed_is_undone(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the second try would do it twice."""
    from sandfly_web.accounts import idempotency
    from sandfly_web.accounts.models import IdempotentAnswer
    from sandfly_web.inventory.models import Tag

    def fail(*_args: Any) -> None:
        raise RuntimeError("the process died")

    client = make.api("admin")
    client.raise_request_exception = False
    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "keep", fail)
        assert post(client, "tags", {"name": "web"}).status_code == 500
    assert (Tag.objects.count(), IdempotentAnswer.objects.count()) == (0, 0)

    assert post(client, "tags", {"name": "web"}).status_code == 201


def test_a_key_is_free_again_after_a_day(make: WebMake) -> None:
    from sandfly_web.accounts.models import IdempotentAnswer
    from sandfly_web.scans.models import Scan
    from sandfly_web.scans.retention import delete_old

    client, body = make.api("responder"), scan_of(make)
    post(client, "scans", body)
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24))

    post(client, "scans", body)
    kept = delete_old(timezone.now() + timedelta(hours=23), 90, 365).answers
    gone = delete_old(timezone.now() + timedelta(hours=24), 90, 365).answers

    assert (Scan.objects.count(), kept, gone) == (2, 0, 1)


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "\x7f", "schlüssel"])
def test_a_key_that_is_none_is_refused(make: WebMake, key: str) -> None:
    answer = post(make.api("admin"), "tags", {"name": "web"}, key)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_new_token_is_kept_nowhere(make: WebMake) -> None:
    from sandfly_web.accounts.models import ApiToken, IdempotentAnswer

    client = make.api("viewer")
    before = ApiToken.objects.count()

    assert post(client, "tokens", {"name": "soar"}).status_code == 400
    assert (ApiToken.objects.count(), IdempotentAnswer.objects.count()) == (before, 0)


def test_no_secret_of_a_request_is_kept(make: WebMake) -> None:
    """The digest is keyed: without the secret key of the installation nobody can try passwords on it."""
    import hashlib
    import json
    import zlib

    from sandfly_web.accounts.models import IdempotentAnswer

    body = {"name": "root", "zone": make.zone().pk, "username": "root", "password": "hunter2-canary"}

    assert post(make.api("operator"), "credentials", body).status_code == 201

    row = IdempotentAnswer.objects.get()
    assert b"hunter2-canary" not in zlib.decompress(bytes(row.body))
    asked = json.dumps(["POST", "/api/v1/credentials", body, []], sort_keys=True)
    assert row.digest != hashlib.sha256(asked.encode()).hexdigest()


def test_a_file_that_is_sent_again_is_taken_once(make: WebMake) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    from sandfly_web.rules.indicators.models import IndicatorList

    client, headers = make.api("operator"), {"Idempotency-Key": KEY}

    def send(content: bytes) -> Any:
        body = {"name": "bad", "file": SimpleUploadedFile("bad.txt", content)}
        return client.post("/api/v1/indicator-lists", body, format="multipart", headers=headers)

    first, again, other = send(b"192.0.2.7\n"), send(b"192.0.2.7\n"), send(b"192.0.2.8\n")

    assert (first.status_code, again.content, other.status_code) == (201, first.content, 422), first.content
    assert IndicatorList.objects.count() == 1


def test_an_answer_too_long_to_keep_is_not_done_again(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandfly_web.accounts import idempotency
    from sandfly_web.scans.models import Scan

    monkeypatch.setattr(idempotency, "MAX_BODY_BYTES", 10)
    client, body = make.api("responder"), scan_of(make)
    post(client, "scans", body)

    again = post(client, "scans", body)

    assert again.status_code == 409
    assert "too long to be kept" in again.json()["detail"]
    assert Scan.objects.count() == 1


def test_keys_of_a_token_are_bounded(make: WebMake, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandfly_web.accounts import idempotency

    monkeypatch.setattr(idempotency, "MAX_ANSWERS", 2)
    client = make.api("admin")

    answers = [post(client, "tags", {"name": f"t{place}"}, f"k{place}").status_code for place in range(3)]

    assert answers == [201, 201, 429]


def test_a_limit_to_other_hosts_is_given_no_answer_of_before(make: WebMake) -> None:
    from sandfly_web.accounts.models import HostLimit
    from sandfly_web.inventory.models import Tag

    user, body = make.person("responder"), scan_of(make)
    client = make.api(user=user)
    post(client, "scans", body)
    HostLimit.objects.create(user=user).tags.add(Tag.objects.create(name="mine"))

    assert post(client, "scans", body).status_code == 422


def test_a_key_where_nothing_is_posted_changes_nothing(make: WebMake) -> None:
    client = make.api("viewer")

    assert client.get("/api/v1/hosts", headers={"Idempotency-Key": KEY}).status_code == 200
    assert post(client, "me", {}).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_the_same_moment_are_done_once(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first is under way, for certain: the first waits for its answer."""
    from django.db import connections

    from sandfly_web.accounts.services import ensure_roles
    from sandfly_web.scans import services
    from sandfly_web.scans.models import Scan

    ensure_roles()
    make = WebMake()
    user, body = make.person("responder"), scan_of(make)
    first = make.api(user=user)
    token = first._credentials["HTTP_AUTHORIZATION"]
    second = type(first)()
    second.credentials(HTTP_AUTHORIZATION=token)
    begun, go_on, answers = threading.Event(), threading.Event(), []
    real = services.request_scans

    def slow(*args: Any, **options: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return real(*args, **options)

    def run() -> None:
        answers.append(post(first, "scans", body))
        connections.close_all()

    monkeypatch.setattr(services, "request_scans", slow)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(60)
        meanwhile = post(second, "scans", body)
    finally:
        go_on.set()
        thread.join(60)
    after = post(second, "scans", body)

    assert (meanwhile.status_code, meanwhile["Content-Type"]) == (409, "application/problem+json")
    assert "still under way" in meanwhile.json()["detail"]
    assert [answers[0].status_code, after.status_code] == [202, 202]
    assert after.content == answers[0].content
    assert Scan.objects.count() == 1

    # And many that nobody keeps apart.
    monkeypatch.setattr(services, "request_scans", real)
    start, crowd = threading.Barrier(6), []

    def push() -> None:
        client = type(first)()
        client.credentials(HTTP_AUTHORIZATION=token)
        start.wait(60)
        crowd.append(post(client, "scans", body, "crowd"))
        connections.close_all()

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert {answer.status_code for answer in crowd} - {409} == {202}
    assert len({answer.content for answer in crowd if answer.status_code == 202}) == 1
    assert Scan.objects.count() == 2
