"""See before anything is started whether the console's address can be had."""

from __future__ import annotations

import errno
import socket
import time

from sandfly_web.embedded.errors import EmbeddedError

# What a start that was killed a moment ago still holds is let go within this time.
PATIENCE_S = 3.0
POLL_S = 0.2


def check_port(host: str, port: int) -> None:
    """Raises EmbeddedError, with the option to use, when the address is taken, not allowed or not this machine's."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror:
        raise EmbeddedError(f"--host {host}: no such address") from None
    deadline = time.monotonic() + PATIENCE_S
    while error := _bind_error(family, address):
        if error != errno.EADDRINUSE or time.monotonic() > deadline:
            raise EmbeddedError(_sentence(error, host, port))
        time.sleep(POLL_S)


def _bind_error(family: socket.AddressFamily, address: tuple[str | int | bytes, ...]) -> int:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gunicorn binds: connections that linger after a restart do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def _sentence(error: int, host: str, port: int) -> str:
    other = port + 1 if port < 65535 else port - 1
    if error == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken by another program: use another one with --port {other} "
            f"(or `make up PORT={other}`)"
        )
    if error == errno.EACCES:
        return f"port {port} is for root only: use one from 1024 on with --port (or `make up PORT=8000`)"
    if error == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: use --host 127.0.0.1, or --host 0.0.0.0 for all its addresses"
    return f"cannot listen on {host} port {port}: {errno.errorcode.get(error, error)}"
