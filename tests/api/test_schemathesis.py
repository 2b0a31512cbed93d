"""Whatever is sent to the API, right or wrong by its own description, it answers without a server error.

`SCHEMATHESIS_EXAMPLES=300 pytest tests/api/test_schemathesis.py` looks longer, `SCHEMATHESIS_SEED=7` elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.api.builders import WebMake
from tests.api.world import thing_of, world

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "20261"))
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


def described() -> Any:
    """The API's own description, as a client reads it."""
    from django.core.wsgi import get_wsgi_application
    from drf_spectacular.generators import SchemaGenerator

    schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
    schema.app = get_wsgi_application()
    return schema


@pytest.fixture(scope="module")
def schema() -> Iterator[Any]:
    """Requests share the test's connection and its transaction, as with Django's test client."""
    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections

    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield described()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def operations() -> list[str]:
    """`GET /api/v1/hosts` and so on, of the committed document: what is not in it fails another test."""
    import yaml

    from tests.api.test_openapi import COMMITTED

    document = yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]


def known_values(path: str, things: dict[str, Any]) -> dict[str, list[Any]]:
    """Names of parameters and members of bodies → values that exist here, so that not everything is a 404."""
    from sandfly_web.api.urls import router

    prefix = path.removeprefix("/api/v1/").partition("/")[0]
    viewset = next((view for name, view, _ in router.registry if name == prefix), None)
    own = [thing_of(things_model(viewset)).pk] if viewset else []
    host, finding = things["inventory_host"], things["findings_finding"]
    return {
        "id": [str(pk) for pk in own],
        "host": [str(host.pk)],
        "hosts": [[str(host.pk)]],
        "rule": [str(things["rules_rule"].pk)],
        "rules": [[things["rules_rule"].name], [things["rules_incident"].name]],
        "finding": [str(finding.pk)],
        "scan": [str(things["scans_scan"].pk)],
        "zone": [host.zone_id],
        "credential": [host.credential_id],
        "tags": [[things["inventory_tag"].name]],
        "host_tags": [[things["inventory_tag"].name]],
        "subject": ["process", "user"],
        "detection": [
            "detection:\n  s:\n    path: /tmp/x\n  condition: s\n",
            "detection: []",
            "detection:\n  condition: s",
        ],
        "since": ["2026-01-01T00:00:00Z"],
        "page_size": ["2"],
    }


def things_model(viewset: Any) -> Any:
    from sandfly_web.accounts.models import ApiToken

    return viewset.queryset.model if viewset.queryset is not None else ApiToken


def put_known(case: Any, values: dict[str, list[Any]], draw: Any) -> None:
    """Every second value that could be one that exists here is."""
    for part in (case.path_parameters, case.query, case.body):
        if not isinstance(part, dict):
            continue
        for name in sorted(part, key=str):
            if values.get(name) and draw(st.booleans()):
                part[name] = draw(st.sampled_from(values[name]))


@pytest.mark.parametrize("operation", operations())
def test_no_server_error(make: WebMake, schema: Any, operation: str) -> None:
    from sandfly_web.accounts.services import create_token

    things = world(make)
    method, path = operation.split()
    values = known_values(path, things)
    user = make.person("admin")
    user.is_superuser = True
    user.save()
    headers = {"Authorization": f"Bearer {create_token(user, 'fuzz')[1]}"}
    found = schema[path][method]

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*(found.as_strategy(generation_mode=mode) for mode in MODES)), data=st.data())
    def ask(case: Any, data: Any) -> None:
        put_known(case, values, data.draw)
        with transaction.atomic():
            answer = case.call(headers=headers)
            transaction.set_rollback(True)
        assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.text[:2000]}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"][0] == "application/problem+json", answer.headers

    ask()
