"""Every page of the console in a real browser: wide and narrow, light and dark, with nothing that shuts anybody out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.urls import NoReverseMatch, reverse

from tests.api.builders import WebMake
from tests.api.world import world
from tests.console.browser import Visit, open_browser, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
OWN = ["admin:index", "admin:rules_attack_changelist", "admin:scans_queue_changelist", "admin:password_change",
       "admin:inventory_host_import", "admin:scans_scan_performance", "admin:findings_finding_triage"]  # fmt: skip
HOST_PAGES = ["changes", "timeline", "ssh", "report"]
# What a person who sees, hears or types misses: controls without a name, headings that skip a level.
FAULTS = """() => {
    const isShown = (one) => one.checkVisibility({ visibilityProperty: true });
    const faults = [];
    for (const one of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href]")) {
        const said = one.labels && one.labels.length || one.innerText && one.innerText.trim() || one.title
            || one.ariaLabel || one.getAttribute("aria-labelledby") || one.querySelector("img[alt], title")
            || one.type === "submit" && one.value;
        if (isShown(one) && !said) faults.push("nothing names " + one.outerHTML.slice(0, 120));
    }
    let last = 0;
    for (const one of document.querySelectorAll(":is(h1, h2, h3, h4, h5, h6):not(#nav-sidebar *)")) {
        const level = Number(one.tagName[1]);
        if (!isShown(one)) continue;
        if (level > last + 1) faults.push(`h${level} after h${last}: ${one.innerText}`);
        last = level;
    }
    return faults;
}"""
TOO_WIDE = "() => document.documentElement.scrollWidth - window.innerWidth"
# Words that can hardly be told from what they stand on: below 3 to 1, which is for large text; ours is mostly larger.
PALE = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    function rgba(colour) {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return Array.from(canvas.getImageData(0, 0, 1, 1).data, (value) => value / 255);
    }
    const over = (top, below) => [0, 1, 2].map((one) => top[one] * top[3] + below[one] * (1 - top[3])).concat(1);
    function ground(one) {
        const layers = [];
        for (let at = one; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
        return layers.reduce((below, top) => over(top, below), [1, 1, 1, 1]);
    }
    const linear = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = (colour) => 0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2]);
    const faults = new Set();
    for (const one of document.querySelectorAll("body *:not(svg *, option, script, style)")) {
        const own = Array.from(one.childNodes).filter((node) => node.nodeType === 3).map((node) => node.data).join("");
        if (!own.trim() || !one.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        if (one.closest(":disabled, .material-symbols-outlined")) continue;
        const below = ground(one), above = over(rgba(getComputedStyle(one).color), below);
        const [dark, bright] = [light(below), light(above)].sort((left, right) => left - right);
        const ratio = (bright + 0.05) / (dark + 0.05);
        if (ratio < 3) faults.add(`${ratio.toFixed(1)} to 1: ${own.trim().slice(0, 40)}`);
    }
    return Array.from(faults).slice(0, 5);
}"""

# Leads to the page that all errors have.
NOTHING = "/nothing/here/"


@pytest.fixture
def visit(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with open_browser(live_server.url) as seen:
        yield seen


def addresses(things: dict[str, Any]) -> Iterator[str]:
    """Lists, forms and pages of everything that the console registers, and the pages that are none of these."""
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"admin:{name}_changelist")
        yield reverse(f"admin:{name}_add")
        if name in things:
            for kind in ("change", "edit", "delete"):
                try:
                    yield reverse(f"admin:{name}_{kind}", args=[things[name].pk])
                except NoReverseMatch:
                    assert kind == "edit"
    yield from map(reverse, OWN)
    for page in HOST_PAGES:
        yield reverse(f"admin:inventory_host_{page}", args=[things["inventory_host"].pk])
    yield NOTHING


def look(visit: Visit, address: str) -> list[str]:
    """What is wrong with a page; nothing of one that is not for anybody, such as a form of what only services write."""
    page = visit.page
    status = page.request.get(visit.url + address).status
    if address != NOTHING and status in {403, 404}:
        return []
    page.set_viewport_size(WIDE)
    page.goto(visit.url + address)
    is_known = status == 200 or address == NOTHING
    found = [] if is_known else [f"status {status}"]
    if is_known:
        page.wait_for_selector("html[data-sf-named]", state="attached")
    found += page.evaluate(FAULTS)
    for theme in ("light", "dark"):
        page.evaluate("(name) => document.documentElement.classList.toggle('dark', name === 'dark')", theme)
        found += [f"{theme}: {fault}" for fault in page.evaluate(PALE)]
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)
        wider = page.evaluate(TOO_WIDE)
        if wider > 0:
            found.append(f"{wider} pixels wider than {size['width']}")
    # The browser says of an address that leads nowhere that it does.
    found += [text for text in visit.errors if address != NOTHING or "status of 404" not in text]
    visit.errors.clear()
    return [f"{address} {fault}" for fault in found]


def test_every_page_is_whole_in_both_themes_and_widths_and_everything_on_it_has_a_name(
    transactional_db: None, visit: Visit
) -> None:
    from sandfly_web.accounts.services import ensure_roles

    ensure_roles()
    make = WebMake()
    visit.sign_in(person(make, "admin").username)
    things = world(make)

    faults = [fault for address in dict.fromkeys(addresses(things)) for fault in look(visit, address)]

    assert faults == []
