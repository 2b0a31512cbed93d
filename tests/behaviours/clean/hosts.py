"""The clean hosts."""

from __future__ import annotations

from tests.behaviours.clean import ci, database, developer, kubernetes, mail, minimal, nas, web
from tests.behaviours.clean.host import CleanHost

CLEAN: tuple[CleanHost, ...] = (
    web.HOST, database.HOST, developer.HOST, mail.HOST, ci.HOST, nas.HOST, kubernetes.HOST, minimal.HOST,
)  # fmt: skip
