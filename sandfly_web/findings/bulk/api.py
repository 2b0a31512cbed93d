"""What `POST /findings/triage` takes and answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from sandfly_web.findings import snoozing
from sandfly_web.findings.bulk.services import MAX_FINDINGS, RULES, Action, Step
from sandfly_web.findings.services import MAX_BULK, MAX_COMMENT_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import django_filters
    from django.db.models import QuerySet

    from sandfly_web.findings.models import Finding

MAX_VALUES = 100
SCALAR = {"oneOf": [{"type": "string"}, {"type": "boolean"}, {"type": "number"}]}


@extend_schema_field(
    {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"oneOf": [*SCALAR["oneOf"], {"type": "array", "items": SCALAR, "minItems": 1}]},
    }
)
class FilterField(serializers.Field[Any, Any, Any, Any]):
    """Name → value or values, as in the query of a list."""

    def to_internal_value(self, data: Any) -> dict[str, list[str]]:
        if not isinstance(data, dict) or not data:
            raise serializers.ValidationError("an object that names at least one filter of GET /findings")
        return {name: [as_text(name, value) for value in as_list(name, values)] for name, values in data.items()}

    def to_representation(self, value: Any) -> Any:
        return value


def as_list(name: str, values: Any) -> list[Any]:
    found = values if isinstance(values, list) else [values]
    if not 0 < len(found) <= MAX_VALUES:
        raise serializers.ValidationError({name: f"1 to {MAX_VALUES} values"})
    return found


def as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float) or value == "":
        raise serializers.ValidationError({name: "a text, a number, true or false"})
    return str(value)


def snoozed_until(values: Mapping[str, Any]) -> datetime:
    """The moment that `until` or `days` names. Raises ValidationError unless it is one of them, and a possible one."""
    if ("until" in values) == ("days" in values):
        raise serializers.ValidationError({"until": ["give `until` or `days`"]})
    now = timezone.now()
    until: datetime = values["until"] if "until" in values else now + timedelta(days=values["days"])
    try:
        snoozing.check_until(until, now)
    except ValidationError as error:
        raise serializers.ValidationError(error.message_dict) from None
    return until


class TriageAllSerializer(serializers.Serializer[Any]):
    """Which findings, by `filter` or by `ids`, and what of triage.

    Look first with `dry_run`, and send the number that it says as `expect`.
    """

    action = serializers.ChoiceField(choices=[(one.value, one.value) for one in Action])
    filter = FilterField(required=False, help_text="Filters of `GET /findings`, each with a value or a list of them.")
    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, min_length=1, max_length=MAX_BULK, help_text="Ids of findings."
    )
    reason = serializers.CharField(
        required=False, max_length=MAX_COMMENT_CHARS, help_text="To close, mark as false positive, or snooze: needed."
    )
    comment = serializers.CharField(required=False, max_length=MAX_COMMENT_CHARS, help_text="With any other step.")
    assignee = serializers.SlugRelatedField[Any](
        slug_field="username", queryset=User.objects.filter(is_active=True), allow_null=True, required=False
    )
    until = serializers.DateTimeField(required=False, help_text="To snooze: until when.")
    days = serializers.IntegerField(
        required=False, min_value=1, max_value=snoozing.MAX_DAYS, help_text="To snooze: for so many days from now."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Only count.")
    expect = serializers.IntegerField(
        required=False, min_value=0, help_text="Do it only if so many findings change; else 409."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in attrs) == ("ids" in attrs):
            raise serializers.ValidationError({"filter": "give `filter` or `ids`"})
        action = Action(attrs["action"])
        text = "comment" if action == Action.COMMENT or not RULES[action].needs_text else "reason"
        for name in ("reason", "comment"):
            if name in attrs and name != text:
                raise serializers.ValidationError({name: f"{action} takes a {text}"})
        if RULES[action].needs_text and not attrs["dry_run"] and not attrs.get(text, "").strip():
            raise serializers.ValidationError({text: f"{action} needs it"})
        if action == Action.ASSIGN and "assignee" not in attrs:
            raise serializers.ValidationError({"assignee": "a user name, or null for nobody"})
        until = snoozed_until(attrs) if action == Action.SNOOZE and not attrs["dry_run"] else None
        attrs["step"] = Step(action, attrs.get(text, ""), attrs.get("assignee"), until)
        return attrs

    def findings(
        self, queryset: QuerySet[Finding], filterset_class: type[django_filters.FilterSet]
    ) -> tuple[QuerySet[Finding], Mapping[str, Any]]:
        """Those that are meant, and how they were named. Raises ValidationError for filters that there are not."""
        values = self.validated_data
        if "ids" in values:
            return queryset.filter(pk__in=values["ids"]), {"ids": f"{len(values['ids'])} that were named"}
        asked: dict[str, list[str]] = values["filter"]
        known = sorted(filterset_class.base_filters)
        if unknown := sorted(set(asked) - set(known)):
            said = f"is no filter of findings; there are: {', '.join(known)}"
            raise serializers.ValidationError({"filter": {name: [said] for name in unknown}})
        query = QueryDict(mutable=True)
        for name, entries in asked.items():
            query.setlist(name, entries)
        filters = filterset_class(query, queryset)
        if not filters.is_valid():
            raise serializers.ValidationError({"filter": filters.errors})
        return filters.qs, asked


class TriagedSerializer(serializers.Serializer[Any]):
    """`matched` findings fit; the step applies to `applies` of them; `changed` is 0 of a dry run."""

    action = serializers.CharField()
    dry_run = serializers.BooleanField()
    matched = serializers.IntegerField(help_text=f"More than {MAX_FINDINGS} are not counted, nor changed.")
    applies = serializers.IntegerField()
    changed = serializers.IntegerField()
    limit = serializers.IntegerField(help_text="How many may match.")
