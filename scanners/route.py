"""The hops of the way to a host, each with its pinned keys and credentials; plain data, no connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scanners.contract import CredentialSecret, HostEndpoint, HostKeyPin, Limits
from scanners.errors import ConnectError

ADDRESS = re.compile(r"^[A-Za-z0-9_.:%-]{1,255}$")


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way; the last one is the host itself."""

    address: str
    port: int
    pins: Sequence[HostKeyPin]
    secrets: Sequence[CredentialSecret]
    timeout_s: int
    allow_new_host_key: bool = False
    is_jump: bool = False

    @property
    def name(self) -> str:
        """`address:port` as people write it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    @property
    def words(self) -> str:
        """The name with its part on the way, for sentences."""
        return f"jump host {self.name}" if self.is_jump else self.name


def plan_hops(
    endpoint: HostEndpoint,
    secrets: Sequence[CredentialSecret],
    jump_secrets: Sequence[CredentialSecret | None],
    limits: Limits,
    *,
    allow_new_host_key: bool,
) -> list[Hop]:
    """The way to a host, first hop first; a jump host without its own credential gets the host's.

    Raises ConnectError `unreachable` when an address is none.
    """
    timeout_s = limits.connect_timeout_s
    hops = []
    for place, jump in enumerate(endpoint.jumps):
        own = jump_secrets[place] if place < len(jump_secrets) else None
        used = secrets if own is None else [own]
        may_learn = allow_new_host_key if jump.allow_new_host_key is None else jump.allow_new_host_key
        hops.append(Hop(jump.address, jump.port, jump.host_keys, used, timeout_s, may_learn, is_jump=True))
    hops.append(Hop(endpoint.address, endpoint.port, endpoint.host_keys, secrets, timeout_s, allow_new_host_key))
    for hop in hops:
        if not ADDRESS.match(hop.address):
            raise ConnectError(
                "unreachable", f"the address of a {'jump ' * hop.is_jump}host is no name and no IP address"
            )
    return hops


def by_username(secrets: Sequence[CredentialSecret]) -> list[tuple[str, list[CredentialSecret]]]:
    """Credentials grouped by user in order of first mention: SSH allows one user name per connection."""
    groups: dict[str, list[CredentialSecret]] = {}
    for secret in secrets:
        groups.setdefault(secret.username, []).append(secret)
    return list(groups.items())
