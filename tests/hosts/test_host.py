"""Throw-away hosts keep to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.host import make_host

pytestmark = pytest.mark.integration


def test_a_file_written_through_an_absolute_link_stays_in_the_host(tmp_path: Path) -> None:
    outside = tmp_path / "settings"
    outside.write_text("of this machine\n")
    with make_host("links", address="10.97.9.2", own_network=True) as host:
        host.run(
            f"mkdir -p {tmp_path} && echo old > {outside} && ln -s {outside} /etc/linked && ln -s {tmp_path} /etc/there"
        )

        host.write("/etc/linked", "of the host\n")
        host.write("/etc/there/second", "x\n")

        assert host.run(f"cat {outside} {tmp_path}/second").stdout == "of the host\nx\n"
    assert outside.read_text() == "of this machine\n"
    assert not (tmp_path / "second").exists()


def test_links_that_lead_in_a_circle_are_an_error() -> None:
    with make_host("circle", address="10.97.9.6", own_network=True) as host:
        host.run("ln -s /etc/two /etc/one && ln -s /etc/one /etc/two")

        with pytest.raises(OSError, match="too many links"):
            host.write("/etc/one", "x\n")
