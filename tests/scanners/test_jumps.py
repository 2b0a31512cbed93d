"""Many visits over one sign-in to a jump host: how often its sshd was signed in to is counted in its own log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scanners import transport
from scanners.contract import CredentialSecret, HostEndpoint, JumpEndpoint, Limits, Outcome, Phase, ScanReport
from scanners.errors import AuthError, ConnectError
from scanners.shared import SharedLinks
from scanners.transport import open_ssh
from scanners.visit import run_visit
from tests.hosts.host import Host, free_port, make_host, wait_until
from tests.scanners.standin import FOOTER, HEADER, PLAN, READ_PLAN, READY, UNLINK, make_job, script_build

VISITS = 12
LIMITS = Limits(connect_timeout_s=20)
# Runs until the visit says that it may end, or until its connection is gone.
HELD = UNLINK + READY + READ_PLAN + HEADER + "while [ -e /run/hold ] && kill -0 $PPID; do sleep 0.05; done\n" + FOOTER


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host, Host]]:
    with (
        make_host("jump", address="127.0.5.31") as jump,
        make_host("second", address="127.0.5.32") as second,
        make_host("inner", address="127.0.5.33") as inner,
    ):
        yield jump, second, inner


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sets the bounds of what this process shares; nothing is shared yet."""
    made: list[SharedLinks[Any]] = []

    def use(*, most_users: int = 64, idle_s: float = 60, age_s: float = 3600) -> SharedLinks[Any]:
        links: SharedLinks[Any] = SharedLinks(most_users=most_users, idle_s=idle_s, age_s=age_s)
        monkeypatch.setattr(transport, "_ways", links)
        made.append(links)
        return links

    use()
    yield use
    for links in made:
        for held in links._held:
            held.link.close()


class Visitor:
    """Visits the inner host over jump hosts."""

    def __init__(self, directory: Path, inner: Host, *jumps: Host) -> None:
        self._build = script_build(directory, HELD)
        self._inner = inner
        self._jumps = jumps
        self.running = threading.Semaphore(0)

    def visit(self, *jump_secrets: CredentialSecret, port: int = 0) -> ScanReport:
        hops = [JumpEndpoint(address=jump.address, port=jump.port, host_keys=jump.host_keys) for jump in self._jumps]
        endpoint = msgspec.structs.replace(self._inner.endpoint, jumps=hops)
        if port:
            endpoint = HostEndpoint(address=self._inner.address, port=port, jumps=hops)
        return run_visit(
            make_job(endpoint, limits=LIMITS), PLAN, [self._inner.secret()],
            jump_secrets=jump_secrets or [jump.secret() for jump in self._jumps], get_build=lambda arch: self._build,
            on_phase=lambda phase: self.running.release() if phase is Phase.RUNNING else None,
        )  # fmt: skip

    def wait_running(self, visits: int) -> None:
        for _ in range(visits):
            assert self.running.acquire(timeout=60)


def sign_ins(host: Host) -> int:
    return host.log().count("Accepted publickey ")


def hold(host: Host) -> None:
    host.write("/run/hold", "")


def let_go(host: Host) -> None:
    host.place("/run/hold").unlink()


def test_many_visits_are_one_sign_in_to_the_jump_host(hosts, ways, tmp_path: Path) -> None:
    jump, _, inner = hosts
    before, visitor = sign_ins(jump), Visitor(tmp_path, inner, jump)
    hold(inner)

    with ThreadPoolExecutor(VISITS) as pool:
        visits = [pool.submit(visitor.visit) for _ in range(VISITS)]
        visitor.wait_running(VISITS)
        let_go(inner)
        reports = [visit.result() for visit in visits]

    assert [(report.outcome, report.failure, report.cleanup) for report in reports] == [
        (Outcome.DONE, None, None)
    ] * VISITS
    assert sign_ins(jump) - before == 1
    assert {tuple(report.presented_jump_keys) for report in reports} == {(jump.host_keys[0],)}
    # What the jump host's own sign-in sent is not counted to any visit: all sent about the same.
    sent = [report.cost.uploaded_bytes for report in reports]
    assert 0 < max(sent) < 1.5 * min(sent)


def test_a_connection_takes_so_many_visits_and_is_closed_when_it_is_idle(hosts, ways, tmp_path: Path) -> None:
    jump, _, inner = hosts
    before, visitor = sign_ins(jump), Visitor(tmp_path, inner, jump)
    links = ways(most_users=2, idle_s=0.1)
    hold(inner)

    with ThreadPoolExecutor(5) as pool:
        visits = [pool.submit(visitor.visit) for _ in range(5)]
        visitor.wait_running(5)
        let_go(inner)
        assert {visit.result().outcome for visit in visits} == {Outcome.DONE}

    assert sign_ins(jump) - before == 3
    wait_until(lambda: len(links) == 0)
    wait_until(
        lambda: not any("sshd: root" in line or "sshd-session: root" in line for line in jump.processes().values())
    )


def test_a_jump_host_that_dies_fails_its_visits_with_a_reason_and_the_next_ones_work(
    hosts, ways, tmp_path: Path
) -> None:
    jump, _, inner = hosts
    before, visitor = sign_ins(jump), Visitor(tmp_path, inner, jump)
    hold(inner)

    with ThreadPoolExecutor(4) as pool:
        visits = [pool.submit(visitor.visit) for _ in range(4)]
        visitor.wait_running(4)
        jump.cut_sessions()
        reports = [visit.result() for visit in visits]
        let_go(inner)

    for report in reports:
        assert report.failure and (report.failure.code, report.failure.retryable) == ("jump_failed", True)
        assert f"the connection to jump host {jump.address}:{jump.port} broke" in report.failure.message
        # Looked at again, over a new sign-in that they shared, too.
        assert report.cleanup is None
    assert visitor.visit().outcome is Outcome.DONE
    assert sign_ins(jump) - before == 2
    assert inner.wait_clean() == []


def test_a_connection_that_broke_while_it_was_idle_is_opened_anew(hosts, ways, tmp_path: Path) -> None:
    jump, _, inner = hosts
    before, visitor = sign_ins(jump), Visitor(tmp_path, inner, jump)

    for _ in range(2):
        assert visitor.visit().outcome is Outcome.DONE
        jump.cut_sessions()

    assert sign_ins(jump) - before == 2


def test_a_visit_that_fails_does_no_harm_to_the_others(hosts, ways, tmp_path: Path) -> None:
    jump, _, inner = hosts
    before, visitor = sign_ins(jump), Visitor(tmp_path, inner, jump)
    hold(inner)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(visitor.visit)
        visitor.wait_running(1)
        nobody = visitor.visit(port=free_port(inner.address))
        let_go(inner)

        assert nobody.failure and nobody.failure.code == "jump_failed"
        assert "cannot reach" in nobody.failure.message
        assert other.result().outcome is Outcome.DONE
    assert sign_ins(jump) - before == 1


def test_a_chain_of_two_is_one_sign_in_to_each(hosts, ways, tmp_path: Path) -> None:
    jump, second, inner = hosts
    before = sign_ins(jump), sign_ins(second)
    visitor = Visitor(tmp_path, inner, jump, second)
    links = ways(idle_s=0.1)
    hold(inner)

    with ThreadPoolExecutor(VISITS) as pool:
        visits = [pool.submit(visitor.visit) for _ in range(VISITS)]
        visitor.wait_running(VISITS)
        let_go(inner)
        reports = [visit.result() for visit in visits]

    assert [report.failure for report in reports] == [None] * VISITS
    assert (sign_ins(jump) - before[0], sign_ins(second) - before[1]) == (1, 1)
    keys = [jump.host_keys[0], second.host_keys[0]]
    assert all(report.presented_jump_keys == keys for report in reports)
    wait_until(lambda: len(links) == 0)


def test_the_first_of_a_chain_that_dies_is_named(hosts, ways, tmp_path: Path) -> None:
    jump, second, inner = hosts
    visitor = Visitor(tmp_path, inner, jump, second)
    hold(inner)

    with ThreadPoolExecutor(1) as pool:
        visit = pool.submit(visitor.visit)
        visitor.wait_running(1)
        jump.cut_sessions()
        report = visit.result()
        let_go(inner)

    assert report.failure and report.failure.code == "jump_failed"
    assert f"jump host {jump.address}:{jump.port} broke" in report.failure.message
    assert visitor.visit().outcome is Outcome.DONE


def test_another_credential_is_another_sign_in_and_a_refused_one_is_tried_once(hosts, ways, tmp_path: Path) -> None:
    jump, second, inner = hosts
    before, visitor = sign_ins(jump), Visitor(tmp_path, inner, jump)
    refused = second.secret()
    assert visitor.visit().outcome is Outcome.DONE
    tries = len(jump.authentications())

    with ThreadPoolExecutor(VISITS) as pool:
        reports = list(pool.map(lambda _: visitor.visit(refused), range(VISITS)))

    assert {report.failure and report.failure.code for report in reports} == {"auth_rejected"}
    assert all(report.failure and "jump host" in report.failure.message for report in reports)
    assert sign_ins(jump) - before == 1
    # Those who asked while it was tried took its answer.
    assert len(jump.authentications()) - tries < VISITS


def test_a_jump_host_that_refuses_is_asked_once_however_many_users_the_host_has(hosts, ways) -> None:
    jump, second, inner = hosts
    hop = JumpEndpoint(address=jump.address, port=jump.port, host_keys=jump.host_keys)
    endpoint = msgspec.structs.replace(inner.endpoint, jumps=[hop])
    users = [inner.secret(), CredentialSecret(username="other", password="x")]
    before = jump.log().count("Connection from ")

    with pytest.raises(AuthError, match="jump host"):
        open_ssh(endpoint, users, LIMITS, jump_secrets=[second.secret()])

    assert jump.log().count("Connection from ") - before == 1


# --- what is shared, without SSH ---


class Link:
    def __init__(self) -> None:
        self.is_open, self.is_whole, self.is_tired = True, True, False

    def is_alive(self) -> bool:
        return self.is_open and self.is_whole

    def is_worn(self) -> bool:
        return self.is_tired

    def close(self) -> None:
        self.is_open = False


def links_of(**changes: Any) -> SharedLinks[Link]:
    return SharedLinks(**{"most_users": 2, "idle_s": 60, "age_s": 3600, **changes})


def test_those_who_ask_at_once_share_what_one_opens_or_why_it_cannot() -> None:
    links, asked, go = links_of(most_users=9), [], threading.Event()

    def open_late() -> Link:
        asked.append(1)
        assert go.wait(30)
        raise AuthError("auth_rejected", "no")

    def ask(_: int) -> str:
        try:
            links.lease("a", open_late, 30)
        except AuthError as error:
            return error.message
        return "in"

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(8)]
        opening = wait_for_waiters(links, 8)
        go.set()
        assert {answer.result() for answer in answers} == {"no"}

    assert opening.is_over.is_set()
    assert len(asked) == 1
    assert links.lease("a", Link, 1).is_fresh


def wait_for_waiters(links: SharedLinks[Link], askers: int) -> Any:
    """Until one opens and all others wait for it."""
    wait_until(lambda: "a" in links._opening)
    opening = links._opening["a"]
    wait_until(lambda: len(opening.is_over._cond._waiters) == askers - 1)
    return opening


def test_who_waits_for_anothers_sign_in_waits_so_long() -> None:
    links, go = links_of(), threading.Event()

    def open_late() -> Link:
        assert go.wait(30)
        return Link()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(links.lease, "a", open_late, 30)
        wait_until(lambda: "a" in links._opening)
        with pytest.raises(ConnectError) as raised:
            links.lease("a", Link, 0.01)
        go.set()
        assert first.result().link.is_open

    assert (raised.value.code, raised.value.retryable) == ("jump_failed", True)


def test_full_broken_and_old_links_get_no_more_users_and_end_with_their_last() -> None:
    links = links_of(idle_s=0)
    first, second, third = (links.lease("a", Link, 1) for _ in range(3))
    assert first.link is second.link is not third.link

    third.link.is_whole = False
    fourth = links.lease("a", Link, 1)
    assert fourth.link not in (first.link, third.link)
    fourth.link.is_tired = True
    fifth = links.lease("a", Link, 1)
    assert fifth.link not in (first.link, third.link, fourth.link)

    first.release()
    first.release()
    time.sleep(0.05)
    assert second.link.is_open
    second.release()
    third.release()
    fourth.release()
    fifth.release()
    wait_until(lambda: not any(lease.link.is_open for lease in (second, third, fourth, fifth)))

    old = links_of(age_s=0)
    one, other = old.lease("a", Link, 1), old.lease("a", Link, 1)
    assert one.link is not other.link
    one.release()
    wait_until(lambda: not one.link.is_open)
    assert other.link.is_open


def test_links_of_other_keys_are_other_links() -> None:
    links = links_of()

    assert links.lease("a", Link, 1).link is not links.lease("b", Link, 1).link
