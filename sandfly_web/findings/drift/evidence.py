"""Evidence of drift as a person reads it: baselines and rules by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from sandfly_web.findings.models import Baseline
from sandfly_web.rules.models import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

# Says only the server which entry is meant.
UNSHOWN = "drift_key"


def readable(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts; an id of what was deleted stays as it is. Two queries."""
    shown = {name: value for name, value in evidence.items() if name != UNSHOWN}
    if "drift_baseline" in shown:
        shown["drift_baseline"] = _names(Baseline, [shown["drift_baseline"]])[0]
    if rules := shown.get("drift_rules"):
        shown["drift_rules"] = sorted(_names(Rule, rules))
    return shown


def _names(model: type[Baseline] | type[Rule], ids: list[str]) -> list[str]:
    try:
        found = {str(pk): name for pk, name in model._default_manager.filter(pk__in=ids).values_list("pk", "name")}
    except (ValidationError, ValueError):
        found = {}
    return [found.get(pk, pk) for pk in ids]
