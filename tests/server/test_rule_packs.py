"""Imported rules as rows: upgrades come, local changes stay, shipped rules are never touched."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sandfly_web.rules.models import Rule, RulePack
from sandfly_web.rules.packs import read_pack
from sandfly_web.rules.services import import_pack, load_catalog, save_local_rule, set_enabled
from tests.server.test_rule_rows import text

pytestmark = pytest.mark.django_db

Import = Callable[..., dict[str, str]]


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    """A pack that holds these files from now on; gives what its import made of each rule, by name."""
    folder = tmp_path / "pack"
    folder.mkdir()

    def load(**texts: str) -> dict[str, str]:
        for file in folder.iterdir():
            file.unlink()
        for name, content in texts.items():
            (folder / f"{name}.yml").write_text(content)
        return {one.name: str(one.state) for one in import_pack(read_pack(folder, "ours"), timezone.now())}

    return load


def test_new_rules_come_with_their_origin_and_a_second_import_changes_nothing(bring: Import) -> None:
    first = bring(a=text("process_a") + "license: MIT\n")
    stamp = Rule.objects.get().updated_at

    second = bring(a=text("process_a") + "license: MIT\n")

    assert (first, second) == ({"process_a": "new"}, {"process_a": "unchanged"})
    rule = Rule.objects.select_related("packed__pack").get()
    assert (rule.origin, rule.updated_at) == (Rule.Origin.PACK, stamp)
    assert (rule.packed.pack.name, rule.packed.path, rule.packed.author, rule.packed.license) == (
        "ours", "a.yml", "tests", "MIT",
    )  # fmt: skip


def test_only_stable_rules_of_a_pack_are_enabled(bring: Import) -> None:
    bring(a=text("process_a"), b=text("process_b", status="test"))

    assert {rule.name: rule.is_enabled for rule in Rule.objects.all()} == {"process_a": True, "process_b": False}


def test_a_changed_text_upgrades_the_rule_and_keeps_the_switch(bring: Import) -> None:
    bring(a=text("process_a"))
    set_enabled(Rule.objects.all(), is_enabled=False)

    assert bring(a=text("process_a", level="low")) == {"process_a": "upgraded"}

    rule = Rule.objects.get()
    assert (rule.level, rule.is_enabled, rule.revisions.count()) == ("low", False, 2)


def test_a_rule_that_was_edited_here_is_kept_and_the_new_text_is_among_its_revisions(bring: Import) -> None:
    bring(a=text("process_a"))
    save_local_rule(text("process_a", title="Ours", level="medium"))

    states = bring(a=text("process_a", level="low"))

    rule = Rule.objects.get()
    assert states == {"process_a": "kept local"}
    assert (rule.title, rule.level, rule.packed.is_edited) == ("Ours", "medium", True)
    assert rule.revisions.filter(digest=rule.packed.upstream_digest).exists()


def test_an_edit_that_is_taken_back_follows_the_pack_again(bring: Import) -> None:
    original = text("process_a")
    bring(a=original)
    save_local_rule(text("process_a", title="Ours"))
    save_local_rule(original)

    assert bring(a=text("process_a", level="low")) == {"process_a": "upgraded"}


def test_what_the_pack_no_longer_has_is_disabled_and_kept_unless_it_was_edited(bring: Import) -> None:
    bring(a=text("process_a"), b=text("process_b"), c=text("process_c"))
    save_local_rule(text("process_b", title="Ours"))

    states = bring(c=text("process_c"))

    assert states == {"process_a": "removed upstream", "process_b": "removed upstream", "process_c": "unchanged"}
    assert {rule.name: rule.is_enabled for rule in Rule.objects.all()} == {
        "process_a": False, "process_b": True, "process_c": True,
    }  # fmt: skip


def test_a_rule_that_does_not_compile_today_is_not_gone(bring: Import) -> None:
    bring(a=text("process_a"), b=text("process_b"))

    states = bring(a=text("process_a").replace("path|", "pth|"), b="title: [")

    assert states == {}
    assert Rule.objects.filter(is_enabled=True).count() == 2


def test_a_name_that_is_taken_gets_a_number_and_keeps_it(bring: Import) -> None:
    save_local_rule(text("process_a"))
    other = text("process_a", id=uuid.UUID(int=7))

    first = bring(a=other)
    second = bring(a=other.replace("level: high", "level: low"))

    assert (first, second) == ({"process_a_2": "new"}, {"process_a_2": "upgraded"})
    assert Rule.objects.get(pk=uuid.UUID(int=7)).level == "low"


def test_shipped_rules_and_those_written_here_are_not_touched(bring: Import, tmp_path: Path) -> None:
    shipped = tmp_path / "catalog"
    shipped.mkdir()
    (shipped / "a.yml").write_text(text("process_a"))
    load_catalog([shipped])
    save_local_rule(text("process_b"))

    states = bring(a=text("process_a", level="low"), b=text("process_b", level="low"))

    assert states == {"process_a": "refused", "process_b": "kept local"}
    assert set(Rule.objects.values_list("level", flat=True)) == {"high"}


def test_an_imported_rule_gives_way_to_a_shipped_one_of_its_name(bring: Import, tmp_path: Path) -> None:
    bring(a=text("process_a", id=uuid.UUID(int=9)))
    shipped = tmp_path / "catalog"
    shipped.mkdir()
    (shipped / "a.yml").write_text(text("process_a"))

    load_catalog([shipped])

    assert Rule.objects.get(pk=uuid.UUID(int=9)).name == "process_a_2"
    assert Rule.objects.get(name="process_a").origin == Rule.Origin.CATALOG


def test_the_command_imports_what_is_in_order_and_tells_the_rest(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.yml").write_text(text("process_a"))
    (tmp_path / "b.yml").write_text(text("process_b").replace("path|", "pth|"))

    with pytest.raises(CommandError, match="1 faults; the other 1 rules are in order"):
        call_command("rules", "import", str(tmp_path), "--name", "ours")

    said = capsys.readouterr().out
    assert "b.yml:12: pth: " in said
    assert "1 new" in said
    assert RulePack.objects.get().name == "ours"


def test_rules_written_here_and_those_of_a_pack_can_be_exported(bring: Import, tmp_path: Path) -> None:
    save_local_rule(text("process_b"))
    bring(a=text("process_a"))

    call_command("rules", "export", str(tmp_path / "own"))
    call_command("rules", "export", str(tmp_path / "packed"), "--name", "ours")

    assert [(file.name, file.read_text()) for file in (tmp_path / "own").iterdir()] == [
        ("process_b.yml", text("process_b"))
    ]
    assert [file.name for file in (tmp_path / "packed").iterdir()] == ["process_a.yml"]
