"""Which hosts a request may know of: a limit that holds in every query about hosts and what belongs to them.

A user or token may be limited to hosts with tags (`accounts.limits` sets it for the length of a request). The managers
here leave everything else out, so no page or answer can forget to. Nothing outside of requests is limited.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models

if TYPE_CHECKING:
    from collections.abc import Iterator

_M = TypeVar("_M", bound=models.Model)
# Each set of ids of tags is one limit, and a host must have a tag of each; None: no limit.
Limit = tuple[frozenset[int], ...] | None
_limit: ContextVar[Limit] = ContextVar("host_limit", default=None)


@contextmanager
def limited_to(limit: Limit) -> Iterator[None]:
    """Within it, queries know of no other hosts than those that the limit allows, nor than what held before."""
    before = _limit.get()
    token = _limit.set(before if limit is None else (*(before or ()), *limit))
    try:
        yield
    finally:
        _limit.reset(token)


def narrow(limit: Limit) -> None:
    """From now on in this request, inside the `limited_to` that the middleware has opened and will close."""
    if limit is not None:
        _limit.set((*(_limit.get() or ()), *limit))


def present_limit() -> Limit:
    return _limit.get()


class HostScopedQuerySet(models.QuerySet[_M]):
    """Adds the limit of the request as soon as it is copied in one; so do querysets that were made at import."""

    _limited_by: Limit = None

    def _clone(self) -> Any:
        clone = super()._clone()  # type: ignore[misc]  # not in the type stubs
        clone._limited_by = self._limited_by
        return clone

    def _chain(self) -> Any:
        return super()._chain().limit_hosts()  # type: ignore[misc]  # not in the type stubs

    def limit_hosts(self) -> Any:
        """This queryset itself with the present limit. Raises TypeError for a slice that was made without one."""
        limit = _limit.get()
        if limit is None or self._limited_by == limit:
            return self
        if self.query.is_sliced:
            raise TypeError("this queryset was cut before the limit of the request was known")
        for tags in limit[len(self._limited_by or ()) :]:
            self.narrow_to(_tagged().filter(tag__in=tags).values("host_id"))
        self._limited_by = limit
        return self

    def narrow_to(self, hosts: Any) -> None:
        """Keep rows of these hosts only, in place; `hosts` is a subquery of ids."""
        path = getattr(self.model, "host_path", "")
        self._filter_or_exclude_inplace(False, (), {f"{path}__in" if path else "pk__in": hosts})  # type: ignore[attr-defined]


def _tagged() -> Any:
    from sandfly_web.inventory.models import Host  # noqa: PLC0415 - the models are built on this

    return Host.tags.through._default_manager.all()


class HostScopedManager(models.Manager[_M]):
    """For models with `host_path`, the way from a row to its host; empty on the host itself."""

    queryset_class: type[HostScopedQuerySet[Any]] = HostScopedQuerySet

    def get_queryset(self) -> models.QuerySet[_M]:
        queryset: HostScopedQuerySet[_M] = self.queryset_class(self.model, using=self._db, hints=self._hints)  # type: ignore[attr-defined]
        limited: models.QuerySet[_M] = queryset.limit_hosts()
        return limited
