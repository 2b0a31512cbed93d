"""Why a rule gave no answer, in words: what happened and what can be done. Pure; the codes are probe's and worker's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Words(NamedTuple):
    """`happened` completes "could not decide: …"; `remedy` is a sentence."""

    happened: str
    remedy: str


REASONS: dict[str, Words] = {
    "needs_root": Words(
        "only root may read them", "Give the host a credential that signs in as root or can become root."
    ),
    "denied": Words(
        "refused even to root",
        "Something on the host stands in the way, such as a container, SELinux or AppArmor, or a protected process.",
    ),
    "not_entered": Words(
        "they lie on a network or kernel file system, which a scan leaves alone",
        "Scan the machine that the file system comes from.",
    ),
    "limit": Words(
        "more than a scan reads of one thing", "What was read was looked at; look at the rest on the host itself."
    ),
    "error": Words("reading failed", "The collectors below say what the system answered."),
    "gone": Words("they were gone before they could be read", "Scan again."),
    "deadline": Words("the time for the scan was over", "Scan again when the host is less busy, or with fewer rules."),
    "memory_limit": Words(
        "the probe reached its memory limit and stopped", "Scan with fewer rules at once, for example by type."
    ),
    "report_limit": Words(
        "the answer was longer than a scan brings home", "Turn off rules that match very much on this host."
    ),
    "pipe_closed": Words("the connection ended before the probe did", "Scan again."),
    "signal": Words("the probe was stopped on the host", "Scan again; look at who kills processes there."),
    "os": Words("the rule is for other systems", "Nothing is missing: its conditions on the host do not hold here."),
    "not_kept": Words(
        "the rule asks for what no host remembers once it is over, such as who wrote a file",
        "Watch for it with an event log, or write the rule about what stays behind.",
    ),
    "no_indicators": Words(
        "the rule looks for indicators and no list with such entries is active",
        "Import or enable a list of indicators.",
    ),
    "no_status": Words("the probe said nothing about them", "Scan again; if it stays so, report it as a fault."),
}


def words_for(reason: str) -> Words:
    """Also of a reason that is not known here: a newer probe may have one."""
    return REASONS.get(reason, Words(reason.replace("_", " ") or "no reason was given", ""))


IRREGULAR = {"process": "processes", "directory": "directories"}


def plural(subject: str, count: int = 2) -> str:
    """`kernel_module` is kernel modules."""
    words = subject.replace("_", " ")
    return words if count == 1 else IRREGULAR.get(subject, f"{words}s")


@dataclass(frozen=True)
class Miss:
    """A rule (by id) that gave no full answer; `unknown` counts the things it could not be decided on, by reason."""

    rule: str
    subject: str
    state: str
    reason: str
    unknown: Mapping[str, int]


@dataclass(frozen=True)
class Gap:
    """Rules with the same gap: `sentence` says what was not looked at, `remedy` what to do about it or ""."""

    sentence: str
    remedy: str
    state: str
    rules: list[str]


def gaps(misses: Iterable[Miss], looked_at: Mapping[str, int]) -> list[Gap]:
    """Misses with one subject and reason as one sentence, most rules first; `looked_at` counts things by subject."""
    grouped: dict[tuple[str, str], list[tuple[Miss, int]]] = {}
    for miss in misses:
        # An alert answered: only what else could not be looked at is missing.
        whole = {} if miss.state == "alert" else {miss.reason: 0}
        for reason, count in (whole | dict(miss.unknown)).items():
            grouped.setdefault((miss.subject, reason), []).append((miss, count))
    found = [gap(subject, reason, rows, looked_at.get(subject, 0)) for (subject, reason), rows in grouped.items()]
    return sorted(found, key=lambda entry: (-len(entry.rules), entry.sentence))


def gap(subject: str, reason: str, rows: list[tuple[Miss, int]], looked_at: int) -> Gap:
    happened, remedy = words_for(reason)
    who = "1 rule" if len(rows) == 1 else f"{len(rows)} rules"
    counts = sorted({count for _, count in rows if count > 0})
    sentence = f"{who} could not decide about {share(subject, counts, looked_at)}: {happened}."
    # The worse of the two states: something that failed is not merely left out.
    state = "error" if any(miss.state == "error" for miss, _ in rows) else "skipped"
    return Gap(sentence, remedy, state, [miss.rule for miss, _ in rows])


def share(subject: str, counts: list[int], looked_at: int) -> str:
    """`1 of 118 processes`, `up to 3 of 118 processes` where rules differ; just the things when nobody counted."""
    if not counts:
        return plural(subject)
    number = str(counts[0]) if len(counts) == 1 else f"up to {counts[-1]}"
    if looked_at >= counts[-1]:
        return f"{number} of {looked_at} {plural(subject, looked_at)}"
    return f"{number} {plural(subject, counts[-1])}"
