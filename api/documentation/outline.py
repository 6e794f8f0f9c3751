"""The OpenAPI document as the page shows it: groups of operations, and schemas as rows."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

Json = dict[str, Any]

_LIMITS = {
    "maxLength": "at most {} characters",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} pairs",
    "pattern": "matches {}",
    "range": "{}",
    "default": "default {}",
}


@dataclass(frozen=True)
class Row:
    name: str
    type: str
    required: bool
    choices: list[str]
    limits: list[str]
    about: str
    rows: list["Row"] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    status: str
    type: str
    rows: list[Row]


@dataclass(frozen=True)
class Operation:
    id: str
    title: str
    method: str
    path: str
    summary: str
    parameters: list[tuple[str, list[Row]]]
    body: list[Row]
    answers: list[Answer]
    example: str


@dataclass(frozen=True)
class Group:
    id: str
    title: str
    about: str
    operations: list[Operation]


def outline(document: Json) -> Json:
    """What the template is given."""
    schemas = _Schemas(document["components"]["schemas"])
    operations = list(_operations(document, schemas))
    groups = [
        Group(
            tag["name"],
            tag["name"].replace("_", " ").capitalize(),
            tag["description"],
            [operation for name, operation in operations if name == tag["name"]],
        )
        for tag in document["tags"]
    ]
    about = document["info"]["description"].strip().split("\n\n")
    error = schemas.rows(schemas.named("ErrorEnvelope"))
    return {"title": document["info"]["title"], "about": about, "groups": groups, "error": error}


def _operations(document: Json, schemas: "_Schemas") -> Iterator[tuple[str, Operation]]:
    for path, item in document["paths"].items():
        for method, told in item.items():
            if method == "parameters":
                continue
            parameters = [*item.get("parameters", []), *told.get("parameters", [])]
            body = _schema(told.get("requestBody", {}))
            operation = Operation(
                told["operationId"],
                _words(told["operationId"]),
                method.upper(),
                path,
                told.get("summary", ""),
                list(_by_place(parameters, schemas)),
                schemas.rows(body),
                list(_answers(told, schemas)),
                _example(method, path, schemas.sample(body) if body else None),
            )
            yield told["tags"][0], operation


def _by_place(parameters: list[Json], schemas: "_Schemas") -> Iterator[tuple[str, list[Row]]]:
    for place, group in groupby(parameters, key=lambda parameter: parameter["in"]):
        yield place, [schemas.parameter(parameter) for parameter in group]


def _answers(told: Json, schemas: "_Schemas") -> Iterator[Answer]:
    """What succeeds; errors are the same everywhere, and shown once."""
    for status, answer in told["responses"].items():
        if not status.startswith("2"):
            continue
        for kind, media in answer["content"].items():
            rows = schemas.rows(media["schema"])
            yield Answer(status, schemas.type_of(media["schema"]) if rows else kind, rows)


def _words(operation: str) -> str:
    return re.sub("[A-Z]", lambda letter: f" {letter[0].lower()}", operation).capitalize()


def _schema(of: Json) -> Json:
    for media in of.get("content", {}).values():
        return media.get("schema", {})
    return {}


def _example(method: str, path: str, body: Any) -> str:
    variables = re.sub(r"{(\w+)}", lambda name: "$" + name[1].upper(), path.removeprefix("/v1"))
    lines = [f"curl $OPENAI_BASE_URL{variables}"]
    if method != "get" and not body:
        lines[0] += f" -X {method.upper()}"
    lines.append('-H "Authorization: Bearer $OPENAI_API_KEY"')
    if body:
        lines.append(f"-d '{json.dumps(body, ensure_ascii=False)}'")
    return " \\\n  ".join(lines)


class _Schemas:
    """Reads schemas with their references resolved."""

    def __init__(self, components: Json) -> None:
        self._components = components

    def named(self, name: str) -> Json:
        return self._components[name]

    def parameter(self, told: Json) -> Row:
        schema = {**told["schema"], "description": told.get("description", "")}
        return self._row(told["name"], schema, told.get("required", False))

    def rows(self, schema: Json) -> list[Row]:
        """The fields of an object, of an array's items, or of what may be given instead."""
        whole = self._resolve(schema)
        if "oneOf" in whole or "anyOf" in whole:
            return self._alternatives(whole)
        if "items" in whole:
            return self.rows(whole["items"])
        required = whole.get("required", [])
        return [
            self._row(name, one, name in required)
            for name, one in whole.get("properties", {}).items()
        ]

    def type_of(self, schema: Json) -> str:
        if "$ref" in schema:
            return schema["$ref"].rpartition("/")[2]
        if alternatives := schema.get("oneOf") or schema.get("anyOf"):
            return " or ".join(dict.fromkeys(map(self.type_of, alternatives)))
        kinds = schema.get("type", "string" if "const" in schema else "any")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return " or ".join(self._kind(kind, schema) for kind in kinds)

    def sample(self, schema: Json) -> Any:
        """The least that is accepted."""
        whole = self._resolve(schema)
        if "examples" in whole:
            return whole["examples"][0]
        if "oneOf" in whole:
            return self.sample(whole["oneOf"][0])
        if "const" in whole or "enum" in whole:
            return whole.get("const") or whole["enum"][0]
        if whole.get("type") == "array":
            return [self.sample(whole["items"])]
        if whole.get("type") == "object":
            properties = whole.get("properties", {})
            return {name: self.sample(properties[name]) for name in whole.get("required", [])}
        prefix = whole.get("pattern", "").removeprefix("^")
        return f"{prefix}_…" if prefix.isalpha() else "…"

    def _resolve(self, schema: Json) -> Json:
        return self.named(self.type_of(schema)) if "$ref" in schema else schema

    def _kind(self, kind: str, schema: Json) -> str:
        if kind == "array":
            items = self.type_of(schema.get("items", {}))
            return f"array of ({items})" if " or " in items else f"array of {items}"
        return kind

    def _row(self, name: str, schema: Json, required: bool) -> Row:
        type_, about = self.type_of(schema), schema.get("description", "")
        return Row(
            name, type_, required, _choices(schema), _limits(schema), about, self.rows(schema)
        )

    def _alternatives(self, schema: Json) -> list[Row]:
        """Those with fields; each under its name if there are several."""
        alternatives = schema.get("oneOf") or schema["anyOf"]
        described = [one for one in alternatives if self.rows(one)]
        if len(described) == 1:
            return self.rows(described[0])
        return [self._row(self._kind_word(one), one, False) for one in described]

    def _kind_word(self, schema: Json) -> str:
        """`text` of `{"type": "text", …}`."""
        kind = self._resolve(schema).get("properties", {}).get("type", {})
        return kind.get("const") or self.type_of(schema)


def _choices(schema: Json) -> list[str]:
    """The words that may be given, instead of an object too."""
    own = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    words = [_shown(word) for word in own if word is not None]
    return sum((_choices(one) for one in schema.get("oneOf", ())), words)


def _limits(schema: Json) -> list[str]:
    least, most = schema.get("minimum"), schema.get("maximum")
    told = dict(schema)
    if most is not None:
        told["range"] = f"{_shown(least)} to {_shown(most)}"
    return [text.format(_shown(told[name])) for name, text in _LIMITS.items() if name in told]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    return f"{value:,}" if isinstance(value, int | float) else str(value)
