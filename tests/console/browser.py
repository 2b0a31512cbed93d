"""A browser that signs in to the console and writes down what goes wrong on its pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.db import connections

from tests.api.builders import WebMake

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PASSWORD = "a-long-Passphrase-7"


@dataclass
class Visit:
    """A page and everything that went wrong on it."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def sign_in(self, username: str) -> None:
        self.page.goto(self.url)
        self.page.fill("input[name=username]", username)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("#login-form button[type=submit]")
        self.page.wait_for_selector("text=Overview")

    def write(self, button: str, text: str, submit: str) -> None:
        """Open one of the small forms of the finding page and send it."""
        self.page.click(f"summary:has-text('{button}')")
        form = self.page.locator("details[open] form")
        form.locator("textarea").fill(text)
        form.locator(f"button:has-text('{submit}')").click()


@contextmanager
def open_browser(url: str) -> Iterator[Visit]:
    """Needs DJANGO_ALLOW_ASYNC_UNSAFE: Playwright's event loop runs in this thread, where Django refuses queries."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        # Far from UTC, and by no whole hours.
        page = browser.new_page(timezone_id="Asia/Kolkata")
        page.set_default_timeout(20_000)
        seen = Visit(page, url)
        page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).netloc))
        yield seen
        # While that loop runs, the test's own queries have a connection apart, which nobody else would close.
        connections.close_all()
        browser.close()


def person(make: WebMake, role: str) -> Any:
    """A user with PASSWORD."""
    user = make.person(role)
    user.set_password(PASSWORD)
    user.save()
    return user
