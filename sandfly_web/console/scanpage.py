"""What the page of one scan shows. Pure but for the rule outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandfly_web.console.collected import collected_of
from sandfly_web.console.evidence import readable_size
from sandfly_web.scans.progress import live_progress
from sandfly_web.scans.reasons import Miss, gaps

if TYPE_CHECKING:
    from sandfly_web.scans.models import RuleOutcome, Scan

# What each step of a visit (`scanners/visit.py`) is called, in its order; the tones repeat along the bar.
PHASES = {
    "connect": "Connect",
    "auth": "Sign in",
    "profile": "Learn what it is",
    "stage": "Upload the probe",
    "start": "Start the probe",
    "run": "Run the rules",
    "cleanup": "Remove and check",
}
TONES = ("sf-low", "sf-accent", "sf-medium", "sf-good", "sf-info", "sf-high", "sf-quiet")
BAR_WIDTH = 100.0


@dataclass(frozen=True)
class Step:
    """One stretch of the bar; `x` and `width` are in percent."""

    label: str
    seconds: float
    x: float
    width: float
    tone: str


def steps(timings_s: dict[str, Any]) -> list[Step]:
    """The known phases first, then whatever else was timed, in its order."""
    timed = {name: value for name, value in timings_s.items() if is_time(value) and name != "total"}
    names = [name for name in PHASES if name in timed] + [name for name in timed if name not in PHASES]
    total = sum(timed.values()) or 1
    result, x = [], 0.0
    for place, name in enumerate(names):
        width = BAR_WIDTH * timed[name] / total
        words = PHASES.get(name, name.replace("_", " ").capitalize())
        result.append(Step(words, timed[name], round(x, 2), round(width, 2), TONES[place % len(TONES)]))
        x += width
    return result


# What the start of a probe and the way home may take.
AGREES_S = 5


def is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class CostFacts:
    """What a visit cost the host and the wire; "" where it is not known."""

    cpu: str
    wall: str
    memory: str
    paused: str
    uploaded: str
    downloaded: str
    clock: str


def cost_facts(scan: Scan) -> CostFacts:
    cost = scan.cost
    # A visit that ended before the probe began cost nothing, which is not the same as a very small number.
    began = bool(cost.get("probe_wall_s"))

    def read(name: str) -> float | None:
        value = cost.get(name) if began or not name.startswith("probe_") else None
        return float(value) if value is not None and is_time(value) else None

    return CostFacts(
        cpu=seconds(read("probe_cpu_s")),
        wall=seconds(read("probe_wall_s")),
        memory=size(read("probe_max_rss_bytes")),
        paused=seconds(read("probe_paused_s")),
        uploaded=size(read("uploaded_bytes")),
        downloaded=size(read("downloaded_bytes")),
        clock=clock_words(cost.get("clock_skew_s")),
    )


def clock_words(skew_s: Any) -> str:
    """How the host's clock stood against the worker's. The start of a probe on a slow host takes a second itself."""
    if not isinstance(skew_s, int | float) or isinstance(skew_s, bool):
        return ""
    if abs(skew_s) < AGREES_S:
        return "agrees with the worker's"
    return f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the worker's"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def size(value: float | None) -> str:
    return "" if value is None else readable_size(value)


def gaps_of(scan: Scan, outcomes: list[RuleOutcome]) -> list[dict[str, Any]]:
    """What was not looked at and why; each gap with the rules that it concerns."""
    titles = {str(outcome.rule_id): outcome.rule.title for outcome in outcomes}
    misses = [
        Miss(str(outcome.rule_id), outcome.rule.subject, outcome.state, outcome.reason, outcome.unknown)
        for outcome in outcomes
        if outcome.state != outcome.State.ALERT or outcome.unknown
    ]
    looked_at = {
        row["subject"]: row["records"]
        for row in scan.collectors
        if isinstance(row, dict) and isinstance(row.get("subject"), str) and isinstance(row.get("records"), int)
    }
    return [
        {"gap": found, "rules": [{"id": rule_id, "title": titles[rule_id]} for rule_id in found.rules]}
        for found in gaps(misses, looked_at)
    ]


def scan_context(scan: Scan) -> dict[str, Any]:
    """Rule outcomes that are not a pass, alerts first; what is left behind, if anything."""
    outcomes = list(
        scan.rule_outcomes.select_related("rule")
        .defer("rule__source", "rule__plan_rule", "rule__description")
        .order_by("state", "rule__name")
    )
    leftovers = sorted(set(map(str, scan.created_paths)) - set(map(str, scan.removed_paths)))
    return {
        "thing": scan,
        "collected": collected_of(scan),
        "steps": steps(scan.timings_s),
        "total": scan.timings_s["total"] if is_time(scan.timings_s.get("total")) else None,
        "cost": cost_facts(scan),
        "alerts": [outcome for outcome in outcomes if outcome.state == "alert"],
        "gaps": gaps_of(scan, outcomes),
        "leftovers": leftovers,
        "collectors": [row for row in scan.collectors if isinstance(row, dict)],
        "is_unfinished": scan.status in scan.UNFINISHED,
        "progress": live_progress(scan),
    }
