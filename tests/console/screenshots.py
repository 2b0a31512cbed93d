"""Pictures of the console for the documentation.

    .venv/bin/python -m tests.console.screenshots URL USER DIRECTORY [--page NAME[=ADDRESS]]… [--size 1280x900]…
        [--theme light]… [--full]

Reads the password from SANDFLY_PASSWORD. Writes `<page>-<width>-<theme>.png`; needs a running console with data, such
as `tests.console.demo` makes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Page → address; what follows it, each after "then", is a link to follow, or "click" and what to click.
_HOST = "/inventory/host/?q=web1 then .field-shown_name a"
_FINDING = "/findings/finding/?q=temporary then .field-shown_title a"
PAGES = {
    "start": "/",
    "findings": "/findings/finding/",
    "finding": _FINDING,
    "forensics": f"{_FINDING} then click summary:has-text('Collect forensics')",
    "close": f"{_FINDING} then click summary:has-text('Close…')",
    "allow-list-draft": f"{_FINDING} then click summary:has-text('Allow-list') then a:has-text('same thing')",
    "hunts": "/findings/savedhunt/",
    "hunt": "/findings/savedhunt/ then a:has-text('Programs in temporary')",
    "drift": "/findings/baseline/",
    "baseline": "/findings/baseline/ then .field-shown_name a:has-text('Databases')",
    "baseline-form": "/findings/baseline/add/",
    "keys": "/ssh_keys/sshkey/",
    "key": "/ssh_keys/sshkey/ then a:has-text('Deployment')",
    "key-banned": "/ssh_keys/sshkey/?q=smith then .field-shown_name a",
    "key-form": "/ssh_keys/sshkey/add/",
    "key-zones": "/ssh_keys/keyzone/",
    "key-zone-form": "/ssh_keys/keyzone/add/",
    "key-removals": "/ssh_keys/keyremoval/",
    "key-removal": "/ssh_keys/keyremoval/ then .field-shown_name a",
    "allow-list": "/findings/allowlistentry/",
    "allow-list-entry": "/findings/allowlistentry/ then .field-shown_title a",
    "allow-list-form": "/findings/allowlistentry/add/",
    "hosts": "/inventory/host/",
    "host": _HOST,
    "changes": "/inventory/host/?q=db2 then .field-shown_name a then a:has-text('What changed')",
    "timeline": f"{_HOST} then a:has-text('Timeline')",
    "host-keys": "/inventory/host/?q=build1 then .field-shown_name a then a.sf-button:has-text('SSH keys')",
    "report": f"{_HOST} then a.sf-button:has-text('Report')",
    "performance": "/scans/scan/performance/?span=30",
    "host-form": "/inventory/host/add/",
    "host-import": "/inventory/host/import/",
    "discoveries": "/inventory/discovery/",
    "discovery": "/inventory/discovery/ then #result_list tbody th a",
    "discovery-form": "/inventory/discovery/add/",
    "scans": "/scans/scan/",
    "scan": "/scans/scan/?status__exact=done then .field-shown_status a",
    "batches": "/scans/scanbatch/",
    "batch": "/scans/scanbatch/ then #result_list tbody th a",
    "queue": "/scans/scanbatch/queue/",
    "schedules": "/scans/schedule/",
    "schedule": "/scans/schedule/ then #result_list tbody th a",
    "schedule-form": "/scans/schedule/add/",
    "rules": "/rules/rule/",
    "rule": "/rules/rule/ then .field-shown_title a",
    "attack": "/rules/rule/attack/",
    "indicators": "/indicators/indicatorlist/",
    "indicator-list": "/indicators/indicatorlist/ then .field-shown_name a",
    "credentials": "/inventory/credential/",
    "credential-form": "/inventory/credential/add/",
    "credential-sets": "/inventory/credentialset/",
    "credential-set-form": "/inventory/credentialset/add/",
    "jump-hosts": "/inventory/jumphost/",
    "jump-host-form": "/inventory/jumphost/add/",
    "zones": "/inventory/zone/",
    "zone-form": "/inventory/zone/add/",
    "tags": "/inventory/tag/",
    "users": "/auth/user/",
    "user-form": "/auth/user/add/",
    "tokens": "/accounts/apitoken/",
    "token-form": "/accounts/apitoken/add/",
    "audit-log": "/auditlog/logentry/",
    "audit-entry": "/auditlog/logentry/ then #result_list tbody th a",
    "records": "/findings/record/",
    "record": "/findings/record/ then .field-shown_identity a",
    "password": "/password_change/",
    "docs": "/api/v1/docs",
}


def sign_in(page: Page, url: str, user: str, password: str) -> None:
    page.goto(f"{url}/login/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("#login-form button[type=submit]")
    page.wait_for_load_state("networkidle")


def visit(page: Page, url: str, address: str) -> None:
    """Raises playwright's Error where a link is not there."""
    path, *steps = address.split(" then ")
    page.goto(url + path)
    for step in steps:
        clicked = step.removeprefix("click ")
        if clicked == step:
            link = page.locator(step).first.get_attribute("href")
            page.goto(urljoin(page.url, str(link)))
        else:
            page.locator(clicked).first.click()
    page.wait_for_load_state("networkidle")


def new_context(browser: Browser, size: str, theme: str) -> BrowserContext:
    width, height = (int(part) for part in size.split("x"))
    return browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]


def pictures(browser: Browser, options: argparse.Namespace, password: str) -> Iterator[Path]:
    for size in options.size:
        for theme in options.theme:
            with new_context(browser, size, theme) as context:
                page = context.new_page()
                page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
                page.goto(f"{options.url}/login/")
                yield take(page, options, "login", size, theme)
                sign_in(page, options.url, options.user, password)
                for name, address in options.page.items():
                    visit(page, options.url, address)
                    yield take(page, options, name, size, theme)


def take(page: Page, options: argparse.Namespace, name: str, size: str, theme: str) -> Path:
    path = options.directory / f"{name}-{size.partition('x')[0]}-{theme}.png"
    page.screenshot(path=path, full_page=options.full)
    return path


def named_address(text: str) -> tuple[str, str]:
    """`start`, or `web1=/inventory/host/?q=web1 then .field-shown_name a` for a page that has no name yet."""
    name, has_address, address = text.partition("=")
    if not has_address and name not in PAGES:
        raise argparse.ArgumentTypeError(f"no page {name!r}: use one of {', '.join(PAGES)}, or NAME=ADDRESS")
    return name, address or PAGES[name]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write pictures of a running console.")
    parser.add_argument("url", type=lambda text: text.rstrip("/"))
    parser.add_argument("user")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--page", action="append", type=named_address)
    parser.add_argument("--size", action="append")
    parser.add_argument("--theme", action="append", choices=["light", "dark"])
    parser.add_argument("--full", action="store_true", help="the whole page instead of the first screen")
    options = parser.parse_args()
    options.page = dict(options.page or PAGES)
    options.size = options.size or ["1280x900", "390x844"]
    options.theme = options.theme or ["light", "dark"]
    return options


def main() -> int:
    options = parse_options()
    password = os.environ.get("SANDFLY_PASSWORD", "")
    if not password:
        sys.stderr.write("set SANDFLY_PASSWORD to the user's password\n")
        return 2
    options.directory.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for path in pictures(browser, options, password):
            sys.stdout.write(f"{path}\n")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
