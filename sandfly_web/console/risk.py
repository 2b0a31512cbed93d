"""How bad unresolved findings make a host look, as one number."""

from __future__ import annotations

from django.db.models import Case, IntegerField, Sum, Value, When

from sandfly_web.rules.models import Severity

# Each step up weighs clearly more than a handful of the step below.
RISK_WEIGHTS = {"informational": 0, "low": 1, "medium": 5, "high": 20, "critical": 60}


def risk() -> Sum:
    """Aggregate over findings: the sum of their severities' weights, by rank, which an index holds."""
    weight = Case(
        *(When(level_rank=rank, then=Value(RISK_WEIGHTS[level])) for rank, level in enumerate(Severity.values)),
        default=Value(0),
        output_field=IntegerField(),
    )
    return Sum(weight)
