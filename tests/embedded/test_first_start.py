"""What a fresh database gets, and that a later start keeps what people changed."""

from __future__ import annotations

import stat

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from sandfly_web.embedded import first_start
from sandfly_web.embedded.datadir import prepare
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.paths import DataDir
from sandfly_web.inventory.models import Credential, Host, Zone
from sandfly_web.scans.models import Schedule, ScheduledHost

pytestmark = pytest.mark.django_db


@pytest.fixture
def prepared(fresh) -> DataDir:
    prepare(fresh)
    return fresh


def test_the_password_is_shown_once():
    password = first_start.ensure_admin()

    assert User.objects.get(username="admin").check_password(password)
    assert first_start.ensure_admin() == ""
    assert User.objects.get(username="admin").check_password(password)


def test_a_reset_password_replaces_the_old_one_and_lets_admin_in_again():
    old = first_start.ensure_admin()
    User.objects.filter(username="admin").update(is_active=False)

    new = first_start.ensure_admin(reset_password=True)

    user = User.objects.get(username="admin")
    assert user.is_active
    assert user.check_password(new)
    assert not user.check_password(old)


def test_an_installation_with_another_administrator_gets_no_second_one():
    User.objects.create_superuser("ada", password="correct horse battery")

    assert first_start.ensure_admin() == ""
    assert not User.objects.filter(username="admin").exists()


def test_passwords_are_long_and_never_the_same():
    passwords = {first_start.new_password() for _ in range(100)}

    assert len(passwords) == 100
    assert all(len(password) == 23 for password in passwords)


def test_the_zone_key_is_private_and_its_public_half_is_the_zone_s(prepared):
    first_start.ensure_inventory(prepared)

    path = prepared.zone_key("default")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Zone.objects.get(name="default").public_key == first_start.read_public_key(prepared)
    assert Zone.objects.get(name="default").public_key not in path.read_text()


def test_the_first_start_enrols_this_machine_with_a_daily_and_a_deep_weekly_schedule(prepared):
    host = first_start.ensure_inventory(prepared)

    assert host is not None
    assert host.transport == Host.Transport.LOCAL
    daily, weekly = Schedule.objects.order_by("interval_s")
    assert (daily.interval_s, daily.rule_types, daily.is_deep) == (86400, ["detection", "recon"], False)
    assert (weekly.interval_s, weekly.is_deep) == (7 * 86400, True)
    assert [(due.schedule, due.host) for due in ScheduledHost.objects.order_by("schedule__interval_s")] == [
        (daily, host),
        (weekly, host),
    ]


def test_what_was_deleted_stays_deleted(prepared):
    first_start.ensure_inventory(prepared)
    Host.objects.all().delete()
    Schedule.objects.all().delete()

    assert first_start.ensure_inventory(prepared) is None
    assert not Host.objects.exists()
    assert not Schedule.objects.exists()


def test_a_lost_zone_key_is_replaced_while_nothing_is_sealed_to_it(prepared):
    first_start.ensure_inventory(prepared)
    prepared.zone_key("default").unlink()

    first_start.ensure_inventory(prepared)

    assert Zone.objects.get().public_key == first_start.read_public_key(prepared)


def test_a_lost_zone_key_with_credentials_stops_the_start(prepared):
    first_start.ensure_inventory(prepared)
    Credential.objects.create(name="c", zone=Zone.objects.get(), kind="password", username="u", sealed="x")
    prepared.zone_key("default").unlink()

    with pytest.raises((EmbeddedError, ValidationError), match="restore that file"):
        first_start.ensure_inventory(prepared)


def test_a_damaged_zone_key_stops_the_start(prepared):
    prepared.zone_key("default").write_text("not a key")

    with pytest.raises(EmbeddedError, match="holds no zone key"):
        first_start.ensure_inventory(prepared)


def test_migrate_does_nothing_on_a_schema_that_is_up_to_date():
    assert first_start.migrate() == 0


def test_a_start_with_nothing_to_migrate_keeps_that_squashed_migrations_are_applied():
    MigrationRecorder.Migration.objects.filter(name__contains="squashed").delete()

    assert first_start.migrate() == 0

    applied = MigrationRecorder(connection).applied_migrations()
    assert set(MigrationLoader(connection).replacements) <= set(applied)
