"""A part of a sweep against real SSH servers, and servers that are something else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scanners.budget import MAX_ON_HOST, Budget, MemoryCounters
from scanners.contract import Answer, CredentialSecret, DiscoverJob, HostKeyPin, JumpEndpoint, Sought
from scanners.discover import sweep
from scanners.errors import ConnectError, HostKeyError
from tests.hosts.host import Host, free_port, make_host

pytestmark = pytest.mark.integration

STRANGER = HostKeyPin(
    key_type="ssh-ed25519", public_key="AAAAC3NzaC1lZDI1NTE5AAAAIGtrYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with make_host("web1", address="127.0.5.9") as running:
        yield running


def job(*sought: Sought, **fields: Any) -> DiscoverJob:
    usual = {"rate_per_s": 200, "timeout_s": 2, "expires_at": datetime.now(UTC) + timedelta(minutes=5)}
    return DiscoverJob(sweep_id=1, part=0, zone="default", sought=list(sought), **{**usual, **fields})


def look(host: Host, *secrets: CredentialSecret, **fields: Any) -> Answer:
    report = sweep(job(Sought(address=host.address, port=host.port, **fields)), secrets)
    (answer,) = report.answers
    return answer


def test_a_new_host_is_signed_in_to_and_tells_who_it_is(host: Host) -> None:
    answer = look(host, host.secret())

    assert answer.banner.startswith("SSH-2.0-")
    assert answer.host_key in host.host_keys
    assert answer.failure is None
    assert answer.profile is not None
    assert (answer.profile.hostname, answer.profile.system, len(answer.profile.boot_id)) == ("web1", "Linux", 36)
    assert host.wait_clean() == []


def test_the_credential_that_got_in_is_named(host: Host) -> None:
    wrong = CredentialSecret(id="4", username="nobody", password="wrong")

    assert look(host, wrong, host.secret(id="5")).credential == "5"


def test_a_refused_sign_in_is_told_with_key_and_reason(host: Host) -> None:
    answer = look(host, CredentialSecret(username="root", password="canary-91aa"))

    assert answer.failure is not None
    assert answer.failure.code == "auth_rejected"
    assert answer.host_key in host.host_keys
    assert "canary-91aa" not in repr(answer)


def test_a_known_host_shows_its_key_and_is_not_signed_in_to(host: Host) -> None:
    before = host.authentications()

    answer = look(host, host.secret(), host_keys=host.host_keys, sign_in=False)

    assert answer.host_key in host.host_keys
    assert (answer.profile, answer.failure) == (None, None)
    assert host.authentications() == before


def test_a_host_that_does_not_hold_the_asked_key_is_sent_no_credential(host: Host) -> None:
    before = host.authentications()

    answer = look(host, host.secret(), host_keys=[STRANGER])

    assert answer.profile is None
    assert answer.host_key != STRANGER
    assert host.authentications() == before


@contextlib.contextmanager
def server(greeting: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Greets so and keeps what it is sent."""
    sent: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    peer, _ = listening.accept()
                    with peer:
                        peer.settimeout(3)
                        peer.sendall(greeting)
                        sent.append(peer.recv(4096))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], sent
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ESMTP\r\n", b"x" * 5000, b"\xff\xfb\x01\n"],
    ids=["web", "mail", "flood", "binary"],
)  # fmt: skip
def test_what_does_not_greet_as_ssh_is_sent_nothing(greeting: bytes) -> None:
    with server(greeting) as (port, sent):
        report = sweep(job(Sought(address="127.0.0.1", port=port), timeout_s=1), [CredentialSecret(username="root")])

    assert report.answers == []
    assert b"".join(sent) == b""


def test_what_greets_as_ssh_and_is_none_is_told(host: Host) -> None:
    with server(b"SSH-2.0-\x1b[31mhoneypot\r\n" + b"garbage" * 100) as (port, _):
        report = sweep(job(Sought(address="127.0.0.1", port=port)), [host.secret()])

    (answer,) = report.answers
    assert answer.failure is not None
    assert answer.host_key is None
    assert "\x1b" not in answer.banner


def test_silent_and_closed_ports_do_not_answer_and_hold_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        closed_port = closed.getsockname()[1]
        closed.close()
        asked = [Sought(address="127.0.0.1", port=silent.getsockname()[1])] * 20
        begun = time.monotonic()
        report = sweep(job(*asked, Sought(address="127.0.0.1", port=closed_port), timeout_s=1), [])

    assert report.answers == []
    assert time.monotonic() - begun < 15


def test_connections_begin_no_faster_than_asked() -> None:
    begun = time.monotonic()

    sweep(job(*[Sought(address="127.0.0.1", port=1)] * 6, rate_per_s=5), [])

    assert time.monotonic() - begun >= 1.0


def test_a_sweep_that_is_stopped_says_so() -> None:
    report = sweep(job(*[Sought(address="127.0.0.1", port=1)] * 50, rate_per_s=1), [], should_stop=lambda: True)

    assert report.failure is not None
    assert report.failure.code == "cancelled"


def test_wrong_passwords_over_a_network_end_before_they_lock_the_account(host: Host) -> None:
    budget = Budget(MemoryCounters())
    guess = CredentialSecret(id="7", username="root", password="wrong")
    before = len(host.authentications())
    part = job(*[Sought(address=host.address, port=host.port)] * 6)

    report = sweep(part, [guess], budget=budget)

    assert len(report.answers) == 6
    assert all(answer.failure is not None for answer in report.answers)
    assert len(host.authentications()) - before <= MAX_ON_HOST


# --- through a jump host ---


@pytest.fixture(scope="module")
def jump() -> Iterator[Host]:
    with make_host("jump", address="127.0.5.34") as running:
        yield running


@pytest.fixture(scope="module")
def closed_jump() -> Iterator[Host]:
    with make_host("closed", address="127.0.5.35", sshd_options={"AllowTcpForwarding": "no"}) as running:
        yield running


def hop(jump: Host) -> JumpEndpoint:
    return JumpEndpoint(address=jump.address, port=jump.port, host_keys=jump.host_keys, allow_new_host_key=False)


def test_a_network_behind_a_jump_host_is_looked_at_over_one_sign_in(host: Host, jump: Host) -> None:
    with server(b"220 mail ESMTP\r\n") as (mail_port, sent), socket.create_server(("127.0.0.1", 0)) as silent:
        asked = [
            Sought(address="127.0.0.1", port=mail_port),
            Sought(address="127.0.0.1", port=free_port()),
            Sought(address=host.address, port=host.port),
            Sought(address="127.0.0.1", port=silent.getsockname()[1]),
        ]
        before = jump.log().count("Accepted publickey ")

        report = sweep(job(*asked, jumps=[hop(jump)]), [host.secret(id="3")], jump_secrets=[jump.secret()])

    (answer,) = report.answers
    assert (answer.address, answer.credential, answer.failure) == (host.address, "3", None)
    assert answer.banner.startswith("SSH-2.0-OpenSSH")
    assert answer.host_key in host.host_keys
    assert answer.profile is not None and answer.profile.hostname == "web1"
    assert jump.log().count("Accepted publickey ") - before == 1
    assert b"".join(sent) == b""


def test_a_known_host_behind_a_jump_host_shows_its_key(host: Host, jump: Host) -> None:
    before = host.authentications()
    asked = Sought(address=host.address, port=host.port, host_keys=[host.host_keys[1]], sign_in=False)

    report = sweep(job(asked, jumps=[hop(jump)]), [], jump_secrets=[jump.secret()])

    assert [answer.host_key for answer in report.answers] == [host.host_keys[1]]
    assert host.authentications() == before


def test_a_jump_host_that_passes_nothing_on_is_no_empty_network(host: Host, closed_jump: Host) -> None:
    asked = [Sought(address=host.address, port=host.port)] * 30

    with pytest.raises(ConnectError, match="cannot reach") as raised:
        sweep(job(*asked, jumps=[hop(closed_jump)]), [host.secret()], jump_secrets=[closed_jump.secret()])

    assert raised.value.code == "jump_failed"


def test_a_jump_host_with_another_key_ends_a_sweep_before_anything_is_sent(host: Host, jump: Host) -> None:
    before = jump.authentications()
    wrong = JumpEndpoint(address=jump.address, port=jump.port, host_keys=[STRANGER], allow_new_host_key=False)
    unknown = JumpEndpoint(address=jump.address, port=jump.port, allow_new_host_key=False)

    for way, code in ((wrong, "host_key_changed"), (unknown, "host_key_unknown")):
        with pytest.raises(HostKeyError) as raised:
            sweep(
                job(Sought(address=host.address, port=host.port), jumps=[way]), [host.secret()],
                jump_secrets=[jump.secret()],
            )  # fmt: skip
        assert raised.value.code == code

    assert jump.authentications() == before
