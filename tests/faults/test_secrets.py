"""No secret of a credential reaches Redis, database, logs, errors or answers in a whole run of the real stack."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_ssh_private_key

from tests.e2e.product import descendants
from tests.faults.stack import RULES, Stack, wait_for
from tests.hosts.host import Host, make_host
from tests.hosts.seed import User

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def word() -> str:
    """A secret that nothing else in the world contains."""
    return f"Canary/{secrets.token_hex(8)}"


SIGNS, BECOMES, ONCE, LOCKED = "signs", "becomes", "once", "locked"
ACCOUNTS = {
    SIGNS: User(SIGNS, password=word(), sudo="password"),
    BECOMES: User(BECOMES, password=word(), passphrase=word(), sudo="password"),
    ONCE: User(ONCE, password=word(), sudo="password"),
    LOCKED: User(LOCKED, password=word()),
}
WRONG = word()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with make_host("secretive", address="127.0.21.3", users=list(ACCOUNTS.values())) as running:
        yield running


@pytest.fixture(scope="module")
def canaries(host: Host) -> list[bytes]:
    """Every secret of the run: passwords, passphrase, the lines of the private key and the bytes of its number."""
    account = ACCOUNTS[BECOMES]
    text = host.key_path(BECOMES).read_bytes()
    key = load_ssh_private_key(text, account.passphrase.encode())
    number = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    words = [entry.password for entry in ACCOUNTS.values()] + [account.passphrase, WRONG]
    lines = [line for line in text.splitlines() if b"-" not in line and len(line) > 40]
    return [*(entry.encode() for entry in words), *lines, number]


@pytest.fixture(scope="module")
def ends(stack: Stack, host: Host) -> dict[str, tuple[str, bool | None]]:
    """A visit with each kind of credential and one that is wrong: status, and whether it became root."""
    stack.wait_serving()
    given = {
        SIGNS: {"password": ACCOUNTS[SIGNS].password},
        BECOMES: {
            "private_key": host.key_path(BECOMES).read_text(),
            "passphrase": ACCOUNTS[BECOMES].passphrase,
            "become_password": ACCOUNTS[BECOMES].password,
        },
        LOCKED: {"password": WRONG},
    }
    host_id, scans = "", {}
    for name, fields in given.items():
        credential = stack.product.add_credential(f"of {name}", username=name, **fields)
        if host_id:
            stack.product.call("PATCH", f"hosts/{host_id}", {"credential": credential})
        else:
            host_id = stack.product.add_host(host, credential)
        answer = stack.product.call("POST", "scans", {"hosts": [host_id], "rules": RULES, "priority": "high"})
        scans[name] = answer["scans"][0]["id"]
        stack.settle(scans[name])
    scans[ONCE] = scan_once(stack, host)
    stack.settle(scans[ONCE])
    seen = {name: stack.product.call("GET", f"scans/{scan}") for name, scan in scans.items()}
    return {name: (answer["status"], answer["is_root"]) for name, answer in seen.items()}


def scan_once(stack: Stack, host: Host) -> str:
    """With a credential for this scan alone."""
    body = {
        "targets": [f"{host.address}:{host.port}"],
        "zone": "default",
        "credential": {"username": ONCE, "password": ACCOUNTS[ONCE].password, "become": "sudo"},
        "accept_new_host_keys": True,
        "rules": RULES,
        "priority": "high",
    }
    return str(stack.product.call("POST", "scans", body)["scans"][0]["id"])


def test_no_secret_is_anywhere_but_sealed(
    stack: Stack, host: Host, ends: dict[str, tuple[str, bool | None]], canaries: list[bytes]
) -> None:
    assert ends == {SIGNS: ("done", True), BECOMES: ("done", True), ONCE: ("done", True), LOCKED: ("failed", None)}

    told = everything(stack, host)

    # What must be there is found in each of them, so a secret would be, too.
    assert all(content for content in told.values())
    assert SIGNS.encode() in told["database"]
    assert b"sealed" in told["database"]
    needles = [form for secret in canaries for form in forms(secret)]
    found = [(place, needle) for place, content in told.items() for needle in needles if needle in content]
    assert found == []


def test_a_one_time_credential_is_gone_after_its_scan(stack: Stack, ends: dict[str, tuple[str, bool | None]]) -> None:
    assert ends[ONCE][0] == "done"

    # Watched every ten seconds.
    wait_for(lambda: stack.sql("SELECT count(*) FROM scans_scanbatch WHERE sealed <> ''") == [(0,)], 30)

    left = stack.sql("SELECT count(*) FROM inventory_credential WHERE username = %s", ONCE)
    assert left == [(0,)]
    kept = [value for name, value in stack_redis(stack) if b"claim" not in name]
    assert not any(b'"sealed"' in value for value in kept)


def test_the_forms_of_a_secret_find_it_wherever_it_begins() -> None:
    secret = b"Canary/0123456789abcdef"
    for rim in range(7):
        text = b"x" * rim + secret + b"yz"
        for written in (text, text.hex().encode(), base64.b64encode(text), json.dumps(text.decode()).encode()):
            assert any(form in written for form in forms(secret)), (rim, written)
    assert any(form in quote(secret.decode(), safe="").encode() for form in forms(secret))


def forms(secret: bytes) -> set[bytes]:
    """The secret as it is, and as a log, a message or a document might write it."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode()}
    # Base64 of a text that holds it, at each of the three places where it can begin, without what is beside it.
    for rim in range(3):
        cut = secret[(3 - rim) % 3 :]
        whole = cut[: len(cut) // 3 * 3]
        found |= {base64.b64encode(whole), base64.urlsafe_b64encode(whole)}
    return found


def everything(stack: Stack, host: Host) -> dict[str, bytes]:
    """All that is written or said: place → content."""
    told = {
        "database": b"\n".join(dump_database(stack)),
        "redis": b"\n".join(name + b"=" + value for name, value in stack_redis(stack)),
        "files": b"\n".join(files_under(stack.product.data)),
        "screen": stack.product.data.with_name("up.log").read_bytes(),
        "answers": json.dumps(
            [stack.product.results(f"{name}?page_size=200") for name in ("scans", "hosts", "credentials", "findings")]
        ).encode(),
        "host": host.log().encode(),
    }
    for pid in descendants(stack.product.process.pid):
        with contextlib.suppress(OSError):
            told[f"process {pid}"] = b"\n".join(
                Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")
            )
    return told


def dump_database(stack: Stack) -> Iterator[bytes]:
    """Every row of every table as text."""
    tables = stack.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    for (table,) in tables:
        for (row,) in stack.sql(f'SELECT t::text FROM "{table}" AS t'):
            yield f"{table} {row}".encode()


def stack_redis(stack: Stack) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of all keys."""
    redis = stack.redis
    readers = {
        b"string": redis.get,
        b"list": lambda name: redis.lrange(name, 0, -1),
        b"set": redis.smembers,
        b"hash": redis.hgetall,
        b"zset": lambda name: redis.zrange(name, 0, -1),
    }
    for name in redis.scan_iter(count=1000):
        # One that expires meanwhile has no type any more.
        if reader := readers.get(redis.type(name)):
            yield name, repr(reader(name)).encode()


def files_under(root: Path) -> Iterator[bytes]:
    """Logs, the append-only file with all that Redis ever was told, and the pages and the log of the database."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_relative_to(root / "programs"):
            with contextlib.suppress(FileNotFoundError):
                yield path.read_bytes()
