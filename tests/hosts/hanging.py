"""A FUSE file system that answers until it is told to hang, as a dead server does: whoever then asks waits for ever.

    with hanging_mount(directory, {"tool": program, "home/.ssh/authorized_keys": keys}) as mount:
        …
        mount.hang()

Needs root and /dev/fuse. The protocol is that of linux/fuse.h, as much of it as looking and reading takes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MNT_DETACH = 2
REQUEST_BYTES = 1 << 20
VALID_S = 3600
ROOT_NODE = 1

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 14, 15, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 26, 27, 28, 29, 36, 42
NO_REPLY = {FORGET, INTERRUPT, BATCH_FORGET}

libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Node:
    """A file with its content, or a directory with the numbers of its entries."""

    content: bytes | None = None
    entries: dict[str, int] = field(default_factory=dict)

    @property
    def mode(self) -> int:
        return stat.S_IFDIR | 0o755 if self.content is None else stat.S_IFREG | 0o755


@dataclass(frozen=True)
class HangingMount:
    """The mounted file system; `server` is the process that answers for it."""

    path: Path
    server: int

    def hang(self) -> None:
        """From now on nothing is answered."""
        os.kill(self.server, signal.SIGSTOP)


@contextlib.contextmanager
def hanging_mount(
    path: Path, files: Mapping[str, bytes], server_type: type[Server] | None = None
) -> Iterator[HangingMount]:
    """Mounts the files, by path below the directory. All who wait get an error when it is left."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"sandfly-test", os.fsencode(path), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    server = os.fork()
    if server == 0:
        try:
            (server_type or Server)(device, files).run()
        finally:
            os._exit(0)
    os.close(device)
    try:
        yield HangingMount(path, server)
    finally:
        # With the last descriptor of the device the kernel gives up on every request.
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        libc.umount2(os.fsencode(path), MNT_DETACH)


class Server:
    """Answers requests of the kernel one by one."""

    open_flags = 0

    def __init__(self, device: int, files: Mapping[str, bytes]) -> None:
        self._device = device
        self._nodes: dict[int, Node] = {ROOT_NODE: Node()}
        for path, content in files.items():
            self._add(path.split("/"), content)

    def _add(self, parts: list[str], content: bytes) -> None:
        number = ROOT_NODE
        for i, part in enumerate(parts):
            entries = self._nodes[number].entries
            if part not in entries:
                entries[part] = len(self._nodes) + 1
                self._nodes[entries[part]] = Node(content if i == len(parts) - 1 else None)
            number = entries[part]

    def run(self) -> None:
        while True:
            try:
                request = os.read(self._device, REQUEST_BYTES)
            except OSError as error:
                if error.errno in {errno.EINTR, errno.ENOENT}:
                    continue
                return
            _, opcode, unique, number = struct.unpack_from("=IIQQ", request)
            if opcode in NO_REPLY:
                continue
            failure, body = self._answer(opcode, number, request[40:])
            with contextlib.suppress(OSError):  # who asked has gone meanwhile
                os.write(self._device, struct.pack("=IiQ", 16 + len(body), -failure, unique) + body)

    def read(self, content: bytes, offset: int, size: int) -> bytes:
        """What a request to read is answered with; less than asked for is the end of the file."""
        return content[offset : offset + size]

    def _answer(self, opcode: int, number: int, body: bytes) -> tuple[int, bytes]:
        node = self._nodes.get(number, Node())
        if opcode == INIT:
            return 0, struct.pack("=IIIIHHIIHHII24x", 7, 31, 1 << 17, 0, 12, 9, 1 << 17, 1, 32, 0, 0, 0)
        if opcode == GETATTR:
            return 0, struct.pack("=QII", VALID_S, 0, 0) + self._attributes(number)
        if opcode in {OPEN, OPENDIR, RELEASE, RELEASEDIR, FLUSH}:
            opened = struct.pack("=QII", 0, self.open_flags if opcode == OPEN else 0, 0)
            return 0, opened if opcode in {OPEN, OPENDIR} else b""
        if opcode in {READ, READDIR}:
            return 0, self._content(node, is_listing=opcode == READDIR, body=body)
        if opcode == STATFS:
            return 0, struct.pack("=QQQQQIII24x", 1000, 1000, 1000, 1000, 1000, 4096, 255, 4096)
        found = node.entries.get(os.fsdecode(body.rstrip(b"\0"))) if opcode == LOOKUP else None
        failure = errno.ENOENT if opcode == LOOKUP else errno.ENOSYS
        return (0, self._entry(found)) if found else (failure, b"")

    def _content(self, node: Node, *, is_listing: bool, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("=QQI", body)
        if is_listing:
            return self._listing(node)[offset : offset + size]
        return self.read(node.content or b"", offset, size)

    def _entry(self, number: int) -> bytes:
        return struct.pack("=QQQQII", number, 0, VALID_S, VALID_S, 0, 0) + self._attributes(number)

    def _attributes(self, number: int) -> bytes:
        node = self._nodes[number]
        size = len(node.content or b"")
        return struct.pack("=6Q10I", number, size, size // 512 + 1, 1, 1, 1, 0, 0, 0, node.mode, 1, 0, 0, 0, 4096, 0)

    def _listing(self, node: Node) -> bytes:
        """All entries at once: none of these directories is larger than what is asked for. Offsets are in bytes."""
        out = b""
        for name, number in node.entries.items():
            raw = os.fsencode(name)
            size = (24 + len(raw) + 7) // 8 * 8
            kind = self._nodes[number].mode >> 12
            out += struct.pack("=QQII", number, len(out) + size, len(raw), kind) + raw.ljust(size - 24, b"\0")
        return out
