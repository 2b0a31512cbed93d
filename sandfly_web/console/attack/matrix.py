"""The matrix by tactic: each technique with how far finding it is proven, and how often it was found. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from sandfly_web.rules.coverage import Proven, Row, State, Teacher, build_rows, by_tactic, read_proven, summarise

# Findings from which a cell is hot, warmer, warm; fewer than the last are none.
HEAT = ((50, 4), (15, 3), (4, 2), (1, 1))
WORDS = {
    State.PROVEN: "proven: the behaviour was enacted on a host and found",
    State.TESTED: "tested: rules were tried on recorded facts",
    State.MISSING: "no enabled rule finds it",
}


@dataclass(frozen=True)
class Cell:
    """A technique with its sub-techniques: `state` is the best of them, `found` their sum."""

    id: str
    name: str
    state: State
    found: int
    heat: int
    covered: int
    total: int

    @property
    def words(self) -> str:
        found = f"{self.found} findings" if self.found != 1 else "1 finding"
        parts = f", {self.covered} of {self.total} parts covered" if self.total > 1 else ""
        return f"{self.id} {self.name}: {self.state}{parts}; {found}"


@dataclass(frozen=True)
class Column:
    tactic: str
    cells: list[Cell]

    @property
    def title(self) -> str:
        return self.tactic.replace("-", " ")

    @property
    def covered(self) -> int:
        return sum(cell.state != State.MISSING for cell in self.cells)


@dataclass(frozen=True)
class Part:
    """A technique or sub-technique on its own, with the rules that find it."""

    id: str
    name: str
    state: State
    found: int
    rules: list[tuple[str, bool]]
    behaviours: Sequence[str]

    @property
    def tag(self) -> str:
        return self.id.lower()

    @property
    def words(self) -> str:
        return WORDS[self.state]


@dataclass(frozen=True)
class Matrix:
    columns: list[Column]
    rows: list[Row]
    found: Counter[str]

    @property
    def counts(self) -> dict[str, int]:
        """Techniques and sub-techniques by state, and `total`; over Linux and containers."""
        sums: Counter[str] = Counter()
        for counted in summarise(self.rows).values():
            sums.update(counted)
        return dict(sums)

    def parts(self, technique: str) -> list[Part]:
        """The technique and its sub-techniques; nothing for an id that is not in the matrix."""
        wanted = [row for row in self.rows if row.id == technique or row.id.startswith(f"{technique}.")]
        return [
            Part(
                row.id,
                row.name,
                row.state,
                self.found[row.id],
                [(name, name in row.proven) for name in row.rules],
                row.behaviours,
            )
            for row in wanted
        ]


@cache
def proven() -> Proven:
    """Read once: it ships with the program."""
    return read_proven()


def build_matrix(rules: Iterable[Teacher], found: Counter[str], proof: Proven) -> Matrix:
    rows = build_rows(rules, proof)
    below: dict[str, list[Row]] = {}
    for row in rows:
        parent, is_part, _number = row.id.partition(".")
        if is_part:
            below.setdefault(parent, []).append(row)
    columns = [
        Column(tactic, [cell(row, below.get(row.id, []), found) for row in listed if "." not in row.id])
        for tactic, listed in by_tactic(rows)
    ]
    return Matrix(columns, rows, found)


def cell(row: Row, below: list[Row], found: Counter[str]) -> Cell:
    family = [row, *below]
    count = sum(found[one.id] for one in family)
    # A technique that is only ever used by one of its sub-techniques has rules for those alone.
    parts = below or family
    states = [one.state for one in family]
    return Cell(
        row.id,
        row.name,
        next(state for state in State if state in states),
        count,
        next((heat for least, heat in HEAT if count >= least), 0),
        sum(one.state != State.MISSING for one in parts),
        len(parts),
    )
