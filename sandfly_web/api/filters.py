"""Filtering that all resources share: a filter that does not exist is a fault, not everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django_filters
from django.db.models import Q
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request
    from rest_framework.views import APIView

PAGE_PARAMETERS = frozenset({"cursor", "page_size", "fields", "export"})


class KnownFilters(DjangoFilterBackend):
    """Refuses parameters that are no filter of the resource: a misspelt one would answer with all rows."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        if getattr(view, "action", None) != "list":
            return queryset
        filterset_class = self.get_filterset_class(view, queryset)
        known = set(filterset_class.base_filters) if filterset_class else set()
        unknown = sorted(set(request.query_params) - known - PAGE_PARAMETERS)
        if unknown:
            offered = ", ".join(sorted(known)) or "none"
            raise ValidationError(dict.fromkeys(unknown, f"is no filter here; there are: {offered}"))
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered


class SigmaTag(django_filters.CharFilter):
    """Rows whose JSON list `tags` holds the value, with or without `attack.`."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        if not value:
            return qs
        text = value.strip().lower()
        return qs.filter(Q(tags__contains=[text]) | Q(tags__contains=[f"attack.{text}"]))
