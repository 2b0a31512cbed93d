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

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Page → address; a selector after a space is a link on that page to follow.
PAGES = {
    "start": "/",
    "findings": "/findings/finding/",
    "finding": "/findings/finding/ .field-shown_title a",
    "allow-list": "/findings/allowlistentry/",
    "allow-list-form": "/findings/allowlistentry/add/",
    "hosts": "/inventory/host/",
    "host": "/inventory/host/?state__exact=active .field-shown_name a",
    "host-form": "/inventory/host/add/",
    "scans": "/scans/scan/",
    "scan": "/scans/scan/?status__exact=done .field-shown_status a",
    "rules": "/rules/rule/",
    "rule": "/rules/rule/ .field-shown_title a",
    "schedules": "/scans/schedule/",
    "schedule-form": "/scans/schedule/add/",
    "credentials": "/inventory/credential/",
    "credential-form": "/inventory/credential/add/",
    "audit-log": "/auditlog/logentry/",
    "record": "/findings/record/ .field-shown_identity a",
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
    path, _, selector = address.partition(" ")
    page.goto(url + path)
    if selector:
        link = page.locator(selector).first.get_attribute("href")
        page.goto(url + str(link))
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
    """`start`, or `web1=/inventory/host/?q=web1 .field-shown_name a` for a page that has no name yet."""
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
