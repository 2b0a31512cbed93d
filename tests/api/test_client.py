"""The Python client: in step with the document, right against the live API, patient with a server that is not well."""

from __future__ import annotations

import ast
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml
from sandfly_client import (
    AuthenticationError,
    CertificateError,
    Client,
    ConnectionFailedError,
    ForbiddenError,
    InvalidRequestError,
    KeyReusedError,
    NotFoundError,
    Options,
    ScanWaitError,
    ServerError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
    models,
)

from sandfly_web.api.client import generate
from tests.api.builders import WebMake
from tests.api.world import world

TOKEN = "sandfly-canary-token"
Connect = Callable[[str], Client]


def test_models_and_operations_are_those_of_the_document() -> None:
    """Run `python -m sandfly_web.api.client.generate` after the API changed."""
    made = generate.generate()

    assert {name: (generate.PACKAGE / name).read_text(encoding="utf-8") for name in made} == made


def test_every_example_of_an_answer_is_read() -> None:
    document = yaml.load(generate.DOCUMENT.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    contents = [
        answer["content"]["application/json"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "application/json" in answer.get("content", {})
    ]
    pairs = [
        (generate.reference(c["schema"]), c["example"]) for c in contents if "example" in c and "$ref" in c["schema"]
    ]
    read = [msgspec.convert(example, getattr(models, name)) for name, example in pairs if hasattr(models, name)]

    assert len(read) > 60


def test_client_needs_nothing_of_the_server() -> None:
    roots = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for path in generate.PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.level == 0)
    }

    assert roots & {"sandfly_web", "scanners", "django", "rest_framework"} == set()
    assert {"msgspec", "urllib3"} <= roots


@pytest.fixture
def make(transactional_db: None) -> WebMake:
    from sandfly_web.accounts.services import ensure_roles

    ensure_roles()
    return WebMake()


@pytest.fixture
def connect(live_server: Any, make: WebMake) -> Iterator[Connect]:
    """Clients by role, which end with the test: a connection that stays keeps one to the database too."""
    from sandfly_web.accounts.services import create_token

    with ExitStack() as ended:

        def connected(role: str) -> Client:
            token = create_token(make.person(role), "test")[1] if role else TOKEN
            return ended.enter_context(Client(live_server.url, token, Options(retries=0)))

        yield connected


@pytest.mark.django_db(transaction=True)
def test_findings_are_listed_page_by_page_exported_commented_on_and_closed(connect: Connect, make: WebMake) -> None:
    host = make.host()
    ids = [make.finding(host).pk for _ in range(7)]
    make.finding(host, level="low")
    client = connect("analyst")
    found = client.findings.list(host=host.pk, level=["high"], page_size=3)

    assert [finding.id for finding in found] == ids
    assert [len(page) for page in found.pages()] == [3, 3, 1]
    assert [finding.id for finding in found.export()] == ids
    assert client.findings.list(level=["critical"]).first() is None
    client.findings.comment(ids[0], comment="Playbook 7")
    closed = client.findings.close(ids[0], reason="Rebuilt", idempotency_key="case-1")
    again = client.findings.close(ids[0], reason="Rebuilt", idempotency_key="case-1")
    assert (closed.status, closed.close_reason) == ("closed", "Rebuilt")
    assert [event.kind for event in again.events] == ["created", "commented", "closed"]
    with pytest.raises(KeyReusedError):
        client.findings.close(ids[1], reason="Rebuilt", idempotency_key="case-1")


@pytest.mark.django_db(transaction=True)
def test_scans_are_waited_for_and_go_on_when_nobody_waits(connect: Connect, make: WebMake, redis: Any) -> None:
    from sandfly_web.scans.models import Scan

    rule, host = make.rule(), make.host()
    client = connect("responder")
    batch = client.scans.create(hosts=[host.pk], rules=[rule.name])

    with pytest.raises(ScanWaitError, match="1 scans are not over") as waited:
        client.wait(batch.batch, timeout_s=0)
    Scan.objects.filter(pk=batch.scans[0].id).update(status="done", finished_at=datetime.now(UTC))

    assert waited.value.unfinished == 1
    assert [scan.status for scan in client.wait(batch.batch)] == ["done"]


@pytest.mark.django_db(transaction=True)
def test_refusals_are_typed_and_say_why(connect: Connect, make: WebMake) -> None:
    client, zone = connect("operator"), make.zone()

    with pytest.raises(InvalidRequestError) as invalid:
        client.hosts.create(address="192.0.2.7", zone=zone.pk, port=70000)
    with pytest.raises(NotFoundError):
        client.findings.get(UUID(int=0))
    with pytest.raises(NotFoundError):
        client.findings.get("../me")
    with pytest.raises(ForbiddenError):
        connect("viewer").hosts.create(address="192.0.2.7", zone=zone.pk)
    with pytest.raises(AuthenticationError) as unknown:
        connect("").me()

    assert [fault.field for fault in invalid.value.errors] == ["port"]
    assert "port" in str(invalid.value)
    assert unknown.value.request_id
    assert TOKEN not in f"{unknown.value!r} {connect('')!r}"


@pytest.mark.django_db(transaction=True)
def test_lists_of_indicators_are_uploaded(connect: Connect, make: WebMake) -> None:
    client = connect("operator")

    preview = client.indicator_lists.preview(file=b"evil.example\n192.0.2.66\n")

    assert preview.counts == {"domain": 1, "ip": 1}


@dataclass
class Stub:
    """A server that answers as told: each answer is status, headers, body; the last one again and again."""

    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def next(self) -> tuple[int, dict[str, str], bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serve(*answers: tuple[int, dict[str, str], bytes], context: ssl.SSLContext | None = None) -> Iterator[Stub]:
    """Status 0: the connection is closed without an answer; status 1: nothing comes."""
    stub, end = Stub(list(answers)), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stub.asked.append((self.command, self.path, dict(self.headers)))
            status, headers, body = stub.next()
            self.close_connection = True
            if status == 1:
                end.wait(60)
            if status < 100:
                return
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of http.server

        def log_message(self, *_args: Any) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    stub.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        end.set()
        server.shutdown()
        server.server_close()


SECRET = (200, {}, json.dumps({"header": "X-Signature", "algorithm": "hmac-sha256", "secret": "s"}).encode())
NOT_NOW = (
    429,
    {"Retry-After": "7", "Content-Type": "application/problem+json"},
    b'{"detail": "wait", "code": "throttled"}',
)
LOST = (0, {}, b"")


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long retries waited, without waiting."""
    taken: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", taken.append)
    return taken


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_asked_again_after_what_it_asks_for(naps: list[float], status: int) -> None:
    with serve((status, {"Retry-After": "7"}, b""), (status, {"Retry-After": "86400"}, b""), SECRET) as stub:
        assert Client(stub.url, TOKEN).callback_secret().secret == "s"

    assert naps == [7, 120]


def test_server_that_stays_busy_or_broken_is_an_error_with_its_words(naps: list[float]) -> None:
    with serve(NOT_NOW) as stub, pytest.raises(ThrottledError, match="wait") as throttled:
        Client(stub.url, TOKEN, Options(retries=2)).callback_secret()
    with serve((502, {}, b"<html>proxy</html>")) as proxy, pytest.raises(ServerError):
        Client(proxy.url, TOKEN).callback_secret()

    assert (len(stub.asked), throttled.value.code) == (3, "throttled")
    assert len(proxy.asked) == 1


def test_lost_answer_is_asked_for_again_with_the_same_key(naps: list[float]) -> None:
    with serve(LOST, (404, {}, b"{}")) as stub, pytest.raises(NotFoundError):
        Client(stub.url, TOKEN).findings.comment(UUID(int=1), comment="x")

    keys = {headers["Idempotency-Key"] for _method, _path, headers in stub.asked}
    assert (len(stub.asked), len(keys)) == (2, 1)


def test_what_must_not_be_done_twice_is_asked_once(naps: list[float]) -> None:
    with serve(LOST) as stub:
        client = Client(stub.url, TOKEN)
        with pytest.raises(ConnectionFailedError):
            client.tokens.create(name="x")
        with pytest.raises(ConnectionFailedError):
            client.hosts.delete(UUID(int=1))

    assert [method for method, _path, _headers in stub.asked] == ["POST", "DELETE"]


def test_no_redirect_is_followed_with_the_token(naps: list[float]) -> None:
    with serve(SECRET) as other, serve((302, {"Location": f"{other.url}/api/v1/callback-secret"}, b"")) as stub:
        with pytest.raises(UnexpectedAnswerError, match="leads elsewhere"):
            Client(stub.url, TOKEN).callback_secret()

        assert other.asked == []


def test_silent_server_is_given_up() -> None:
    with serve((1, {}, b"")) as stub, pytest.raises(TimedOutError):
        Client(stub.url, TOKEN, Options(read_timeout_s=0.2, retries=0)).callback_secret()


@pytest.mark.parametrize(
    ("headers", "body"), [({}, b'{"id": 1}\n{"id": '), ({"Content-Length": "1000"}, b'{"id": 1}\n')]
)
def test_export_that_breaks_off_is_an_error_not_an_end(headers: dict[str, str], body: bytes) -> None:
    with serve((200, headers, body)) as stub, pytest.raises(ConnectionFailedError):
        list(Client(stub.url, TOKEN)._transport.lines("/api/v1/tags", {"export": "ndjson"}))


@pytest.mark.parametrize("body", [b"<html>", b'{"secret": 1}', b"\xff", b""])
def test_answer_of_another_shape_is_named(body: bytes) -> None:
    with serve((200, {}, body)) as stub, pytest.raises(UnexpectedAnswerError):
        Client(stub.url, TOKEN).callback_secret()


def test_next_page_is_asked_of_the_same_server_and_never_the_same_page_again() -> None:
    page = {"results": [], "next": "http://192.0.2.1/elsewhere?cursor=abc"}
    with serve((200, {}, json.dumps(page).encode())) as stub, pytest.raises(UnexpectedAnswerError):
        list(Client(stub.url, TOKEN).tags.list())

    assert [path for _method, path, _headers in stub.asked] == ["/api/v1/tags", "/api/v1/tags?cursor=abc"]


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1", "ftp://localhost", "localhost:8000", "https://user@host", "https://"]
)
def test_address_that_would_show_the_token_or_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Client(url, TOKEN)


def certificate(directory: Path) -> tuple[Path, Path]:
    """An authority of our own, which signs for itself: certificate and key of 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "ca.pem", directory / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    return paths


def test_certificate_of_an_own_authority_is_trusted_only_when_it_is_given(tmp_path: Path) -> None:
    authority, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)

    with serve(SECRET, context=context) as stub:
        assert Client(stub.url, TOKEN, Options(ca_file=str(authority))).callback_secret().secret == "s"
        with pytest.raises(CertificateError):
            Client(stub.url, TOKEN, Options(retries=0)).callback_secret()
        assert len(stub.asked) == 1


def read_all(client: Client) -> tuple[set[str], list[str]]:
    """Names of the lists that had a row which could be read, alone too; and what was not as the document says."""
    read, faults = set(), []
    for name, group in vars(client).items():
        if not hasattr(group, "list"):
            continue
        try:
            for row in group.list():
                read.add(name)
                if hasattr(group, "get"):
                    group.get(row.id)
        except UnexpectedAnswerError as error:
            faults.append(f"{name}: {error}")
    return read, faults


@pytest.mark.django_db(transaction=True)
def test_everything_there_can_be_is_as_the_document_says(connect: Connect, make: WebMake) -> None:
    from sandfly_web.findings.models import FindingEvent

    client = connect("admin")
    lists = {name for name, group in vars(client).items() if hasattr(group, "list")}
    world(make)
    # The list leaves out what may be overtaken.
    FindingEvent.objects.update(created_at=datetime.now(UTC) - timedelta(days=1))

    read, faults = read_all(client)

    assert faults == []
    assert lists - read == set()
