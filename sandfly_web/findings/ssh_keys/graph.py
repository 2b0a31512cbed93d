"""Trust paths as a picture: where the boxes and lines of a graph go. Pure; the template makes SVG of it.

Columns are sign-ins: an account, the key it holds, the accounts that this opens, and so on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sandfly_web.console.visible import visible
from sandfly_web.findings.ssh_keys.models import SshKey
from sandfly_web.findings.ssh_keys.paths import Reached
from sandfly_web.findings.thing import shorten

# More is a table's work.
MAX_NODES = 60
BOX_WIDTH, BOX_HEIGHT = 190, 40
# Two sign-ins fit a page that is 1,280 wide.
COLUMN, ROW, MARGIN = 238, 54, 8
MAX_LABEL_CHARS, MAX_NOTE_CHARS = 24, 27


@dataclass
class Node:
    """A box; `kind` is start, key or account."""

    kind: str
    label: str
    note: str
    title: str
    column: int
    pk: int = 0
    host: str = ""
    is_sure: bool = True
    x: int = 0
    y: int = 0

    @property
    def middle(self) -> int:
        return self.y + BOX_HEIGHT // 2

    @property
    def text_x(self) -> int:
        return self.x + 10

    @property
    def label_y(self) -> int:
        return self.y + 17

    @property
    def note_y(self) -> int:
        return self.y + 32


@dataclass(frozen=True)
class Edge:
    path: str
    is_sure: bool


@dataclass(frozen=True)
class Graph:
    nodes: list[Node]
    edges: list[Edge]
    width: int
    height: int
    is_cut: bool


def draw(reached: list[Reached], start: Node, *, is_backward: bool = False) -> Graph:
    """A graph of at most MAX_NODES boxes; of more the nearest. Backward ones run from right to left."""
    nodes: dict[tuple[str, int], Node] = {}
    lines: list[tuple[Node, Node, bool]] = []
    is_cut = False
    for one in reached:
        new_key = ("key", one.key.pk) not in nodes and not (start.kind == "key" and start.pk == one.key.pk)
        if len(nodes) + 1 + new_key >= MAX_NODES:
            is_cut = True
            break
        origin = nodes.get(("account", one.origin.pk), start) if one.origin else start
        key = origin
        if new_key:
            key = nodes["key", one.key.pk] = _key(one, origin.column + 1)
            lines.append((origin, key, one.is_sure))
        elif ("key", one.key.pk) in nodes:
            key = nodes["key", one.key.pk]
        account = nodes["account", one.account.pk] = _account(one, key.column + 1)
        lines.append((key, account, one.is_sure))
    placed = [start, *nodes.values()]
    width, height = _place(placed, is_backward=is_backward)
    return Graph(placed, [_line(*line) for line in lines], width, height, is_cut)


def key_node(key: SshKey, column: int = 0, *, is_sure: bool = True) -> Node:
    label, note = visible(str(key)), visible(f"{key.algorithm} {key.bits or ''}".strip() or "key")
    return Node(
        "key",
        shorten(label, MAX_LABEL_CHARS),
        shorten(note, MAX_NOTE_CHARS),
        f"{label}, {key.fingerprint}",
        column,
        key.pk,
        is_sure=is_sure,
    )


def start_node(label: str, note: str) -> Node:
    label, note = visible(label), visible(note)
    return Node("start", shorten(label, MAX_LABEL_CHARS), shorten(note, MAX_NOTE_CHARS), f"{label}, {note}", 0)


def _key(one: Reached, column: int) -> Node:
    return key_node(one.key, column, is_sure=one.is_sure)


def _account(one: Reached, column: int) -> Node:
    name, host = visible(one.account.username), visible(one.account.host.name)
    sure = "" if one.is_sure else "; something more is needed"
    return Node(
        "account",
        shorten(name, MAX_LABEL_CHARS),
        shorten(host, MAX_NOTE_CHARS),
        f"{name} on {host}{sure}",
        column,
        one.account.pk,
        str(one.account.host_id),
        is_sure=one.is_sure,
    )


def _place(nodes: list[Node], *, is_backward: bool) -> tuple[int, int]:
    """Width and height of the picture; each column is centred on the highest."""
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        columns[node.column].append(node)
    rows, last = max(map(len, columns.values())), max(columns)
    for number, column in columns.items():
        top = MARGIN + (rows - len(column)) * ROW // 2
        for row, node in enumerate(column):
            node.x = MARGIN + (last - number if is_backward else number) * COLUMN
            node.y = top + row * ROW
    return 2 * MARGIN + last * COLUMN + BOX_WIDTH, 2 * MARGIN + (rows - 1) * ROW + BOX_HEIGHT


def _line(before: Node, after: Node, is_sure: bool) -> Edge:  # noqa: FBT001 - a row of a table
    left, right = (before, after) if before.x < after.x else (after, before)
    start, end = left.x + BOX_WIDTH, right.x
    bend = (start + end) // 2
    return Edge(f"M{start} {left.middle}C{bend} {left.middle} {bend} {right.middle} {end} {right.middle}", is_sure)
