"""What a rule more costs: the usual detection set beside forty of its rules that read the same places."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from sandfly_web.rules.compiled import CompiledRule
from sandfly_web.scans.oneshot.session import choose_rules
from tests.bench.clock import Clock
from tests.bench.probe import run_probe
from tests.bench.rules import plan_of
from tests.bench.table import Row, Section, at_most

COUNT = 40
TURNS = 3
# Those that lead the walks as far as all rules together do; without them the forty would save by reading less.
WIDE = (
    "file_suid_unusual_directory",
    "file_capability_unusual_program",
    "file_world_writable_system_path",
    "file_hidden_executable_system_directory",
    "file_executable_shared_memory",
    "package_file_program_changed",
    "package_file_replaced_by_link",
    "package_file_library_changed",
    "package_file_unit_changed",
    "directory_name_deceptive",
    "directory_entries_concealed",
)


def forty(rules: Sequence[CompiledRule]) -> list[CompiledRule]:
    """The wide ones, then the first of every other subject by name, then the second, up to forty."""
    by_name = {rule.name: rule for rule in rules}
    chosen = [by_name[name] for name in WIDE]
    walked = {rule.subject for rule in chosen}
    rest: dict[str, list[CompiledRule]] = {}
    for rule in sorted(rules, key=lambda rule: rule.name):
        if rule.subject not in walked:
            rest.setdefault(rule.subject, []).append(rule)
    turn = 0
    while len(chosen) < COUNT:
        chosen += [found[turn] for _, found in sorted(rest.items()) if turn < len(found)]
        turn += 1
    return chosen[:COUNT]


def measure_forty(clock: Clock) -> Section:
    """Both plans in turns; the middle of each is compared, in seconds of CPU."""
    everything = choose_rules("detection", [])
    plans = {"forty": plan_of(forty(everything)), "all": plan_of(everything)}
    runs = [{name: run_probe(plan, clock)[0] for name, plan in plans.items()} for _ in range(TURNS)]
    cpu = {name: median(run[name].cpu_s for run in runs) for name in plans}
    wall = {name: median(run[name].wall_s for run in runs) for name in plans}
    verdict = at_most(cpu["all"] / cpu["forty"], 1.3, f"× CPU of {COUNT}", "≤ 1.3")
    return Section(
        "The usual detection set beside forty rules over the same places",
        [
            Row(f"{COUNT} rules", cpu["forty"], wall["forty"]),
            Row(f"{len(everything)} rules", cpu["all"], wall["all"], **verdict),  # type: ignore[arg-type]
        ],
    )
