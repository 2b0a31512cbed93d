"""The look of the console and its sidebar; named in settings.UNFOLD."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.templatetags.static import static
from django.urls import reverse

if TYPE_CHECKING:
    from django.http import HttpRequest


class Page(NamedTuple):
    """One entry of the sidebar; whoever lacks `permission` does not see it."""

    title: str
    icon: str
    model: str
    permission: str


# Group title → pages. Icons are names in the Material Symbols font that ships with the console.
GROUPS: dict[str, list[Page]] = {
    "Triage": [
        Page("Findings", "crisis_alert", "findings_finding", "findings.view_finding"),
        Page("Hunt", "travel_explore", "findings_savedhunt", "findings.view_savedhunt"),
        Page("Rare", "filter_1", "findings_rare", "findings.view_record"),
        Page("Drift", "difference", "findings_baseline", "findings.view_baseline"),
        Page("SSH keys", "vpn_lock", "ssh_keys_sshkey", "ssh_keys.view_sshkey"),
        Page("Key zones", "shield_lock", "ssh_keys_keyzone", "ssh_keys.view_keyzone"),
        Page("Key removals", "key_off", "ssh_keys_keyremoval", "ssh_keys.view_keyremoval"),
        Page("Allow-list", "verified", "findings_allowlistentry", "findings.view_allowlistentry"),
    ],
    "Scanning": [
        Page("Hosts", "dns", "inventory_host", "inventory.view_host"),
        Page("Discoveries", "lan", "inventory_discovery", "inventory.view_discovery"),
        Page("Scans", "radar", "scans_scan", "scans.view_scan"),
        Page("Queue", "pending_actions", "scans_queue", "scans.view_scan"),
        Page("Schedules", "event_repeat", "scans_schedule", "scans.view_schedule"),
    ],
    "Detection": [
        Page("Rules", "rule", "rules_rule", "rules.view_rule"),
        Page("ATT&CK", "grid_view", "rules_attack", "rules.view_rule"),
        Page("Indicators", "fingerprint", "indicators_indicatorlist", "indicators.view_indicatorlist"),
    ],
    "Access": [
        Page("Credentials", "key", "inventory_credential", "inventory.view_credential"),
        Page("Credential sets", "key_vertical", "inventory_credentialset", "inventory.view_credentialset"),
        Page("Jump hosts", "alt_route", "inventory_jumphost", "inventory.view_jumphost"),
        Page("Zones", "hub", "inventory_zone", "inventory.view_zone"),
        Page("Tags", "label", "inventory_tag", "inventory.view_tag"),
    ],
    "Administration": [
        Page("Users", "group", "auth_user", "auth.view_user"),
        Page("API tokens", "vpn_key", "accounts_apitoken", "accounts.view_apitoken"),
        Page("Audit log", "history", "auditlog_logentry", "auditlog.view_logentry"),
    ],
}

TEAL = {
    "50": "oklch(98.2% .014 190)",
    "100": "oklch(95.3% .038 189)",
    "200": "oklch(91% .072 188)",
    "300": "oklch(85% .108 187)",
    "400": "oklch(77.7% .124 187)",
    "500": "oklch(68% .118 190)",
    "600": "oklch(57% .101 194)",
    "700": "oklch(48.5% .084 196)",
    "800": "oklch(41.5% .07 198)",
    "900": "oklch(36.5% .059 200)",
    "950": "oklch(26.5% .046 202)",
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    overview = {"title": "Overview", "icon": "dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [overview]}]
    for title, pages in GROUPS.items():
        items = [entry(page) for page in pages if request.user.has_perm(page.permission)]
        if items:
            groups.append({"title": title, "items": items})
    mark_active([item for group in groups for item in group["items"]], request.path)
    return groups


def mark_active(items: list[dict[str, Any]], path: str) -> None:
    """The entry with the longest address that the page is below: some lie below the list of another entry."""
    above = [item["link"] for item in items[1:] if path.startswith(item["link"])]
    best = max(above, key=len, default=items[0]["link"] if path == items[0]["link"] else None)
    for item in items:
        # The theme asks a function.
        item["active"] = partial(answer, is_active=item["link"] == best)


def answer(_request: HttpRequest, *, is_active: bool) -> bool:
    return is_active


def entry(page: Page) -> dict[str, Any]:
    return {"title": page.title, "icon": page.icon, "link": reverse(f"admin:{page.model}_changelist")}


def account(request: HttpRequest) -> list[dict[str, Any]]:
    """Links in the menu of the user; they take the place of the theme's own."""
    links = [{"title": "API documentation", "link": reverse("api:docs")}]
    if request.user.is_authenticated and request.user.has_usable_password():
        links.append({"title": "Change password", "link": reverse("admin:password_change")})
    return links


def primary_color(_request: HttpRequest) -> dict[str, str]:
    return dict(TEAL)


def icon(_request: HttpRequest | None) -> str:
    return static("console/sandfly.svg")


def stylesheet(_request: HttpRequest | None) -> str:
    return static("console/console.css")


def expressions(_request: HttpRequest | None) -> str:
    return static("console/expressions.js")


def script(_request: HttpRequest | None) -> str:
    return static("console/console.js")
