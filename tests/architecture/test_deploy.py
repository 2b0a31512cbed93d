"""What `deploy/` names is there: commands, variables, secrets, networks and ports; and every container is kept small.

The chart is looked at as text, since rendering it needs helm: see deploy/README.md for how that was tried.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from scanners.contract import Limits

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "sandfly"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yml").read_text())
PARTS = ["setup", "web", "ingest", "beat", "worker"]
# Of the image's own base and of the other images.
FOREIGN_VARIABLES = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"}
BLOCK = re.compile(r"\{\{-?\s*(if|range|with|define|end)\b")


class Unit(configparser.RawConfigParser):
    """A Quadlet file; keys may stand several times."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, dict_type=Repeating, interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string(path.read_text())

    def all(self, key: str, section: str = "Container") -> list[str]:
        return self.get(section, key, fallback="").split("\n") if self.has_option(section, key) else []


class Repeating(dict[str, Any]):
    """Lists are joined instead of replaced, as RawConfigParser gathers the lines of a value in a list."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self and isinstance(value, list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def units() -> dict[str, Unit]:
    return {path.stem.removeprefix("sandfly-"): Unit(path) for path in DEPLOY.glob("quadlet/*.container")}


def chart_texts() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(CHART.glob("templates/*"))}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and the arguments of manage.py."""
    for name in PARTS:
        yield f"compose {name}", COMPOSE["services"][name]["command"]
        yield f"quadlet {name}", shlex.split(units()[name].get("Container", "Exec"))
    entry = re.search(r"^CMD (\[.*\])$", (DEPLOY / "container" / "Containerfile").read_text(), re.MULTILINE)
    assert entry
    yield "Containerfile", yaml.safe_load(entry[1])
    for name, text in chart_texts().items():
        for found in re.findall(r"args: (\[.*\])$", text, re.MULTILINE):
            filled = re.sub(
                r"\{\{ \.(?:concurrency|Values\S*) \| quote \}\}|\{\{ \$options\S* \| quote \}\}", '"7"', found
            )
            yield f"chart {name}", yaml.safe_load(filled.replace("{{ .name }}", "default"))


def test_every_command_is_one_of_the_product() -> None:
    seen = list(commands())

    assert len(seen) == 2 * len(PARTS) + 1 + 4
    for where, (name, *arguments) in seen:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        try:
            parser.parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{where}: manage.py {name} does not take {arguments}")


@cache
def product_text() -> str:
    files = [path for part in ("sandfly_web", "scanners", "probes") for path in (ROOT / part).rglob("*.py")]
    return "\n".join(path.read_text() for path in files)


def variables() -> Iterator[tuple[str, str]]:
    for name, service in COMPOSE["services"].items():
        yield from ((f"compose {name}", variable) for variable in service.get("environment", {}))
    for name, unit in units().items():
        yield from ((f"quadlet {name}", line.partition("=")[0]) for line in unit.all("Environment"))
    for name, text in chart_texts().items():
        yield from ((f"chart {name}", variable) for variable in re.findall(r"\{name: ([A-Z][A-Z_]+),", text))


def test_every_variable_is_one_that_the_product_reads() -> None:
    seen = set(variables())

    assert len(seen) > 30
    unknown = [
        (where, name)
        for where, name in seen
        if f'"{name}"' not in product_text() and f'"{name.removesuffix("_FILE")}"' not in product_text()
    ]
    assert {name for _, name in unknown} <= FOREIGN_VARIABLES


def test_every_file_that_is_named_is_mounted() -> None:
    for name, service in COMPOSE["services"].items():
        named = re.findall(r"/run/secrets/(\w+)", str([service.get("environment"), service.get("command")]))
        assert set(named) == set(service.get("secrets", [])), name
    for name, unit in units().items():
        text = "\n".join([*unit.all("Environment"), *unit.all("Exec")])
        mounted = {line.partition(",")[0] for line in unit.all("Secret")}
        assert set(re.findall(r"/run/secrets/(\w+)", text)) == mounted, name
    made = (DEPLOY / "compose" / "secrets.sh").read_text()
    for secret in COMPOSE["secrets"]:
        assert f"keep {secret}\n" in made


def test_a_worker_has_neither_database_nor_secret_key_and_no_way_to_them() -> None:
    services, unit = COMPOSE["services"], units()["worker"]
    assert services["worker"]["secrets"] == ["redis_url", "zone_key"]
    assert not set(services["worker"]["networks"]) & set(services["postgres"]["networks"])
    assert all(COMPOSE["networks"][name] == {"internal": True} for name in ("database", "broker"))
    assert not set(unit.all("Network")) & set(units()["postgres"].all("Network"))
    assert [line.partition(",")[0] for line in unit.all("Secret")] == ["sandfly_redis_url", "sandfly_zone_key"]
    worker = chart_texts()["worker.yaml"]
    assert "sandfly.web." not in worker
    assert not re.search(r"secrets\.(database|secretKey|adminPassword)", worker)


def test_only_the_console_is_reached_from_outside_and_on_the_loopback_address() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"web": ["${SANDFLY_PUBLISH:-127.0.0.1:8000}:8000"]}
    assert {name: unit.all("PublishPort") for name, unit in units().items() if unit.all("PublishPort")} == {
        "web": ["127.0.0.1:8000:8000"]
    }


def test_every_port_is_the_one_that_is_served() -> None:
    binds = {command[command.index("--bind") + 1] for _, command in commands() if "--bind" in command}
    assert binds == {"0.0.0.0:8000"}
    assert "\nEXPOSE 8000\n" in (DEPLOY / "container" / "Containerfile").read_text()
    assert "containerPort: 8000" in chart_texts()["web.yaml"]
    assert "port: 8000" in chart_texts()["network.yaml"]


def test_every_container_of_ours_is_kept_small() -> None:
    for name in PARTS:
        service, unit = COMPOSE["services"][name], units()[name]
        assert (service["user"], service["read_only"], service["cap_drop"]) == ("1000:1000", True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [unit.get("Container", key) for key in ("User", "ReadOnly", "DropCapability", "NoNewPrivileges")] == [
            "1000", "true", "all", "true",
        ]  # fmt: skip
    for name, text in chart_texts().items():
        # Each has an image by the helper that also has the security context.
        assert "image:" not in text or name == "_helpers.tpl"
        assert text.count("- name: ") == 0 or 'include "sandfly.container"' in text or name == "network.yaml"
    helpers = chart_texts()["_helpers.tpl"]
    for line in (
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
    ):
        assert line in helpers


def test_a_worker_that_is_stopped_has_the_time_that_a_visit_takes() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    graces = [
        int(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s")),
        int(units()["worker"].get("Container", "StopTimeout")),
        values["worker"]["terminationGracePeriodSeconds"],
    ]

    assert min(graces) > Limits().visit_deadline_s
    assert int(units()["worker"].get("Service", "TimeoutStopSec")) > graces[1]


def test_every_value_of_the_chart_is_in_its_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, text in chart_texts().items():
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", text):
            here: Any = values
            for key in path.split("."):
                assert key in here, f"{name}: .Values.{path}"
                here = here[key]
        for key in re.findall(r"\$scaling\.([A-Za-z.]+)", text):
            assert key.split(".")[0] in values["worker"]["autoscaling"], key


def test_every_block_of_the_chart_is_closed() -> None:
    for name, text in chart_texts().items():
        words = BLOCK.findall(text)
        assert words.count("end") * 2 == len(words), name
        assert not re.search(r"\{\{[^}]*$", text, re.MULTILINE), name


def test_everything_that_is_copied_into_the_image_is_there_and_let_through() -> None:
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "container" / "Containerfile").read_text(), re.MULTILINE
    )
    through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    sources = {source for line in copied for source in line.split()}
    assert sources == set(through)
    assert all((ROOT / source).exists() for source in sources)
