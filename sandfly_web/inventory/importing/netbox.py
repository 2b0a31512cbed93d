"""Hosts from NetBox: its devices and virtual machines, through the REST API, a page at a time.

Documented at https://netboxlabs.com/docs/netbox/integrations/rest-api/: lists answer with `count`, `next` and
`results`; tokens go into the `Authorization` header. The token is used for these requests only and kept nowhere.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from sandfly_web.console.visible import visible
from sandfly_web.inventory.importing.candidates import Parsed, tag_of
from sandfly_web.inventory.targets import Target, is_address
from sandfly_web.scans.cleaning import clean_text

PATHS = {"devices": "/api/dcim/devices/", "virtual-machines": "/api/virtualization/virtual-machines/"}
# The custom field of a device or machine that names the place for the probe.
DIRECTORY_FIELD = "sandfly_staging_directory"
PAGE_ROWS = 500
MAX_PAGES = 2000
MAX_PAGE_BYTES = 64 << 20
TIMEOUT_S = 30
MAX_PORT = 65535


class NetBoxError(Exception):
    """It could not be read; the message is a sentence and holds no token."""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the token to where nobody sent it."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class NetBox:
    """Where it is. `filters` are those of its lists, such as {"status": ["active"], "tag": ["linux"]}.

    `ca_file` is a PEM file of authorities beside those of the system; certificates are always verified.
    """

    url: str
    token: str = field(repr=False)
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Sequence[str] = tuple(PATHS)
    port: int = 22
    ca_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise NetBoxError("the address of NetBox is http:// or https:// with a host, without user")
        if any(not 32 < ord(char) < 127 for char in self.token):
            raise NetBoxError("the token holds characters that no token has")
        if not 0 < self.port <= MAX_PORT:
            raise NetBoxError(f"{self.port} is no port")
        if unknown := [kind for kind in self.kinds if kind not in PATHS]:
            raise NetBoxError(f"{unknown[0]!r} is neither {' nor '.join(PATHS)}")


def read_netbox(netbox: NetBox) -> Parsed:
    """All that the filters choose and that has a primary address; the rest are faults. Raises NetBoxError."""
    parsed = Parsed()
    number = 0
    opener = _opener(netbox)
    for kind in netbox.kinds:
        for row in _rows(netbox, opener, kind):
            number += 1
            _add(parsed, row, number, netbox.port)
    return parsed


def _add(parsed: Parsed, row: Any, number: int, port: int) -> None:
    """One device: name, primary address; tags, role, platform and site become tags."""
    if not isinstance(row, dict):
        parsed.fault(number, "this entry is no object")
        return
    name = clean_text(str(row.get("name") or row.get("display") or f"#{row.get('id')}"), 255)
    address = _primary(row)
    if not address:
        parsed.fault(number, f"{visible(name)} has no primary address")
        return
    tags = row.get("tags")
    labels = [_slug(tag) for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    labels += [
        _slug(row[part]) for part in ("role", "device_role", "platform", "site") if isinstance(row.get(part), dict)
    ]
    own = row.get("custom_fields")
    directory = str(own.get(DIRECTORY_FIELD) or "") if isinstance(own, dict) else ""
    parsed.add(Target(address, port), name, tuple(filter(None, map(tag_of, labels))), number, directory)


def _primary(row: dict[str, Any]) -> str:
    """The address of `primary_ip`, which NetBox writes with its prefix; "" when there is none."""
    primary = row.get("primary_ip")
    text = str(primary.get("address") or "") if isinstance(primary, dict) else ""
    address = text.partition("/")[0]
    return str(ipaddress.ip_address(address)) if is_address(address) else ""


def _slug(thing: dict[str, Any]) -> str:
    return str(thing.get("slug") or thing.get("name") or "")


def _rows(netbox: NetBox, opener: OpenerDirector, kind: str) -> Iterator[Any]:
    """Every result of a list. `next` is followed by its query only: where to, the address given says."""
    query = urlencode({**netbox.filters, "limit": PAGE_ROWS, "offset": 0}, doseq=True)
    for _ in range(MAX_PAGES):
        page = _get(netbox, opener, PATHS[kind], query)
        results, following = page.get("results"), page.get("next")
        if not isinstance(results, list):
            raise NetBoxError(f"the answer for {kind} is no list: is this the address of NetBox?")
        yield from results
        if not following or not results:
            return
        later = urlsplit(str(following)).query
        if later == query:
            raise NetBoxError(f"the list of {kind} does not go on: its next page is the same one")
        query = later
    raise NetBoxError(f"more than {MAX_PAGES} pages of {kind}; use filters")


def _opener(netbox: NetBox) -> OpenerDirector:
    try:
        context = ssl.create_default_context()
        if netbox.ca_file:
            context.load_verify_locations(netbox.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NetBoxError(f"{netbox.ca_file}: no certificates of authorities can be read: {error}") from None
    return build_opener(ProxyHandler({}), HTTPSHandler(context=context), _NoRedirect())


def _get(netbox: NetBox, opener: OpenerDirector, path: str, query: str) -> dict[str, Any]:
    base = urlsplit(netbox.url)
    url = urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + path, query, ""))
    headers = {"Authorization": f"Token {netbox.token}", "Accept": "application/json"}
    try:
        with opener.open(Request(url, headers=headers), timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked scheme
            body = answer.read(MAX_PAGE_BYTES + 1)
    except HTTPError as error:
        raise NetBoxError(_refusal(error.code, path)) from None
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise NetBoxError(f"NetBox at {base.netloc} does not answer: {visible(str(reason))[:200]}") from None
    if len(body) > MAX_PAGE_BYTES:
        raise NetBoxError(f"a page of {path} is larger than {MAX_PAGE_BYTES >> 20} MiB")
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        raise NetBoxError(f"the answer for {path} is not JSON: is this the address of NetBox?") from None
    if not isinstance(page, dict):
        raise NetBoxError(f"the answer for {path} is no page: is this the address of NetBox?")
    return page


def _refusal(code: int, path: str) -> str:
    if code in {401, 403}:
        return f"NetBox refuses the token for {path} ({code}): is it right, may it read this?"
    if code == 400:
        return f"NetBox does not know one of the filters for {path} (400)"
    if 300 <= code < 400:
        return f"NetBox sends {path} elsewhere ({code}): give the address that it really has"
    return f"NetBox answers {code} for {path}"
