"""Linux trees for the probe to read, kept as one text file each and laid out below a temporary directory.

A file `NAME.tree` is a comment, then entries. `== PATH -> TARGET` is a symbolic link, `== PATH WORD…` a file whose
content are the lines up to the next entry. Words: `mode=OCTAL`, `owner=UID:GID`, `caps=HEX` (security.capability),
`label=CONTEXT` (security.selinux), `kind=fifo`, `kind=dir`, `from=NAME.gz` (a packed test file of the probe's package
readers), and how the content is written: `as=base64`, `as=gzip64`, `as=nul` (a NUL ends each line, as in
/proc/PID/cmdline), `as=bare` (no newline at the end). `{{syslog -60}}`, `{{iso -60}}`, `{{epoch -60}}`, `{{clf -60}}`
and `{{dpkg -60}}` are times relative to the scan; a file that has such was written at the time of the scan.
"""

from __future__ import annotations

import base64
import gzip
import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

FIXTURES = Path(__file__).with_name("fixtures")
PACKAGES = Path(__file__).parents[2] / "probes/internal/collect/packages/rpm/testdata"
MTIME = 1_767_312_000
FORMS = {
    "syslog": "%b %e %H:%M:%S",
    "iso": "%Y-%m-%dT%H:%M:%S+00:00",
    "epoch": "%s",
    "clf": "%d/%b/%Y:%H:%M:%S +0000",
    "dpkg": "%Y-%m-%d %H:%M:%S",
}


@dataclass
class Tree:
    """A tree on disk: `now` is what its relative times count from.

    `written` is each such time as text → its place, `offsets` are the seconds after `now` that there are.
    """

    root: Path
    now: int = field(default_factory=lambda: int(time.time()))
    written: dict[str, str] = field(default_factory=dict)
    offsets: set[int] = field(default_factory=lambda: {0})

    def lay_out(self, text: str) -> None:
        """Makes every entry below the root; directories get the same time as the files."""
        for entry in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
            heading, _, content = entry.partition("\n")
            self._make(heading, content)
        for path, _, _ in os.walk(self.root, topdown=False):
            os.utime(path, (MTIME, MTIME))

    def _make(self, heading: str, content: str) -> None:
        name, arrow, target = heading.partition(" -> ")
        name, *words = [name] if arrow else name.split(" ")
        options = dict(word.split("=", 1) for word in words)
        path = self.root / name.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrow:
            path.symlink_to(target)
        elif options.get("kind") == "fifo":
            os.mkfifo(path)
        elif options.get("kind") == "dir":
            path.mkdir()
        elif "from" in options:
            path.write_bytes(gzip.decompress((PACKAGES / options["from"]).read_bytes()))
        else:
            path.write_bytes(self._content(content, options.get("as", "")))
            path.chmod(int(options.get("mode", "0644"), 8))
        if "owner" in options:
            uid, gid = options["owner"].split(":")
            os.chown(path, int(uid), int(gid))
            path.chmod(int(options.get("mode", "0644"), 8))
        if "caps" in options:
            os.setxattr(path, "security.capability", bytes.fromhex(options["caps"]))
        if "label" in options:
            os.setxattr(path, "security.selinux", options["label"].encode() + b"\0")
        written_at = self.now if "{{" in content else MTIME
        os.utime(path, (written_at, written_at), follow_symlinks=False)

    def _content(self, text: str, form: str) -> bytes:
        if form == "base64":
            return base64.b64decode(text)
        if form == "gzip64":
            return gzip.decompress(base64.b64decode(text))
        text = re.sub(r"\{\{(\w+) (-?\d+)\}\}", lambda found: self._time(found[1], int(found[2])), text)
        if form == "nul":
            return text.replace("\n", "\0").encode()
        return (text.removesuffix("\n") if form == "bare" else text).encode()

    def _time(self, form: str, offset: int) -> str:
        moment = datetime.fromtimestamp(self.now + offset, UTC)
        text = str(self.now + offset) if form == "epoch" else moment.strftime(FORMS[form])
        self.offsets.add(offset)
        self.written[text] = f"{{{{{form} {offset}}}}}"
        return text


def make_tree(name: str, root: Path) -> Tree:
    """Lays out the fixture of that name below an empty directory."""
    tree = Tree(root)
    tree.lay_out((FIXTURES / f"{name}.tree").read_text(encoding="utf-8"))
    return tree
