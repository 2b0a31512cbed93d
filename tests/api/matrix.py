"""Every endpoint of the URL conf, asked by somebody of every role: who may what, as it is.

The answers are committed in `sandfly_web/accounts/ENDPOINTS.md`; `test_matrix.py` compares them and holds what must be
true of every row. An address whose parts cannot be filled in is an error, so that no endpoint escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from tests.api.world import thing_of

COMMITTED = Path(__file__).resolve().parents[2] / "sandfly_web" / "accounts" / "ENDPOINTS.md"
ROLES = ("viewer", "analyst", "responder", "operator", "admin")
# A user without a role, then the roles.
COLUMNS = ("anonymous", "no role", *ROLES)
API_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CONSOLE_METHODS = ("GET", "POST")
# Parts of addresses that name no row → a value.
PARTS = {"content_type_id": "1", "url": "nowhere", "app_label": "inventory"}
PART = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:\[[^\]]*\]|[^()\[\]])*\)")
HEAD = """# Who may ask what

Made by `UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/api/test_matrix.py` and compared by it: each address of the
URL conf, asked with an empty body, where `{id}` is something that is there. 401 and `sign in`: first say who you are.
403: the role lacks the right. 404: the thing is not for everybody. Anything else, also 400 (the body was empty) and 409
(the thing's state), says that the role does not stand in the way. A token that is limited to a role is answered as that
role is. Methods that are not listed are refused.

"""


@dataclass(frozen=True)
class Endpoint:
    """An address of the URL conf; `pattern` is how it is written down, `address` names what exists."""

    pattern: str
    address: str
    methods: tuple[str, ...]

    @property
    def is_api(self) -> bool:
        return self.pattern.startswith("/api/")


def endpoints() -> list[Endpoint]:
    """All of them, in the order of their patterns; alternatives of a part are one row each."""
    found = {}
    for parts in walk(get_resolver().url_patterns, ()):
        for endpoint in fill_in(parts):
            found.setdefault(endpoint.pattern, endpoint)
    return [found[pattern] for pattern in sorted(found)]


def walk(patterns: Any, before: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, (*before, entry))
        else:
            assert isinstance(entry, URLPattern)
            yield (*before, entry)


def fill_in(parts: tuple[Any, ...]) -> Iterator[Endpoint]:
    text = "/" + "".join(str(part.pattern).removeprefix("^").removesuffix("$").replace(r"\Z", "") for part in parts)
    text = text.replace("\\", "").replace("/?", "/")
    callback = parts[-1].callback
    names = [first or second for first, second in PART.findall(text)]
    for command in sorted(model_admin(text).commands) if "command" in names else [""]:
        pattern, address = text, text
        for match in PART.finditer(text):
            name = match[1] or match[2]
            value = command if name == "command" else PARTS.get(name) or key(text, callback, names)
            shown = command if name == "command" else "{id}" if name not in PARTS else "{" + name + "}"
            pattern, address = pattern.replace(match[0], shown, 1), address.replace(match[0], value, 1)
        yield Endpoint(pattern, address, methods_of(callback, is_command=bool(command)))


def methods_of(callback: Any, *, is_command: bool) -> tuple[str, ...]:
    """Those that the view answers. A page of the console takes any for a GET but POST; a button is a POST."""
    if hasattr(callback, "cls"):
        names = callback.cls.http_method_names
        offered = getattr(callback, "actions", None) or {name for name in names if hasattr(callback.cls, name)}
        return tuple(method for method in API_METHODS if method.lower() in offered and method.lower() in names)
    return ("POST",) if is_command else CONSOLE_METHODS


def key(text: str, callback: Any, names: list[str]) -> str:
    """The primary key of a row that the view is about; Django's own redirect by content type is about none."""
    return "1" if "content_type_id" in names else str(thing_of(model_of(text, callback)).pk)


def model_admin(text: str) -> Any:
    """The page class behind `/app/model/…`."""
    from django.contrib import admin

    place = tuple(text.split("/")[1:3])
    registered = {(model._meta.app_label, model._meta.model_name): page for model, page in admin.site._registry.items()}
    assert place in registered, f"tests.api.matrix cannot tell what {text} is about: teach it"
    return registered[place]


def model_of(text: str, callback: Any) -> Any:
    """The model whose rows an address of this view names."""
    from sandfly_web.accounts.models import ApiToken

    if hasattr(callback, "cls"):
        queryset = getattr(callback.cls, "queryset", None)
        return queryset.model if queryset is not None else ApiToken
    return model_admin(text).model


def client_of(make: Any, column: str) -> tuple[APIClient, APIClient]:
    """One that speaks to the API with a token, one that is signed in to the console."""
    program, browser = APIClient(), APIClient()
    if column != "anonymous":
        person = make.person("" if column == "no role" else column)
        program = make.api(user=person)
        browser.force_login(person)
    for client in (program, browser):
        client.raise_request_exception = False
    return program, browser


def ask(client: APIClient, method: str, address: str) -> str:
    """The answer in one word; whatever it changed is undone."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        body = b"{}" if address.startswith("/api/") else b""
        answer = client.generic(method, address, body, content_type=kind(address))
        transaction.set_rollback(True)
    client.cookies = cookies  # Signing out is undone too.
    if answer.status_code == 302 and answer["Location"].startswith("/login/"):
        return "sign in"
    return str(answer.status_code)


def kind(address: str) -> str:
    return "application/json" if address.startswith("/api/") else "application/x-www-form-urlencoded"


def ask_all(clients: dict[str, tuple[APIClient, APIClient]], found: list[Endpoint]) -> dict[tuple[str, str], list[str]]:
    """(method, pattern) → an answer for each of `clients`."""
    return {
        (method, endpoint.pattern): [
            ask(program if endpoint.is_api else browser, method, endpoint.address)
            for program, browser in clients.values()
        ]
        for endpoint in found
        for method in endpoint.methods
    }


def document(rows: dict[tuple[str, str], list[str]]) -> str:
    table = [["method", "address", *COLUMNS], ["---"] * (2 + len(COLUMNS))]
    table += [[method, f"`{pattern}`", *answers] for (method, pattern), answers in rows.items()]
    return HEAD + "\n".join("| " + " | ".join(cells) + " |" for cells in table) + "\n"
