"""SSH to a host: pinned keys, each credential tried once, bounded waits, and every failure a sentence.

The only file that knows fabric and paramiko. Fabric connects (its defaults, which trust any key, look for keys, ask an
agent and read ssh_config, are all switched off here); commands then run over plain channels, because a runner of fabric
costs three threads each.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import fabric
import paramiko
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    BadHostKeyException,
    ChannelException,
    IncompatiblePeer,
    NoValidConnectionsError,
    SSHException,
)

from scanners.budget import Account, Budget, MemoryCounters
from scanners.connection import Chunk, Connection, CountedSocket, RemoteProcess, Traffic, quote, remaining_s
from scanners.contract import CredentialSecret, HostEndpoint, HostKeyPin, Limits
from scanners.diagnosis import Symptom, diagnose, safe_words
from scanners.errors import AuthError, ConnectError, HostKeyError, ScanError
from scanners.keys import PrivateKey, check_certificate, openssh_text, parse_private_key
from scanners.local import open_local
from scanners.route import Hop, by_username, plan_hops

__all__ = ["open_local", "open_ssh", "read_host_key"]

READ_BYTES = 256 << 10
IDLE_S = 1.0
PACKET_OVERHEAD_BYTES = 64  # that paramiko leaves free in each packet of a channel
KEEPALIVE_S = 10
SESSION_PATIENCE_S = 5.0
SESSION_PAUSE_S = 0.05
# Unacknowledged bytes for this long mean that the way is gone; else a cut line is only seen at the visit's deadline.
TCP_USER_TIMEOUT_MS = 30_000
# Curve25519 first: the classic and post-quantum alternatives cost up to six times the CPU per connection.
KEX = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "mlkem768x25519-sha256")
# AES-GCM needs no separate pass for a MAC over an upload.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")

_log = logging.getLogger("scanners.ssh")
# paramiko logs whole tracebacks; all that matters of them comes back as one ScanError.
_log.setLevel(logging.CRITICAL + 1)


class _UnknownHostKeyError(SSHException):  # type: ignore[misc]
    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__("unknown host key")
        self.key = key


class _Policy(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Takes an unknown key only when the job allows enrolment; a changed one never gets here."""

    def __init__(self, *, is_allowed: bool) -> None:
        self._is_allowed = is_allowed

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        del client, hostname
        if not self._is_allowed:
            raise _UnknownHostKeyError(key)


class SshProcess(RemoteProcess):
    """A command on its own channel."""

    def __init__(self, channel: paramiko.Channel, peer: str) -> None:
        self._channel = channel
        self._peer = peer
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def read(self, timeout_s: float) -> Chunk:
        self._poll.poll(timeout_s * 1000)
        # Asked before the buffers: what comes after the answer is read the next time.
        is_over = self._channel.eof_received or self._channel.closed
        out = self._channel.recv(READ_BYTES) if self._channel.recv_ready() else b""
        err = self._channel.recv_stderr(READ_BYTES) if self._channel.recv_stderr_ready() else b""
        ended = bool(is_over and not out and not err)
        if ended and not self._channel.exit_status_ready():
            self._raise_if_lost()
        return Chunk(out, err, ended)

    def write(self, data: bytes, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        view = memoryview(data)
        # What paramiko sends at once: more would be copied again for every packet.
        size = max(1, self._channel.out_max_packet_size - PACKET_OVERHEAD_BYTES)
        while view:
            self._channel.settimeout(remaining_s(deadline))
            view = view[self._send(bytes(view[:size])) :]

    def _send(self, piece: bytes) -> int:
        try:
            sent: int = self._channel.send(piece)
        except TimeoutError:
            raise
        except EOFError:
            raise ConnectError("connection_lost", f"the connection to {self._peer} broke") from None
        except OSError as error:
            self._raise_if_lost()
            raise BrokenPipeError from error
        if sent == 0:
            self._raise_if_lost()
            raise BrokenPipeError
        return sent

    def close_stdin(self) -> None:
        with contextlib.suppress(OSError, EOFError, SSHException):
            self._channel.shutdown_write()

    def wait(self, timeout_s: float) -> int | None:
        if not self._channel.status_event.wait(timeout_s):
            raise TimeoutError
        status: int = self._channel.exit_status
        if status < 0:
            self._raise_if_lost()
            return None
        return status

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError, SSHException):
            self._channel.close()

    def _raise_if_lost(self) -> None:
        if not self._channel.get_transport().is_active():
            raise ConnectError("connection_lost", f"the connection to {self._peer} broke")


class SshConnection(Connection):
    """A chain of sign-ins, the last of which is the host."""

    def __init__(self, chain: list[_SignIn], traffic: Traffic) -> None:
        self._chain = chain
        host = chain[-1]
        self._transport = host.transport
        self.peer = f"{host.secret.username}@{host.hop.name}"
        self.username = host.secret.username
        self.secret = host.secret
        self.auth_s = sum(signed_in.auth_s for signed_in in chain)
        self.traffic = traffic
        self.presented_host_keys = [_pin_of(self._transport.get_remote_server_key())]
        self.presented_jump_keys = [_pin_of(hop.transport.get_remote_server_key()) for hop in chain[:-1]]

    def start(self, argv: Sequence[str], timeout_s: float) -> RemoteProcess:
        try:
            channel = self._open_session(timeout_s)
            _exec(channel, quote(argv), timeout_s)
        except ChannelException as error:
            message = f"{self.peer} opens no session: {safe_words(error.text)}"
            raise ConnectError("connection_lost", message) from error
        except (SSHException, OSError, EOFError) as error:
            if self._transport.is_active():
                message = f"{self.peer} does not start a command: is the account restricted, does the host hang?"
                raise ConnectError("timeout", message) from error
            raise ConnectError("connection_lost", f"the connection to {self.peer} broke") from error
        return SshProcess(channel, self.peer)

    def _open_session(self, timeout_s: float) -> paramiko.Channel:
        """Where MaxSessions is 1, the server may still be ending the command before."""
        give_up = time.monotonic() + min(timeout_s, SESSION_PATIENCE_S)
        while True:
            try:
                return self._transport.open_session(timeout=timeout_s)
            except ChannelException:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(SESSION_PAUSE_S)

    def close(self) -> None:
        _close_all(self._chain)


def _exec(channel: paramiko.Channel, command: str, timeout_s: float) -> None:
    # paramiko waits for the answer to an exec request without limit, so a silent host is cut off from outside.
    watchdog = threading.Timer(timeout_s, channel.close)
    watchdog.daemon = True
    watchdog.start()
    try:
        channel.exec_command(command)
    finally:
        watchdog.cancel()


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """How often passwords may be wrong, and whether a user's second one is tried after the first was refused."""

    budget: Budget = field(default_factory=lambda: Budget(MemoryCounters()))
    try_all: bool = False


def open_ssh(
    endpoint: HostEndpoint,
    secrets: Sequence[CredentialSecret],
    limits: Limits,
    *,
    allow_new_host_key: bool = False,
    jump_secrets: Sequence[CredentialSecret | None] = (),
    passwords: PasswordPolicy | None = None,
) -> Connection:
    """Signs in to a host through its jump hosts.

    `jump_secrets` has the credential of each jump host in order; None or missing means `secrets`. Raises ConnectError,
    HostKeyError (before any authentication), AuthError.
    """
    hops = plan_hops(endpoint, secrets, jump_secrets, limits, allow_new_host_key=allow_new_host_key)
    passwords = passwords or PasswordPolicy()
    traffic = Traffic()
    chain: list[_SignIn] = []
    try:
        for hop in hops:
            chain.append(_sign_in(hop, chain[-1].connection if chain else None, traffic, passwords))
        return SshConnection(chain, traffic)
    except BaseException:
        _close_all(chain)
        raise


def read_host_key(address: str, port: int, pins: Sequence[HostKeyPin], timeout_s: float) -> HostKeyPin:
    """The key that a server proves to hold, of a pinned type where there are pins; nothing is signed in to.

    Raises ConnectError, HostKeyError.
    """
    hop = Hop(address, port, pins, [], int(timeout_s) or 1)
    pinned = _pinned_keys(hop)
    transport: paramiko.Transport | None = None
    try:
        with socket.create_connection((address, port), timeout_s) as sock:
            transport = paramiko.Transport(sock)
            transport.set_log_channel(_log.name)
            transport.banner_timeout = transport.handshake_timeout = timeout_s
            _prefer(transport.get_security_options(), pinned)
            transport.start_client(timeout=timeout_s)
            return _pin_of(transport.get_remote_server_key())
    except Exception as error:  # noqa: BLE001 - paramiko lets anything through; all of it means "not connected"
        _explain(error, hop, 0, has_pins=bool(pinned))
    finally:
        if transport is not None:
            transport.close()


@dataclass(slots=True)
class _SignIn:
    """One attempt at one hop; whatever is known of it so far."""

    hop: Hop
    connection: fabric.Connection
    transport: paramiko.Transport
    secret: CredentialSecret
    auth_s: float


def _sign_in(hop: Hop, gateway: fabric.Connection | None, traffic: Traffic, passwords: PasswordPolicy) -> _SignIn:
    """Tries the users of the hop's credentials in order; the first that gets in is it."""
    pinned = _pinned_keys(hop)
    failure = AuthError("credential_missing", f"there is no credential for {hop.words}")
    for username, secrets in by_username(hop.secrets):
        try:
            authentication = _Authentication(hop, username, secrets, passwords)
            return _Dial(hop, pinned, authentication, traffic).open(gateway)
        except AuthError as error:
            failure = error
    raise failure


class _Dial:
    """Connects to one hop as one user."""

    def __init__(
        self, hop: Hop, pinned: list[paramiko.PKey], authentication: _Authentication, traffic: Traffic
    ) -> None:
        self._hop = hop
        self._pinned = pinned
        self._authentication = authentication
        self._traffic = traffic
        self._wire: CountedSocket | None = None
        self._transport: paramiko.Transport | None = None

    def open(self, gateway: fabric.Connection | None) -> _SignIn:
        connection = self._prepare(gateway)
        begun = time.monotonic()
        try:
            connection.open()
        except ScanError:
            self._abandon(connection)
            raise
        except Exception as error:  # noqa: BLE001 - paramiko lets anything through; all of it means "not connected"
            received = self._wire.received_bytes if self._wire else 0
            # paramiko's own clock of the handshake ends it as if the other side had hung up.
            has_expired = isinstance(error, EOFError) and time.monotonic() - begun >= self._hop.timeout_s
            self._abandon(connection)
            _explain(TimeoutError() if has_expired else error, self._hop, received, has_pins=bool(self._pinned))
        if self._wire is None or self._transport is None:
            raise ConnectError("connection_lost", f"the connection to {self._hop.words} broke")
        self._wire.is_signed_in = True
        # paramiko looks ten times a second whether it should stop; `close` wakes it, so once is enough for the rest.
        self._wire.settimeout(IDLE_S)
        self._transport.set_keepalive(KEEPALIVE_S)
        return _SignIn(self._hop, connection, self._transport, self._authentication.secret, self._authentication.took_s)

    def _prepare(self, gateway: fabric.Connection | None) -> fabric.Connection:
        hop, timeout_s = self._hop, self._hop.timeout_s
        connection = fabric.Connection(
            host=hop.address, port=hop.port, user=self._authentication.username, gateway=gateway, forward_agent=False,
            config=_fabric_config(), connect_timeout=timeout_s,
            connect_kwargs={
                "banner_timeout": timeout_s, "auth_timeout": timeout_s, "channel_timeout": timeout_s,
                "transport_factory": self._build_transport, "auth_strategy": self._authentication,
            },
        )  # fmt: skip
        client = connection.client
        client.set_log_channel(_log.name)
        client.set_missing_host_key_policy(_Policy(is_allowed=hop.allow_new_host_key and not hop.pins))
        known_as = hop.address if hop.port == paramiko.config.SSH_PORT else f"[{hop.address}]:{hop.port}"
        for key in self._pinned:
            client.get_host_keys().add(known_as, key.get_name(), key)
        return connection

    def _build_transport(self, sock: Any, disabled_algorithms: dict[str, Any] | None = None) -> paramiko.Transport:
        # Bytes through a jump host's channel are on the wire once, inside the first hop's socket.
        is_socket = isinstance(sock, socket.socket)
        self._wire = CountedSocket(sock, self._traffic if is_socket else Traffic())
        if is_socket:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(self._wire, disabled_algorithms=disabled_algorithms)
        transport.handshake_timeout = self._hop.timeout_s
        _prefer(transport.get_security_options(), self._pinned)
        self._transport = transport
        return transport

    def _abandon(self, connection: fabric.Connection) -> None:
        with contextlib.suppress(Exception):
            connection.client.close()
        if self._transport is not None:
            self._transport.close()


def _fabric_config() -> fabric.Config:
    """Lazy, so that neither fabric's own files (which may be Python) nor ssh_config are ever read.

    A new one for each connection: fabric merges it anew while it builds one, and other threads would find it empty.
    """
    return fabric.Config(lazy=True)


def _prefer(options: paramiko.SecurityOptions, pinned: list[paramiko.PKey]) -> None:
    options.kex = _first(KEX, options.kex)
    options.ciphers = _first(CIPHERS, [name for name in options.ciphers if not name.endswith("-cbc")])
    if pinned:
        # A host has keys of several types; only one of a pinned type can be compared.
        wanted = {name for key in pinned for name in _algorithms(key)}
        options.key_types = [name for name in options.key_types if name in wanted]


def _first(preferred: Sequence[str], known: Sequence[str]) -> list[str]:
    return [name for name in preferred if name in known] + [name for name in known if name not in preferred]


def _algorithms(key: paramiko.PKey) -> list[str]:
    name = key.get_name()
    return ["rsa-sha2-512", "rsa-sha2-256"] if name == "ssh-rsa" else [name]


def _pinned_keys(hop: Hop) -> list[paramiko.PKey]:
    keys = []
    for pin in hop.pins:
        with contextlib.suppress(SSHException, paramiko.pkey.UnknownKeyType, ValueError):
            keys.append(paramiko.PKey.from_type_string(pin.key_type, base64.b64decode(pin.public_key)))
    if hop.pins and not keys:
        message = f"none of the keys pinned for {hop.words} is of a type that is still accepted: enrol it again"
        raise HostKeyError("host_key_unknown", message)
    return keys


def _pin_of(key: paramiko.PKey) -> HostKeyPin:
    return HostKeyPin(key_type=key.get_name(), public_key=key.get_base64())


def _close_all(chain: list[_SignIn]) -> None:
    for signed_in in reversed(chain):
        with contextlib.suppress(Exception):
            signed_in.connection.client.close()


PAUSED = "too many wrong passwords within half an hour: none is tried, so that the account is not locked"

# --- authentication ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Authentication:
    """What fabric calls a strategy: each key of a user once, then by default one password, so that no account locks."""

    hop: Hop
    username: str
    secrets: list[CredentialSecret]
    passwords: PasswordPolicy
    keys: list[tuple[CredentialSecret, paramiko.PKey]] = field(init=False)
    secret: CredentialSecret = field(init=False)
    tried: list[str] = field(default_factory=list)
    code: str = ""
    is_paused: bool = False
    was_wrong: bool = False
    took_s: float = 0.0

    def __post_init__(self) -> None:
        self.secret = self.secrets[0]
        self.keys = []
        for secret in self.secrets:
            if secret.private_key:
                self._add_key(secret)
        if not self.keys and not self._with_password():
            reason = self.tried[0] if self.tried else "neither a key nor a password"
            raise AuthError(
                self.code or "credential_missing",
                f"the credential for {self.username} on {self.hop.words} has {reason}",
            )

    def _add_key(self, secret: CredentialSecret) -> None:
        try:
            parsed = parse_private_key(secret)
            if secret.certificate:
                check_certificate(secret.certificate, parsed)
            key = _to_paramiko(parsed)
            if secret.certificate:
                key.load_certificate(secret.certificate.strip())
            self.keys.append((secret, key))
        except AuthError as error:
            self.tried.append(error.message)
            self.code = self.code or error.code

    def _with_password(self) -> list[CredentialSecret]:
        found = [secret for secret in self.secrets if secret.password]
        return found if self.passwords.try_all else found[:1]

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Called by paramiko once the host key is accepted. Raises AuthError, ConnectError."""
        begun = time.monotonic()
        self._try_all(transport)
        self.took_s = time.monotonic() - begun

    def _try_all(self, transport: paramiko.Transport) -> None:
        for secret, key in self.keys:
            attempt = functools.partial(transport.auth_publickey, self.username, key)
            if self._is_in(
                transport, secret, attempt, f"the {'certificate' * bool(secret.certificate) or 'key'} {key.fingerprint}"
            ):
                return
        for secret in self._with_password():
            if self._is_in_by_password(transport, secret):
                return
        if self.is_paused and not self.tried:
            message = f"{PAUSED} for user {self.username} on {self.hop.words}"
            raise AuthError("auth_paused", message)
        message = f"{self.hop.words} refused {' and '.join(self.tried)} of user {self.username}"
        raise AuthError("auth_rejected", message + f" ({PAUSED})" * self.is_paused)

    def _is_in_by_password(self, transport: paramiko.Transport, secret: CredentialSecret) -> bool:
        budget = self.passwords.budget
        account = Account(self.hop.name, self.username, credential=secret.id)
        if not budget.take(account):
            self.is_paused = True
            return False
        self.was_wrong = True
        attempt = functools.partial(transport.auth_password, self.username, secret.password)
        try:
            if self._is_in(transport, secret, attempt, "the password"):
                budget.succeeded(account)
                return True
        except AuthError:
            budget.failed(account)
            raise
        if self.was_wrong:
            budget.failed(account)
        else:
            budget.release(account)
        return False

    def _is_in(
        self, transport: paramiko.Transport, secret: CredentialSecret, attempt: Callable[[], list[str]], what: str
    ) -> bool:
        try:
            still_wanted = attempt()
        except BadAuthenticationType as error:
            self.tried.append(f"{what} (it takes {safe_words(', '.join(error.allowed_types))})")
            self.was_wrong = False
            return False
        except AuthenticationException as error:
            self._raise_unless_answered(transport, error, what)
            self.tried.append(what)
            return False
        if still_wanted:
            self.tried.append(f"{what} (taken, but it also wants {safe_words(', '.join(still_wanted))})")
            self.was_wrong = False
            return False
        self.secret = secret
        return True

    def _raise_unless_answered(self, transport: paramiko.Transport, error: Exception, what: str) -> None:
        if "timeout" in str(error).lower():
            message = f"{self.hop.words} did not answer to {what} within {self.hop.timeout_s} s"
            raise ConnectError("timeout", message) from None
        if not transport.is_active():
            # As after too many tries: counted as a refusal, so that it is not repeated.
            message = f"{self.hop.words} hung up on {what} of user {self.username}"
            raise AuthError("auth_rejected", message) from None


def _to_paramiko(key: PrivateKey) -> paramiko.PKey:
    if isinstance(key, rsa.RSAPrivateKey):
        return paramiko.RSAKey(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return paramiko.ECDSAKey(vals=(key, key.public_key()))
    return paramiko.Ed25519Key.from_private_key(io.StringIO(openssh_text(key)))


# --- errors --------------------------------------------------------------------------------------------------------

_CHANGED_ADVICE = (
    ": somebody may be between, or the host was installed again. Nothing was sent to it. "
    "Compare the fingerprint on the host itself before you accept the new key"
)


def _explain(error: Exception, hop: Hop, received_bytes: int, *, has_pins: bool) -> NoReturn:
    """Turns whatever paramiko or a socket raised while connecting into one ScanError."""
    if isinstance(error, (BadHostKeyException, _UnknownHostKeyError)):
        raise _host_key_error(error, hop) from None
    if isinstance(error, IncompatiblePeer) and "host key" in str(error) and has_pins:
        message = f"{hop.words} has no key of a pinned type ({hop.pins[0].key_type}) any more{_CHANGED_ADVICE}"
        raise HostKeyError("host_key_changed", message) from None
    if isinstance(error, ChannelException):
        raise ConnectError("jump_failed", f"the jump host cannot reach {hop.name}: {safe_words(error.text)}") from error
    # paramiko words a silent server and one that hangs up alike; what it caught underneath tells them apart.
    waited = " (timed out)" if isinstance(error.__context__, TimeoutError) else ""
    symptom = Symptom(
        text=str(error) + waited,
        number=_number(error),
        received_bytes=received_bytes,
        is_name_unknown=isinstance(error, socket.gaierror),
        is_timeout=isinstance(error, TimeoutError),
        is_incompatible=isinstance(error, IncompatiblePeer),
    )
    code, sentence = diagnose(symptom, hop.words, hop.timeout_s)
    raise ConnectError("jump_failed" if hop.is_jump else code, sentence) from error


def _host_key_error(error: BadHostKeyException | _UnknownHostKeyError, hop: Hop) -> HostKeyError:
    pin = _pin_of(error.key)
    fingerprint = error.key.fingerprint
    if isinstance(error, BadHostKeyException):
        message = f"{hop.words} shows another host key than the pinned one, {fingerprint}{_CHANGED_ADVICE}"
        raised = HostKeyError("host_key_changed", message)
    else:
        message = f"the host key of {hop.words} is not known yet ({pin.key_type} {fingerprint}): enrol it first"
        raised = HostKeyError("host_key_unknown", message)
    if not hop.is_jump:
        raised.presented = (pin.key_type, pin.public_key)
    return raised


def _number(error: Exception) -> int | None:
    if isinstance(error, NoValidConnectionsError):
        return next((inner.errno for inner in error.errors.values()), None)
    return error.errno if isinstance(error, OSError) else None
