"""Uploads in bursts arrive whole whatever was agreed on with the server, and while keys change under way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from scanners.connection import Connection
from scanners.contract import Limits
from scanners.transport import open_ssh
from tests.hosts.host import Host, make_host

# More than a window of OpenSSH (2 MiB), so that the sender has to wait for room, and no whole number of packets.
UPLOAD = os.urandom((5 << 20) + 12345)


@pytest.fixture(scope="module", params=["aes128-gcm@openssh.com", "aes256-ctr"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """With new keys each time that 700 kB went over the connection."""
    with make_host("packets", sshd_options={"Ciphers": request.param, "RekeyLimit": "700K"}) as made:
        yield made


@pytest.fixture
def connection(host: Host) -> Iterator[Connection]:
    opened = open_ssh(host.endpoint, [host.secret()], Limits())
    yield opened
    opened.close()


def test_an_upload_arrives_as_it_was_sent(connection: Connection) -> None:
    pieces = [UPLOAD[:1], UPLOAD[1:100_000], UPLOAD[100_000:]]

    done = connection.run(["sha256sum"], stdin=pieces, timeout_s=60, max_bytes=1000)

    assert done.stdout.split()[0].decode() == hashlib.sha256(UPLOAD).hexdigest()
    assert connection.traffic.sent_bytes > len(UPLOAD)


def test_what_is_sent_back_meanwhile_arrives_too(connection: Connection) -> None:
    some = UPLOAD[: 1 << 20]

    done = connection.run(["sh", "-c", "cat; echo end"], stdin=some, timeout_s=60, max_bytes=len(UPLOAD))

    assert done.stdout == some + b"end\n"


def test_a_command_that_stops_reading_ends_the_upload(connection: Connection) -> None:
    done = connection.run(["sh", "-c", "head -c 10 | wc -c"], stdin=UPLOAD, timeout_s=60, max_bytes=1000)

    assert done.stdout.split() == [b"10"]
