"""What intruders do is seen: each behaviour is enacted in a real host, and a visit raises its rules and no others."""

from __future__ import annotations

from functools import partial

import pytest

from tests.behaviours.behaviour import Behaviour
from tests.behaviours.enact import enact
from tests.behaviours.hosts import HOSTS, VEILED
from tests.behaviours.judge import difference, unclaimed
from tests.behaviours.stage import Act, Stage
from tests.behaviours.veil import enact_veiled, scan_veiled

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

BARE = Act("bare", lambda host: {})
ACTS = {
    name: Act(name, partial(enact_veiled, behaviours=behaviours), visit=scan_veiled)
    if name in VEILED
    else Act(name, partial(enact, behaviours=behaviours))
    for name, behaviours in HOSTS.items()
}
CASES = [
    pytest.param(name, behaviour, id=behaviour.name, marks=pytest.mark.acts(ACTS[name]))
    for name, behaviours in HOSTS.items()
    for behaviour in behaviours
]
PLACES = [pytest.param(name, id=name, marks=pytest.mark.acts(ACTS[name], BARE)) for name in HOSTS]


@pytest.mark.parametrize(("host", "behaviour"), CASES)
def test_behaviour_raises_its_rules_and_no_others(stage: Stage, host: str, behaviour: Behaviour) -> None:
    outcome = stage.outcome(host)

    assert outcome.wrong.get(behaviour.name) is None
    assert not (wrong := difference(behaviour, outcome.scanned.findings)), "\n".join([behaviour.does, *wrong])


@pytest.mark.parametrize("host", PLACES)
def test_nothing_else_of_medium_level_is_found_on_the_host(stage: Stage, host: str) -> None:
    machine = stage.outcome(BARE.name).scanned.findings

    left = unclaimed(HOSTS[host], stage.outcome(host).scanned.findings, machine)
    assert not left, "\n".join(left)
    assert stage.outcome(host).scanned.faults == []
