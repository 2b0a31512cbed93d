"""Which list of indicators a value of a rule names: `sha256|expand: '%indicators.sha256%'`."""

from __future__ import annotations

from typing import Any

import sigma.types as st

from sandfly_web.rules.indicators.kinds import PLACEHOLDER, Kind


class ListError(ValueError):
    """A list of indicators is named where none can stand; the message says what to do."""


def kind_of(value: Any) -> Kind | None:
    """The list that a value of a rule means, None when it means none. Raises ListError."""
    if not isinstance(value, st.SigmaString):
        return None
    names = [part.name for part in value.s if isinstance(part, st.Placeholder) and part.name.startswith(PLACEHOLDER)]
    if not names:
        return None
    if len(value.s) > 1 or isinstance(value, st.SigmaCasedString):
        raise ListError(f"a list of indicators stands alone: field|expand: '%{names[0]}%'")
    try:
        return Kind(names[0].removeprefix(PLACEHOLDER))
    except ValueError:
        known = ", ".join(f"%{PLACEHOLDER}{kind}%" for kind in Kind)
        raise ListError(f"unknown list %{names[0]}%; known: {known}") from None
