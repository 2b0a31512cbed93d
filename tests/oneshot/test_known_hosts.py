"""Host keys from known_hosts files."""

import base64
import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.scans.oneshot.known_hosts import find_keys, format_entry, parse_known_hosts
from scanners.contract import HostKeyPin


def make_blob(key_type: str, seed: bytes = b"k") -> str:
    name = key_type.encode()
    return base64.b64encode(len(name).to_bytes(4, "big") + name + seed * 32).decode()


ED25519 = make_blob("ssh-ed25519")
OTHER = make_blob("ssh-ed25519", b"o")


def keys_of(text: str, address: str, port: int = 22) -> list[str]:
    return [key.public_key for key in find_keys(parse_known_hosts(text.splitlines()), address, port)]


def test_a_host_on_port_22_is_found_by_its_bare_name() -> None:
    text = f"web1,10.0.0.1 ssh-ed25519 {ED25519} a comment"

    assert keys_of(text, "10.0.0.1") == [ED25519]
    assert keys_of(text, "10.0.0.2") == []


def test_another_port_is_another_host() -> None:
    text = f"[web1]:2222 ssh-ed25519 {ED25519}"

    assert keys_of(text, "web1", 2222) == [ED25519]
    assert keys_of(text, "web1") == []


def test_hashed_names_are_found() -> None:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, b"web1", hashlib.sha1).digest()
    text = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()} ssh-ed25519 {ED25519}"

    assert keys_of(text, "web1") == [ED25519]
    assert keys_of(text, "web2") == []


def test_patterns_match_and_a_negated_one_excludes() -> None:
    text = f"*.example.org,!bad.example.org ssh-ed25519 {ED25519}"

    assert keys_of(text, "web.example.org") == [ED25519]
    assert keys_of(text, "bad.example.org") == []


def test_a_revoked_key_is_never_accepted_even_when_another_line_has_it() -> None:
    text = f"web1 ssh-ed25519 {ED25519}\n@revoked * ssh-ed25519 {ED25519}\nweb1 ssh-ed25519 {OTHER}"

    assert keys_of(text, "web1") == [OTHER]


def test_lines_that_are_no_entry_are_left_out() -> None:
    no_key = f"web1\nweb1 ssh-ed25519 not-base64\nweb1 ssh-rsa {ED25519}"
    text = f"# comment\n\n{no_key}\n@cert-authority * ssh-ed25519 {ED25519}"

    assert keys_of(text, "web1") == []


def test_a_remembered_key_is_found_again() -> None:
    key = HostKeyPin(key_type="ssh-ed25519", public_key=ED25519)

    assert keys_of(format_entry("10.0.0.1", 2222, key), "10.0.0.1", 2222) == [ED25519]


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_lines_are_entries_or_ignored(lines: list[str]) -> None:
    assert find_keys(parse_known_hosts(lines), "web1", 22) == []
