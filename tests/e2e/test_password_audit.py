"""The password audit over SSH, as an operator asks for it: a host with accounts of every scheme."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_scan_command import arguments_for, command, only, scan
from tests.hosts.host import Host, make_host
from tests.hosts.libcrypt import SETTINGS, SHA512, YESCRYPT, crypt

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
CUSTOM = "Canary-Hydrant-42"
TOO_DEAR = "$y$jFT$aaa.$" + "a" * 43
RULES = (
    "user_password_weak", "user_password_weak_administrator", "user_password_reused", "user_password_hash_copied",
    "user_password_hash_obsolete", "user_password_audit_incomplete",
)  # fmt: skip
WEAK = {f"w-{scheme.replace('_', '-')}": "123456" for scheme in SETTINGS}


def add_accounts(host: Host, hashes: dict[str, str], shell: str = "/bin/sh") -> None:
    """Appends lines to passwd and shadow, as useradd and chpasswd -e would write them."""
    for path, line in (
        ("etc/passwd", "{name}:x:{uid}:100:{name}:/nonexistent:" + shell),
        ("etc/shadow", "{name}:{text}:20000:0:99999:7:::"),
    ):
        file = host.root / path
        lines = [line.format(name=name, uid=2000 + i, text=text) for i, (name, text) in enumerate(hashes.items())]
        file.write_text(file.read_text().rstrip("\n") + "\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with make_host("crypts", address="127.0.8.21") as made:
        hashes = {name: crypt(word, SETTINGS[name[2:].replace("-", "_")]) for name, word in WEAK.items()}
        hashes |= {
            "yara": crypt("yara", YESCRYPT),
            "carl": crypt("Carl@123", SHA512),
            "olga": crypt(CUSTOM, SETTINGS["sha512"]),
            "twin": crypt("none of them all", SETTINGS["bcrypt_b"]),
            "strong1": crypt(secrets.token_urlsafe(16), SETTINGS["sha256"]),
            "strong2": crypt(secrets.token_urlsafe(16), SETTINGS["yescrypt"]),
            "dear": TOO_DEAR,
            "barred": "!" + crypt("barred", SETTINGS["md5"]),
        }
        add_accounts(made, hashes | {"twin2": hashes["twin"]})
        yield made


@dataclass
class Audit:
    """One scan with an operator's list, and what was seen of it meanwhile."""

    stdout: str
    stderr: str
    status: int
    command_lines: bytes
    probe_was_seen: bool

    def findings(self, rule: str) -> dict[str, dict[str, Any]]:
        return found(self.stdout, rule)


@pytest.fixture(scope="module")
def audit(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    directory = tmp_path_factory.mktemp("audit")
    words = directory / "words.txt"
    words.write_text(f"{CUSTOM}\nanother\n")
    rules = [f"--rule={rule}" for rule in RULES]
    argv = command(*arguments_for(host, directory, *rules, "--priority", "high", "--password-list", str(words)))
    scanning = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen, probe_was_seen = b"", False
    while scanning.poll() is None:
        now = command_lines(Path("/proc"))
        probe_was_seen = probe_was_seen or b"/.sf-" in now
        seen += now
        time.sleep(0.05)
    out, err = scanning.communicate()
    return Audit(out, err, scanning.returncode, seen, probe_was_seen)


def found(output: str, rule: str) -> dict[str, dict[str, Any]]:
    return {f["subject"]["username"]: f["subject"] for f in only(output, "finding") if f["rule"]["name"] == rule}


def test_weak_passwords_of_every_scheme_are_found_and_strong_ones_are_not(audit: Audit, host: Host) -> None:
    weak = {name: subject["password_weak"] for name, subject in audit.findings("user_password_weak").items()}

    assert weak == dict.fromkeys(WEAK, "common") | {"yara": "user_name", "carl": "variant", "olga": "custom"}
    assert audit.status == 1
    assert host.leftovers() == []


def test_copied_reused_and_obsolete_hashes_are_found(audit: Audit) -> None:
    assert set(audit.findings("user_password_hash_copied")) == {"twin", "twin2"}
    assert set(audit.findings("user_password_hash_obsolete")) == {"w-des", "w-bsdi-des", "w-md5", "w-nt"}
    assert len(audit.findings("user_password_reused")["w-md5"]["password_same_as"]) == len(WEAK) - 1


def test_what_was_not_tried_is_said_with_the_reason(audit: Audit) -> None:
    records = [entry["subject"] for entry in only(audit.stdout, "record")]

    assert {r["username"]: r["password_audit_reason"] for r in records} == {"dear": "too_expensive"}


def test_words_and_hashes_are_in_no_output_and_no_command_line(audit: Audit, host: Host) -> None:
    hashes = [line.split(":")[1] for line in (host.root / "etc/shadow").read_text().splitlines()]
    secret = [CUSTOM, *(text.rpartition("$")[2] for text in hashes if len(text) > 10)]

    assert audit.probe_was_seen
    assert not [text for text in secret if text in audit.stdout + audit.stderr]
    assert not [text for text in secret if text.encode() in audit.command_lines]


def command_lines(proc: Path) -> bytes:
    """Arguments and environments of all processes of this machine, those of its throw-away hosts among them."""
    text = b""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    text += (entry / name).read_bytes()
                except OSError:
                    continue  # it has ended
    return text


def test_a_usual_scan_guesses_nothing(host: Host, tmp_path: Path) -> None:
    done = scan(*arguments_for(host, tmp_path))

    assert not [f for f in only(done.stdout, "finding") if f["rule"]["name"].startswith("user_password_weak")]
    assert set(found(done.stdout, "user_password_hash_copied")) == {"twin", "twin2"}


def test_a_list_without_a_rule_that_uses_it_stops_before_any_host_is_touched(host: Host, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text(f"{CUSTOM}\n")
    before = len(host.authentications())

    done = scan(*arguments_for(host, tmp_path, "--password-list", str(words)))

    assert done.returncode == 2
    assert "--deep" in done.stderr
    assert len(host.authentications()) == before
