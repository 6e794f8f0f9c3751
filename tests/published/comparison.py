"""What two schemas say differently of the same answer: its names, which of them are always there,
and the words that a value is one of. Types, limits and what is null are for the answers to show."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def inlined(node: Any, document: dict[str, Any]) -> Any:
    """With what it refers to in its place."""
    if isinstance(node, list):
        return [inlined(one, document) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        place: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        return inlined(place, document)
    return {name: inlined(below, document) for name, below in node.items()}


def differences(theirs: Schema, ours: Schema, path: str) -> Iterator[str]:
    """Each with the path of the value that it is about."""
    yield from _unequal(path, "words", _words(theirs), _words(ours))
    published, own = _objects(theirs), _objects(ours)
    yield from _unequal(path, "kinds", published, own)
    for kind in published.keys() & own.keys():
        yield from _of_objects(published[kind], own[kind], path + kind.removeprefix("(one)"))
    if "items" in theirs and "items" in ours:
        yield from differences(theirs["items"], ours["items"], f"{path}[]")


def _of_objects(theirs: Schema, ours: Schema, path: str) -> Iterator[str]:
    published, own = theirs["properties"], ours["properties"]
    yield from _unequal(path, "names", published, own)
    required = set(theirs.get("required", ())), set(ours.get("required", ()))
    yield from _unequal(
        path, "always there", required[0] & own.keys(), required[1] & set(published)
    )
    for name in published.keys() & own.keys():
        yield from differences(published[name], own[name], f"{path}.{name}")


def _unequal(path: str, about: str, theirs: Any, ours: Any) -> Iterator[str]:
    missing, more = set(theirs) - set(ours), set(ours) - set(theirs)
    if missing:
        yield f"{path} lacks the {about} {', '.join(sorted(map(str, missing)))}"
    if more:
        yield f"{path} has the {about} {', '.join(sorted(map(str, more)))}"


def _alternatives(schema: Schema) -> list[Schema]:
    branches = [one for key in ("oneOf", "anyOf") for one in schema.get(key, ())]
    return [below for one in branches for below in _alternatives(one)] if branches else [schema]


def _words(schema: Schema) -> set[str]:
    """Of strings. The `type` of an object that has several kinds is compared as its kind."""
    found: set[Any] = set()
    for one in _alternatives(schema):
        found |= {one["const"]} if isinstance(one.get("const"), str | bool) else set()
        found |= set(one.get("enum", ()))
    return found - {None}


def _objects(schema: Schema) -> dict[str, Schema]:
    """By their kind: `(text)` for one whose `type` says so, `(one)` for one that has none."""
    found: dict[str, Schema] = {}
    for one in _alternatives(schema):
        if "properties" in one:
            kind = one["properties"].get("type", {}).get("const")
            found["(one)" if kind is None else f"({kind})"] = one
    return found
