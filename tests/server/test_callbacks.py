"""Whoever asked for scans is called when they are over: signed, at least once, and only where calls may go."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone

from sandfly_web.outputs import http
from sandfly_web.outputs.http import Policy, TargetError, check_url, is_public, post
from sandfly_web.scans.callbacks import services
from sandfly_web.scans.models import Scan, ScanCallback
from tests.api.builders import WebMake

LOCAL = Policy(("127.0.0.0/8",), allow_http=True)


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent and answers with the statuses it is told, in turn, then with 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?case=7"


class Answer(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, dict(self.headers.items()), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.CALLBACK_HOSTS, settings.CALLBACK_HTTP = ["127.0.0.1"], True


@pytest.fixture
def make(db: None) -> WebMake:
    return WebMake()


def ask(make: WebMake, client: Any, url: str, hosts: int = 1) -> Any:
    make.rule()
    body = {"hosts": [str(make.host().pk) for _ in range(hosts)], "callback_url": url}
    return client.post("/api/v1/scans", body, format="json")


def finish(**fields: Any) -> None:
    Scan.objects.update(**{"status": "done", **fields})


def test_a_batch_that_is_over_is_told_signed_and_once(make: WebMake, receiver: Receiver, allowed: None) -> None:
    client = make.api("responder")
    asked = ask(make, client, receiver.url, hosts=2)
    batch = asked.json()["batch"]

    assert services.deliver_due(timezone.now()) == 0
    Scan.objects.filter(pk=asked.json()["scans"][0]["id"]).update(status="done", alert_count=3)
    assert services.deliver_due(timezone.now()) == 0
    assert receiver.calls == []
    Scan.objects.filter(status="queued").update(status="failed", error_code="timeout", error_count=1)
    assert services.deliver_due(timezone.now()) == 1
    assert services.deliver_due(timezone.now() + timedelta(days=1)) == 0

    ((path, headers, body),) = receiver.calls
    told = json.loads(body)
    secret = client.get("/api/v1/callback-secret").json()["secret"]
    assert path == "/hook?case=7"
    assert headers["Sandfly-Signature"] == "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["Sandfly-Delivery"] == told["delivery"]
    assert (told["event"], told["batch"], told["counts"]) == ("batch.finished", batch, {"done": 1, "failed": 1})
    assert (told["scan_count"], told["alert_count"], told["error_count"]) == (2, 3, 1)
    assert told["url"] == f"http://testserver/api/v1/batches/{batch}"
    assert {scan["id"] for scan in told["scans"]} == {scan["id"] for scan in asked.json()["scans"]}
    shown = client.get(told["url"]).json()["callback"]
    assert (shown["host"], shown["attempts"], shown["error"], shown["next_try_at"]) == ("127.0.0.1", 1, "", None)
    assert shown["delivered_at"]
    assert "case=7" not in client.get(told["url"]).content.decode()


def test_a_receiver_that_fails_is_asked_again_later_with_the_same_delivery(
    make: WebMake, receiver: Receiver, allowed: None
) -> None:
    ask(make, make.api("responder"), receiver.url)
    finish()
    receiver.statuses = [500, 302, 429]
    now, waits = timezone.now(), []

    for _ in range(3):
        assert services.deliver_due(now) == 0
        row = ScanCallback.objects.get()
        assert services.deliver_due(row.next_try_at - timedelta(seconds=1)) == 0
        waits.append((row.next_try_at - now).total_seconds())
        now = row.next_try_at
    failed = ScanCallback.objects.get().error
    assert services.deliver_due(now) == 1

    assert waits == [15, 30, 60]
    assert failed == "answered 429"
    assert [path for path, _, _ in receiver.calls] == ["/hook?case=7"] * 4
    assert len({headers["Sandfly-Delivery"] for _, headers, _ in receiver.calls}) == 1
    assert [json.loads(body)["attempt"] for _, _, body in receiver.calls] == [1, 2, 3, 4]


def test_a_call_is_given_up_after_a_day_and_says_why(make: WebMake, allowed: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        ask(make, make.api("responder"), url)
        finish()

        services.deliver_due(timezone.now())
        again = ScanCallback.objects.get()
        services.deliver_due(timezone.now() + timedelta(hours=25))

    row = ScanCallback.objects.get()
    assert again.next_try_at is not None
    assert (row.next_try_at, row.delivered_at, row.attempts) == (None, None, 2)
    assert row.error == "was not reached: Connection refused"


def test_a_worker_that_dies_while_it_calls_leaves_the_call_to_others(
    make: WebMake, receiver: Receiver, allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(make, make.api("responder"), receiver.url)
    finish()
    now = timezone.now()

    def die(*_args: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(services, "post", die)
        with pytest.raises(KeyboardInterrupt):
            services.deliver_due(now)

    assert services.deliver_due(now + timedelta(seconds=60)) == 0
    assert services.deliver_due(now + services.LEASE) == 1
    assert len(receiver.calls) == 1


def test_forensics_of_a_finding_are_told_too(make: WebMake, receiver: Receiver, allowed: None) -> None:
    make.rule("incident")
    finding, client = make.finding(), make.api("responder")

    asked = client.post(f"/api/v1/findings/{finding.pk}/collect", {"callback_url": receiver.url}, format="json")
    finish()
    services.deliver_due(timezone.now())

    assert asked.status_code == 202
    assert [scan["id"] for scan in json.loads(receiver.calls[0][2])["scans"]] == [asked.json()["scan"]]


def test_a_token_that_is_deleted_has_nobody_called(make: WebMake, receiver: Receiver, allowed: None) -> None:
    from sandfly_web.accounts.models import ApiToken

    ask(make, make.api("responder"), receiver.url)
    finish()
    ApiToken.objects.all().delete()

    assert services.deliver_due(timezone.now()) == 0
    assert receiver.calls == []


def test_every_token_has_a_secret_of_its_own_and_those_who_start_no_scans_have_none(make: WebMake) -> None:
    user = make.person("responder")
    first, second = make.api(user=user), make.api(user=user)

    secrets = [client.get("/api/v1/callback-secret").json()["secret"] for client in (first, second, first)]

    assert (secrets[0] == secrets[2], len(set(secrets)), len(secrets[0])) == (True, 2, 64)
    assert make.api("analyst").get("/api/v1/callback-secret").status_code == 403


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://0.0.0.0/",
        "https://user:secret@example.com/",
        "https://example.com/#x",
        "https:///x",
        "https://example.com:0/",
        "https://example.com:99999/",
        "ftp://example.com/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: 1",
        "x" * 3000,
    ],
)
def test_an_address_that_may_not_be_called_is_refused_when_it_is_given(make: WebMake, url: str) -> None:
    answer = ask(make, make.api("responder"), url)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "callback_url"
    assert not Scan.objects.exists()


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        *(
            (text, False)
            for text in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.0.1", "100.64.0.1")
        ),
        *((text, False) for text in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1")),
        *((text, False) for text in ("::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::7f00:1")),
        *((text, False) for text in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:7f00:1::")),
    ],
)
def test_what_is_public(text: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(text)) is public, text


def test_a_name_that_leads_inside_is_not_called(receiver: Receiver) -> None:
    url = f"http://localhost:{receiver.server_port}/"
    check_url(url, Policy(allow_http=True))

    with pytest.raises(TargetError, match="not public"):
        post(url, b"{}", {}, Policy(allow_http=True))

    assert receiver.calls == []


def test_the_address_that_was_checked_is_the_one_that_is_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means something else the second time it is asked for."""
    answers = [["127.0.0.1"], ["192.0.2.1"]]

    def lookup(_host: str, port: int, *_args: Any, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

    connect = socket.create_connection
    with monkeypatch.context() as patched:
        patched.setattr(http.socket, "getaddrinfo", lookup)
        # An address needs no name service, but Python's own connect would ask it.
        patched.setattr(
            http.socket,
            "create_connection",
            lambda place, wait: (place[0] == "127.0.0.1" and _direct(place)) or connect(place, wait),
        )
        assert post(f"http://two.example:{receiver.server_port}/", b"{}", {}, LOCAL) == 204

    assert receiver.calls[0][1]["Host"] == f"two.example:{receiver.server_port}"
    assert len(answers) == 1


def _direct(place: tuple[str, int]) -> socket.socket:
    made = socket.socket()
    made.settimeout(20)
    made.connect(place)
    return made


def test_one_address_inside_among_others_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *_args, **_options: found)

    with pytest.raises(TargetError, match="not public"):
        post("https://two.example/", b"{}", {}, Policy())


def test_a_redirect_is_an_answer_and_not_followed(receiver: Receiver) -> None:
    receiver.statuses = [302]

    assert post(receiver.url, b"{}", {}, LOCAL) == 302
    assert [path for path, _, _ in receiver.calls] == ["/hook?case=7"]


def test_a_receiver_that_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and drips: the deadline is of the whole, not of each byte."""
    monkeypatch.setattr(http, "DEADLINE_S", 0.5)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def drip() -> None:
            client, _ = server.accept()
            with client:
                while not stop.wait(0.05):
                    try:
                        client.sendall(b"HTTP/1.1 200 OK\r\nX: 1\r\n"[:1])
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(TargetError, match="was not reached"):
                post(f"http://127.0.0.1:{port}/", b"{}", {}, LOCAL)
        finally:
            stop.set()
            thread.join()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Certificate and key of a name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_https_is_spoken_with_the_name_and_an_untrusted_certificate_is_refused(
    receiver: Receiver, tmp_path: Path
) -> None:
    chain, key = certificate(tmp_path, "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    receiver.socket = server.wrap_socket(receiver.socket, server_side=True)
    url, policy = f"https://localhost:{receiver.server_port}/", Policy(("localhost",))

    with pytest.raises(TargetError, match="certificate is not trusted"):
        post(url, b"{}", {}, policy)
    assert receiver.calls == []
    assert post(url, b"{}", {}, policy, ssl.create_default_context(cafile=str(chain))) == 204
