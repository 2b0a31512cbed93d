"""How far a visit is, from what its thread says of phases and percents."""

from __future__ import annotations

from rich.console import Console

from sandfly_web.inventory.targets import Target
from sandfly_web.scans.oneshot.progress import SHOWN_HOSTS, Board, VisitProgress
from scanners.contract import Phase


def test_a_visit_goes_from_0_to_100_and_never_back() -> None:
    visit, seen = VisitProgress("web1"), []

    for phase in (Phase.CONNECTING, Phase.PROFILING, Phase.STAGING, Phase.STAGING, Phase.RUNNING, Phase.CLEANING):
        visit.on_phase(phase)
        for percent in (0, 50, 100):
            visit.on_percent(percent)
            seen.append(visit.percent)

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 100)


def test_what_a_host_says_of_its_progress_is_kept_in_bounds() -> None:
    visit = VisitProgress("web1")
    visit.on_phase(Phase.RUNNING)

    visit.on_percent(10**9)

    assert visit.percent == 98


def test_board_shows_those_under_way_first_and_counts_the_others() -> None:
    board = Board()
    visits = [board.begin(Target(address=f"host{number}")) for number in range(SHOWN_HOSTS + 3)]
    board.end(visits[0])
    visits[-1].on_phase(Phase.RUNNING)

    shown = render(board)

    assert visits[-1].label in shown[0] and "25 % running" in shown[0]
    assert not any(visits[0].label + " " in line for line in shown)
    assert shown[-1].strip() == "1 done, 2 more under way"


def render(board: Board) -> list[str]:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(board)
    return captured.get().splitlines()
