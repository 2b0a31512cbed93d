"""Squashed migrations: the same schema as the steps they replace, from wherever an installation comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ModelState, ProjectState

from sandfly_web.migrating import AtOnce

SCHEMA = """
SELECT c.relname, 'column', row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum)::text, concat_ws(
    ' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attcollation::regcollation,
    pg_get_expr(d.adbin, d.adrelid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'S') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT tablename, 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass::text, 'constraint', conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tgrelid::regclass::text, 'trigger', tgname, pg_get_triggerdef(oid)
FROM pg_trigger WHERE NOT tgisinternal
"""
Key = tuple[str, str]


class StepByStep(MigrationLoader):
    """Migrations as if none had been squashed."""

    def load_disk(self) -> None:
        super().load_disk()
        ends = {key: made.replaces[-1] for key, made in self.disk_migrations.items() if made.replaces}
        self.disk_migrations = {key: made for key, made in self.disk_migrations.items() if key not in ends}
        for made in self.disk_migrations.values():
            # Those that are younger than a squashed one name it.
            made.dependencies = [ends.get(needed, needed) for needed in made.dependencies]


def steps(loader: MigrationLoader) -> list[Key]:
    """Everything that an empty database is taken through, in order."""
    plan: dict[Key, None] = {}
    for leaf in loader.graph.leaf_nodes():
        plan.update(dict.fromkeys(loader.graph.forwards_plan(leaf)))
    return list(plan)


def written(model: ModelState) -> dict[str, Any]:
    """All that a state says of a model, in a form that can be compared."""
    return {
        "fields": [(name, field.deconstruct()[1:]) for name, field in model.fields.items()],
        "options": {
            name: [one.deconstruct() for one in sorted(value, key=lambda one: one.name)]
            if name in {"indexes", "constraints"}
            else value
            for name, value in model.options.items()
        },
        "bases": model.bases,
        "managers": [(name, manager.deconstruct()) for name, manager in model.managers],
    }


def test_squashed_migrations_make_the_models_that_the_steps_make():
    squashed, stepwise = (loader(None).project_state().models for loader in (MigrationLoader, StepByStep))

    assert {key: written(model) for key, model in squashed.items()} == {
        key: written(model) for key, model in stepwise.items()
    }


def test_an_installation_that_stopped_at_any_step_is_brought_up_to_date(monkeypatch):
    loader = StepByStep(None)
    everything = steps(loader)
    stops = [everything[:count] for count in range(len(everything))]
    stops += [loader.graph.forwards_plan(step) for step in everything]

    for stop in stops:
        applied = dict.fromkeys(stop)
        monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda self, now=applied: dict(now))
        executor = MigrationExecutor(connection)
        executor.loader.check_consistent_history(connection)
        ahead = [
            step
            for made, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())
            for step in made.replaces or [(made.app_label, made.name)]
        ]
        assert sorted([*stop, *ahead]) == sorted(everything)


@pytest.fixture
def old(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """An empty database beside that of the tests."""
    name = f"{connection.settings_dict['NAME']}_old"
    with django_db_blocker.unblock():
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
            cursor.execute(f'CREATE DATABASE "{name}"')
        connections.settings["old"] = {**connection.settings_dict, "NAME": name}
        yield connections["old"]
        connections["old"].close()
        del connections["old"], connections.settings["old"]
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}"')
        connection.close()


def read_schema(database: Any) -> list[tuple[str, ...]]:
    with database.cursor() as cursor:
        cursor.execute(SCHEMA)
        return sorted(cursor.fetchall())


def test_an_upgraded_installation_has_the_schema_of_a_new_one(old):
    executor = MigrationExecutor(old)
    executor.loader = StepByStep(old)
    # Parts of five applications are behind it, which were squashed since.
    executor.migrate([("findings", "0006_finding_rule_status")])

    executor = MigrationExecutor(old)
    executor.migrate(executor.loader.graph.leaf_nodes())

    assert read_schema(old) == read_schema(connection)
    applied = MigrationRecorder(old).applied_migrations()
    assert set(executor.loader.replacements) <= set(applied)


class Bare(migrations.Migration):
    def __init__(self, *operations: Any) -> None:
        super().__init__("0001_bare", "bare")
        self.operations = [AtOnce(operations)]


@pytest.mark.django_db(transaction=True)
def test_models_made_at_once_may_name_each_other_and_go_again():
    first = ("id", models.BigAutoField(primary_key=True))
    hen = migrations.CreateModel("Hen", [first, ("egg", models.ForeignKey("bare.Egg", models.CASCADE))])
    egg = migrations.CreateModel("Egg", [first, ("hen", models.ForeignKey("bare.Hen", models.CASCADE, null=True))])
    made, empty = Bare(hen, egg), ProjectState()

    with connection.schema_editor() as editor:
        made.apply(ProjectState(), editor)
    there = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        made.unapply(empty, editor)

    assert {"bare_hen", "bare_egg"} <= set(there)
    assert not {"bare_hen", "bare_egg"} & set(connection.introspection.table_names())
