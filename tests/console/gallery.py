"""The pictures of the documentation, taken in a demo: the way to a closed finding, then other pages.

Where `pngquant` is installed they are made small; 256 colours are enough for a console.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.console.screenshots import CHROMIUM, FLAGS, PAGES, new_context, sign_in, visit
from tests.console.story import make_schedules
from tests.e2e.product import Product
from tests.hosts.host import wait_until

WIDE, PHONE = "1280x900", "390x844"
# Page → size and theme of its picture. Before any schedule is due.
STILLS = {
    "start": (WIDE, "light"),
    "findings": (WIDE, "light"),
    "finding": (WIDE, "light"),
    "host": (WIDE, "dark"),
    "changes": (WIDE, "light"),
    "timeline": (WIDE, "dark"),
    "hunt": (WIDE, "light"),
    "baseline": (WIDE, "light"),
    "keys": (WIDE, "light"),
    "key": ("1280x1000", "light"),
    "host-keys": (WIDE, "dark"),
    "key-zones": ("1280x460", "light"),
    "scan": (WIDE, "light"),
    "report": (WIDE, "light"),
    "performance": (WIDE, "dark"),
    "rules": (WIDE, "light"),
    "rule": (WIDE, "dark"),
    "attack": (WIDE, "light"),
    "indicator-list": ("1280x560", "light"),
    "discovery": ("1280x620", "light"),
    "hosts": (WIDE, "light"),
    "audit-log": (WIDE, "light"),
}
# Once hosts are on their way.
LIVE = {"scans": (WIDE, "light"), "queue": ("1280x620", "dark"), "schedules": ("1280x460", "light")}
REASON = "Killed, file removed; host was rebuilt from its image."


class Gallery:
    """Signs in once for each size and theme."""

    def __init__(self, browser: Browser, url: str, account: tuple[str, str], directory: Path) -> None:
        self.browser, self.url, self.account, self.directory = browser, url, account, directory

    @contextmanager
    def page(self, size: str = WIDE, theme: str = "light") -> Iterator[Page]:
        with new_context(self.browser, size, theme) as context:
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
            sign_in(page, self.url, *self.account)
            yield page

    def keep(self, page: Page, name: str) -> None:
        # A spinner or a blinking caret is no part of the page.
        page.screenshot(path=self.directory / f"{name}.png", animations="disabled", caret="hide")

    def take(self, wanted: dict[str, tuple[str, str]]) -> None:
        for theme in ("light", "dark"):
            with self.page(theme=theme) as page:
                for name, (size, of_theme) in wanted.items():
                    if of_theme != theme:
                        continue
                    width, height = (int(part) for part in size.split("x"))
                    page.set_viewport_size({"width": width, "height": height})
                    visit(page, self.url, PAGES[name])
                    self.keep(page, f"{name}-{theme}")

    def walk(self) -> None:
        """Forensics are collected, what is right is allowed after a look, the finding is closed."""
        with self.page() as page:
            visit(page, self.url, PAGES["forensics"])
            self.keep(page, "collect-light")
            page.click("button:has-text('Collect now')")
            page.wait_for_selector("#collections >> text=Download", timeout=300_000)
            page.locator("#collections").scroll_into_view_if_needed()
            self.keep(page, "collected-light")
            visit(page, self.url, PAGES["allow-list-draft"])
            page.fill("#id_title", "Health check of the balancer")
            page.fill("#id_reason", "CHG-1502: it is unpacked to /tmp on every start until release 4.2.")
            page.locator("button:has-text('Save')").first.click()
            page.wait_for_selector("#allowlist-preview")
            self.keep(page, "allow-list-preview-light")
            visit(page, self.url, PAGES["close"])
            form = page.locator("details[open] form")
            form.locator("textarea").fill(REASON)
            form.locator("button[type=submit]").click()
            page.wait_for_selector("text=Finding closed.")
            self.keep(page, "closed-light")

    def phone(self) -> None:
        with self.page(PHONE) as page:
            visit(page, self.url, PAGES["finding"])
            self.keep(page, "finding-phone")

    def shrink(self) -> None:
        if program := shutil.which("pngquant"):
            pictures = sorted(map(str, self.directory.glob("*.png")))
            argv = [program, "--force", "--ext", ".png", "--strip", "--skip-if-larger", "--", *pictures]
            # 98: one that would grow stays as it is.
            if subprocess.run(argv, check=False).returncode not in {0, 98}:
                raise RuntimeError("pngquant could not make the pictures small")


def take_pictures(product: Product, user: str, password: str, directory: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        gallery = Gallery(browser, f"http://127.0.0.1:{product.port}", (user, password), directory)
        gallery.take(STILLS)
        gallery.phone()
        gallery.walk()
        make_schedules(product)
        wait_until(lambda: bool(product.results("scans?status=running")), 120)
        gallery.take(LIVE)
        browser.close()
    gallery.shrink()
