"""The published interface as facts: names, types, enums.

`assistants.json` says of every operation of the Assistants API what its answer is, of every event
of a stream what its data is, and of these JSON which names and types it has. It is laid out as the
published document has it, with what differs in `deviations.py`; here the two are put together, and
made as strict as they can be: an object has no other names than those.
"""

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from api.openai.blueprints import DOCUMENTED_MOUNT, FURTHER_MOUNTS
from tests.published.deviations import DEVIATIONS, Patch

Schema = dict[str, Any]

PUBLISHED: dict[str, Any] = json.loads(Path(__file__).with_name("assistants.json").read_text())

# Ours, beside what is published: what each is for. They answer with events.
OWN_STREAMS = {
    "GET /threads/{thread_id}/runs/{run_id}/events": "a run's events, told again or still to come",
}
# Published as a JSON string, but a file comes as the bytes it has, or a range of them.
BYTES = {"GET /files/{file_id}/content": "application/octet-stream"}
_OUTSIDE = re.compile(r"/(opengpts|docs|openapi\.json|healthz|readyz)(/|$)")
_MOUNTS = sorted((DOCUMENTED_MOUNT, *FURTHER_MOUNTS.values()), key=len, reverse=True)


def laid_over(facts: Any, patch: Any) -> Any:
    """A deviation's patch over what it differs from."""
    if not isinstance(facts, dict) or not isinstance(patch, dict):
        return patch
    laid = dict(facts)
    for name, change in patch.items():
        if change is None:
            laid.pop(name, None)
        elif name == "required":
            laid[name] = [*laid.get(name, ()), *change]
        else:
            laid[name] = laid_over(laid.get(name), change)
    return laid


def facts(*patches: Patch) -> dict[str, Any]:
    """What is published, as it is where these deviations hold."""
    return functools.reduce(laid_over, patches, copy.deepcopy(PUBLISHED))


INTERFACE = facts(*(patch for _, patch in DEVIATIONS))
OPERATIONS: dict[str, str] = INTERFACE["operations"]
EVENTS: dict[str, str] = INTERFACE["events"]


def is_outside(path: str) -> bool:
    """Another dialect's, or none of an API."""
    return _OUTSIDE.match(path) is not None


def operation_of(method: str, path: str) -> str | None:
    """As it is published, whatever the mount; None where there is none."""
    mount = next(one for one in _MOUNTS if path == one or path.startswith(f"{one}/"))
    asked = f"{method} {path.removeprefix(mount).removesuffix('/')}"
    return next((name for name, pattern in _patterns() if pattern.fullmatch(asked)), None)


@functools.cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """A path that is written out goes before one with an id in its place."""
    names = sorted((*OPERATIONS, *OWN_STREAMS, *BYTES), key=lambda name: name.count("{"))
    return [
        (name, re.compile(re.sub(r"{\w+}", "[^/]+", name.replace("{model}", ".+"))))
        for name in names
    ]


def streams(operation: str) -> bool:
    return operation in OWN_STREAMS or operation in INTERFACE["streaming"]


@functools.cache
def schema_of(name: str) -> Schema:
    """With everything in it that it refers to, and nothing else allowed."""
    return _closed(INTERFACE["schemas"][name])


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return schema_of(node["$ref"].removeprefix("#/schemas/"))
    closed = {
        name: {key: _closed(one) for key, one in below.items()}
        if name == "properties"
        else _closed(below)
        for name, below in node.items()
    }
    if "properties" in closed:
        closed = {"type": "object", **closed, "additionalProperties": False}
    if closed.get("format") == "unixtime":
        closed |= {"minimum": 10**9, "maximum": 10**10}  # seconds, and not thousandths of them
    return closed


def flaw(answered: Any, name: str) -> str | None:
    """Where and how an answer does not fit its schema."""
    return _flaw(answered, _validator(name))


def flaw_of_event(event: str, data: Any) -> str | None:
    if event not in EVENTS:
        return "is not a published event"
    return _flaw(data, _event_validator(event))


def _flaw(answered: Any, validator: Any) -> str | None:
    if (error := best_match(validator.iter_errors(answered))) is None:
        return None
    return f"{error.json_path}: {error.message[:400]}"


@functools.cache
def _validator(name: str) -> Any:
    return Draft202012Validator(schema_of(name))


@functools.cache
def _event_validator(event: str) -> Any:
    schema = schema_of(EVENTS[event])
    if (status := _status_at(event)) is not None:
        schema = {"allOf": [schema, {"properties": {"status": {"const": status}}}]}
    return Draft202012Validator(schema)


def _status_at(event: str) -> str | None:
    """The status that the object of an event has by the event's name."""
    kind, _, happened = event.rpartition(".")
    if happened == "created":
        return {"thread": None, "thread.run": "queued"}.get(kind, "in_progress")
    return happened if kind and happened != "delta" else None
