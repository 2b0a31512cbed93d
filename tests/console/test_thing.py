"""One line that says what a finding is about, whatever its identity holds."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.findings.thing import MAX_CHARS, WORDS, shorten, thing
from sandfly_web.rules.fields import registry


@pytest.mark.parametrize(
    ("subject", "identity", "words"),
    [
        ("process", {"path": "/tmp/x", "name": "x", "cmdline": "kworkerd", "uid": 0}, "/tmp/x (kworkerd)"),
        ("process", {"path": "/tmp/x", "name": "kworkerd"}, "/tmp/x (kworkerd)"),
        ("process", {"path": "/usr/bin/bash", "name": "bash", "cmdline": "bash -i"}, "/usr/bin/bash -i"),
        ("process", {"path": "/tmp/x", "name": "x", "cmdline": "/tmp/x"}, "/tmp/x"),
        # The kernel cuts names after 15 bytes; the rest of the path's own name says no more.
        ("process", {"path": "/opt/a-very-long-program", "name": "a-very-long-pro"}, "/opt/a-very-long-program"),
        ("process", {"path": None, "name": "kworker/0:1", "cmdline": ""}, "[kworker/0:1]"),
        ("process", {"path": None, "name": "x", "cmdline": "[kworker]"}, "[kworker] (x)"),
        ("process", {"path": None, "name": "nc", "cmdline": "nc -l"}, "nc -l"),
        (
            "socket",
            {"protocol": "tcp", "local_address": "::", "local_port": 22, "process.path": "/usr/sbin/sshd"},
            "tcp [::]:22 /usr/sbin/sshd",
        ),
        ("socket", {"family": "unix", "path": "/run/x.sock", "process.name": "x"}, "unix /run/x.sock x"),
        ("cron_job", {"path": "/etc/cron.d/sync", "username": "root", "command": "x"}, "/etc/cron.d/sync: x"),
        (
            "authorized_key",
            {"username": "root", "fingerprint": "SHA256:a", "path": "/root/.ssh/authorized_keys"},
            "/root/.ssh/authorized_keys SHA256:a (root)",
        ),
        (
            "host_key",
            {"port": 22, "address": "10.0.0.7", "fingerprint": "SHA256:a"},
            "10.0.0.7:22 SHA256:a",
        ),
        ("sudo_rule", {"path": "/etc/sudoers", "kind": "user", "text": "", "command": "ALL"}, "/etc/sudoers: ALL"),
        ("log_line", {"program": "sshd", "username": None, "remote_address": "192.0.2.1"}, "sshd 192.0.2.1"),
        ("host", {"machine_id": "7f", "hostname": "web1"}, "web1"),
        ("user", {"username": "toor"}, "toor"),
        ("file", {"path": "/tmp/\u202egpj.sh"}, r"/tmp/\u202egpj.sh"),
        ("user", {"uid": 0}, "0"),
        ("setting", {"kind": "sshd", "section": None, "name": "permitrootlogin", "item": None}, "sshd permitrootlogin"),
        (
            "network",
            {"kind": "route", "name": "0.0.0.0/0", "address": None, "gateway": "192.0.2.1", "device": "eth0"},
            "route 0.0.0.0/0 192.0.2.1 eth0",
        ),
        ("something_new", {"name": "a", "place": None, "number": 3}, "a · 3"),
        ("process", {}, ""),
    ],
)
def test_the_line_names_the_thing(subject: str, identity: dict[str, Any], words: str) -> None:
    assert thing(subject, identity) == words


def test_words_use_fields_that_the_identities_have() -> None:
    mute = [
        subject.name
        for subject in registry().values()
        if subject.name in WORDS and not WORDS[subject.name](dict.fromkeys(subject.identity, "x"))
    ]

    assert mute == []


def test_long_lines_keep_their_beginning_and_their_end() -> None:
    words = thing("file", {"path": "/srv/" + "a" * 300 + "/evil.php"})

    assert len(words) == MAX_CHARS
    assert (words.startswith("/srv/aaa"), words.endswith("aaa/evil.php"), "…" in words) == (True, True, True)


@given(st.text(), st.integers(min_value=4, max_value=40))
def test_shortened_text_is_never_longer_than_asked_for(text: str, size: int) -> None:
    assert len(shorten(text, size)) <= size


VALUES = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])) | st.lists(st.text())


@given(st.sampled_from([*WORDS, "unheard_of"]), st.dictionaries(st.sampled_from(["path", "name", "cmdline"]), VALUES))
def test_any_identity_gives_one_visible_line(subject: str, identity: dict[str, Any]) -> None:
    words = thing(subject, identity)

    assert len(words) <= MAX_CHARS
    assert not [char for char in words if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
