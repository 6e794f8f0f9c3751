"""Bodies made from what the dialect's schemas declare, and what can be put wrong in them."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask
from marshmallow import Schema, fields

from api.openai.schemas.fields import (
    Choice,
    Decimal,
    Flag,
    Id,
    Json,
    ListOf,
    Metadata,
    Object,
    Text,
    Whole,
)
from api.openai.schemas.messages import Content
from api.openai.schemas.options import (
    ResponseFormat,
    ToolChoice,
    ToolResources,
    Tools,
    Truncation,
)
from api.openai.schemas.search import Filter
from api.openai.schemas.vector_stores import ChunkingStrategy
from shared.db import Database
from tests.integration.wire import Route, a_world, routes

Path = tuple[str | int, ...]

# Of these the caller chooses the names.
FREE = {"metadata", "schema", "parameters", "attributes"}

CONTENT = [
    {"type": "text", "text": "Look:"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
    {"type": "image_file", "image_file": {"file_id": "file-x", "detail": "high"}},
]
RESOURCES = {"code_interpreter": {"file_ids": []}, "file_search": {"vector_store_ids": []}}
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    },
}
SEARCH = {
    "type": "file_search",
    "file_search": {
        "max_num_results": 7,
        "ranking_options": {"ranker": "auto", "score_threshold": 0.5},
    },
}
STRATEGY = {
    "type": "static",
    "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 100},
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "description": "An answer.",
        "schema": {"type": "object", "properties": {"why": {"type": "string"}}},
        "strict": True,
    },
}


# The call that a waiting run of the tests waits for; and what has to be less than the others.
KNOWN = {"tool_call_id": "call_1", "days": 7, "max_num_results": 7}


def a_body(schema: Schema, ids: Mapping[str, str]) -> dict[str, Any]:
    """Every declared argument with a good value; `ids` are known objects by argument."""
    return {
        name: KNOWN[name] if name in KNOWN else _known(name, ids) or _value(field, ids)
        for name, field in schema.load_fields.items()
        if not ({name, _INSTEAD.get(name)} <= schema.load_fields.keys())
    }


# Arguments that another one of the same object excludes.
_INSTEAD = {"files": "file_ids"}


def _known(name: str, ids: Mapping[str, str]) -> Any:
    if name.endswith("_ids") and (one := ids.get(name.removesuffix("s"))):
        return [one]
    return ids.get(name)


# Those that narrow another kind of field; then the kinds that need no more than any value.
_VALUES: tuple[tuple[type[fields.Field], Any], ...] = (
    (Content, CONTENT),
    (Tools, [TOOL, SEARCH]),
    (ToolResources, RESOURCES),
    (ResponseFormat, FORMAT),
    (Truncation, {"type": "last_messages", "last_messages": 1}),
    (ToolChoice, "auto"),
    (ChunkingStrategy, STRATEGY),
    (Filter, {"type": "eq", "key": "year", "value": "2024"}),
    (Metadata, {"a": "b"}),
    (Json, {"type": "object"}),
    (Flag, False),
    (Decimal, 0.5),
    (Whole, 3600),
)


def _value(field: fields.Field, ids: Mapping[str, str]) -> Any:
    """A new kind of field needs a line here or above."""
    for kind, value in _VALUES:
        if isinstance(field, kind):
            return copy.deepcopy(value)
    match field:
        case Object():
            return a_body(field.schema, ids)
        case ListOf():
            return [_value(field.inner, ids)]
        case Choice():
            return field.words[0]
        case Id():
            return f"{field.prefix}-x"
        case Text():
            return "x"
    raise AssertionError(f"no good value is known for {field}")


def nodes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Everything inside a body and where it stands."""
    if path:
        yield path, value
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from nodes(below, (*path, key))


def with_value(body: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(body)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def with_key(body: dict[str, Any], path: Path, key: str, value: Any) -> dict[str, Any]:
    """One more argument in the object at `path`."""
    changed: Any = copy.deepcopy(body)
    place = changed
    for step in path:
        place = place[step]
    place[key] = value
    return changed


def objects(body: dict[str, Any]) -> Iterator[Path]:
    """Where an object with declared arguments stands."""
    yield ()
    for path, value in nodes(body):
        if isinstance(value, dict) and not FREE & set(path):
            yield path


def spelled(path: Path) -> str:
    """As the wire names an argument: `thread.messages[0].role`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def bodies_of(
    app: Flask, database: Database, project_id: str
) -> list[tuple[Route, str, dict[str, Any]]]:
    """Each route that takes a body: its address and a body with every argument it declares."""
    found: list[tuple[Route, str, dict[str, Any]]] = []
    for route in routes(app):
        if route.body is not None:
            ids = a_world(database, project_id, route)
            found.append((route, route.path(ids), a_body(route.body, ids)))
    assert len(found) >= 9
    return found
