"""A real browser signs in and triages a finding; it meets no error and asks no other host for anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.builders import WebMake
from tests.console.browser import Visit, open_browser, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def make(transactional_db: None) -> WebMake:
    from sandfly_web.accounts.services import ensure_roles

    ensure_roles()
    return WebMake()


@pytest.fixture
def visit(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with open_browser(live_server.url) as seen:
        yield seen


def test_analyst_signs_in_and_triages_a_finding(make: WebMake, visit: Visit) -> None:
    user = person(make, "analyst")
    finding = make.finding(
        make.host(name="web-1"), rule=make.rule(), level="critical", title="Shell on a socket", explanation="A shell."
    )

    visit.sign_in(user.username)
    visit.page.click("a:has-text('Shell on a socket') >> nth=0")
    visit.page.click("button:has-text('Acknowledge')")
    visit.page.wait_for_selector("text=Finding acknowledged.")
    visit.write("Comment…", "Asked the owner", "Add comment")
    visit.page.wait_for_selector("text=Finding commented on.")
    visit.write("Close…", "Rebuilt from image", "Close finding")
    visit.page.wait_for_selector("text=Finding closed.")
    history = visit.page.locator(".sf-history").inner_text()

    finding.refresh_from_db()
    assert (finding.status, finding.close_reason) == ("closed", "Rebuilt from image")
    assert [line for line in ("Acknowledged", "Asked the owner", "Rebuilt from image") if line not in history] == []
    assert finding.events.last().actor == user
    assert visit.errors == []
    assert visit.hosts == {urlsplit(visit.url).netloc}


def test_hostile_evidence_runs_nothing(make: WebMake, visit: Visit) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    finding = make.finding(
        make.host(name=hostile), title=hostile, explanation=hostile, evidence={hostile: hostile, "long": hostile * 9}
    )

    visit.sign_in(person(make, "viewer").username)
    for path in ("/", "/findings/finding/", f"/findings/finding/{finding.pk}/change/"):
        visit.page.goto(visit.url + path)
        visit.page.wait_for_load_state("networkidle")
        assert visit.page.title() != "owned"

    assert visit.errors == []


def test_scan_list_renews_itself_while_a_scan_runs(make: WebMake, visit: Visit) -> None:
    scan = make.scan(make.host(), status="running", phase="running")

    visit.sign_in(person(make, "viewer").username)
    visit.page.goto(f"{visit.url}/scans/scan/")
    visit.page.wait_for_selector("text=Running")
    type(scan).objects.filter(pk=scan.pk).update(status="done")

    visit.page.wait_for_selector("#changelist-form >> text=Done")
    assert visit.errors == []


def test_documentation_of_the_api_works_offline(make: WebMake, visit: Visit) -> None:
    visit.sign_in(person(make, "viewer").username)

    visit.page.goto(f"{visit.url}/api/v1/docs")
    visit.page.locator('[data-tag="findings"]').click(timeout=60_000)
    visit.page.wait_for_selector('[data-path="/api/v1/findings"]')

    assert visit.hosts == {urlsplit(visit.url).netloc}
    assert visit.errors == []


PAGES = [
    *("/", "/findings/finding/", "/inventory/host/", "/inventory/host/add/", "/inventory/credential/add/"),
    *("/scans/scan/", "/scans/schedule/add/", "/rules/rule/", "/auth/user/add/", "/password_change/"),
]


def test_no_page_needs_what_the_content_security_policy_forbids(make: WebMake, visit: Visit) -> None:
    """A violation is an error on the browser's console."""
    make.finding(make.host(), rule=make.rule())
    user = person(make, "admin")

    visit.sign_in(user.username)
    for path in PAGES:
        visit.page.goto(visit.url + path)
        visit.page.wait_for_load_state("networkidle")
    visit.page.goto(f"{visit.url}/findings/finding/")
    visit.page.click("#result_list a >> nth=0")
    visit.page.wait_for_selector('h2:text("Evidence")')

    assert visit.errors == []


def test_policy_stops_a_script_that_got_into_a_page(make: WebMake, visit: Visit) -> None:
    visit.sign_in(person(make, "viewer").username)

    visit.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            const frame = document.createElement("iframe");
            frame.src = "http://192.0.2.1/";
            document.body.append(frame);
        }"""
    )

    assert visit.page.title() != "owned"
    assert [word for word in ("script-src", "default-src") if not any(word in text for text in visit.errors)] == []


def test_controls_of_the_theme_work_without_compiling_anything(make: WebMake, visit: Visit) -> None:
    """Their expressions are read, not evaluated: filters open, the dark theme comes and stays, a phone has a menu."""
    make.finding(make.host(), rule=make.rule())
    page = visit.page

    visit.sign_in(person(make, "analyst").username)
    answer = page.goto(f"{visit.url}/findings/finding/")
    page.click("a[x-on\\:click='filterOpen = true']")
    page.wait_for_selector("#changelist-filter-close", state="attached")
    page.wait_for_selector("#changelist-filter >> text=tactic or technique")
    page.keyboard.press("Escape")
    page.wait_for_selector("#changelist-filter", state="hidden")
    page.evaluate("localStorage.setItem('adminTheme', JSON.stringify('dark'))")
    page.reload()
    page.wait_for_selector("html.dark", state="attached")
    # In a turn of its own: what a debugger evaluates is allowed more than the page is.
    compiled = page.evaluate(
        """() => new Promise((done) => setTimeout(() => {
            try { done(Function("return 1")()); } catch (error) { done(error.name); }
        }))"""
    )

    assert answer is not None
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
    assert compiled == "EvalError"
    # The one violation is the one above.
    assert [text for text in visit.errors if "unsafe-eval" not in text] == []


def test_times_are_told_in_utc_until_somebody_chooses_their_own_time_zone(make: WebMake, visit: Visit) -> None:
    verbatim = "2026-03-01 12:00:00 UTC said the host"
    finding = make.finding(make.host(), rule=make.rule(), evidence={"line": verbatim})
    utc = f"{finding.first_seen_at:%Y-%m-%d %H:%M:%S} UTC"
    local = f"{finding.first_seen_at + timedelta(hours=5, minutes=30):%Y-%m-%d %H:%M:%S} GMT+5:30"
    page = visit.page

    visit.sign_in(person(make, "analyst").username)
    page.goto(f"{visit.url}/findings/finding/{finding.pk}/change/")
    moment = page.locator("dd time[data-sf-form=full]").first
    told = [moment.inner_text(), page.inner_text("#sf-clock"), moment.get_attribute("title")]
    page.click("#sf-clock")
    told += [moment.inner_text(), moment.get_attribute("title")]
    page.reload()
    page.wait_for_function("document.getElementById('sf-clock').textContent.startsWith('Asia/')")
    kept = [moment.inner_text(), page.locator("dd time:not([data-sf-form])").first.get_attribute("title")]
    page.click("[x-on\\:click='openUserLinks = !openUserLinks']")
    page.click("button[data-sf-clock=utc]")

    assert told == [utc, "UTC", f"{utc} ({local})", local, f"{local} ({utc})"]
    assert kept == [local, f"{local} ({utc})"]
    assert moment.inner_text() == utc
    assert verbatim in page.inner_text(".sf-evidence")
    assert visit.errors == []


def test_list_is_walked_by_keys_and_opened_by_enter(make: WebMake, visit: Visit) -> None:
    titles = ("First of them", "Second of them", "Third of them")
    for title, level in zip(titles, ("critical", "high", "low"), strict=True):
        make.finding(make.host(), title=title, level=level, rule=make.rule())
    page = visit.page

    visit.sign_in(person(make, "analyst").username)
    page.goto(f"{visit.url}/findings/finding/")
    page.wait_for_load_state("networkidle")
    for key in "jjjkx":
        page.keyboard.press(key)
    focused = page.evaluate("document.activeElement.innerText")
    chosen = page.locator("input.action-select:checked").count()
    page.focus("#searchbar")
    page.keyboard.type("jk")
    page.keyboard.press("Escape")
    typed = page.input_value("#searchbar")

    assert focused.startswith("Second of them")
    assert chosen == 1
    assert typed in {"jk", ""}
    assert visit.errors == []
