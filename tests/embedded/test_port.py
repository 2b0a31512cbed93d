"""A taken port is found before anything is started, and the sentence names the option."""

from __future__ import annotations

import socket

import pytest

from sandfly_web.embedded import port
from sandfly_web.embedded.errors import EmbeddedError
from sandfly_web.embedded.port import check_port


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(port, "PATIENCE_S", 0.0)


def test_a_taken_port_names_the_option_and_a_free_neighbour():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(
            EmbeddedError, match=rf"port {taken} on 127.0.0.1 is taken .* --port \d+ .or `make up PORT="
        ):
            check_port("127.0.0.1", taken)


def test_a_free_port_is_fine_and_stays_free():
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]

    check_port("127.0.0.1", free)
    check_port("127.0.0.1", free)


def test_an_address_of_another_machine_is_named():
    with pytest.raises(EmbeddedError, match=r"192\.0\.2\.7 is no address of this machine: use --host"):
        check_port("192.0.2.7", 8000)


def test_a_name_that_does_not_exist_is_named():
    with pytest.raises(EmbeddedError, match=r"--host no\.such\.host\.invalid: no such address"):
        check_port("no.such.host.invalid", 8000)
