"""Secrets from a HashiCorp Vault at the time of a visit: KV v2 and one-time passwords for SSH, by its HTTP API.

Two requests need no client library: `http.client` follows no redirect, reads no proxy variables, and verifies TLS.
Where it connects to is bounded so: only https (http to a loopback address alone), only the host that stands in the
sealed credential, which people with the right to credentials wrote. Of an answer nothing is shown but its status.

References: the API documentation of Vault, "KV secrets engine v2" (read secret version) and "SSH secrets engine"
(generate SSH credentials).
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from scanners.contract import CredentialSecret, VaultEngine, VaultSource
from scanners.errors import AuthError
from scanners.route import ADDRESS

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1 << 20
FIELDS = ("username", "password", "private_key", "passphrase", "certificate", "become_password")
_SEGMENTS = re.compile(r"[^/\x00-\x1f?#%\\]+(?:/[^/\x00-\x1f?#%\\]+)*")


def resolve(secret: CredentialSecret, address: str) -> CredentialSecret:
    """The secret with what its Vault says for this host; unchanged without a Vault.

    Raises AuthError `vault_refused`, `vault_unreachable`; the message holds neither token nor answer.
    """
    source = secret.vault
    if source is None:
        return secret
    if not ADDRESS.match(address):
        raise AuthError("vault_refused", "the address of the host is no name and no IP address")
    path = source.path.replace("{host}", address)
    if source.engine is VaultEngine.SSH_OTP:
        body = {"ip": _ip(address), "username": secret.username}
        data = _ask(source, "POST", f"{_clean(source.mount)}/creds/{_clean(path)}", body)
        return msgspec.structs.replace(secret, password=_text(data, "key", required=True), vault=None)
    data = _ask(source, "GET", f"{_clean(source.mount)}/data/{_clean(path)}", None).get("data", {})
    if not isinstance(data, dict):
        raise AuthError("vault_refused", f"{_name(source)} holds no secret of KV version 2 there: was it deleted?")
    found = {name: text for name in FIELDS if (text := _text(data, name))}
    if not found.keys() & {"password", "private_key"}:
        raise AuthError("vault_refused", f"the secret in {_name(source)} has neither password nor private_key")
    return _replace(secret, found)


def resolve_all(secrets: Sequence[CredentialSecret], address: str) -> tuple[list[CredentialSecret], AuthError | None]:
    """Those that can be had, and why one of the others could not: a Vault that is down keeps no key from being tried.

    Raises AuthError when none is left.
    """
    found: list[CredentialSecret] = []
    failure: AuthError | None = None
    for secret in secrets:
        try:
            found.append(resolve(secret, address))
        except AuthError as error:
            failure = error
    if failure is not None and not found:
        raise failure
    return found, failure


def _replace(secret: CredentialSecret, found: dict[str, str]) -> CredentialSecret:
    whole = msgspec.structs.replace(secret, vault=None, **found)
    try:
        # Bounds of the fields hold for what comes from outside, too.
        return msgspec.convert(msgspec.to_builtins(whole), CredentialSecret)
    except msgspec.ValidationError:
        raise AuthError("vault_refused", "a field of the secret is longer than any secret may be") from None


def check_source(source: VaultSource) -> None:
    """Whether this can be asked at all. Raises AuthError `vault_refused`."""
    _split(source.url)
    _clean(source.mount)
    _clean(source.path)


def _split(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises AuthError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AuthError("vault_refused", "the address of the Vault is no URL") from None
    host = parts.hostname or ""
    if parts.username or parts.query or parts.fragment or parts.path not in ("", "/") or not ADDRESS.match(host):
        raise AuthError("vault_refused", "give the address of the Vault as https://HOST:PORT and nothing more")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise AuthError("vault_refused", "a Vault is only asked over https")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _clean(path: str) -> str:
    """A path as it stands in a URL. Raises AuthError for one that could lead elsewhere."""
    if not _SEGMENTS.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise AuthError("vault_refused", "mount or path of the secret is no path of a Vault")
    return quote(path)


def _name(source: VaultSource) -> str:
    return f"the Vault {urlsplit(source.url).hostname}"


def _ask(source: VaultSource, method: str, path: str, body: dict[str, str] | None) -> dict[str, Any]:
    """The `data` of an answer. Raises AuthError."""
    scheme, host, port = _split(source.url)
    headers = {"X-Vault-Token": source.token, "X-Vault-Request": "true", "Content-Type": "application/json"}
    if source.namespace:
        headers["X-Vault-Namespace"] = source.namespace
    connection = _connect(scheme, host, port, source)
    try:
        connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read(MAX_ANSWER_BYTES + 1)
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message
        raise AuthError("vault_refused", f"the certificate of {_name(source)} does not hold: {reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise AuthError("vault_unreachable", f"{_name(source)} does not answer: {_why(error)}") from None
    except ValueError:
        raise AuthError("vault_refused", "the token or namespace has characters that no header can hold") from None
    finally:
        connection.close()
    return _read(source, answer.status, text)


def _connect(scheme: str, host: str, port: int, source: VaultSource) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        context = ssl.create_default_context(cadata=source.ca_certificate or None)
    except (ssl.SSLError, ValueError):
        raise AuthError("vault_refused", "the CA certificate of the Vault cannot be read") from None
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {TIMEOUT_S:.0f} s"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


_MEANINGS = {
    400: "it does not take the request: do mount, path and role fit?",
    403: "it refuses the token: is it right, has it expired, does its policy allow this path?",
    404: "it has no such secret: do mount and path fit?",
    503: "it is sealed or under maintenance",
}


def _read(source: VaultSource, status: int, text: bytes) -> dict[str, Any]:
    if status != http.HTTPStatus.OK:
        code = "vault_unreachable" if status >= 500 or status == 429 else "vault_refused"
        raise AuthError(code, f"{_name(source)}: {_MEANINGS.get(status, f'it answers with status {status}')}")
    try:
        document = json.loads(text) if len(text) <= MAX_ANSWER_BYTES else None
    except (ValueError, RecursionError):
        document = None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise AuthError("vault_refused", f"{_name(source)} gives no answer of a Vault: is the address right?")
    return data


def _text(data: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = data.get(name, "")
    if not isinstance(value, str) or (required and not value):
        raise AuthError("vault_refused", f"the Vault's field {name} is no text")
    return value


def _ip(address: str) -> str:
    """What the SSH engine wants of a host. Raises AuthError `vault_unreachable` when a name does not resolve."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise AuthError("vault_unreachable", f"the name {address} does not resolve to ask the Vault about") from None
