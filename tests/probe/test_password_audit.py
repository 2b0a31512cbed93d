"""The password audit of the built probe against hashes that libcrypt makes on the spot, on machines of all kinds."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.build import ensure, host_arch
from scanners import contract
from tests.hosts.libcrypt import SETTINGS, SHA512, YESCRYPT, crypt
from tests.probe.test_architectures import command

FIELDS = [
    "password_weak", "password_audit", "password_audit_reason", "password_words_tried", "password_words_left",
    "password_same_as", "password_hash_shared_with",
]  # fmt: skip
RULE = contract.PlanRule(id="audit", subject="user", fields=FIELDS)


def write_accounts(root: Path, hashes: Mapping[str, str]) -> None:
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("".join(f"{name}:x:1000:1000::/:/bin/sh\n" for name in hashes))
    (root / "etc/shadow").write_text("".join(f"{name}:{text}:19000:0:99999:7:::\n" for name, text in hashes.items()))


def run_audit(
    root: Path, *, arch: str = "", cpu_s: int = 60, words: list[str] | None = None, **limits: Any
) -> tuple[dict[str, dict[str, Any]], subprocess.CompletedProcess[bytes]]:
    arch = arch or host_arch()
    plan = contract.Plan(
        limits=contract.PlanLimits(**{"cpu_percent": 100, "deadline_s": 240, **limits}),
        passwords=contract.PasswordAudit(cpu_s=cpu_s, words=words or []),
        rules=[RULE],
    )
    argv = [*command(arch, Path(ensure(arch).path)), "--keep", "--root", str(root)]
    done = subprocess.run(argv, input=contract.encode(plan) + b"\n", capture_output=True, timeout=250, check=False)
    lines = [contract.decode_report_line(line) for line in done.stdout.splitlines()]
    found = {line.record["username"]: line.record for line in lines if isinstance(line, contract.Match)}
    return found, done


@pytest.mark.parametrize("arch", [host_arch(), "386", "mips", "s390x"])
def test_hashes_of_every_scheme_are_guessed_on_every_kind_of_machine(arch: str, tmp_path: Path) -> None:
    weak = {f"acct-{scheme.replace('_', '-')}"[:8 if scheme == "des" else None]: setting
            for scheme, setting in SETTINGS.items()}  # fmt: skip
    hashes = {name: crypt(name, setting) for name, setting in weak.items()}
    write_accounts(tmp_path, {**hashes, "strong": crypt("kJ7#9wq-LmZ2", SETTINGS["nt"])})

    found, _ = run_audit(tmp_path, arch=arch)

    assert {name: found[name].get("password_weak") for name in weak} == dict.fromkeys(weak, "user_name")
    assert (found["strong"].get("password_weak"), found["strong"]["password_audit"]) == (None, "complete")


def test_random_words_of_an_operator_are_found_under_random_salts_and_others_are_not(tmp_path: Path) -> None:
    def word() -> str:
        return "".join(chr(secrets.choice(range(33, 0x250))) for _ in range(1 + secrets.randbelow(30)))

    # 2a of libcrypt deviates for a few words beyond ASCII, DES cuts words short.
    schemes = [name for name in SETTINGS if name not in {"des", "bcrypt_a"}]
    words = {f"u{number}": word() for number in range(24)}
    hashes = {name: crypt(text, SETTINGS[schemes[i % len(schemes)]]) for i, (name, text) in enumerate(words.items())}
    write_accounts(tmp_path, {**hashes, "other": crypt(word() + "not-listed", SETTINGS["md5"])})

    found, _ = run_audit(tmp_path, words=list(words.values()))

    assert {name: found[name].get("password_weak") for name in words} == dict.fromkeys(words, "custom"), words
    assert "password_weak" not in found["other"]


def test_the_distributions_own_hashes_are_tried_within_the_probes_memory(tmp_path: Path) -> None:
    write_accounts(tmp_path, {"eve": crypt("eve", YESCRYPT), "bob": crypt("123456", SHA512)})

    found, done = run_audit(tmp_path)

    footer = contract.decode_report_line(done.stdout.splitlines()[-1])
    assert isinstance(footer, contract.ProbeFooter)
    assert (found["eve"]["password_weak"], found["bob"]["password_weak"]) == ("user_name", "common")
    assert footer.complete
    assert footer.max_rss_bytes < 64 << 20


def test_hashes_that_would_take_all_time_or_memory_are_not_tried(tmp_path: Path) -> None:
    digest = "a" * 43
    dear = {
        "rounds": f"$6$rounds=999999999$salt${digest}{digest}",
        "bcrypt": "$2b$31$" + "a" * 53,
        "memory": f"$y$jFT$salt$${digest}".replace("salt$$", "aaa.$"),
        "lanes": f"$y$jD..u..$aaa.${digest}",
        "wide": f"$7$/zzzz./....salt${digest}",
    }
    write_accounts(tmp_path, dear)

    found, done = run_audit(tmp_path)

    footer = contract.decode_report_line(done.stdout.splitlines()[-1])
    assert isinstance(footer, contract.ProbeFooter)
    assert {name: found[name]["password_audit_reason"] for name in dear} == dict.fromkeys(dear, "too_expensive")
    assert footer.complete
    assert footer.cpu_s < 1


def test_a_spent_budget_is_said_with_what_is_left_and_the_rule_does_not_pass_as_if_all_was_tried(
    tmp_path: Path,
) -> None:
    write_accounts(tmp_path, {f"u{number}": crypt(secrets.token_hex(8), SHA512) for number in range(20)})

    found, done = run_audit(tmp_path, cpu_s=1)

    footer = contract.decode_report_line(done.stdout.splitlines()[-1])
    assert isinstance(footer, contract.ProbeFooter)
    assert {record["password_audit"] for record in found.values()} == {"partial"}
    assert {record["password_words_tried"] + record["password_words_left"] for record in found.values()} & {0} == set()
    assert min(record["password_words_tried"] for record in found.values()) > 2
    assert 0.9 < footer.cpu_s < 1.5
    matches = [contract.decode_report_line(line) for line in done.stdout.splitlines()]
    assert {m.unknown.get("password_weak") for m in matches if isinstance(m, contract.Match)} == {"limit"}


def test_guessing_keeps_to_the_share_of_the_processor(tmp_path: Path) -> None:
    write_accounts(tmp_path, {"eve": crypt(secrets.token_hex(8), YESCRYPT), "bob": crypt("x y z", ("$2b$11${}u", 21))})

    _, done = run_audit(tmp_path, cpu_s=1, cpu_percent=25)

    footer = contract.decode_report_line(done.stdout.splitlines()[-1])
    assert isinstance(footer, contract.ProbeFooter)
    assert footer.cpu_s / footer.wall_s < 0.32


def test_no_hash_and_no_word_is_in_what_the_probe_writes(tmp_path: Path) -> None:
    hashes = {
        "eve": crypt("Canary-Word", SETTINGS["sha512"]),
        "bob": crypt("Canary-Word", SETTINGS["yescrypt"]),
        "ann": "$6$CanarySalt$CanaryDigest",
        "joe": "$argon2id$CanaryText",
    }
    write_accounts(tmp_path, {**hashes, "twin": hashes["eve"]})

    found, done = run_audit(tmp_path, words=["Canary-Word"])

    assert (found["eve"]["password_weak"], found["eve"]["password_same_as"]) == ("custom", ["bob", "twin"])
    assert found["eve"]["password_hash_shared_with"] == ["twin"]
    assert b"Canary" not in done.stdout + done.stderr
    assert not [text for text in hashes.values() if text.rpartition("$")[2].encode() in done.stdout + done.stderr]
