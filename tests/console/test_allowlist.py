"""Allow-listing in the console: from a finding to an entry, with a look at its effect before it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sandfly_web.findings.models import AllowlistEntry
from tests.api.builders import WebMake

ADD = "admin:findings_allowlistentry_add"
HOSTILE = "<script>alert(1)</script>\x1b[31m"


@pytest.fixture
def analyst(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("analyst"))
    return client


def form_data(finding: Any, **changes: Any) -> dict[str, Any]:
    defaults = {
        "title": "Backup agent",
        "reason": "ours",
        "rule": str(finding.rule.pk),
        "subject": "",
        "detection": "detection:\r\n  it:\r\n    path: /tmp/x\r\n  condition: it\r\n",
        "scope": "hosts",
        "hosts": [str(finding.host.pk)],
        "lasts": "30",
    }
    return {**defaults, **changes}


def test_a_finding_leads_to_a_form_that_is_filled_in(make: WebMake, analyst: Client) -> None:
    finding = make.finding(rule=make.rule())
    page = analyst.get(reverse("admin:findings_finding_change", args=[finding.pk])).content.decode()

    for draft in ("exact", "thing", "rule"):
        assert f"{reverse(ADD)}?finding={finding.pk}&amp;draft={draft}" in page
    form = analyst.get(reverse(ADD), {"finding": str(finding.pk), "draft": "thing"}).content.decode()
    assert "path|cased: /tmp/x" in form
    assert finding.host.name in form


@pytest.mark.parametrize("named", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_a_finding_that_is_not_there_gives_an_empty_form(analyst: Client, named: str) -> None:
    assert analyst.get(reverse(ADD), {"finding": named}).status_code == 200


def test_nothing_is_kept_before_its_effect_was_seen(make: WebMake, analyst: Client) -> None:
    finding = make.finding(rule=make.rule())
    data = form_data(finding)

    preview = analyst.post(reverse(ADD), data)

    assert "1 of 1 unresolved finding would be hidden now, on 1 host." in preview.content.decode()
    assert not AllowlistEntry.objects.exists()

    posted = [*preview.context["posted"], ("_confirmed", "1")]
    resent = {key: [value for other, value in posted if other == key] for key, _ in posted}
    page = analyst.post(reverse(ADD), resent, follow=True).content.decode()

    entry = AllowlistEntry.objects.get()
    finding.refresh_from_db()
    assert "The entry hides 1 finding from now on." in page
    assert (finding.status, finding.allowed_by) == ("allowed", entry)
    assert entry.owner is not None
    assert entry.expires_at is not None


def test_ending_an_entry_opens_what_it_hid(make: WebMake, analyst: Client) -> None:
    finding = make.finding(rule=make.rule())
    entry = make.allowed(finding.rule)
    url = reverse("admin:findings_allowlistentry_command", args=[entry.pk, "end"])

    page = analyst.post(url, follow=True).content.decode()

    finding.refresh_from_db()
    assert "1 finding is open again" in page
    assert finding.status == "open"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reason": ""}, "This field is required"),
        ({"detection": "detection: {it: {pth: x}, condition: it}"}, "did you mean"),
        ({"rule": "", "detection": ""}, "name a rule or a subject"),
        ({"hosts": []}, "name at least one"),
        ({"scope": "tags"}, "name at least one"),
    ],
)
def test_faults_are_told_at_their_field(make: WebMake, analyst: Client, changes: Any, message: str) -> None:
    finding = make.finding(rule=make.rule())

    page = analyst.post(reverse(ADD), form_data(finding, **changes)).content.decode()

    assert message in page
    assert not AllowlistEntry.objects.exists()


def test_a_hidden_finding_says_by_what_and_leaves_the_queue(make: WebMake, analyst: Client) -> None:
    finding = make.finding(rule=make.rule(), title="The one that is hidden")
    entry = make.allowed(finding.rule)

    page = analyst.get(reverse("admin:findings_finding_change", args=[finding.pk])).content.decode()
    queue = reverse("admin:findings_finding_changelist")

    assert reverse("admin:findings_allowlistentry_change", args=[entry.pk]) in page
    assert finding.title not in analyst.get(queue).content.decode()
    assert finding.title in analyst.get(queue, {"status": "allowed"}).content.decode()


def test_viewers_see_entries_and_make_none(make: WebMake) -> None:
    finding = make.finding(rule=make.rule())
    entry = make.allowed(finding.rule)
    viewer = Client()
    viewer.force_login(make.person("viewer"))

    page = viewer.get(reverse("admin:findings_allowlistentry_change", args=[entry.pk]))

    assert page.status_code == 200
    assert "End it" not in page.content.decode()
    assert viewer.get(reverse(ADD)).status_code == 403
    assert viewer.post(reverse(ADD), form_data(finding, _confirmed="1")).status_code == 403
    ended = viewer.post(reverse("admin:findings_allowlistentry_command", args=[entry.pk, "end"]))
    assert ended.status_code == 403


def test_hostile_text_is_inert(make: WebMake, analyst: Client) -> None:
    host = make.host(name=HOSTILE)
    finding = make.finding(host, rule=make.rule(), title=HOSTILE, identity={"path": HOSTILE})
    preview = analyst.post(reverse(ADD), form_data(finding, title=HOSTILE, reason=HOSTILE, detection=""))
    entry = make.allowed(finding.rule, title=HOSTILE, reason=HOSTILE, hosts=[host])
    urls = [reverse("admin:findings_allowlistentry_changelist"), f"{reverse(ADD)}?finding={finding.pk}&draft=exact"]
    urls += [reverse("admin:findings_allowlistentry_change", args=[entry.pk])]

    for text in [preview.content.decode(), *(analyst.get(url).content.decode() for url in urls)]:
        assert "<script>alert" not in text
