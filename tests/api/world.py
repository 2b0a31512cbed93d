"""One of everything that an address can name."""

from __future__ import annotations

from typing import Any

from tests.api.builders import WebMake
from tests.console.test_pages import fill
from tests.server.builders import NOW


def world(make: WebMake) -> dict[str, Any]:
    """`app_model` → a row; several rows of one model are there where pages compare them."""
    from sandfly_web.accounts.models import ApiToken
    from sandfly_web.findings.models import Baseline, ForensicRecord, RiskDay, SavedHunt, WidespreadFinding
    from sandfly_web.inventory.models import CredentialSet, Discovery
    from sandfly_web.scans.models import ScanBatch

    things = fill(make)
    scan = things["scans_scan"]
    things["findings_forensicrecord"] = ForensicRecord.objects.create(
        scan=scan, rule_name="process_recon_full", subject="process", identity={"pid": 1}, data={"path": "/sbin/init"}
    )
    things["findings_savedhunt"] = SavedHunt.objects.create(
        name="root shells", subject="process", detection="detection:\n  s:\n    uid: 0\n  condition: s\n"
    )
    things["findings_baseline"] = Baseline.objects.create(name="Web servers", subjects={"user": "moderate"})
    things["inventory_credentialset"] = CredentialSet.objects.create(name="several", zone=scan.host.zone)
    things["inventory_discovery"] = discovery = Discovery.objects.create(
        name="office", zone=scan.host.zone, ranges="192.0.2.0/30"
    )
    things["inventory_sweep"] = discovery.sweeps.create(started_at=NOW, ranges="192.0.2.0/30", part_size=4, total=4)
    things["findings_widespreadfinding"] = WidespreadFinding.objects.create(
        rule=things["rules_rule"], subject="process", thing="/tmp/x", host_count=9, watched_count=10, counted_at=NOW
    )
    things["findings_riskday"] = RiskDay.objects.create(host=scan.host, day=NOW.date(), risk=20)
    things["scans_scanbatch"] = ScanBatch.objects.create()
    things |= keys(things["inventory_host"])
    things["rules_incident"] = make.rule("incident")
    assert ApiToken.objects.exists()
    return things


def keys(host: Any) -> dict[str, Any]:
    """A key that signs in to an account of the host, a zone, and a request to remove it."""
    from sandfly_web.findings.ssh_keys.models import KeyTag, KeyZone, SshAccount, SshKey, SshKeyPlace

    key = SshKey.objects.create(fingerprint="SHA256:ops", algorithm="ssh-ed25519", first_seen_at=NOW)
    account = SshAccount.objects.create(host=host, username="root", is_root=True)
    place = SshKeyPlace.objects.create(
        host=host, key=key, account=account, kind="authorized_key", identity_digest="1", path="/root/.ssh/keys",
        first_seen_at=NOW, last_seen_at=NOW,
    )  # fmt: skip
    tag = KeyTag.objects.create(name="ops")
    key.tags.add(tag)
    zone = KeyZone.objects.create(name="Production")
    zone.key_tags.add(tag)
    zone.host_tags.set(host.tags.all())
    removal = key.removals.create(reason="left", host=host)
    return {
        "ssh_keys_sshkey": key,
        "ssh_keys_sshaccount": account,
        "ssh_keys_sshkeyplace": place,
        "ssh_keys_keyzone": zone,
        "ssh_keys_keytag": tag,
        "ssh_keys_keyremoval": removal,
    }


def thing_of(model: Any) -> Any:
    """Some row of the model. Raises AssertionError that says what to do where there is none."""
    row = model._default_manager.first()
    assert row is not None, f"tests.api.world makes no {model._meta.label}: add one, so that its addresses are asked"
    return row
