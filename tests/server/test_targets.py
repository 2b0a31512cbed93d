"""What the command line may point at."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandfly_web.inventory.targets import Target, TargetError, expand_targets, parse_target


def no_file(path: str) -> list[str]:
    raise AssertionError(f"{path} was opened")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("local", Target("local")),
        ("web1", Target("web1")),
        ("root@web1.example.org", Target("web1.example.org", 22, "root")),
        ("root@127.0.5.1:2222", Target("127.0.5.1", 2222, "root")),
        ("2001:db8::1", Target("2001:db8::1")),
        ("root@[2001:db8::1]:2222", Target("2001:db8::1", 2222, "root")),
        ("user@domain@web1", Target("web1", 22, "user@domain")),
    ],
)
def test_a_host_is_address_port_and_user(text: str, expected: Target) -> None:
    assert list(parse_target(text)) == [expected]


@pytest.mark.parametrize(
    "text",
    ["", "@web1", "web1:0", "web1:65536", "web1:ssh", "root@", "10.0.0.0/33", "a b", "-oProxyCommand=x", "web1:²"],
)
def test_what_is_no_host_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(TargetError, match=r".{10,}"):
        list(parse_target(text))


def test_a_network_is_its_host_addresses_on_the_given_port() -> None:
    hosts = list(parse_target("root@10.0.0.0/30:2222"))

    assert hosts == [Target("10.0.0.1", 2222, "root"), Target("10.0.0.2", 2222, "root")]


def test_a_huge_network_is_streamed() -> None:
    first = list(islice(parse_target("10.0.0.0/8"), 2))

    assert [target.address for target in first] == ["10.0.0.1", "10.0.0.2"]


def test_a_file_gives_one_target_a_line_without_comments() -> None:
    lines = ["# web\n", "web1\n", "\n", "root@web2:2222 # second\n"]

    assert list(expand_targets(["@hosts"], lambda _: lines)) == [Target("web1"), Target("web2", 2222, "root")]


def test_a_bad_line_of_a_file_is_named() -> None:
    with pytest.raises(TargetError, match=r"^hosts:2: "):
        list(expand_targets(["@hosts"], lambda _: ["web1\n", "web2:x\n"]))


@pytest.mark.parametrize(
    ("target", "label"),
    [(Target("web1"), "web1"), (Target("web1", 2222), "web1:2222"), (Target("::1", 2222), "[::1]:2222")],
)
def test_the_label_names_the_port_only_when_it_is_not_22(target: Target, label: str) -> None:
    assert target.label == label


@given(st.text(max_size=60))
def test_any_text_is_targets_or_a_target_error(text: str) -> None:
    try:
        for target in islice(parse_target(text), 3):
            assert 0 < target.port < 65536
    except TargetError:
        assert text != "local"
