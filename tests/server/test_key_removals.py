"""Removing keys: asked for, guarded, confirmed, carried out by a shell, seen to be done."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from sandfly_web.findings.ssh_keys import removals
from sandfly_web.findings.ssh_keys.models import KeyRemoval, SshAccount, SshKey
from sandfly_web.findings.ssh_keys.removals import Scope, confirm, request_removal
from sandfly_web.findings.ssh_keys.services import set_standing
from tests.server.builders import Make
from tests.server.keys import Keys, mark, public_key


@pytest.fixture
def keys(make: Make, ingest: Any) -> Keys:
    return Keys(make, ingest)


def ask(name: str, scope: Scope | None = None, kind: str = "remove", **options: Any) -> KeyRemoval:
    return request_removal(
        SshKey.objects.get(fingerprint=mark(name)), kind, scope or Scope(), "left the company", None, **options
    )


def test_a_removal_is_done_when_visits_no_longer_see_the_key(keys: Keys) -> None:
    hosts = [keys.make.host(), keys.make.host()]
    for host in hosts:
        keys.visit(host, keys.authorized("root", "ops"), keys.authorized("root", "other"))
    removal = confirm(ask("ops"), None)

    keys.visit(hosts[0], keys.authorized("root", "other"))
    keys.visit(hosts[1], keys.authorized("root", "ops"), keys.authorized("root", "other"))
    removal.refresh_from_db()
    assert (removal.state, removal.steps.filter(done_at=keys.now).count()) == ("confirmed", 0)
    assert [one.host for one in removals.commands(removal)] == [hosts[1]]

    keys.visit(hosts[1], keys.authorized("root", "other"))

    removal.refresh_from_db()
    assert (removal.state, removal.done_at) == ("done", keys.now)
    assert removals.commands(removal) == []


def test_the_last_key_of_an_account_goes_only_if_that_is_meant(keys: Keys) -> None:
    host = keys.make.host(name="web-1")
    keys.visit(host, keys.authorized("root", "ops"), keys.authorized("eve", "ops"), keys.authorized("eve", "other"))

    with pytest.raises(ValidationError, match="last key of root on web-1"):
        ask("ops")

    eve = Scope(account=SshAccount.objects.get(username="eve"))
    assert ask("ops", eve).host == host
    assert ask("ops", may_lock_out=True).state == "requested"


def test_the_guard_looks_again_when_it_is_confirmed(keys: Keys) -> None:
    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "ops"), keys.authorized("root", "other"))
    removal = ask("ops")
    keys.visit(host, keys.authorized("root", "ops"))

    with pytest.raises(ValidationError, match="last key"):
        confirm(removal, None)


def test_protected_keys_and_those_of_visits_are_not_removed(keys: Keys) -> None:
    host = keys.make.host()
    keys.visit(host, *(keys.authorized("root", name) for name in ("glass", "visits", "other")))
    set_standing(SshKey.objects.get(fingerprint=mark("glass")), "protected", "break glass")
    credential = keys.make.credential(host.zone)
    credential.fingerprint = mark("visits")
    credential.save()

    for name, why in (("glass", "protected"), ("visits", "sign in with this key")):
        with pytest.raises(ValidationError, match=why):
            ask(name)


def test_what_is_not_there_or_asked_for_twice_is_refused(keys: Keys) -> None:
    host, empty = keys.make.host(), keys.make.host()
    keys.visit(host, keys.authorized("root", "ops"), keys.authorized("root", "other"))
    ask("ops")

    for name, scope in (("ops", Scope()), ("other", Scope(host=empty))):
        with pytest.raises(ValidationError):
            ask(name, scope)


def test_a_rejected_removal_gives_no_commands_and_is_over(keys: Keys) -> None:
    keys.visit(keys.make.host(), keys.authorized("root", "ops"), keys.authorized("root", "other"))
    removal = removals.reject(ask("ops"), None, "still needed")

    assert removals.commands(removal) == []
    with pytest.raises(ValidationError):
        confirm(removal, None)


def test_duplicates_are_done_when_one_is_left(keys: Keys) -> None:
    host = keys.make.host()
    keys.visit(host, keys.authorized("root", "ops", copies=3), keys.authorized("root", "other"))
    removal = confirm(ask("ops", kind="deduplicate"), None)

    keys.visit(host, keys.authorized("root", "ops", copies=1), keys.authorized("root", "other"))

    removal.refresh_from_db()
    assert removal.state == "done"


@pytest.mark.parametrize(
    ("kind", "kept"), [("remove", ["other", "short"]), ("deduplicate", ["first", "other", "short"])]
)
def test_the_commands_take_out_these_lines_and_nothing_else(
    keys: Keys, tmp_path: Path, kind: str, kept: list[str]
) -> None:
    path = tmp_path / "it's $(touch x); `y`" / "authorized keys"
    path.parent.mkdir()
    blob = public_key("ops")
    lines = {
        "first": f'command="echo {blob[:20]}",no-pty ssh-ed25519 {blob} ops',
        "other": f"ssh-ed25519 {public_key('other')} not {blob}x",
        "again": f"  ssh-ed25519\t{blob.rstrip('=')}",
        "short": f"ssh-ed25519 {blob[:-8]} cut",
    }
    path.write_text("".join(f"{line}\n" for line in lines.values()))
    path.chmod(0o640)
    keys.visit(
        keys.make.host(),
        keys.authorized("root", "ops", path=str(path), copies=2),
        keys.authorized("root", "other", path=str(path)),
    )

    (commands,) = removals.commands(confirm(ask("ops", kind=kind), None))
    subprocess.run(["sh", "-ec", commands.script], check=True, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)})

    assert path.read_text().splitlines() == [lines[name] for name in kept]
    assert (path.stat().st_mode & 0o777, list(tmp_path.rglob("x"))) == (0o640, [])


def test_the_commands_follow_no_link(keys: Keys, tmp_path: Path) -> None:
    target, path = tmp_path / "shadow", tmp_path / "authorized_keys"
    target.write_text(f"ssh-ed25519 {public_key('ops')}\n")
    path.symlink_to(target)
    keys.visit(keys.make.host(), keys.authorized("root", "ops", path=str(path)), keys.authorized("root", "other"))

    (commands,) = removals.commands(confirm(ask("ops"), None))
    subprocess.run(["sh", "-c", commands.script], check=False, env={"PATH": "/usr/bin:/bin"})

    assert target.read_text()
