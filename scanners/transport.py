"""SSH to a host: pinned keys, each credential tried once, bounded waits, and every failure a sentence.

The only file that knows fabric, and with `packets.py` paramiko. Fabric connects (its defaults, which trust any key,
look for keys, ask an agent and read ssh_config, are all switched off here); commands then run over plain channels,
because a runner of fabric costs three threads each.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import hashlib
import io
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

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
from scanners.connection import (
    Chunk,
    Connection,
    CountedSocket,
    RemoteProcess,
    Traffic,
    no_patience_s,
    quote,
    remaining_s,
)
from scanners.contract import CredentialSecret, HostEndpoint, HostKeyPin, Limits, encode
from scanners.diagnosis import Symptom, diagnose, safe_words
from scanners.errors import AuthError, ConnectError, HostKeyError, ScanError
from scanners.hashicorp import resolve_all
from scanners.keys import PrivateKey, check_certificate, openssh_text, parse_private_key
from scanners.local import open_local
from scanners.packets import BoundedAnswer, Packetizer, Transport, send_burst
from scanners.route import Hop, by_username, plan_hops
from scanners.shared import Lease, SharedLinks

__all__ = ["open_local", "open_ssh", "read_greeting", "read_host_key"]

READ_BYTES = 256 << 10
# How often a connection on which nothing comes is looked after; a jump host's channel counts sends by it too.
IDLE_S = 5.0
JUMP_STREAM_IDLE_S = 1.0
LOOK_AGAIN_S = 1.0
# sshd sends a packet for each 64 KiB that a command took of an upload. As long as so much is still to be taken, or may
# still be sent, nobody waits for them, and together they cost less.
PATIENCE_S = 0.05
AMPLE_BYTES = 512 << 10
KEEPALIVE_S = 10
SESSION_PATIENCE_S = 5.0
SESSION_PAUSE_S = 0.05
# Of each sign-in to a jump host: visits over it at a time, seconds until it is closed when there are none, and until it
# is left for a new one however busy it is. sshd bounds sessions of a connection (MaxSessions), not what is passed on.
JUMP_VISITS = 64
JUMP_IDLE_S = 60.0
JUMP_AGE_S = 3600.0
# However short the wait for what lies behind it is.
JUMP_SIGN_IN_S = 15
# Streams that a jump host did not open in time: it goes on trying, for two minutes each, until its connection ends.
JUMP_ABANDONED = 100
# RFC 4254, 5.1: the jump host could not reach what it was asked for; all else says that it does not pass on.
CONNECT_FAILED = 2
# RFC 4253, 4.2: at most 255 characters; other lines may come before it.
MAX_GREETING_BYTES = 1024
# A sign-in has three waits of `connect_timeout_s`: for the connection, the key exchange and the authentication.
SIGN_IN_WAITS = 3
# How long the end of a jump host's connection may take to be known after that of what went over it.
LOSS_PATIENCE_S = 0.2
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

    def __init__(self, channel: paramiko.Channel, lost: Callable[[], ConnectError]) -> None:
        self._channel = channel
        self._wire: CountedSocket = channel.get_transport().sock
        self._window: int = channel.out_window_size
        self._unsent = 0
        self._lost = lost
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def read(self, timeout_s: float) -> Chunk:
        # Where both streams move at once, paramiko may take back the sign that one of them has something.
        self._poll.poll(min(timeout_s, LOOK_AGAIN_S) * 1000)
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
        self._wire.get_patience_s = self._patience_s
        try:
            while view:
                self._unsent = len(view)
                self._channel.settimeout(remaining_s(deadline))
                view = view[self._send(view) :]
        finally:
            self._unsent = 0

    def _patience_s(self) -> float:
        """How long nothing can come that anybody waits for: no answer, and no room that is needed."""
        room = self._channel.out_window_size
        is_needed = self._unsent and room < AMPLE_BYTES
        return 0.0 if is_needed or self._window - room < AMPLE_BYTES else PATIENCE_S

    def _send(self, data: memoryview) -> int:
        try:
            sent = send_burst(self._channel, data)
        except TimeoutError:
            raise
        except EOFError:
            raise self._lost() from None
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
        self._wire.get_patience_s = no_patience_s
        with contextlib.suppress(OSError, EOFError, SSHException):
            self._channel.close()

    def _raise_if_lost(self) -> None:
        if not self._channel.get_transport().is_active():
            raise self._lost()


class SshConnection(Connection):
    """A sign-in to a host."""

    def __init__(self, host: _SignIn, traffic: Traffic) -> None:
        self._host = host
        self._transport = host.transport
        self.peer = f"{host.secret.username}@{host.hop.name}"
        self.username = host.secret.username
        self.secret = host.secret
        self.auth_s = host.auth_s
        self.traffic = traffic
        self.presented_host_keys = [_pin_of(self._transport.get_remote_server_key())]
        self.presented_jump_keys = [_pin_of(jump.transport.get_remote_server_key()) for jump in host.jumps]

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
            raise self._host.lost() from error
        return SshProcess(channel, self._host.lost)

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
        self._host.close()


def _exec(channel: paramiko.Channel, command: str, timeout_s: float) -> None:
    channel.event = BoundedAnswer(channel, timeout_s)
    channel.exec_command(command)


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
    """Signs in to a host, over sign-ins to its jump hosts that all visits of this process share.

    `jump_secrets` has the credential of each jump host in order; None or missing means `secrets`. What lies in a Vault
    is asked for where it is used. Raises ConnectError, HostKeyError (before any authentication), AuthError.
    """
    *jumps, host = plan_hops(endpoint, secrets, jump_secrets, limits, allow_new_host_key=allow_new_host_key)
    traffic = Traffic()
    return SshConnection(_sign_in(host, jumps, traffic, passwords or PasswordPolicy()), traffic)


def read_host_key(
    endpoint: HostEndpoint,
    timeout_s: int,
    jump_secrets: Sequence[CredentialSecret | None] = (),
    passwords: PasswordPolicy | None = None,
) -> HostKeyPin:
    """The key that a server proves to hold, of a pinned type where there are pins; nothing is signed in to.

    Raises ConnectError, HostKeyError.
    """
    *jumps, hop = plan_hops(endpoint, [], jump_secrets, Limits(connect_timeout_s=timeout_s), allow_new_host_key=False)
    pinned = _pinned_keys(hop)
    transport: paramiko.Transport | None = None
    with _open_stream(hop, jumps, passwords or PasswordPolicy()) as stream:
        try:
            transport = paramiko.Transport(CountedSocket(stream, Traffic()))
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


def read_greeting(
    endpoint: HostEndpoint,
    timeout_s: int,
    jump_secrets: Sequence[CredentialSecret | None] = (),
    passwords: PasswordPolicy | None = None,
) -> str | None:
    """What an SSH server behind jump hosts greets with; None for whatever else is there, or nobody.

    Raises ConnectError, AuthError and HostKeyError when the jump hosts do not let through: then nobody could look.
    """
    *jumps, hop = plan_hops(endpoint, [], jump_secrets, Limits(connect_timeout_s=timeout_s), allow_new_host_key=False)
    give_up = time.monotonic() + timeout_s
    said = b""
    try:
        with _open_stream(hop, jumps, passwords or PasswordPolicy()) as stream:
            while b"\n" not in said.partition(b"SSH-")[2] and len(said) < MAX_GREETING_BYTES:
                stream.settimeout(remaining_s(give_up))
                if not (piece := stream.recv(MAX_GREETING_BYTES - len(said))):
                    break
                said += piece
    except _NobodyThereError:
        return None
    except OSError:  # also its time being over
        pass
    return next((safe_words(line.decode("utf-8", "replace").rstrip("\r"), 255) for line in said.split(b"\n")
                 if line.startswith(b"SSH-")), None)  # fmt: skip


@contextlib.contextmanager
def _open_stream(hop: Hop, jumps: Sequence[Hop], passwords: PasswordPolicy) -> Iterator[Any]:
    """A connection to the hop, directly or through jump hosts, on which nothing was said. Raises ConnectError."""
    if jumps:
        patient = [dataclasses.replace(jump, timeout_s=max(jump.timeout_s, JUMP_SIGN_IN_S)) for jump in jumps]
        way, stream = _open_way(hop, patient, passwords)
        try:
            yield stream
        finally:
            if stream is not None:
                stream.close()
            if way is not None:
                way.release()
        return
    try:
        sock = socket.create_connection((hop.address, hop.port), hop.timeout_s)
    except OSError as error:
        _explain(error, hop, 0, has_pins=bool(hop.pins))
    with sock:
        yield sock


def _finish_later(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """The other side has closed: an end of what can be read, until ours closes too."""
    if channel.closed:
        channel._handle_close(message)
    else:
        channel._handle_eof(message)


class _JumpTransport(Transport):
    """To a jump host, where one misplaced message would end the visits of all.

    paramiko answers a close in the thread that reads, while another may be about to send data on the same channel.
    That data then comes for a channel that is none any more, and sshd ends the connection ("data packet referred to
    nonexistent channel"), or, when its number is in use again, reaches another visit. So closing is left to `_Stream`.
    """

    _channel_handler_table: ClassVar = {
        **paramiko.Transport._channel_handler_table,
        paramiko.common.MSG_CHANNEL_CLOSE: _finish_later,
    }


class _Stream:
    """A jump host's channel as a socket, on which nothing is sent once it is closed."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._order = threading.Lock()

    def send(self, data: bytes) -> int:
        # Waits for room in the channel's window as long as the socket's timeout: a second at most.
        with self._order:
            sent: int = self._channel.send(data)
        return sent

    def close(self) -> None:
        with self._order:
            self._channel.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


@dataclass(eq=False)
class _SignIn:
    """Signed in to one hop, over the sign-in to the jump host before it where there is one (`way`)."""

    hop: Hop
    connection: fabric.Connection
    transport: paramiko.Transport
    secret: CredentialSecret
    auth_s: float
    way: Lease[_SignIn] | None
    abandoned: int = 0

    @property
    def jumps(self) -> list[_SignIn]:
        """The jump hosts before it, first hop first."""
        return [*self.way.link.jumps, self.way.link] if self.way else []

    def is_alive(self) -> bool:
        return bool(self.transport.is_active()) and all(jump.transport.is_active() for jump in self.jumps)

    def is_worn(self) -> bool:
        return self.abandoned >= JUMP_ABANDONED

    def lost(self) -> ConnectError:
        """What to say when it turns out to be gone."""
        return _lost_way(self.way, self.hop) or ConnectError(
            "connection_lost", f"the connection to {self.secret.username}@{self.hop.name} broke"
        )

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.connection.client.close()
        if self.way is not None:
            self.way.release()


_ways: SharedLinks[_SignIn] = SharedLinks(most_users=JUMP_VISITS, idle_s=JUMP_IDLE_S, age_s=JUMP_AGE_S)
# Tells credentials apart without keeping them.
_way_mark = os.urandom(32)


def _lease_way(jumps: Sequence[Hop], passwords: PasswordPolicy) -> Lease[_SignIn] | None:
    """The sign-in to the last of the jump hosts, through those before it."""
    if not jumps:
        return None
    *before, last = jumps
    wait_s = SIGN_IN_WAITS * sum(jump.timeout_s for jump in jumps)
    return _ways.lease(_way_key(jumps, passwords), lambda: _sign_in(last, before, Traffic(), passwords), wait_s)


def _way_key(jumps: Sequence[Hop], passwords: PasswordPolicy) -> bytes:
    """Equal where address, pinned keys and credentials are, whatever their order, and what is allowed is."""
    key = hashlib.blake2b(key=_way_mark)
    for jump in jumps:
        parts = [f"{jump.name} {jump.allow_new_host_key} {passwords.try_all}".encode()]
        for many in (jump.pins, jump.secrets):
            parts += [b"", *sorted(hashlib.blake2b(encode(one), key=_way_mark).digest() for one in many)]
        for part in parts:
            key.update(len(part).to_bytes(4) + part)
    return key.digest()


def _lost_way(way: Lease[_SignIn] | None, hop: Hop) -> ConnectError | None:
    """What to say when the way through jump hosts is gone; None where it is there, or there never was one."""
    if way is None:
        return None
    give_up = time.monotonic() + LOSS_PATIENCE_S
    while way.link.is_alive():
        if time.monotonic() > give_up:
            return None
        time.sleep(LOSS_PATIENCE_S / 10)
    gone = next((jump for jump in way.link.jumps if not jump.transport.is_active()), way.link)
    return ConnectError("jump_failed", f"the connection to {gone.hop.words} broke, and with it that to {hop.name}")


def _open_way(
    hop: Hop, jumps: Sequence[Hop], passwords: PasswordPolicy
) -> tuple[Lease[_SignIn] | None, _Stream | None]:
    """A stream to a hop from the last of the jump hosts, if there are any.

    Raises ConnectError `jump_failed`, and what a sign-in to a jump host raises.
    """
    for is_again in (False, True):
        way = _lease_way(jumps, passwords)
        if way is None:
            break
        try:
            place = (hop.address, hop.port)
            channel = way.link.transport.open_channel("direct-tcpip", place, ("", 0), timeout=hop.timeout_s)
        except Exception as error:  # paramiko lets anything through
            failure = _explain_channel(error, way, hop)
            # One that broke while nobody used it, or between two visits, is opened anew once.
            is_worth_it = not (way.link.is_alive() or way.is_fresh or is_again)
            way.release()
            if not is_worth_it:
                raise failure from error
        else:
            return way, _Stream(channel)
    return None, None


def _explain_channel(error: Exception, way: Lease[_SignIn], hop: Hop) -> ConnectError:
    jump = way.link.hop.words
    if isinstance(error, ChannelException):
        kind = _NobodyThereError if error.code == CONNECT_FAILED else ConnectError
        return kind("jump_failed", f"{jump} cannot reach {hop.name}: {safe_words(error.text)}")
    if (lost := _lost_way(way, hop)) is not None:
        return lost
    way.link.abandoned += 1
    return _NobodyThereError("jump_failed", f"{jump} did not reach {hop.name} within {hop.timeout_s} s")


class _NobodyThereError(ConnectError):
    """The jump host does pass on, but nobody answers it."""


def _sign_in(hop: Hop, jumps: Sequence[Hop], traffic: Traffic, passwords: PasswordPolicy) -> _SignIn:
    """Tries the users of the hop's credentials in order; the first that gets in is it."""
    pinned = _pinned_keys(hop)
    failure = AuthError("credential_missing", f"there is no credential for {hop.words}")
    resolved, unresolved = resolve_all(hop.secrets, hop.address)
    for username, secrets in by_username(resolved):
        try:
            dial = _Dial(hop, pinned, _Authentication(hop, username, secrets, passwords), traffic)
        except AuthError as error:
            failure = error
            continue
        # A jump host that refuses is asked no second time for another user of the host.
        way, stream = _open_way(hop, jumps, passwords)
        try:
            return dial.open(way, stream)
        except AuthError as error:
            failure = error
    if unresolved is not None:
        # What the Vault did not tell might have got in, so its reason decides whether to try again.
        raise AuthError(unresolved.code, f"{failure.message}; {unresolved.message}")
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

    def open(self, way: Lease[_SignIn] | None, stream: _Stream | None) -> _SignIn:
        """Over a stream from a jump host, or directly. The way is released when it fails."""
        try:
            return self._open(way, stream)
        except BaseException:
            if stream is not None:
                stream.close()
            if way is not None:
                way.release()
            raise

    def _open(self, way: Lease[_SignIn] | None, stream: _Stream | None) -> _SignIn:
        connection = self._prepare(stream)
        begun = time.monotonic()
        try:
            connection.open()
        except ScanError:
            self._abandon(connection)
            raise
        except Exception as error:
            received = self._wire.received_bytes if self._wire else 0
            # paramiko's own clock of the handshake ends it as if the other side had hung up.
            has_expired = isinstance(error, EOFError) and time.monotonic() - begun >= self._hop.timeout_s
            self._abandon(connection)
            if not isinstance(error, (BadHostKeyException, _UnknownHostKeyError)) and (
                lost := _lost_way(way, self._hop)
            ):
                raise lost from error
            _explain(TimeoutError() if has_expired else error, self._hop, received, has_pins=bool(self._pinned))
        if self._wire is None or self._transport is None:
            raise ConnectError("connection_lost", f"the connection to {self._hop.words} broke")
        self._wire.is_signed_in = True
        # paramiko looks ten times a second whether it should stop; `close` wakes it, so the keepalive needs it at most.
        self._wire.settimeout(IDLE_S if stream is None else JUMP_STREAM_IDLE_S)
        self._transport.set_keepalive(KEEPALIVE_S)
        own = self._authentication
        return _SignIn(self._hop, connection, self._transport, own.secret, own.took_s, way)

    def _prepare(self, stream: _Stream | None) -> fabric.Connection:
        hop, timeout_s = self._hop, self._hop.timeout_s
        connection = _Connection(
            host=hop.address, port=hop.port, user=self._authentication.username, forward_agent=False,
            config=_fabric_config, connect_timeout=timeout_s,
            connect_kwargs={
                "banner_timeout": timeout_s, "auth_timeout": timeout_s, "channel_timeout": timeout_s, "sock": stream,
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
        # Through a jump host's channel a visit counts its own bytes; what the jump host's connection adds is nobody's.
        self._wire = CountedSocket(sock, self._traffic)
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        build = _JumpTransport if self._hop.is_jump else Transport
        transport = build(self._wire, disabled_algorithms=disabled_algorithms, packetizer_class=Packetizer)
        transport.handshake_timeout = self._hop.timeout_s
        _prefer(transport.get_security_options(), self._pinned)
        self._transport = transport
        return transport

    def _abandon(self, connection: fabric.Connection) -> None:
        with contextlib.suppress(Exception):
            connection.client.close()
        if self._transport is not None:
            self._transport.close()


class _Connection(fabric.Connection):  # type: ignore[misc]
    """Keeps its settings itself: fabric writes each into the configuration, which all share, and merges that anew."""

    _root = None
    _keypath = ()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


# Lazy, so that neither fabric's own files (which may be Python) nor ssh_config are ever read. Nobody changes it.
_fabric_config = fabric.Config(lazy=True)


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
