"""False alarms cost as much as misses: clean hosts of many trades, with the noise of their days, are silent."""

from __future__ import annotations

from functools import partial

import pytest

from tests.behaviours.clean.host import CleanHost, furnish
from tests.behaviours.clean.hosts import CLEAN
from tests.behaviours.judge import unclaimed
from tests.behaviours.stage import Act, Stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CASES = [
    pytest.param(
        host,
        id=host.name,
        marks=pytest.mark.acts(Act(f"clean-{host.name}", partial(furnish, clean=host), host.flavour)),
    )
    for host in CLEAN
]


@pytest.mark.parametrize("host", CASES)
def test_clean_host_has_no_finding_of_medium_level_or_above(stage: Stage, host: CleanHost) -> None:
    outcome = stage.outcome(f"clean-{host.name}")

    assert outcome.wrong == {}
    assert not (alarms := unclaimed((), outcome.scanned.findings, ())), "\n".join(alarms)
    assert outcome.scanned.faults == []
