"""`manage.py setup` and `serve`: what an installation is made of whose parts are started apart."""

from __future__ import annotations

import argparse
import os
import sys

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from sandfly_web.embedded.management.commands.serve import endpoint
from sandfly_web.embedded.processes import ingest_command
from sandfly_web.inventory.models import Zone
from sandfly_web.rules.models import Rule
from scanners.vault import generate_keypair


@pytest.mark.django_db
def test_setup_makes_rules_zones_and_the_administrator_once(tmp_path):
    key = generate_keypair()[1]
    (tmp_path / "password").write_text("correct horse battery\n")
    options = ["--zone", f"dmz={key}", "--admin-password-file", str(tmp_path / "password")]

    call_command("setup", *options)
    (tmp_path / "password").write_text("another one that was written there\n")
    call_command("setup", *options)

    assert Zone.objects.get(name="dmz").public_key == key
    assert User.objects.get(username="admin").check_password("correct horse battery")
    assert Rule.objects.count() > 100


@pytest.mark.django_db
@pytest.mark.parametrize(("password", "words"), [("short", "too short"), (None, "cannot be read")])
def test_setup_refuses_a_password_that_will_not_do(tmp_path, password, words):
    if password:
        (tmp_path / "password").write_text(password)

    with pytest.raises(CommandError, match=words):
        call_command("setup", "--admin-password-file", str(tmp_path / "password"))

    assert not User.objects.exists()


@pytest.mark.django_db
def test_setup_refuses_a_key_that_is_none():
    with pytest.raises(CommandError, match="zone dmz"):
        call_command("setup", "--zone", "dmz=bm8ga2V5")


def test_a_part_replaces_the_command_so_that_signals_reach_it(monkeypatch):
    replaced = []
    monkeypatch.setattr(os, "execv", lambda path, command: replaced.append((path, command)))

    call_command("serve", "ingest", "--concurrency", "5")

    assert replaced == [(sys.executable, ingest_command(5))]


@pytest.mark.parametrize(("text", "expected"), [("0.0.0.0:80", ("0.0.0.0", 80)), ("[::]:8000", ("::", 8000))])
def test_an_address_to_bind_is_read(text, expected):
    assert endpoint(text) == expected


@pytest.mark.parametrize("text", ["", "8000", ":8000", "host:", "host:0", "host:70000", "host:http"])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        endpoint(text)
