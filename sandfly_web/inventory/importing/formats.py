"""Which format a text has, and its parser. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from sandfly_web.inventory.importing.ansible import parse_ini, parse_yaml
from sandfly_web.inventory.importing.candidates import Parsed
from sandfly_web.inventory.importing.lists import COLUMNS, SEPARATORS, parse_csv, parse_list
from sandfly_web.inventory.importing.ssh_config import parse_ssh_config

MAX_CHARS = 16 * 1024 * 1024


class Format(StrEnum):
    """Inventories that can be read."""

    AUTO = "auto"
    LIST = "list"
    CSV = "csv"
    ANSIBLE_INI = "ansible-ini"
    ANSIBLE_YAML = "ansible-yaml"
    SSH_CONFIG = "ssh-config"


PARSERS: dict[Format, Callable[[str], Parsed]] = {
    Format.LIST: parse_list,
    Format.CSV: parse_csv,
    Format.ANSIBLE_INI: parse_ini,
    Format.ANSIBLE_YAML: parse_yaml,
    Format.SSH_CONFIG: parse_ssh_config,
}


def read_inventory(text: str, given: Format = Format.AUTO) -> tuple[Format, Parsed]:
    """The format, guessed when it is AUTO, and what was read. Raises ValueError for a text that is too long."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"more than {MAX_CHARS} characters; import it in parts")
    kind = guess(text) if given == Format.AUTO else given
    return kind, PARSERS[kind](text)


def guess(text: str) -> Format:
    """By the first lines that say something."""
    lines = [line.rstrip() for line in text.lstrip("\ufeff").splitlines()[:2000]]
    said = [line for line in lines if line.strip() and line.strip()[0] not in "#;"]
    if not said:
        return Format.LIST
    first = said[0].strip()
    if re.match(r"(?i)(host|match|include)[ \t=]+\S", first) or any(
        re.match(r"(?i)\s*hostname[ \t=]", line) for line in said
    ):
        return Format.SSH_CONFIG
    if first == "---" or re.match(r"^[A-Za-z0-9_.-]+:\s*$", first):
        return Format.ANSIBLE_YAML
    words = {word for names in COLUMNS.values() for word in names}
    cells = {
        cell.strip().strip('"').lower().replace(" ", "_") for cell in re.split(f"[{re.escape(SEPARATORS)}]", first)
    }
    if cells & words and (len(cells) > 1 or first.lower() in words):
        return Format.CSV
    if any(
        line.startswith("[") and "]" in line and not line.startswith("[:") for line in said if not _is_ipv6(line)
    ) or any("ansible_" in line for line in said):
        return Format.ANSIBLE_INI
    return Format.LIST


def _is_ipv6(line: str) -> bool:
    return bool(re.match(r"\[[0-9a-fA-F:.]*::?[0-9a-fA-F:.]*\]", line))
