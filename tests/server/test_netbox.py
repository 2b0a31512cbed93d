"""NetBox is read page by page over HTTP and HTTPS; what it says wrong is told in a sentence."""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import CommandError, call_command

from sandfly_web.inventory.importing.netbox import NetBox, NetBoxError, read_netbox

TOKEN = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Answers as the documentation of NetBox's REST API says: count, next, previous, results; 403 without a token."""

    lists: ClassVar[dict[str, list[Any]]] = {}
    asked: ClassVar[list[tuple[str, dict[str, list[str]]]]] = []
    page_rows = 2
    answer: ClassVar[tuple[int, bytes, dict[str, str]] | None] = None

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        Handler.asked.append((parts.path, query))
        if Handler.answer is not None:
            self.send(*Handler.answer)
        elif self.headers["Authorization"] != f"Token {TOKEN}":
            self.send(403, b'{"detail": "Invalid token"}', {})
        else:
            rows = [
                row
                for row in self.lists[parts.path]
                if not isinstance(row, dict) or row.get("status_is", "active") in query.get("status", ["active"])
            ]
            offset = int(query["offset"][0])
            page = {
                "count": len(rows),
                "previous": None,
                "results": rows[offset : offset + self.page_rows],
                "next": None,
            }
            if offset + self.page_rows < len(rows):
                later = urlencode({**query, "offset": offset + self.page_rows}, doseq=True)
                # NetBox behind a proxy gives its own idea of its name here.
                page["next"] = f"http://netbox.internal.invalid{parts.path}?{later}"
            self.send(200, json.dumps(page).encode(), {})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Tests are quiet."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    Handler.asked, Handler.answer = [], None
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def device(number: int, **fields: Any) -> dict[str, Any]:
    """As `GET /api/dcim/devices/` gives it, without what nobody reads."""
    row = {
        "id": number,
        "name": f"web{number}",
        "display": f"web{number}",
        "role": {"id": 1, "name": "Web Server", "slug": "web-server"},
        "platform": {"id": 1, "name": "Debian", "slug": "debian"},
        "site": {"id": 1, "name": "Berlin", "slug": "berlin"},
        "primary_ip": {"id": number, "family": {"value": 4}, "address": f"10.0.0.{number}/24"},
        "tags": [{"id": 1, "name": "Edge", "slug": "edge"}],
    }
    return {**row, **fields}


@pytest.fixture
def url() -> Iterator[str]:
    machine = device(9, name="vm9", primary_ip={"address": "2001:db8::9/64"}, site=None, tags=[])
    Handler.lists = {
        "/api/dcim/devices/": [device(number) for number in range(1, 6)],
        "/api/virtualization/virtual-machines/": [machine],
    }
    with serving() as address:
        yield address


def test_all_pages_of_devices_and_virtual_machines_are_read(url: str) -> None:
    parsed = read_netbox(NetBox(url, TOKEN))

    found = {candidate.target.label: (candidate.name, candidate.tags) for candidate in parsed.candidates.values()}
    assert found["10.0.0.5"] == ("web5", ("edge", "web-server", "debian", "berlin"))
    assert found["2001:db8::9"] == ("vm9", ("web-server", "debian"))
    assert len(found) == 6
    assert [path for path, _ in Handler.asked] == ["/api/dcim/devices/"] * 3 + ["/api/virtualization/virtual-machines/"]


def test_a_custom_field_names_the_place_for_the_probe(url: str) -> None:
    Handler.lists["/api/dcim/devices/"] = [
        device(1, custom_fields={"sandfly_staging_directory": "/opt/scan"}),
        device(2, custom_fields={"sandfly_staging_directory": None}),
    ]

    parsed = read_netbox(NetBox(url, TOKEN, kinds=["devices"]))

    assert [candidate.staging_directory for candidate in parsed.candidates.values()] == ["/opt/scan", ""]


def test_filters_go_with_every_page(url: str) -> None:
    Handler.lists["/api/dcim/devices/"][0]["status_is"] = "offline"

    parsed = read_netbox(NetBox(url, TOKEN, {"status": ["active", "staged"]}, ["devices"], port=2222))

    assert {candidate.target.port for candidate in parsed.candidates.values()} == {2222}
    assert len(parsed.candidates) == 4
    assert all(query["status"] == ["active", "staged"] for _, query in Handler.asked)


def test_devices_without_a_primary_address_are_told(url: str) -> None:
    Handler.lists["/api/dcim/devices/"][1] = device(2, primary_ip=None, name="\x1b[31mswitch")
    Handler.lists["/api/dcim/devices/"][2] = "nonsense"

    parsed = read_netbox(NetBox(url, TOKEN, kinds=["devices"]))

    assert len(parsed.candidates) == 3
    assert parsed.fault_count == 2
    assert "\x1b" not in str(parsed.faults[0])
    assert "has no primary address" in str(parsed.faults[0])


def test_odd_values_of_a_device_are_no_end_of_the_import(url: str) -> None:
    Handler.lists["/api/dcim/devices/"][:2] = [device(1, tags=7, role=7), device(2, name="web\0\ud800")]

    parsed = read_netbox(NetBox(url, TOKEN, kinds=["devices"]))

    found = {candidate.target.label: (candidate.name, candidate.tags) for candidate in parsed.candidates.values()}
    assert found["10.0.0.1"] == ("web1", ("debian", "berlin"))
    assert found["10.0.0.2"][0] == "web\\x00\\ud800"


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_that_is_none_is_refused(url: str, port: int) -> None:
    with pytest.raises(NetBoxError, match="is no port"):
        NetBox(url, TOKEN, port=port)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, b"{}", {}), "refuses the token"),
        ((400, b"{}", {}), "filters"),
        ((302, b"", {"Location": "http://127.0.0.1:1/"}), "elsewhere"),
        ((500, b"", {}), "answers 500"),
        ((200, b"<html>", {}), "not JSON"),
        ((200, b"[]", {}), "no page"),
        ((200, b'{"results": 7}', {}), "no list"),
        ((200, b"[" * 100_000, {}), "not JSON"),
    ],
)
def test_what_goes_wrong_is_a_sentence_without_the_token(
    url: str, answer: tuple[int, bytes, dict[str, str]], said: str
) -> None:
    Handler.answer = answer

    with pytest.raises(NetBoxError, match=said) as raised:
        read_netbox(NetBox(url, TOKEN))

    assert TOKEN not in str(raised.value)
    assert len(Handler.asked) == 1


def test_a_list_that_goes_round_in_circles_ends(url: str) -> None:
    again = f"{url}/api/dcim/devices/?limit=500&offset=0"
    Handler.answer = (200, json.dumps({"results": [device(1)], "next": again}).encode(), {})

    with pytest.raises(NetBoxError, match="the same one"):
        read_netbox(NetBox(url, TOKEN))


def test_the_token_goes_only_to_the_address_given(url: str) -> None:
    """`next` names another host in these tests; following it would fail, and give the token away."""
    assert len(read_netbox(NetBox(url, TOKEN, kinds=["devices"])).candidates) == 5


@pytest.mark.parametrize("url", ["ftp://netbox", "file:///etc/passwd", "https://user:pw@netbox", "netbox.example.org"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(NetBoxError, match="http"):
        NetBox(url, TOKEN)


def test_nobody_there_is_told() -> None:
    with pytest.raises(NetBoxError, match="does not answer"):
        read_netbox(NetBox("http://127.0.0.1:1", TOKEN))


def certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own making, and the file that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "netbox")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, private = directory / "ca.pem", directory / "key.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return context, authority


def test_certificates_are_verified_and_an_own_authority_can_be_named(tmp_path: Path) -> None:
    Handler.lists = {"/api/dcim/devices/": [device(1)], "/api/virtualization/virtual-machines/": []}
    context, authority = certificate(tmp_path)

    with serving(context) as url:
        with pytest.raises(NetBoxError, match="CERTIFICATE"):
            read_netbox(NetBox(url, TOKEN))
        assert len(read_netbox(NetBox(url, TOKEN, ca_file=str(authority))).candidates) == 1


@pytest.mark.django_db
def test_the_command_adds_hosts_with_names_and_tags(url: str, make: Any, tmp_path: Path) -> None:
    from sandfly_web.inventory.models import Host

    zone = make.zone("default")
    credential = make.credential(zone)
    (tmp_path / "token").write_text(TOKEN + "\n")
    out = io.StringIO()

    call_command(
        "hosts", "netbox", url, "--token-file", str(tmp_path / "token"), "--filter", "status=active", "--tag", "netbox",
        "--credential", credential.name, stdout=out,
    )  # fmt: skip

    host = Host.objects.get(name="web1")
    assert "6 hosts added, 0 were there already (NetBox)" in out.getvalue()
    assert (host.address, host.credential) == ("10.0.0.1", credential)
    assert {tag.name for tag in host.tags.all()} == {"netbox", "edge", "web-server", "debian", "berlin"}


@pytest.mark.django_db
def test_the_command_tells_what_went_wrong(url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("wrong")

    with pytest.raises(CommandError, match="refuses the token"):
        call_command("hosts", "netbox", url, "--token-file", str(tmp_path / "token"))
