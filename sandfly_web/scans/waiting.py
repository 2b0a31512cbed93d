"""Takes along the reports that wait behind one, so that they are stored together; see `scans.ingest`.

Each is acknowledged once it is in the database, as Celery does it with the one that was delivered. A process that dies
in between leaves them where any consumer of the queue finds them after the broker's visibility timeout.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery import current_app
from kombu.exceptions import KombuError
from kombu.transport import virtual
from redis import RedisError

from scanners.contract import INGEST_QUEUE, INGEST_TASK

if TYPE_CHECKING:
    from kombu import Message

log = logging.getLogger(__name__)

# What one transaction takes: enough to share what a statement costs, and a memory that large reports cannot fill.
MOST_REPORTS = 50
MOST_CHARS = 8 << 20
_AWAY = (KombuError, RedisError, OSError)


@contextmanager
def taken_along(size: int) -> Iterator[list[Any]]:
    """Documents of reports that wait, oldest first; `size` is that of the one they go with, in characters.

    They are acknowledged at the end of the block, and queued again when it raises.
    """
    with current_app.pool.acquire(block=True) as broker:
        taken = _take(broker, size)
        try:
            yield [document for _, document in taken]
        except BaseException:
            _settle([message for message, _ in taken], "requeue")
            raise
        _settle([message for message, _ in taken], "ack")


def _take(broker: Any, size: int) -> list[tuple[Message, Any]]:
    """None while the broker is away: the report at hand is stored all the same."""
    taken: list[tuple[Message, Any]] = []
    try:
        broker.ensure_connection(max_retries=1)
        channel = broker.default_channel
        while len(taken) < MOST_REPORTS - 1 and size < MOST_CHARS and (message := channel.basic_get(INGEST_QUEUE)):
            document = _document(message)
            if document is None:
                _put_back(channel, message)
                break
            taken.append((message, document))
            size += len(document)
    except _AWAY as error:
        log.warning("no reports are taken along, the broker is away: %s", type(error).__name__)
    return taken


def _document(message: Message) -> str | None:
    """The report as text; None for what else is in the queue and for what Celery is to refuse."""
    if message.headers.get("task") != INGEST_TASK or message.content_type != "application/json":
        return None
    try:
        args, kwargs, _ = message.decode()
        (document,) = args
    except (KombuError, ValueError, TypeError):
        return None
    return document if isinstance(document, str) and not kwargs else None


def _put_back(channel: Any, message: Message) -> None:
    """To where it was: the next to be delivered. Requeued it would stand behind all others, again and again."""
    tag = str(message.delivery_tag)
    channel.qos.restore_by_tag(tag)
    # What is left of `QoS.reject`: this channel no longer counts it as its own.
    virtual.QoS.ack(channel.qos, tag)


def _settle(messages: list[Message], step: str) -> None:
    try:
        for message in messages:
            getattr(message, step)()
    except _AWAY as error:
        log.warning("reports are delivered again, the broker is away: %s", type(error).__name__)
