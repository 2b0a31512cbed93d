"""Writes `sandfly_client/models.py` and `resources.py` from `openapi.yml`: python -m sandfly_web.api.client.generate

The document is what drf-spectacular writes, so only what it uses is understood; anything else is an error, not a guess.
`tests/api/test_client.py` holds the two files against the document.
"""

from __future__ import annotations

import keyword
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "openapi.yml"
PACKAGE = HERE / "sandfly_client"
HEADER = '"""{}\n\nMade from the OpenAPI document by sandfly_web/api/client/generate.py; changes belong there.\n"""\n'
MODELS = """
from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

"""
RESOURCES = """
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from types import NoneType
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from . import models
from .transport import Form, Listing, Transport, given, part

"""
TEXTS = {"uuid": "UUID", "date-time": "datetime", "date": "date", "time": "time", "binary": "bytes"}
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
# What the client does by itself: pages, exports, and answers that are whole.
OWN_PARAMETERS = {"cursor", "export", "fields"}
VERBS = {"list": "list", "create": "create", "retrieve": "get", "update": "replace", "partial_update": "update",
         "destroy": "delete"}  # fmt: skip
WIDTH = 110


class Parameter(NamedTuple):
    """An argument of a method and what it is called in the request."""

    name: str
    wire: str
    type: str
    is_required: bool


def reference(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


class Types:
    """Python types of schemas. In answers, choices are `str`: a newer server may know more of them."""

    def __init__(self, schemas: dict[str, Any], prefix: str = "", *, is_answer: bool) -> None:
        self.schemas, self.prefix, self.is_answer = schemas, prefix, is_answer

    def of(self, schema: dict[str, Any]) -> str:
        """Raises ValueError or KeyError for a construct that drf-spectacular has not written before."""
        if schema.get("nullable") and set(schema) & {"type", "allOf", "oneOf"}:
            return f"{self.of({key: value for key, value in schema.items() if key != 'nullable'})} | None"
        if "$ref" in schema:
            return self.named(reference(schema))
        for way in ("allOf", "oneOf"):
            if way in schema:
                return " | ".join(dict.fromkeys(self.of(part) for part in schema[way]))
        return self.choice(schema["enum"]) if "enum" in schema else self.plain(schema)

    def plain(self, schema: dict[str, Any]) -> str:
        match schema.get("type"):
            case None:
                return "Any"
            case "array":
                return self.many(self.of(schema["items"]))
            case "object":
                return self.mapping(schema)
            case "string":
                return TEXTS.get(schema.get("format", ""), "str")
            case kind:
                return PLAIN[kind]

    def named(self, name: str) -> str:
        schema = self.schemas[name]
        if "enum" in schema:
            return (
                self.choice(schema["enum"])
                if self.is_answer or name == "BlankEnum"
                else self.prefix + alias(self.schemas, name)
            )
        return self.prefix + name

    def choice(self, values: list[Any]) -> str:
        return "str" if self.is_answer else f"Literal[{', '.join(map(repr, values))}]"

    def many(self, one: str) -> str:
        return f"Sequence[{one}]" if self.prefix and not self.is_answer else f"tuple[{one}, ...]"

    def mapping(self, schema: dict[str, Any]) -> str:
        if "properties" in schema:
            raise ValueError("an object within a schema: give its serializer a name")
        values = schema.get("additionalProperties", {})
        value = self.of(values) if isinstance(values, dict) else "Any"
        return f"{'Mapping' if self.prefix and not self.is_answer else 'dict'}[str, {value}]"


def alias(schemas: dict[str, Any], name: str) -> str:
    """The name of a choice, without the ending unless something else has that name."""
    short = name.removesuffix("Enum")
    return name if short in schemas else short


def optional(kind: str) -> str:
    return f"{kind.removesuffix(' | None')} | UnsetType{' | None' if kind.endswith(' | None') else ''}"


def safe(name: str) -> str:
    """A name that Python takes."""
    name = name.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def docstring(text: str, indent: int) -> str:
    """The lines of a docstring; "" for no text."""
    parts = text.replace("\\", "\\\\").replace('"""', "'''").strip().splitlines()
    lines = [line for part in parts for line in textwrap.wrap(part, WIDTH - indent) or [""]]
    if not lines:
        return ""
    margin = " " * indent
    end = f"\n{margin}" if len(lines) > 1 else " " if lines[-1].endswith('"') else ""
    return "\n".join(f"{margin}{line}".rstrip() for line in [f'"""{lines[0]}', *lines[1:]]) + f'{end}"""\n'


def write_models(document: dict[str, Any]) -> str:
    schemas = document["components"]["schemas"]
    body = "".join(
        f"{alias(schemas, name)} = Literal[{', '.join(map(repr, schema['enum']))}]\n"
        for name, schema in schemas.items()
        if "enum" in schema and name != "BlankEnum"
    )
    for name in sorted(nested(schemas), key=str):
        body += struct(schemas, name)
    return HEADER.format("What the API answers and takes.") + MODELS + body


def nested(schemas: dict[str, Any]) -> set[str]:
    """Structs: all that is answered, and what lies within requests; the requests themselves are arguments."""
    answers = {name for name, schema in schemas.items() if "properties" in schema and not name.endswith("Request")}
    inner = {found for name, schema in schemas.items() if name.endswith("Request") for found in references(schema)}
    inner = {name for name in inner if "properties" in schemas[name]}
    return {name for name in answers | inner if not name.startswith("Paginated") and name != "Problem"}


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield reference(schema)
        for part in schema.values():
            yield from references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from references(part)


def struct(schemas: dict[str, Any], name: str) -> str:
    schema = schemas[name]
    types = Types(schemas, is_answer=not name.endswith("Request"))
    required = set(schema.get("required", ()))
    lines = [f"\n\nclass {name}(Struct, frozen=True, kw_only=True):\n", docstring(schema.get("description", ""), 4)]
    for wire, part in schema["properties"].items():
        kind, own = types.of(part), safe(wire)
        rename = f'name="{wire}"' if own != wire else ""
        if wire in required:
            default = f" = field({rename})" if rename else ""
        else:
            kind = optional(kind)
            default = f" = field(default=UNSET, {rename})" if rename else " = UNSET"
        lines.append(f"    {own}: {kind}{default}\n")
    return "".join(lines) + ("    pass\n" if not schema["properties"] else "")


def write_resources(document: dict[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    single: list[str] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            [tag] = operation["tags"]
            own = method_name(tag, operation["operationId"])
            text = write_method(document, path, method, operation, own)
            (groups.setdefault(tag, []) if own != safe(tag) else single).append(text)
    body = "".join(
        f"\n\nclass {class_name(tag)}:\n    def __init__(self, transport: Transport) -> None:\n"
        f"        self._transport = transport\n\n{chr(10).join(methods)}"
        for tag, methods in groups.items()
    )
    body += '\n\nclass Resources:\n    """Everything that the API has, by what it is about."""\n\n'
    body += "    def __init__(self, transport: Transport) -> None:\n        self._transport = transport\n"
    body += "".join(f"        self.{safe(tag)} = {class_name(tag)}(transport)\n" for tag in groups)
    return HEADER.format("The operations of the API.") + RESOURCES + body + "\n" + "\n".join(single)


def class_name(tag: str) -> str:
    return "".join(part.capitalize() for part in tag.split("-"))


def method_name(tag: str, operation_id: str) -> str:
    """`findings_close_create` is `close` of findings, `findings_retrieve` is `get`, `me` is `me` of the client."""
    rest = operation_id.removeprefix(tag.replace("-", "_")).removeprefix("_")
    if not rest:
        return safe(tag)
    if rest in VERBS:
        return VERBS[rest]
    for ending in ("_create", "_retrieve", "_list"):
        rest = rest.removesuffix(ending)
    return safe(rest)


def write_method(document: dict[str, Any], path: str, method: str, operation: dict[str, Any], own: str) -> str:
    schemas = document["components"]["schemas"]
    types = Types(schemas, "models.", is_answer=False)
    parameters = operation.get("parameters", [])
    inside = [p for p in parameters if p["in"] == "path"]
    query = [as_parameter(types, p) for p in parameters if p["in"] == "query" and p["name"] not in OWN_PARAMETERS]
    is_form, body = read_body(types, operation)
    takes_key = any(p["name"] == "Idempotency-Key" for p in parameters)
    answer, kind = read_answer(schemas, operation)
    arguments = ["self", *(f"{safe(p['name'])}: {'UUID | str' if p['schema'].get('format') == 'uuid' else 'int'}"
                           for p in inside)]  # fmt: skip
    named = [write_argument(p) for p in sorted([*query, *body], key=lambda p: not p.is_required)]
    named += ["idempotency_key: str | None = None"] if takes_key else []
    arguments += ["*", *named] if named else []
    for p in inside:
        path = path.replace("{" + p["name"] + "}", "{part(" + safe(p["name"]) + ")}")
    call = [] if kind == "Listing" else [f'"{method.upper()}"']
    call += [f'f"{path}"' if inside else f'"{path}"', "NoneType" if answer == "None" else answer]
    call += [f"query={write_given(query)}"] if query else []
    call += [f"body={'Form(' * is_form}{write_given(body)}{')' * is_form}"] if body else []
    call += ["idempotency_key=idempotency_key"] if takes_key else []
    # What takes no key either changes nothing or must not be done twice.
    call += ["is_safe=False"] if method == "post" and not takes_key and answer != "models.Found" else []
    returns = f"Listing[{answer}]" if kind == "Listing" else answer
    run = f"self._transport.{'listing' if kind == 'Listing' else 'call'}({', '.join(call)})"
    run = run if answer == "None" else f"return {run}"
    summary = docstring(operation.get("description", ""), 8)
    return f"    def {own}({', '.join(arguments)}) -> {returns}:\n{summary}        {run}\n"


def as_parameter(types: Types, parameter: dict[str, Any]) -> Parameter:
    kind = types.of(parameter["schema"])
    kind = f"{kind} | str" if kind == "UUID" else kind
    return Parameter(safe(parameter["name"]), parameter["name"], kind, bool(parameter.get("required")))


def read_body(types: Types, operation: dict[str, Any]) -> tuple[bool, list[Parameter]]:
    """Whether the body is sent as a form, and its fields as arguments."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return False, []
    media = "application/json" if "application/json" in content else "multipart/form-data"
    schema = types.schemas[reference(content[media]["schema"])]
    required = set(schema.get("required", ()))
    fields = [
        Parameter(safe(name), name, types.of(part), name in required) for name, part in schema["properties"].items()
    ]
    return media != "application/json", fields


def read_answer(schemas: dict[str, Any], operation: dict[str, Any]) -> tuple[str, str]:
    """The type of the answer, and whether it comes in pages."""
    [status] = [status for status in operation["responses"] if status.startswith("2")]
    content = operation["responses"][status].get("content", {})
    if not content:
        return "None", ""
    schema = content["application/json"]["schema"]
    types = Types(schemas, "models.", is_answer=True)
    if "$ref" in schema and reference(schema).startswith("Paginated"):
        return types.of(schemas[reference(schema)]["properties"]["results"]["items"]), "Listing"
    return types.of(schema), ""


def write_argument(parameter: Parameter) -> str:
    if parameter.is_required:
        return f"{parameter.name}: {parameter.type}"
    return f"{parameter.name}: {optional(parameter.type)} = UNSET"


def write_given(parameters: list[Parameter]) -> str:
    return "given({" + ", ".join(f'"{p.wire}": {p.name}' for p in parameters) + "})"


def format_code(text: str) -> str:
    """Without the imports that turn out not to be needed."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    for argv in (["check", "--quiet", "--fix", "--select", "F401"], ["format", "--line-length", "120"]):
        command = [ruff, *argv, "--isolated", "--target-version", "py311", "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def generate() -> dict[str, str]:
    """File name → content."""
    document = yaml.load(DOCUMENT.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return {
        "models.py": format_code(write_models(document)),
        "resources.py": format_code(write_resources(document)),
    }


if __name__ == "__main__":
    for name, content in generate().items():
        (PACKAGE / name).write_text(content, encoding="utf-8")
