"""What gets in and how often it is tried: certificates, several passwords, and secrets from a Vault."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from redis import Redis

from scanners import tasks
from scanners.budget import MAX_IN_ZONE, MAX_ON_HOST, WINDOW_S, Account, Budget, MemoryCounters
from scanners.contract import Become, CredentialSecret, Outcome, ScanReport, VaultEngine, VaultSource
from scanners.errors import AuthError
from scanners.hashicorp import resolve
from scanners.keys import check_certificate, parse_private_key
from scanners.visit import run_visit
from tests.hosts.host import Host, User, make_host
from tests.scanners.standin import PLAN, make_job, script_build

pytestmark = pytest.mark.integration

PASSWORD = "canary pass'word"
TOKEN = "hvs.canary-token"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return script_build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    users = [User("plain", password=PASSWORD), User("asked", password=PASSWORD, sudo="password")]
    with make_host("web1", users=users, sshd_options={"TrustedUserCAKeys": "/etc/ssh/ca.pub"}) as running:
        yield running


def visit(host: Host, *secrets: CredentialSecret, build: Any, budget: Budget | None = None, **job: Any) -> ScanReport:
    return run_visit(make_job(host.endpoint, **job), PLAN, list(secrets), get_build=lambda arch: build, budget=budget)


# --- certificates ---


class Authority:
    """An SSH certificate authority that the host trusts."""

    def __init__(self, directory: Path, host: Host) -> None:
        self._directory = directory
        self.make_key("ca")
        host.write("/etc/ssh/ca.pub", (directory / "ca.pub").read_text())

    def make_key(self, name: str, kind: str = "ed25519") -> str:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, *["-b", "2048"] * (kind == "rsa"), "-N", "", "-f", self._directory / name],
            check=True,
        )
        return (self._directory / name).read_text()

    def sign(self, name: str, validity: str = "-1d:+1d", *options: str) -> str:
        argv = ["ssh-keygen", "-q", "-s", self._directory / "ca", "-I", "scan", "-n", "plain", "-V", validity]
        subprocess.run([*argv, *options, self._directory / f"{name}.pub"], check=True)
        return (self._directory / f"{name}-cert.pub").read_text()


@pytest.fixture
def authority(tmp_path: Path, host: Host) -> Authority:
    return Authority(tmp_path, host)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_certificate_of_a_trusted_authority_gets_in(authority: Authority, host: Host, build: Any, kind: str) -> None:
    secret = CredentialSecret(
        username="plain", private_key=authority.make_key("user", kind), certificate=authority.sign("user"), id="7"
    )

    report = visit(host, secret, build=build)

    assert (report.outcome, report.credential) == (Outcome.DONE, "7")


@pytest.mark.parametrize(
    ("validity", "words"),
    [("20200101:20200102", "expired 2020-01-0"), ("20500101:20500102", "holds only from 20")],
)
def test_a_certificate_out_of_its_time_is_told_without_connecting(
    authority: Authority, host: Host, build: Any, validity: str, words: str
) -> None:
    key = authority.make_key("user")
    before = len(host.authentications())

    report = visit(
        host, CredentialSecret(username="plain", private_key=key, certificate=authority.sign("user", validity)),
        build=build,
    )  # fmt: skip

    assert report.failure is not None
    assert (report.failure.code, report.failure.retryable) == ("certificate_expired", False)
    assert words in report.failure.message
    assert len(host.authentications()) == before


def test_a_certificate_that_cannot_serve_is_told(authority: Authority) -> None:
    key = parse_private_key(CredentialSecret(username="u", private_key=authority.make_key("user")))
    other = ed25519.Ed25519PrivateKey.generate()
    fitting = authority.sign("user")

    for certificate, of, words in (
        (fitting, other, "another key"),
        (authority.sign("user", "-1d:+1d", "-h"), key, "of a host"),
        ("nonsense", key, "cannot be read"),
        (fitting.replace("AAAA", "AAAB", 1), key, "cannot be read"),
    ):
        with pytest.raises(AuthError, match=words) as raised:
            check_certificate(certificate, of)
        assert raised.value.code == "key_unreadable"
    check_certificate(fitting, key)


# --- how often ---


def failures(host: Host, username: str) -> int:
    return sum(1 for line in host.log().splitlines() if f"Failed password for {username} " in line)


def test_no_account_sees_more_wrong_passwords_than_the_bound_however_often_it_is_visited(
    host: Host, build: Any
) -> None:
    budget = Budget(MemoryCounters())
    secrets = [host.password_secret("plain", password=f"wrong {number}", id=str(number)) for number in range(3)]

    reports = [visit(host, *secrets, build=build, budget=budget, try_all_passwords=True) for _ in range(3)]

    assert failures(host, "plain") == MAX_ON_HOST
    codes = [report.failure.code for report in reports if report.failure]
    assert codes == ["auth_rejected", "auth_paused", "auth_paused"]
    right = visit(host, host.password_secret("plain"), build=build, budget=budget)
    assert right.failure is not None and right.failure.code == "auth_paused"
    assert failures(host, "plain") == MAX_ON_HOST


def test_the_second_password_of_a_user_is_tried_only_where_the_set_says_so(build: Any) -> None:
    with make_host("web2", users=[User("plain", password=PASSWORD)]) as host:
        secrets = [host.password_secret("plain", password="wrong", id="a"), host.password_secret("plain", id="b")]

        once = visit(host, *secrets, build=build)
        both = visit(host, *secrets, build=build, try_all_passwords=True)

    assert (once.outcome, once.credential) == (Outcome.FAILED, "")
    assert (both.outcome, both.credential) == (Outcome.DONE, "b")


def test_a_password_that_gets_in_makes_the_account_new(host: Host, build: Any) -> None:
    budget = Budget(MemoryCounters())
    wrong = host.password_secret("asked", password="wrong", become=Become.NONE)

    for _ in range(3):
        assert visit(host, wrong, build=build, budget=budget).outcome is Outcome.FAILED
        done = visit(host, host.password_secret("asked", become=Become.NONE), build=build, budget=budget)
        assert done.outcome is Outcome.DONE


def test_a_wrong_sudo_password_is_not_tried_again_and_again(host: Host, build: Any) -> None:
    budget = Budget(MemoryCounters())
    secret = host.secret("asked", become_password="wrong", become=Become.SUDO)

    host.write("/etc/sudoers.d/log", "Defaults logfile=/var/log/sudo.log\n", 0o440)
    reports = [visit(host, secret, build=build, budget=budget) for _ in range(MAX_ON_HOST + 2)]
    wrong = host.run("cat /var/log/sudo.log").stdout.count("incorrect password attempt")

    assert [report.outcome for report in reports] == [Outcome.DONE] * len(reports)
    assert {report.profile.is_root for report in reports if report.profile} == {False}
    assert wrong == MAX_ON_HOST


def test_a_credential_that_is_refused_everywhere_is_not_tried_everywhere() -> None:
    budget = Budget(MemoryCounters())

    tried = 0
    for number in range(20):
        account = Account(f"h{number}:22", "svc", credential="7")
        if budget.take(account):
            tried += 1
            budget.failed(account)

    assert tried == MAX_IN_ZONE
    assert budget.take(Account("h0:22", "other", credential="8"))


def test_what_was_counted_is_forgotten_after_the_window() -> None:
    now = [0.0]
    budget = Budget(MemoryCounters(lambda: now[0]))
    account = Account("h:22", "root")

    asked = [budget.take(account) for _ in range(MAX_ON_HOST + 1)]
    now[0] = WINDOW_S + 1.0

    assert asked == [True] * MAX_ON_HOST + [False]
    assert budget.take(account)


def test_a_count_that_is_taken_back_still_ends_with_its_window(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can go away between two visits of one account: what is left of it must not count for ever."""
    monkeypatch.setattr(tasks, "_redis", lambda: redis)
    counters, account, key = tasks.RedisCounters("office"), "host:h:22", "sandfly:wrong:office:host:h:22"

    counters.add(account)
    with monkeypatch.context() as between:
        between.setattr(counters, "get", lambda name: redis.delete(key))
        counters.take_back(account)

    assert counters.add(account) == 1
    assert 0 < redis.ttl(key) <= WINDOW_S
    for _ in range(2):
        counters.take_back(account)
    assert (counters.get(account), counters.add(account)) == (0, 1)


def test_a_server_that_takes_no_passwords_counts_nothing() -> None:
    budget = Budget(MemoryCounters())
    account = Account("h:22", "root")

    for _ in range(10):
        assert budget.take(account)
        budget.release(account)


# --- Vault ---


class FakeVault(http.server.BaseHTTPRequestHandler):
    """The part of Vault's HTTP API that is used, as its documentation has it."""

    secrets: ClassVar[dict[str, dict[str, Any]]] = {}
    asked: ClassVar[list[tuple[str, str, dict[str, str], Any]]] = []
    status: ClassVar[int] = 200
    answer: ClassVar[bytes | None] = None

    def do_GET(self) -> None:
        self.reply(None)

    def do_POST(self) -> None:
        self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def reply(self, body: Any) -> None:
        FakeVault.asked.append((self.command, self.path, dict(self.headers), body))
        data = self.secrets.get(self.path)
        status = self.status
        if self.headers["X-Vault-Token"] != TOKEN:
            status, data = 403, None
        elif status == 200 and data is None:
            status = 404
        text = self.answer or json.dumps({"data": data} if data is not None else {"errors": [TOKEN]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if status in (301, 307):
            self.send_header("Location", "/v1/secret/data/web1")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_arguments: Any) -> None:
        """Silent."""


@pytest.fixture
def vault() -> Iterator[str]:
    FakeVault.secrets, FakeVault.asked, FakeVault.status, FakeVault.answer = {}, [], 200, None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeVault) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def source(url: str, path: str = "web1", **changes: Any) -> CredentialSecret:
    return CredentialSecret(
        username="plain", vault=VaultSource(**{"url": url, "token": TOKEN, "path": path, **changes}), id="7"
    )


def test_a_secret_of_a_kv_engine_gets_in(vault: str, host: Host, build: Any) -> None:
    key = host.key_path("plain").read_text()
    FakeVault.secrets["/v1/team/kv/data/ssh/127.0.5.1"] = {"data": {"private_key": key}, "metadata": {"version": 3}}

    report = visit(host, source(vault, "ssh/{host}", mount="team/kv", namespace="ops"), build=build)

    assert (report.outcome, report.credential) == (Outcome.DONE, "7")
    method, _, headers, _ = FakeVault.asked[0]
    assert (method, headers["X-Vault-Namespace"], headers["X-Vault-Request"]) == ("GET", "ops", "true")


def test_a_one_time_password_gets_in(vault: str, host: Host, build: Any) -> None:
    FakeVault.secrets["/v1/ssh/creds/otp"] = {"key": PASSWORD, "ip": host.address, "key_type": "otp"}

    report = visit(host, source(vault, "otp", mount="ssh", engine=VaultEngine.SSH_OTP), build=build)

    assert (report.failure is not None and report.failure.code == "auth_rejected") or report.outcome is Outcome.DONE
    assert report.outcome is Outcome.DONE
    assert FakeVault.asked[0][0] == "POST"
    assert FakeVault.asked[0][3] == {"ip": host.address, "username": "plain"}


@pytest.mark.parametrize(
    ("status", "answer", "code", "words"),
    [
        (403, None, "vault_refused", "refuses the token"),
        (404, None, "vault_refused", "no such secret"),
        (503, None, "vault_unreachable", "sealed"),
        (500, None, "vault_unreachable", "status 500"),
        (307, None, "vault_refused", "status 307"),
        (200, b"<html>", "vault_refused", "no answer of a Vault"),
        (200, b'{"data": {"data": null}}', "vault_refused", "was it deleted"),
        (200, b'{"data": {"data": {"other": "x"}}}', "vault_refused", "neither password nor private_key"),
        (200, b'{"data": {"data": {"password": 5}}}', "vault_refused", "no text"),
        (200, b'{"data": {"data": {"password": "' + b"x" * 5000 + b'"}}}', "vault_refused", "longer"),
        (200, b"x" * 3_000_000, "vault_refused", "no answer of a Vault"),
    ],
)
def test_what_a_vault_says_against_it_is_told_without_its_words(
    vault: str, status: int, answer: bytes | None, code: str, words: str
) -> None:
    FakeVault.secrets["/v1/secret/data/web1"] = {"data": {"password": PASSWORD}}
    FakeVault.status, FakeVault.answer = status, answer

    with pytest.raises(AuthError, match=words) as raised:
        resolve(source(vault), "web1")

    assert raised.value.code == code
    assert TOKEN not in raised.value.message and PASSWORD not in raised.value.message
    assert len(FakeVault.asked) == 1


@pytest.mark.parametrize(
    ("url", "changes"),
    [
        ("http://192.0.2.1:8200", {}),
        ("http://vault.example.org", {}),
        ("file:///etc/passwd", {}),
        ("https://user:pw@vault.example.org", {}),
        ("https://vault.example.org/other/", {}),
        ("https://vault.example.org?x=1", {}),
        ("https://[", {}),
        ("", {}),
        ("http://127.0.0.1:1", {"path": "../sys/seal"}),
        ("http://127.0.0.1:1", {"path": "a?b"}),
        ("http://127.0.0.1:1", {"path": "a%2e%2e"}),
        ("http://127.0.0.1:1", {"mount": "../../sys"}),
        ("http://127.0.0.1:1", {"mount": ""}),
        ("http://127.0.0.1:1", {"token": "a\nb"}),
    ],
)
def test_nothing_but_a_vault_is_asked(url: str, changes: dict[str, str]) -> None:
    with pytest.raises(AuthError) as raised:
        resolve(source(url, **changes), "web1")

    assert raised.value.code == "vault_refused"


def test_a_vault_that_is_down_is_worth_another_try(host: Host, build: Any) -> None:
    report = visit(host, source("http://127.0.0.1:1"), build=build)

    assert report.failure is not None
    assert (report.failure.code, report.failure.retryable) == ("vault_unreachable", True)


def test_a_vault_that_is_down_keeps_no_other_credential_of_a_set_from_being_tried(host: Host, build: Any) -> None:
    down = source("http://127.0.0.1:1")

    done = visit(host, down, host.secret("plain", id="8"), build=build)
    refused = visit(host, down, host.password_secret("plain", password="wrong"), build=build)

    assert (done.outcome, done.credential) == (Outcome.DONE, "8")
    # The one that the Vault holds might have got in.
    assert refused.failure is not None
    assert (refused.failure.code, refused.failure.retryable) == ("vault_unreachable", True)
    assert "refused the password" in refused.failure.message


def test_a_vault_whose_certificate_does_not_hold_gets_no_token(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
         "/CN=vault", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    FakeVault.secrets, FakeVault.asked, FakeVault.status, FakeVault.answer = {}, [], 200, None
    FakeVault.secrets["/v1/secret/data/web1"] = {"data": {"password": PASSWORD}}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeVault) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}"
        with pytest.raises(AuthError, match="does not hold"):
            resolve(source(url), "web1")
        known = resolve(source(url, ca_certificate=certificate.read_text()), "web1")
        server.shutdown()

    assert known.password == PASSWORD
    assert len(FakeVault.asked) == 1


def test_no_secret_of_a_vault_shows_itself() -> None:
    secret = source("https://vault.example.org")

    assert TOKEN not in f"{secret!r} {secret} {secret.vault!r} {secret.vault}"


def test_a_vault_is_asked_again_for_every_connection(vault: str) -> None:
    FakeVault.secrets["/v1/secret/data/web1"] = {"data": {"password": PASSWORD, "become_password": "b"}}

    found = [resolve(source(vault), "web1") for _ in range(2)]

    assert {(secret.password, secret.become_password, secret.vault) for secret in found} == {(PASSWORD, "b", None)}
    assert len(FakeVault.asked) == 2
