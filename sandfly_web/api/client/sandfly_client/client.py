"""The client: every operation of the API, and waiting for scans."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, Self

from . import models
from .errors import ScanWaitError
from .resources import Resources
from .transport import Options, Transport

if TYPE_CHECKING:
    from uuid import UUID

UNFINISHED: Final[tuple[Literal["queued", "running"], ...]] = ("queued", "running")
# What the server waits for at most within one request.
LONG_POLL_S = 30


class Client(Resources):
    """One server and one token: `Client("https://sandfly.example", token)`."""

    def __init__(self, url: str, token: str, options: Options | None = None) -> None:
        super().__init__(Transport(url, token, options or Options()))

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections that are kept for the next request."""
        self._transport.close()

    def wait(self, batch: UUID | str, *, timeout_s: float = 3600.0) -> tuple[models.Scan, ...]:
        """The scans of a batch once all are over: done, failed, cancelled or expired.

        Raises ScanWaitError after `timeout_s`.
        """
        end = time.monotonic() + timeout_s
        while (unfinished := self.scans.list(batch=batch, status=UNFINISHED).first()) is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise ScanWaitError(len(tuple(self.scans.list(batch=batch, status=UNFINISHED))), timeout_s)
            # The answer must come before the client gives the server up.
            patience = self._transport.options.read_timeout_s / 2
            self.scans.get(unfinished.id, wait=max(1, int(min(LONG_POLL_S, patience, left))))
        return tuple(self.scans.list(batch=batch))
