"""The way to a host in plain data: hops, users, keys, and what is said when it does not work."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from scanners.app import broker_url
from scanners.connection import quote
from scanners.contract import CredentialSecret, HostEndpoint, HostKeyPin, JumpEndpoint, Limits
from scanners.diagnosis import Symptom, diagnose, safe_words
from scanners.errors import AuthError, ConnectError
from scanners.keys import openssh_text, parse_private_key
from scanners.route import Hop, by_username, plan_hops
from scanners.transport import open_ssh

A, B = CredentialSecret(username="a"), CredentialSecret(username="b")
PIN = HostKeyPin(key_type="ssh-ed25519", public_key="AAAA")


def hops(endpoint: HostEndpoint, *jump_secrets: CredentialSecret | None) -> list[Hop]:
    return plan_hops(endpoint, [A], jump_secrets, Limits(connect_timeout_s=7), allow_new_host_key=True)


def test_jumps_come_first_with_their_own_or_the_hosts_credential() -> None:
    jumps = [JumpEndpoint(address="j1", host_keys=[PIN]), JumpEndpoint(address="j2", port=2222)]

    first, second, host = hops(HostEndpoint(address="h", jumps=jumps), B, None)

    assert (first.name, first.secrets, first.pins, first.is_jump) == ("j1:22", [B], [PIN], True)
    assert (second.name, second.secrets) == ("j2:2222", [A])
    assert (host.words, host.secrets, host.timeout_s, host.is_jump) == ("h:22", [A], 7, False)


def test_ipv6_address_is_written_in_brackets() -> None:
    assert hops(HostEndpoint(address="2001:db8::1"))[0].name == "[2001:db8::1]:22"


@pytest.mark.parametrize("address", ["", "a b", "root@h", "-oProxyCommand=x\n", "h;id", "ä"])
def test_text_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConnectError):
        hops(HostEndpoint(address=address))


def test_credentials_are_grouped_by_user_in_order() -> None:
    third = CredentialSecret(username="a", password="x")

    assert by_username([A, B, third]) == [("a", [A, third]), ("b", [B])]


@pytest.mark.parametrize(
    ("symptom", "code"),
    [
        (Symptom("", errno.ECONNREFUSED), "refused"),
        (Symptom("", errno.EHOSTUNREACH), "unreachable"),
        (Symptom("", errno.ETIMEDOUT), "timeout"),
        (Symptom("timed out", is_timeout=True), "timeout"),
        (Symptom("", is_name_unknown=True), "unreachable"),
        (Symptom("no acceptable kex", is_incompatible=True), "not_ssh"),
        (Symptom("Error reading SSH protocol banner", received_bytes=9), "not_ssh"),
        (Symptom("Error reading SSH protocol banner"), "connection_lost"),
        (Symptom("Error reading SSH protocol bannertimed out"), "timeout"),
        (Symptom("No existing session"), "timeout"),
        (Symptom("whatever"), "connection_lost"),
    ],
)
def test_symptoms_have_codes_of_connect_errors(symptom: Symptom, code: str) -> None:
    found, sentence = diagnose(symptom, "h:22", 5)

    assert found == code
    assert ConnectError(found, sentence).message.startswith(sentence)
    assert "h:22" in sentence


def test_words_of_a_host_are_cut_and_made_printable() -> None:
    assert safe_words("a\x1b[31m\n" + "x" * 500) == "a?[31m" + "?" + "x" * 193


PRIVATE_KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
}
FORMATS = [serialization.PrivateFormat.OpenSSH, serialization.PrivateFormat.PKCS8]


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("passphrase", ["", "pass phrase"])
@pytest.mark.parametrize("kind", PRIVATE_KEYS)
def test_keys_of_every_usual_form_are_read(kind: str, passphrase: str, layout: serialization.PrivateFormat) -> None:
    secret = CredentialSecret(username="u", private_key=text_of(kind, passphrase, layout), passphrase=passphrase)

    assert openssh_text(parse_private_key(secret)).startswith("-----BEGIN OPENSSH PRIVATE KEY")


def text_of(kind: str, passphrase: str, layout: serialization.PrivateFormat = FORMATS[0]) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return PRIVATE_KEYS[kind].private_bytes(serialization.Encoding.PEM, layout, encryption).decode()


@pytest.mark.parametrize(
    ("key", "passphrase"),
    [
        ("nonsense", ""),
        (text_of("ed25519", "right"), "wrong"),
        (text_of("ed25519", "right"), ""),
        (text_of("rsa", ""), "x"),
    ],
)
def test_key_that_cannot_be_read_is_not_repeated(key: str, passphrase: str) -> None:
    with pytest.raises(AuthError) as raised:
        parse_private_key(CredentialSecret(username="u", private_key=key, passphrase=passphrase))

    assert raised.value.code == "key_unreadable"
    assert raised.value.__cause__ is None
    assert len(raised.value.message) < 100


@pytest.mark.parametrize(
    ("url", "kombu"),
    [
        ("redis://h:6379/1", "redis://h:6379/1"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
        ("unix://u:p@/run/redis.sock", "redis+socket://u:p@/run/redis.sock?virtual_host=0"),
    ],
)
def test_broker_url_in_the_spelling_of_kombu(url: str, kombu: str) -> None:
    assert broker_url(url) == kombu


def test_arguments_are_quoted_for_the_login_shell() -> None:
    assert quote(["/bin/sh", "-c", "echo $1; x", "it's"]) == "exec /bin/sh -c 'echo $1; x' 'it'\"'\"'s'"


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns so often that a race which is rare otherwise is met at once."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_many_connections_begun_at_once_do_not_trip_over_each_other() -> None:
    """Two in a thousand visits of a busy worker failed: fabric changes a configuration while it builds a connection."""
    job = HostEndpoint(address="127.0.0.1", port=1)
    secret = CredentialSecret(username="a", password="x")

    def ends(number: int) -> str:
        try:
            open_ssh(job, [secret], Limits(connect_timeout_s=20)).close()
        except ConnectError as error:
            return error.code
        return f"{number} got in"

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(ends, range(600))) == {"refused"}
