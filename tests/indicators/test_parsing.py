"""Lists as feeds write them: what is read from each, and that every other line comes back with its place and reason."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sandfly_web.rules.indicators.kinds import BadValue, Fault, Indicator, Kind, detect, key_of, normalize
from sandfly_web.rules.indicators.parsing import Format, ParseError, parse_indicators

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SHA256 = hashlib.sha256(b"an example").hexdigest()
MD5 = hashlib.md5(b"an example").hexdigest()
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP someone@example"


def read(text: str | bytes, **options: Any) -> tuple[Format, list[Indicator], list[Fault]]:
    data = text.encode() if isinstance(text, str) else text
    form, entries = parse_indicators(io.BytesIO(data), NOW, **options)
    found = list(entries)
    return form, [e for e in found if isinstance(e, Indicator)], [e for e in found if isinstance(e, Fault)]


def values(found: list[Indicator]) -> list[tuple[str, str]]:
    return [(one.kind.value, one.value) for one in found]


def dump(document: Any) -> str:
    return json.dumps(document)


@pytest.mark.parametrize(
    ("kind", "written", "kept"),
    [
        (Kind.SHA256, SHA256.upper(), SHA256),
        (Kind.IP, "192.0.2.1", "192.0.2.1"),
        (Kind.IP, "192.0.2.77/24", "192.0.2.0/24"),
        (Kind.IP, "192.0.2.1/32", "192.0.2.1"),
        (Kind.IP, "::ffff:192.0.2.1", "192.0.2.1"),
        (Kind.IP, "2001:DB8:0::1", "2001:db8::1"),
        (Kind.DOMAIN, "*.Evil.Example.", "evil.example"),
        (Kind.DOMAIN, "bücher.example", "xn--bcher-kva.example"),
        (Kind.PATH, "/tmp//x/./y", "/tmp/x/y"),
        (Kind.PATH, "/dev/shm/ a b", "/dev/shm/ a b"),
        (Kind.KEY_FINGERPRINT, "SHA256:" + "a" * 43 + "=", "SHA256:" + "a" * 43),
        (Kind.FILENAME, "kworkerds", "kworkerds"),
    ],
)
def test_values_have_one_spelling(kind: Kind, written: str, kept: str) -> None:
    assert normalize(kind, written) == kept
    assert normalize(kind, kept) == kept


@pytest.mark.parametrize(
    ("kind", "written", "reason"),
    [
        (Kind.MD5, SHA256, "32 hexadecimal"),
        (Kind.SHA256, hashlib.sha256(b"").hexdigest(), "empty file"),
        (Kind.MD5, hashlib.md5(b"").hexdigest(), "empty file"),
        (Kind.IP, "127.0.0.1", "every host uses"),
        (Kind.IP, "0.0.0.0/0", "every host uses"),
        (Kind.IP, "::1", "every host uses"),
        (Kind.IP, "16.0.0.0/4", "at least /8"),
        (Kind.IP, "999.1.1.1", "no address"),
        (Kind.DOMAIN, "localhost", "without a dot"),
        (Kind.DOMAIN, "a..example", "no domain"),
        (Kind.DOMAIN, "host.localdomain", "every host uses"),
        (Kind.PATH, "tmp/x", "no absolute path"),
        (Kind.PATH, "/tmp/../etc/x", ".."),
        (Kind.PATH, "/tmp/", "every host has"),
        (Kind.PATH, "/", "no absolute path"),
        (Kind.FILENAME, "a/b", "no file name"),
        (Kind.KEY_FINGERPRINT, "MD5:" + ":".join(["aa"] * 16), "MD5 fingerprint"),
        (Kind.KEY_FINGERPRINT, "SHA256:short", "43 characters"),
        (Kind.PATH, "/tmp/\x1b[31m", "control characters"),
    ],
)
def test_values_that_cannot_be_compared_or_fit_every_host_are_refused(kind: Kind, written: str, reason: str) -> None:
    with pytest.raises(BadValue, match=reason.replace("/", ".").replace("..", r"\.\.")):
        normalize(kind, written)


def test_public_keys_become_the_fingerprint_that_ssh_keygen_prints() -> None:
    # ssh-keygen -lf of this key.
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl git@example"

    assert normalize(Kind.KEY_FINGERPRINT, key) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


@pytest.mark.parametrize(
    "value", ["https://evil.example/x", r"C:\Windows\x.exe", "a@evil.example", "word", "two words."]
)
def test_forms_that_say_nothing_certain_are_not_guessed(value: str) -> None:
    with pytest.raises(BadValue):
        detect(value)


def test_text_has_comments_checksums_hosts_lines_keys_and_defanged_values() -> None:
    text = f"""# a list

{SHA256}  dropper.elf
{MD5.upper()} # seen in spring
198.51.100.7 // scanner
203.0.113.0/24
evil[.]example
0.0.0.0 ads.example tracker.example
0.0.0.0 localhost
/opt/.x/run
{KEY_LINE}
"""

    form, found, faults = read(text)

    assert form is Format.TEXT
    assert values(found)[:8] == [
        ("sha256", SHA256),
        ("md5", MD5),
        ("ip", "198.51.100.7"),
        ("ip", "203.0.113.0/24"),
        ("domain", "evil.example"),
        ("domain", "ads.example"),
        ("domain", "tracker.example"),
        ("path", "/opt/.x/run"),
    ]
    assert found[8].kind is Kind.KEY_FINGERPRINT
    assert (found[0].description, found[1].description) == ("dropper.elf", "seen in spring")
    assert faults == []


def test_bad_lines_are_named_with_number_and_reason() -> None:
    _, found, faults = read(
        b"evil.example\nhttps://evil.example/x\n\xff\xfe\n127.0.0.1\n" + b"a" * 70000 + b"\ngood.example"
    )

    assert values(found) == [("domain", "evil.example"), ("domain", "good.example")]
    assert [(fault.place, fault.reason.split(" ")[0]) for fault in faults] == [
        ("line 2", "a"),
        ("line 3", "the"),
        ("line 4", "an"),
        ("line 5", "the"),
    ]
    assert "URL" in faults[0].reason
    assert "longer than 65536 bytes" in faults[3].reason


def test_the_kind_of_plain_values_can_be_given() -> None:
    _, found, faults = read("kworkerds\nx/y\n", kind=Kind.FILENAME)

    assert values(found) == [("filename", "kworkerds")]
    assert [fault.place for fault in faults] == ["line 2"]


def test_columns_are_known_by_their_headings_and_a_name_beside_a_hash_describes_it() -> None:
    text = f'first_seen,sha256_hash,md5 hash,file name,Signature,Reference\n2026-01-01,{SHA256},{MD5},x.elf,"Bad, very",https://r.example/1\n2026-01-02,,{MD5[::-1]},y,,\n2026-01-03,,,z,,\n'

    form, found, faults = read(text)

    assert form is Format.CSV
    assert values(found) == [("sha256", SHA256), ("md5", MD5), ("md5", MD5[::-1])]
    assert (found[0].description, found[0].reference) == ("Bad, very", "https://r.example/1")
    assert [str(fault) for fault in faults] == ["line 4: no value in the column of indicators"]


def test_columns_without_headings_are_found_by_what_is_in_them() -> None:
    rows = "".join(f'# c\n"2026-01-0{n}";"host{n}.example";"198.51.100.{n}";"tcp"\n' for n in range(1, 6))

    _, found, faults = read(rows)

    assert values(found) == [("ip", f"198.51.100.{n}") for n in range(1, 6)]
    assert faults == []


def test_a_column_is_chosen_by_heading_or_number() -> None:
    text = "a,b,c\n198.51.100.1,evil.example,x\n198.51.100.2,worse.example,y\n"

    by_name = read(text, column="B")[1]
    by_number = read(text, column="2")

    assert values(by_name) == [("domain", "evil.example"), ("domain", "worse.example")]
    assert values(by_number[1]) == values(by_name)
    with pytest.raises(ParseError, match="there is no column 'nosuch'"):
        read(text, column="nosuch")


def test_types_in_a_column_say_what_values_are() -> None:
    _, found, _ = read("type,indicator\nfilename,kworkerds\nIPv4,192.0.2.9\nhostname,evil.example\n")

    assert values(found) == [("filename", "kworkerds"), ("ip", "192.0.2.9"), ("domain", "evil.example")]


def test_a_table_without_indicators_and_one_with_an_open_quotation_mark_are_refused() -> None:
    with pytest.raises(ParseError, match="no column holds indicators"):
        read("a,b\n1,2\n3,4\n")
    with pytest.raises(ParseError, match="not CSV"):
        read('md5,comment\n"' + f"{MD5},x\n" * 5000, form=Format.CSV)


def bundle(*indicators: dict[str, Any]) -> str:
    made = [{"type": "indicator", "id": f"indicator--{n}", **one} for n, one in enumerate(indicators)]
    return dump({"type": "bundle", "id": "bundle--1", "objects": [{"type": "malware", "id": "malware--1"}, *made]})


def test_patterns_of_a_bundle_give_their_values_names_and_references() -> None:
    text = bundle(
        {
            "pattern": f"[file:hashes.'SHA-256' = '{SHA256}' OR file:hashes.MD5 = '{MD5}']",
            "name": "Dropper",
            "description": "first stage",
            "external_references": [{"source_name": "x"}, {"url": "https://r.example/2"}],
        },
        {"pattern": "[ipv4-addr:value = '198.51.100.0/24'] OR [domain-name:value IN ('a.example', 'b.example')]"},
        {"pattern": "[ipv4-addr:value ISSUBSET '203.0.113.0/24']"},
        {"pattern": "[file:name = '/usr/bin/.x' OR file:name = 'it\\'s']"},
        {
            "pattern": f"[file:name = 'x' AND file:hashes.\"SHA-256\" = '{SHA256}' AND file:size > 10]".replace(
                "> 10", "= '10'"
            )
        },
    )

    form, found, faults = read(text)

    assert form is Format.STIX
    assert values(found) == [
        ("sha256", SHA256),
        ("md5", MD5),
        ("ip", "198.51.100.0/24"),
        ("domain", "a.example"),
        ("domain", "b.example"),
        ("ip", "203.0.113.0/24"),
        ("path", "/usr/bin/.x"),
        ("filename", "it's"),
        ("sha256", SHA256),
    ]
    assert (found[0].description, found[0].reference) == ("Dropper: first stage", "https://r.example/2")
    assert found[2].reference == "indicator--1"
    assert faults == []


@pytest.mark.parametrize(
    ("indicator", "reason"),
    [
        ({"pattern": "[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'a.example']"}, "joined by AND"),
        ({"pattern": "[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [file:name = 'x']"}, "joined by FOLLOWEDBY"),
        ({"pattern": "[ipv4-addr:value = '192.0.2.1'] WITHIN 5 SECONDS"}, "joined by WITHIN"),
        ({"pattern": "[file:name LIKE '%.exe']"}, "operator LIKE"),
        ({"pattern": "[file:name NOT = 'x']"}, "operator NOT ="),
        ({"pattern": "[url:value = 'http://a.example/']"}, "url:value is not compared"),
        ({"pattern": "[file:hashes.SSDEEP = '3:x']"}, "digests of kind SSDEEP"),
        ({"pattern": "[(file:name = 'x')]"}, "brackets"),
        ({"pattern": "[file:name = "}, "cut short"),
        ({"pattern": "rule x {}", "pattern_type": "yara"}, "type yara"),
        ({"pattern": "[file:name = 'x']", "revoked": True}, "revoked"),
        ({"pattern": "[file:name = 'x']", "valid_until": "2026-01-01T00:00:00Z"}, "expired"),
        ({"pattern": 7}, "no pattern"),
        ({"pattern": "[ipv4-addr:value = '127.0.0.1']"}, "every host uses"),
    ],
)
def test_indicators_that_cannot_be_used_come_back_with_the_reason(indicator: dict[str, Any], reason: str) -> None:
    _, found, faults = read(bundle(indicator, {"pattern": "[domain-name:value = 'good.example']"}))

    assert values(found) == [("domain", "good.example")]
    assert [fault.place for fault in faults] == ["objects[1] indicator--0"]
    assert reason in faults[0].reason


def event(*attributes: dict[str, Any], objects: list[Any] | None = None) -> dict[str, Any]:
    made = [{"to_ids": True, **attribute} for attribute in attributes]
    return {"Event": {"info": "Campaign", "uuid": "u-1", "Attribute": made, "Object": objects or []}}


def test_attributes_of_a_misp_event_and_of_its_objects_are_read() -> None:
    inner = {"name": "file", "Attribute": [{"type": "sha1", "value": "b" * 40, "to_ids": True}]}
    text = dump(
        event(
            {"type": "sha256", "value": SHA256, "comment": "stage 2"},
            {"type": "filename|md5", "value": f"a|b.elf|{MD5}"},
            {"type": "ip-dst|port", "value": "198.51.100.9|443"},
            {"type": "domain|ip", "value": "evil.example|198.51.100.10"},
            {"type": "filename", "value": "/tmp/.x/y"},
            {"type": "ssh-fingerprint", "value": "SHA256:" + "c" * 43},
            objects=[inner],
        )
    )

    form, found, faults = read(text)

    assert form is Format.MISP
    assert values(found) == [
        ("sha256", SHA256),
        ("md5", MD5),
        ("ip", "198.51.100.9"),
        ("domain", "evil.example"),
        ("ip", "198.51.100.10"),
        ("path", "/tmp/.x/y"),
        ("key_fingerprint", "SHA256:" + "c" * 43),
        ("sha1", "b" * 40),
    ]
    assert (found[0].description, found[0].reference) == ("Campaign: stage 2", "MISP event u-1")
    assert found[1].description == "Campaign: a|b.elf"
    assert faults == []


def test_misp_documents_are_found_in_every_wrapping() -> None:
    one = event({"type": "md5", "value": MD5})
    flat = {"response": {"Attribute": [{"type": "md5", "value": MD5, "to_ids": 1}]}}

    for document in (one, [one], {"response": [one]}, one["Event"], flat):
        assert values(read(dump(document))[1]) == [("md5", MD5)]


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ({"type": "md5", "value": MD5, "to_ids": False}, "to_ids is not set"),
        ({"type": "md5", "value": MD5, "deleted": True}, "deleted"),
        ({"type": "url", "value": "http://evil.example/"}, "type url"),
        ({"type": "filename|md5", "value": MD5}, "2 parts"),
        ({"type": "md5"}, "no type or value"),
    ],
)
def test_attributes_that_cannot_be_used_come_back_with_the_reason(attribute: dict[str, Any], reason: str) -> None:
    _, found, faults = read(dump(event(attribute, {"type": "md5", "value": MD5})))

    assert values(found) == [("md5", MD5)]
    assert [fault.place for fault in faults] == ["Event.Attribute[0]"]
    assert reason in faults[0].reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "nothing in this list"),
        (b"# only words about it\n", "nothing in this list"),
        (b"{}", "neither a STIX bundle nor a MISP event"),
        (b"{", "not JSON"),
        (b'{"type":"bundle","objects":[]}', "no indicator"),
        (b"[1]", "not the JSON"),
        (b"[" * 100000, "not "),
        ("192.0.2.1\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_files_that_are_no_list_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        read(data)


@given(some.binary(max_size=300), some.sampled_from([None, *Format]))
def test_any_bytes_give_entries_or_a_refusal(data: bytes, form: Format | None) -> None:
    try:
        _, found, faults = read(data, form=form)
    except ParseError:
        return
    assert all(normalize(one.kind, one.value) == one.value for one in found)
    assert all(str(fault).isprintable() for fault in faults)


FRAGMENTS = some.sampled_from(
    [
        *"[](),'\"=\n;|",
        " OR ",
        " AND ",
        "file:name",
        "file:hashes.MD5",
        "'x'",
        MD5,
        "{",
        "}",
        ":",
        "type",
        "bundle",
        "#",
        "\\",
    ]
)


@given(some.lists(FRAGMENTS, max_size=30))
def test_any_pattern_gives_values_or_a_reason(parts: list[str]) -> None:
    _, found, faults = read(bundle({"pattern": "".join(parts)}))

    assert found or faults


@given(some.lists(FRAGMENTS, max_size=40))
def test_any_table_gives_entries_or_a_refusal(parts: list[str]) -> None:
    try:
        _, found, faults = read("".join(parts), form=Format.CSV)
    except ParseError:
        return
    assert all(one.place.startswith("line ") for one in faults)
    assert all(one.value for one in found)


@given(some.text(max_size=60))
def test_a_value_that_is_taken_is_its_own_spelling(text: str) -> None:
    for kind in Kind:
        try:
            kept = normalize(kind, text)
        except BadValue:
            continue
        assert normalize(kind, kept) == kept
        assert 0 <= key_of(kept) < 2**64
