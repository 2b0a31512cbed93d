"""Why a connection failed, as a stable code and a sentence that tells what to look at. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass

_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


@dataclass(frozen=True, slots=True)
class Symptom:
    """What was seen: the error's text and number, and how many bytes the other side had sent by then."""

    text: str
    number: int | None = None
    received_bytes: int = 0
    is_name_unknown: bool = False
    is_timeout: bool = False
    is_incompatible: bool = False


def diagnose(symptom: Symptom, name: str, timeout_s: int) -> tuple[str, str]:
    """Code of ConnectError and sentence."""
    if symptom.is_name_unknown:
        return "unreachable", f"the name of {name} does not resolve: is it spelled right?"
    if symptom.number == errno.ECONNREFUSED:
        return "refused", f"nothing listens on {name}: is sshd running, is the port right?"
    if symptom.is_timeout or symptom.number == errno.ETIMEDOUT:
        return "timeout", f"no answer from {name} within {timeout_s} s: is the host up, does a firewall drop packets?"
    if symptom.number in _NO_ROUTE:
        return "unreachable", f"there is no route to {name}: is the host up, is the network right?"
    if symptom.is_incompatible:
        return "not_ssh", f"{name} and this program share no algorithm: {safe_words(symptom.text)}"
    return _diagnose_handshake(symptom, name, timeout_s)


def _diagnose_handshake(symptom: Symptom, name: str, timeout_s: int) -> tuple[str, str]:
    text = symptom.text.lower()
    is_greeting = "banner" in text or "protocol version" in text
    if is_greeting and symptom.received_bytes:
        return "not_ssh", f"what answers on {name} does not speak SSH: is the port right?"
    if is_greeting and "time" in text:
        return "timeout", f"{name} takes the connection but says nothing for {timeout_s} s: is that port SSH?"
    if is_greeting:
        sentence = f"{name} hung up before its SSH greeting: too many connections, or is this address blocked there?"
        return "connection_lost", sentence
    if "no existing session" in text or "time" in text:
        return "timeout", f"{name} did not finish the SSH handshake within {timeout_s} s"
    return "connection_lost", f"{name} broke off the SSH handshake: {safe_words(symptom.text) or 'no reason given'}"


def safe_words(text: str, limit: int = 200) -> str:
    """Text that may come from the host, cut and made safe to show."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:limit]
