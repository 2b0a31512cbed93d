"""Lists of indicators through the API, in the console and on the command line."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sandfly_web.rules.indicators.models import IndicatorList
from tests.api.builders import WebMake

pytestmark = pytest.mark.django_db

URL = "/api/v1/indicator-lists"
TEXT = "192.0.2.1 # scanner\nhttps://evil.example/\nevil.example\n"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def make(db: None) -> WebMake:
    return WebMake()


def upload(text: str = TEXT, name: str = "feed.txt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


def post(client: Any, url: str, **body: Any) -> Any:
    return client.post(url, body, format="multipart")


def test_a_list_is_uploaded_replaced_switched_off_and_deleted(make: WebMake) -> None:
    client = make.api("operator")

    created = post(client, URL, name="feed", level="critical", file=upload())

    assert created.status_code == 201
    body = created.json()
    assert (body["counts"], body["fault_count"], body["is_active"]) == ({"domain": 1, "ip": 1}, 1, True)
    assert (body["faults"][0]["place"], body["imported_by"]) == ("line 2", client.get("/api/v1/me").json()["username"])
    url = f"{URL}/{body['id']}"
    replaced = post(client, f"{url}/replace", file=upload("198.51.100.1\n")).json()
    assert (replaced["counts"], replaced["version"], replaced["name"]) == ({"ip": 1}, 2, "feed")
    changed = client.patch(url, {"is_enabled": False, "level": "low"}, format="json").json()
    assert (changed["is_active"], changed["level"]) == (False, "low")
    assert [one["name"] for one in client.get(URL).json()["results"]] == ["feed"]
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "feed", "file": ""}, "file"),
        ({"name": "feed", "file": "https://evil.example/\n"}, "file"),
        ({"name": "feed", "file": "{"}, "file"),
        ({"name": "", "file": TEXT}, "name"),
        ({"name": "taken", "file": TEXT}, "name"),
        ({"name": "feed", "file": TEXT, "level": "urgent"}, "level"),
        ({"name": "feed", "file": "a,b\n1.2.3.4,x\n", "column": "c"}, "file"),
    ],
)
def test_faults_of_an_upload_name_their_field(make: WebMake, body: dict[str, Any], field: str) -> None:
    client = make.api("operator")
    post(client, URL, name="taken", file=upload())

    answer = post(client, URL, **{**body, "file": upload(body["file"])})

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert IndicatorList.objects.count() == 1


def test_a_preview_keeps_nothing_and_a_search_finds_what_lists_say(make: WebMake) -> None:
    client = make.api("operator")

    preview = post(client, f"{URL}/preview", file=upload()).json()

    assert (preview["format"], preview["counts"]) == ("text", {"ip": 1, "domain": 1})
    assert not IndicatorList.objects.exists()
    post(client, URL, name="feed", file=upload())
    found = client.get(f"{URL}/search", {"value": "192.0.2[.]1"}).json()
    assert [(one["list"], one["description"]) for one in found] == [("feed", "scanner")]
    assert client.get(f"{URL}/search", {"value": "192.0.2.2"}).json() == []
    assert client.get(f"{URL}/search", {"value": "?"}).json()["errors"][0]["field"] == "value"


@pytest.mark.parametrize("role", ["", "viewer", "responder", "operator"])
def test_viewers_read_lists_and_operators_change_them(make: WebMake, role: str) -> None:
    made = post(make.api("operator"), URL, name="feed", file=upload()).json()
    client = make.api(role)

    answers = [
        client.get(f"{URL}/{made['id']}").status_code,
        post(client, URL, name="other", file=upload()).status_code,
        post(client, f"{URL}/{made['id']}/replace", file=upload()).status_code,
        client.patch(f"{URL}/{made['id']}", {"level": "low"}, format="json").status_code,
        client.delete(f"{URL}/{made['id']}").status_code,
    ]

    expected = {"": [403] * 5, "operator": [200, 201, 200, 200, 204]}
    assert answers == expected.get(role, [200, 403, 403, 403, 403])


@pytest.fixture
def operator(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("operator"))
    return client


ADD = "admin:indicators_indicatorlist_add"


def form(**changes: Any) -> dict[str, Any]:
    return {"name": "feed", "level": "high", "file": upload("192.0.2.1\n"), "file_format": "", "kind": "", **changes}


def test_a_file_in_order_is_imported_at_once(operator: Client) -> None:
    page = operator.post(reverse(ADD), form(), follow=True).content.decode()

    row = IndicatorList.objects.get()
    assert "feed now has 1 address or network." in page
    assert "192.0.2.1" in page
    assert (row.imported_by.username, row.version) == (page and row.imported_by.username, 1)


def test_lines_that_cannot_be_used_are_shown_before_anything_is_kept(operator: Client) -> None:
    page = operator.post(reverse(ADD), form(file=upload(TEXT + HOSTILE + "\n"))).content.decode()

    assert "2 lines cannot" in page
    assert "a URL is not compared with anything" in page
    assert "&lt;script&gt;" in page
    assert HOSTILE not in page
    assert not IndicatorList.objects.exists()

    operator.post(reverse(ADD), form(file=upload(TEXT), _anyway="1"))

    assert IndicatorList.objects.get().fault_count == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": upload("https://only.example/\n")}, "no line can be used"),
        ({"file": upload("{")}, "not JSON"),
        ({"file": upload("", "empty.txt")}, "empty"),
        ({"name": ""}, "required"),
    ],
)
def test_forms_say_what_is_wrong_with_a_file(operator: Client, changes: dict[str, Any], message: str) -> None:
    if "file" in changes:
        changes["file"].seek(0)
    page = operator.post(reverse(ADD), form(**changes)).content.decode()

    assert message in page
    assert not IndicatorList.objects.exists()


def test_a_list_is_replaced_changed_switched_and_deleted_in_the_console(operator: Client) -> None:
    operator.post(reverse(ADD), form())
    row = IndicatorList.objects.get()
    prefix = "admin:indicators_indicatorlist"

    replace = reverse(f"{prefix}_import", args=[row.pk])
    assert operator.get(replace).status_code == 200
    operator.post(replace, {"file": upload("evil.example\n"), "file_format": "", "kind": ""})
    edit = {"name": "renamed", "level": "low", "origin": "", "is_enabled": "on"}
    operator.post(reverse(f"{prefix}_edit", args=[row.pk]), edit)
    operator.post(reverse(f"{prefix}_command", args=[row.pk, "disable"]))

    row.refresh_from_db()
    assert (row.counts, row.name, row.level, row.is_enabled) == ({"domain": 1}, "renamed", "low", False)
    assert "Disabled" in operator.get(reverse(f"{prefix}_changelist")).content.decode()
    operator.post(reverse(f"{prefix}_delete", args=[row.pk]), {"post": "yes"})
    assert not IndicatorList.objects.exists()


def test_viewers_see_lists_without_buttons(make: WebMake, operator: Client) -> None:
    operator.post(reverse(ADD), form())
    row = IndicatorList.objects.get()
    viewer = Client()
    viewer.force_login(make.person("viewer"))

    page = viewer.get(reverse("admin:indicators_indicatorlist_change", args=[row.pk])).content.decode()

    assert "192.0.2.1" in page
    assert "Replace entries" not in page
    assert viewer.get(reverse("admin:indicators_indicatorlist_import", args=[row.pk])).status_code == 403
    assert viewer.post(reverse(ADD), form(name="other")).status_code == 403


def command(*arguments: Any, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("indicators", *map(str, arguments), stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_lists_are_checked_imported_listed_and_removed_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "feed.txt"
    file.write_text(TEXT)

    checked, complaints = command("check", file)
    imported, _ = command("import", "feed", file, "--level", "critical", "--expires-in", 30)
    listed, _ = command("list")
    (entry,) = json.loads(command("list", "--format", "json")[0])
    removed, _ = command("remove", "feed")

    assert checked == "text: 1 domain, 1 ip; 1 not used\n"
    assert f"{file}: line 2: a URL" in complaints
    assert imported == "feed: 1 domain, 1 ip; 0 twice, 1 not used\n"
    assert listed == "feed: critical, 1 domain, 1 ip, from feed.txt\n"
    assert timezone.now() + timedelta(days=29) < timezone.datetime.fromisoformat(entry["expires_at"])
    assert removed == "feed is removed\n"
    assert not IndicatorList.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "feed", "nosuch.txt"], "No such file"),
        (["check", "{tmp}/bad"], "no line can be used"),
        (["import", "feed", "{tmp}/bad"], "no line can be used"),
        (["remove", "feed"], "there is no list"),
    ],
)
def test_commands_say_why_they_did_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "bad").write_text("https://evil.example/\n")

    with pytest.raises(CommandError, match=message):
        command(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
