"""FUSE file systems that bend what is read: they hide a line from who reads a file and not from who maps it.

Direct I/O hands every read(2) on as it was asked for; pages that are mapped are asked for in whole ones. See
Documentation/filesystems/fuse/fuse-io.rst of the kernel. The protocol is in hanging.py.
"""

from __future__ import annotations

from tests.hosts.hanging import Server

DIRECT_IO = 1
PAGE = 4096
SECRET = b"intruder:x:0:0::/:/bin/sh\n"


class Shortening(Server):
    """Readers get the content without the line, and a shorter file than its size says."""

    open_flags = DIRECT_IO

    def read(self, content: bytes, offset: int, size: int) -> bytes:
        return super().read(content if is_page(size) else content.replace(SECRET, b""), offset, size)


class Replacing(Server):
    """Readers get another line of the same length in its place; whoever maps the file gets it as it is."""

    open_flags = DIRECT_IO

    def read(self, content: bytes, offset: int, size: int) -> bytes:
        shown = content if is_page(size) else content.replace(SECRET, SECRET.replace(b"intruder", b"harmless"))
        return super().read(shown, offset, size)


def is_page(size: int) -> bool:
    return size % PAGE == 0
