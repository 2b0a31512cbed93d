"""Forms: hosts are added simply, secrets go in and never come out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.builders import WebMake
from tests.server.builders import host_key_pin

CANARY = "canary-91ab-secret"


@pytest.fixture
def operator(make: WebMake) -> Client:
    client = Client()
    client.force_login(make.person("operator"))
    return client


def post(client: Client, name: str, data: dict[str, Any], thing: Any = None) -> Any:
    url = reverse(f"admin:{name}_add") if thing is None else reverse(f"admin:{name}_change", args=[thing.pk])
    return client.post(url, data, follow=True)


def credential_data(zone: Any, **fields: str) -> dict[str, Any]:
    return {"name": "fleet", "zone": zone.pk, "username": "root", "become": "auto", "password": CANARY, **fields}


def test_credential_is_sealed_and_no_page_shows_it(make: WebMake, operator: Client) -> None:
    from sandfly_web.inventory.models import Credential

    saved = post(operator, "inventory_credential", credential_data(make.zone(), become_password=CANARY))

    credential = Credential.objects.get(name="fleet")
    form = operator.get(reverse("admin:inventory_credential_change", args=[credential.pk])).content.decode()
    listed = operator.get(reverse("admin:inventory_credential_changelist")).content.decode()
    assert CANARY not in credential.sealed
    for text in (saved.content.decode(), form, listed):
        assert CANARY not in text
        assert credential.sealed not in text


def test_refused_credential_form_comes_back_without_its_secrets(make: WebMake, operator: Client) -> None:
    data = credential_data(make.zone(), private_key=f"no key {CANARY}", passphrase=CANARY, become_password=CANARY)

    page = post(operator, "inventory_credential", data).content.decode()

    assert 'name="private_key"' in page
    assert CANARY not in page


def test_credential_needs_a_secret_and_a_zone_with_a_key(make: WebMake, operator: Client) -> None:
    from sandfly_web.inventory.models import Credential
    from sandfly_web.inventory.services import create_zone

    without = post(operator, "inventory_credential", credential_data(make.zone(), password="")).content.decode()
    keyless = post(operator, "inventory_credential", credential_data(create_zone("north"))).content.decode()

    assert "give a password or a private key" in without
    assert "has no key yet" in keyless
    assert not Credential.objects.exists()


def test_changed_credential_takes_its_secrets_anew(make: WebMake, operator: Client) -> None:
    zone = make.zone()
    credential = make.credential(zone)
    before = credential.sealed

    refused = post(operator, "inventory_credential", credential_data(zone, password="", username="x"), credential)
    post(operator, "inventory_credential", credential_data(zone, username="deploy"), credential)

    credential.refresh_from_db()
    assert "give a password or a private key" in refused.content.decode()
    assert credential.username == "deploy"
    assert credential.sealed != before


def test_secrets_are_not_in_the_audit_log(make: WebMake, operator: Client) -> None:
    from auditlog.models import LogEntry
    from django.contrib.admin.models import LogEntry as AdminEntry

    post(operator, "inventory_credential", credential_data(make.zone()))

    written = [f"{entry.changes} {entry.object_repr}" for entry in LogEntry.objects.all()]
    written += [entry.change_message for entry in AdminEntry.objects.all()]
    assert not [text for text in written if CANARY in text or "sealed" in text]


def host_data(zone: Any, **fields: Any) -> dict[str, Any]:
    return {"address": "192.0.2.20", "port": 22, "zone": zone.pk, "accept_new_host_key": "on", **fields}


def test_host_is_added_with_address_alone_and_its_page_follows(make: WebMake, operator: Client) -> None:
    from sandfly_web.inventory.models import Host

    page = post(operator, "inventory_host", host_data(make.zone()))

    host = Host.objects.get()
    assert host.accept_new_host_key is True
    assert page.redirect_chain[-1][0] == reverse("admin:inventory_host_change", args=[host.pk])
    assert "has not been scanned yet" in page.content.decode()


def test_host_is_added_with_the_keys_it_must_show(make: WebMake, operator: Client) -> None:
    from sandfly_web.inventory.models import Host

    pin, zone = host_key_pin(), make.zone()

    refused = post(operator, "inventory_host", host_data(zone, host_keys="ssh-rsa nonsense")).content.decode()
    assert not Host.objects.exists()
    post(operator, "inventory_host", host_data(zone, host_keys=f"192.0.2.20 {pin.key_type} {pin.public_key}"))

    assert 'name="host_keys"' in refused
    assert [key.status for key in Host.objects.get().host_keys.all()] == ["pinned"]


def test_who_added_a_host_is_in_the_audit_log(make: WebMake) -> None:
    from auditlog.models import LogEntry

    from sandfly_web.inventory.models import Host

    user, client, zone = make.person("operator"), Client(REMOTE_ADDR="192.0.2.77"), make.zone()
    client.force_login(user)

    post(client, "inventory_host", host_data(zone))

    entry = LogEntry.objects.get_for_object(Host.objects.get()).get(action=LogEntry.Action.CREATE)
    assert (entry.actor, entry.remote_addr) == (user, "192.0.2.77")
    assert entry.changes["address"] == ["", "192.0.2.20:22"]


def test_host_form_refuses_networks_and_what_is_there(make: WebMake, operator: Client) -> None:
    host = make.host()

    network = post(operator, "inventory_host", host_data(host.zone, address="10.0.0.0/8")).content.decode()
    again = post(operator, "inventory_host", host_data(host.zone, address=host.address)).content.decode()

    assert "one DNS name or IP address" in network
    assert "has a host with this address and port already" in again
    assert type(host).objects.count() == 1


def test_host_is_edited_on_its_own_form(make: WebMake, operator: Client) -> None:
    from sandfly_web.inventory.models import Tag

    host, tag = make.host(), Tag.objects.create(name="web")
    data = host_data(host.zone, name="renamed", credential=host.credential_id, tags=[tag.pk], is_active="on")

    page = operator.post(reverse("admin:inventory_host_edit", args=[host.pk]), data, follow=True)

    host.refresh_from_db()
    assert host.name == "renamed"
    assert [tag.name for tag in host.tags.all()] == ["web"]
    assert page.redirect_chain[-1][0] == reverse("admin:inventory_host_change", args=[host.pk])


def test_edit_needs_the_right_to_change(make: WebMake) -> None:
    host, client = make.host(), Client()
    client.force_login(make.person("responder"))

    url = reverse("admin:inventory_host_edit", args=[host.pk])

    assert client.post(url, host_data(host.zone, name="x")).status_code == 403


def test_schedule_is_written_in_words(make: WebMake, operator: Client) -> None:
    from sandfly_web.scans.models import Schedule

    data = {
        "name": "Nightly",
        "is_enabled": "on",
        "interval_s": "86400",
        "jitter_s": "600",
        "rule_types": ["detection"],
        "rule_tags": "attack.persistence, t1059",
        "is_trickle": "on",
        "blackout_start": "08:00",
        "blackout_end": "18:00",
        "time_zone": "Europe/Berlin",
        "rule_percent": "25",
        "priority": "0",
        "nice": "19",
        "cpu_percent": "30",
        "deadline_s": "120",
        "max_cpu_s": "30",
        "max_memory_mib": "96",
        "max_wall_s": "300",
        "max_crashes": "3",
    }

    post(operator, "scans_schedule", data)

    schedule = Schedule.objects.get()
    assert (schedule.interval_s, schedule.rule_types) == (86400, ["detection"])
    assert schedule.rule_tags == ["attack.persistence", "t1059"]
    page = operator.get(reverse("admin:scans_schedule_change", args=[schedule.pk])).content.decode()
    for words in ("Every 1 d", "25 % of detection", "08:00 to 18:00 Europe/Berlin", "30 % of a CPU at nice 19"):
        assert words in page


def test_schedule_with_an_interval_of_its_own_keeps_it(make: WebMake, operator: Client) -> None:
    schedule = make.schedule(interval_s=777)

    page = operator.get(reverse("admin:scans_schedule_edit", args=[schedule.pk])).content.decode()

    assert '<option value="777" selected>' in page


def test_token_is_shown_once(make: WebMake, operator: Client) -> None:
    from sandfly_web.accounts.models import ApiToken

    made = post(operator, "accounts_apitoken", {"name": "soar"}).content.decode()
    later = operator.get(reverse("admin:accounts_apitoken_changelist")).content.decode()

    assert "sfly_" in made
    assert "shown only once" in made
    assert ApiToken.objects.get().digest not in made + later
    assert "shown only once" not in later


def test_administrator_makes_users_who_may_sign_in_but_not_superusers(make: WebMake) -> None:
    from django.contrib.auth.models import Group, User

    client = Client()
    client.force_login(make.person("admin"))
    root = make.person("", is_superuser=True)
    password = "a-long-Passphrase-7"
    data = {
        "username": "new-analyst",
        "usable_password": "true",
        "password1": password,
        "password2": password,
        "groups": [Group.objects.get(name="analyst").pk],
        "is_superuser": "on",
    }

    post(client, "auth_user", data)
    password_form = client.get(reverse("admin:auth_user_password_change", args=[root.pk]))

    user = User.objects.get(username="new-analyst")
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert user.has_perm("findings.change_finding")
    assert password_form.status_code == 403


def test_what_may_be_switched_is_called_enabled_in_forms_and_filters(make: WebMake) -> None:
    client = Client()
    client.force_login(make.person("admin"))
    make.host()

    form = client.get(reverse("admin:scans_schedule_add")).content.decode()
    listing = client.get(reverse("admin:rules_rule_changelist")).content.decode()

    assert "Is enabled" not in form
    assert "Enabled" in form
    assert "By is enabled" not in listing
    assert "By enabled" in listing


def test_moments_are_typed_in_utc_and_hours_in_the_time_zone_that_is_said(make: WebMake) -> None:
    client = Client()
    client.force_login(make.person("admin"))

    assert "Empty: never. In UTC." in client.get(reverse("admin:accounts_apitoken_add")).content.decode()
    assert "Time zone of these hours" in client.get(reverse("admin:scans_schedule_add")).content.decode()
