"""The one process that takes connections for every address of the fleet: `python -m tests.fleet.server CONFIG`.

CONFIG is JSON: `port`, `host` (process id of the throw-away host that all addresses show), `log`. Each connection gets
an sshd of its own, with the host key, name and machine id of the address it came to. The log has a line of JSON for
every connection that opens and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from tests.fleet.kinds import Kind, host_name, kind_of, machine_id, served_key

READ_BYTES = 64 << 10
# Pieces under way in one direction of a slow line.
MAX_PIECES = 64
BACKLOG = 1024
# An own mount namespace and name for each connection: what one host is asked, another does not answer.
SERVE = (
    'hostname "$2"; mount --bind "/run/fleet/$1.id" /etc/machine-id; '
    'exec /usr/sbin/sshd -i -f /etc/ssh/sshd_fleet -h "/run/fleet/$1.key" -E "/run/fleet/$1.log" '
    '${3:+-o "ForceCommand=$3"}'
)


class Server:
    """Everything that the addresses share."""

    def __init__(self, host: int, log: BinaryIO) -> None:
        self._host = host
        self._log = log
        self._files = Path(f"/proc/{host}/root/run/fleet")
        self._seen: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[None]]] = {}

    async def run(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        self._files.mkdir(exist_ok=True)
        while True:
            sock, _ = await loop.sock_accept(listening)
            task = asyncio.create_task(self._take(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, sock: socket.socket) -> None:
        address = sock.getsockname()[0]
        kind = kind_of(address)
        self._seen[address] += 1
        self._tell("open", address)
        try:
            with sock, contextlib.suppress(OSError):
                await self._serve(sock, address, kind)
        finally:
            self._tell("close", address)

    def _tell(self, event: str, address: str) -> None:
        line = {"event": event, "address": address, "at": time.time()}
        self._log.write(json.dumps(line).encode() + b"\n")

    async def _serve(self, sock: socket.socket, address: str, kind: Kind) -> None:
        if kind.says:
            await speak(sock, kind.says, address)
            return
        if not kind.is_relayed:
            ended = self._start_sshd(sock, address, kind)
            # This process has no part in it any more.
            sock.close()
            await ended
            return
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._start_sshd(theirs, address, kind)
            is_spared = kind.is_cut_once and self._seen[address] > 1
            await Relay(kind, is_spared=is_spared).run(sock, ours)

    def _start_sshd(self, sock: socket.socket, address: str, kind: Kind) -> asyncio.Future[None]:
        """Done when the sshd has ended."""
        self._write_files(address)
        argv = ["nsenter", f"--target={self._host}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
                "unshare", "--mount", "--uts", "/bin/sh", "-c", SERVE, "sh", address, host_name(address),
                kind.command]  # fmt: skip
        process = subprocess.Popen(argv, stdin=sock, stdout=sock, stderr=subprocess.DEVNULL)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The process is kept, too: one that is forgotten is waited for by the next Popen, and never by `_reap`.
        self._running[process.pid] = (process, ended)
        return ended

    def _write_files(self, address: str) -> None:
        key = self._files / f"{address}.key"
        if not key.exists():
            (self._files / f"{address}.id").write_text(machine_id(address) + "\n")
            key.touch(0o600)
            key.write_bytes(served_key(address))

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                known = self._running.pop(pid, None)
                if known is not None and not known[1].done():
                    known[1].set_result(None)


async def speak(sock: socket.socket, says: str, address: str) -> None:
    """A host that is no SSH server."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    if says == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    if says == "garbage":
        block = hashlib.sha512(address.encode()).digest()
        await loop.sock_sendall(sock, block * 64)
        sock.shutdown(socket.SHUT_WR)
    while says == "chatter":
        await loop.sock_sendall(sock, b"nothing to see here, go on\r\n" * 64)
    while await loop.sock_recv(sock, READ_BYTES):
        pass


class Relay:
    """Hands bytes on in both directions, late, thinly, or only so many."""

    def __init__(self, kind: Kind, *, is_spared: bool) -> None:
        self._kind = kind
        self._stalls_after = None if is_spared else kind.stalls_after
        self._cut_after = None if is_spared else kind.cut_after

    async def run(self, client: socket.socket, host: socket.socket) -> None:
        """Until one side ends or the line is cut."""
        for sock in (client, host):
            sock.setblocking(False)
        ways = [self._way(client, host, is_counted=True), self._way(host, client)]
        tasks = [asyncio.create_task(each) for way in ways for each in way]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # What the side that ended has still said is on its way.
        await asyncio.sleep(self._kind.round_trip_s)
        for task in rest:
            task.cancel()
        await asyncio.gather(*done, *rest, return_exceptions=True)

    def _way(self, source: socket.socket, target: socket.socket, *, is_counted: bool = False) -> list[Any]:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_PIECES)
        return [self._read(source, under_way, is_counted=is_counted), self._write(target, under_way)]

    async def _read(self, source: socket.socket, under_way: asyncio.Queue[Any], *, is_counted: bool) -> None:
        loop, passed, free_at = asyncio.get_running_loop(), 0, 0.0
        while data := await loop.sock_recv(source, READ_BYTES):
            passed += len(data)
            if is_counted and self._cut_after is not None and passed > self._cut_after:
                return
            if is_counted and self._stalls_after is not None and passed > self._stalls_after:
                continue  # lost on the way; only that the client gives up comes through
            if self._kind.bytes_per_s:
                free_at = max(free_at, loop.time()) + len(data) / self._kind.bytes_per_s
                await asyncio.sleep(free_at - loop.time())
            await under_way.put((loop.time() + self._kind.round_trip_s / 2, data))

    async def _write(self, target: socket.socket, under_way: asyncio.Queue[Any]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            if (late := due - loop.time()) > 0:
                await asyncio.sleep(late)
            await loop.sock_sendall(target, data)


def main(config: dict[str, Any]) -> None:
    with Path(config["log"]).open("ab", buffering=0) as log:
        listening = socket.create_server(("0.0.0.0", config["port"]), backlog=BACKLOG)
        listening.setblocking(False)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        asyncio.run(Server(config["host"], log).run(listening))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
