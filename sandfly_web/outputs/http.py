"""One POST to an address that a user named, bounded in where it may go, in time and in what is read.

Who may name an address must not reach what only this machine reaches: the name is resolved once, addresses that are not
public are refused unless the operator lists them, the connection goes to the address that was checked, and no redirect
is followed. No proxy, cookie or environment variable has a say.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARS = 2048
CONNECT_TIMEOUT_S = 5.0
# Of the whole exchange, also with a receiver that sends a byte now and then.
DEADLINE_S = 10.0
PORTS = {"https": 443, "http": 80}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
V4_COMPATIBLE = ipaddress.ip_network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TargetError(Exception):
    """The address may not be asked, or was not reached; the text says why and holds nothing of the answer."""


@dataclass(frozen=True)
class Policy:
    """`hosts` are names, addresses and networks that may be asked although they are not public."""

    hosts: Sequence[str] = ()
    allow_http: bool = False

    def names(self, host: str) -> bool:
        return host.lower() in {entry.lower() for entry in self.hosts}

    def holds(self, address: Address) -> bool:
        for entry in self.hosts:
            try:
                network = ipaddress.ip_network(entry, strict=False)
            except ValueError:
                continue
            if address.version == network.version and address in network:
                return True
        return False


def check_url(url: str, policy: Policy) -> SplitResult:
    """Its parts. Raises TargetError; nothing is resolved or asked."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise TargetError(f"is no URL of at most {MAX_URL_CHARS} printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetError("is no URL") from None
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise TargetError("must begin with https:// and name a host")
    if parts.scheme == "http" and not policy.allow_http:
        raise TargetError("must be https: this installation does not allow http")
    if parts.username is not None or parts.password is not None:
        raise TargetError("must hold no user name or password")
    if parts.fragment:
        raise TargetError("must hold no fragment")
    literal = literal_address(parts.hostname)
    if literal is not None and not is_allowed(parts.hostname, literal, policy):
        raise TargetError("this address is not public")
    return parts


def literal_address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_allowed(host: str, address: Address, policy: Policy) -> bool:
    return policy.names(host) or policy.holds(address) or is_public(address)


def is_public(address: Address) -> bool:
    """Also for addresses of IPv6 that stand for one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address in V4_COMPATIBLE or address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int, policy: Policy) -> str:
    """The address to connect to. Raises TargetError when there is none or any of them may not be asked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TargetError("its name cannot be resolved") from None
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not addresses:
        raise TargetError("its name cannot be resolved")
    if not all(is_allowed(host, ipaddress.ip_address(address), policy) for address in addresses):
        raise TargetError("its name leads to an address that is not public")
    return addresses[0]


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was checked, whatever the name means by then."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=CONNECT_TIMEOUT_S)
        self._address, self._context = address, context

    def connect(self) -> None:
        # Kept before the handshake, so that the deadline can cut that too.
        self.sock = socket.create_connection((self._address, self.port), CONNECT_TIMEOUT_S)
        if self._context:
            wrapped = self._context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = wrapped
            wrapped.do_handshake()


def post(
    url: str, body: bytes, headers: Mapping[str, str], policy: Policy, context: ssl.SSLContext | None = None
) -> int:
    """The status of the answer, whose body is not read; `context` is the system's trust unless told.

    Raises TargetError.
    """
    parts = check_url(url, policy)
    host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
    tls = (context or ssl.create_default_context()) if parts.scheme == "https" else None
    connection = _Pinned(host, port, resolve(host, port, policy), tls)
    watch = threading.Timer(DEADLINE_S, _cut, [connection])
    watch.daemon = True
    watch.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TargetError(f"was not reached: {_words(error)}") from None
    finally:
        watch.cancel()
        connection.close()


def _cut(connection: Any) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _words(error: Exception) -> str:
    """Without anything that the other side wrote."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:100]
    return type(error).__name__
