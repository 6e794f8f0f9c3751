"""Bad input to every route: always a 4xx in the envelope, and nothing is made of it."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import orjson
import pytest
from flask import Flask

from shared.db import Database
from tests.conftest import Caller, http_as
from tests.integration.samples import (
    FREE,
    Path,
    bodies_of,
    nodes,
    objects,
    spelled,
    with_key,
    with_value,
)
from tests.integration.wire import Route, flaw

Bodies = list[tuple[Route, str, dict[str, Any]]]


def words(text: str) -> set[str]:
    return set(text.split())


OF_EACH_KIND: dict[type, Any] = {
    type(None): None,
    bool: True,
    int: 7,
    float: 1.5,
    str: "x",
    list: [[]],
    dict: {"x": {}},
}
BROKEN: dict[str, bytes] = {
    "half an object": b'{"metadata": ',
    "two objects": b"{} {}",
    "single quotes": b"{'metadata': {}}",
    "a comment": b"{} // no",
    "an array": b"[]",
    "an array of objects": b"[{}]",
    "a string": b'"x"',
    "a number": b"5",
    "null": b"null",
    "true": b"true",
    "white space": b" \n",
    "NUL": b"\0",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "invalid UTF-8": b'{"metadata": {"a": "\xff"}}',
    "an overlong encoding": b'{"metadata": {"a": "\xc0\x80"}}',
    "an encoded surrogate": b'{"metadata": {"a": "\xed\xa0\x80"}}',
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 open arrays": b'{"metadata": ' + b"[" * 100_000,
    "a form": b"metadata=x",
}
# Written into a body in the place of a value.
NO_JSON = [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"0x10", b"01", b"1_000", b"+1"]
BAD_TEXT = [rb'"\ud800"', rb'"\udc00"', rb'"\ude00\ud83d"', rb'"a\u0000b"', b'"\xff"', b'"a\0b"']
HUGE = [10**30, -(10**30), 2**63, 2**64, -(2**63) - 1, 1e308, -1e308]
MARK = "the value to replace"
# For which null means the same as nothing.
NULLABLE = words(
    "name description instructions additional_instructions additional_messages model tools"
    " tool_resources metadata temperature top_p response_format reasoning_effort attachments stream"
    " max_prompt_tokens max_completion_tokens truncation_strategy last_messages tool_choice"
    " parallel_tool_calls thread strict attributes expires_after"
)
# What callers must not set: columns of the tables, and members of what is shown.
NOT_THEIRS = words(
    "id object status created_at started_at completed_at expires_at project_id run_id sequence"
    " fence worker_id lapses usage last_error required_action incomplete_details __class__ a.b [0]"
)


@pytest.fixture
def http(app: Flask, caller: Caller) -> Iterator[httpx2.Client]:
    with closing(http_as(app, caller.secret)) as client:
        client.base_url = "http://treadle"
        yield client


@pytest.fixture
def bodies(app: Flask, database: Database, caller: Caller) -> Bodies:
    return bodies_of(app, database, caller.project_id)


def test_a_body_with_every_declared_argument_is_accepted(
    http: httpx2.Client, bodies: Bodies
) -> None:
    """Else the refusals below would be for another reason than the one they are about."""
    for route, path, body in bodies:
        answer = http.post(path, json=body)
        assert answer.status_code == 200, (str(route), answer.text)


def test_what_is_no_json_object_is_refused(http: httpx2.Client, bodies: Bodies) -> None:
    flaws = {
        f"{route}: {name}": flaw(http.post(path, content=content))
        for route, path, _ in bodies
        for name, content in BROKEN.items()
    }
    assert {case: found for case, found in flaws.items() if found} == {}


def test_a_value_of_another_type_is_refused_by_its_path(
    http: httpx2.Client, bodies: Bodies
) -> None:
    flaws: list[str] = []
    tried = 0
    for route, path, body in bodies:
        for where, good in _declared(body):
            for kind, bad in OF_EACH_KIND.items():
                if kind is type(good) or (kind is int and type(good) is float):
                    continue
                if where[-1] == "content" and kind is str:
                    continue
                answer = http.post(path, json=with_value(body, where, bad))
                tried += 1
                found = flaw(answer)
                if found is None and not _names(answer, where, kind):
                    found = answer.text
                if found and not (bad is None and where[-1] in NULLABLE):
                    flaws.append(f"{route}: {spelled(where)} = {bad!r}: {found}")
    assert flaws == []
    assert tried > 1000


def test_text_that_postgresql_or_utf8_cannot_hold_is_refused_wherever_it_stands(
    http: httpx2.Client, bodies: Bodies
) -> None:
    flaws: list[str] = []
    for route, path, body in bodies:
        places = [with_value(body, where, MARK) for where, good in nodes(body) if type(good) is str]
        free = [where for where, good in nodes(body) if where[-1] in FREE]
        places += [with_key(body, where, MARK, "x") for where in [*free, *objects(body)]]
        for place in places:
            for bad in BAD_TEXT:
                found = flaw(http.post(path, content=_written(place, bad)))
                if found:
                    flaws.append(f"{route}: {place} with {bad!r}: {found}")
    assert flaws == []


def test_numbers_that_are_none_or_too_large_are_refused(
    http: httpx2.Client, bodies: Bodies
) -> None:
    flaws: list[str] = []
    for route, path, body in bodies:
        for where, _ in _declared(body):
            place = with_value(body, where, MARK)
            bad = NO_JSON + [orjson.dumps(float(n)) if abs(n) > 2**64 else b"%d" % n for n in HUGE]
            bad += [b"%d" % 10**30]
            for text in bad:
                found = flaw(http.post(path, content=_written(place, text)))
                if found:
                    flaws.append(f"{route}: {spelled(where)} = {text!r}: {found}")
    assert flaws == []


def test_nesting_without_end_is_refused_wherever_it_stands(
    http: httpx2.Client, bodies: Bodies
) -> None:
    flaws: list[str] = []
    deep = (
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"[" * 100 + b"]" * 100,
    )
    for route, path, body in bodies:
        places = [where for where, _ in _declared(body)]
        places += [(*where, "properties") for where, _ in nodes(body) if where[-1] == "schema"]
        for where in places:
            for text in deep:
                place = with_value(body, where, MARK)
                found = flaw(http.post(path, content=_written(place, text)))
                if found:
                    flaws.append(f"{route}: {spelled(where)} = {text[:10]!r}…: {found}")
    assert flaws == []


def test_an_argument_that_is_not_declared_is_refused_by_its_path(
    http: httpx2.Client, bodies: Bodies
) -> None:
    flaws: list[str] = []
    for route, path, body in bodies:
        for where in objects(body):
            present = dict(nodes(body)).get(where, body)
            for name in sorted(NOT_THEIRS - present.keys()):
                answer = http.post(path, json=with_key(body, where, name, "x"))
                param = spelled((*where, name))
                if flaw(answer) or answer.json()["error"] != {
                    "message": f"Unknown parameter: '{param}'.",
                    "type": "invalid_request_error",
                    "param": param,
                    "code": "unknown_parameter",
                }:
                    flaws.append(f"{route}: {param}: {answer.text}")
    assert flaws == []


def test_an_unknown_argument_is_named_however_strange_its_name_is(http: httpx2.Client) -> None:
    for name in ("_schema", "\r\nx-evil: 1", "é", "0", "'", "a" * 1000, "\x7f", "$ref"):
        for body, param in (({name: 1}, name), ({"metadata": {name: 1}}, f"metadata.{name}")):
            answer = http.post("/v1/threads", json=body)
            assert flaw(answer) is None
            if len(name) <= 64 or param == name:
                assert answer.json()["error"]["param"] == param


def test_of_an_argument_given_twice_the_last_counts(http: httpx2.Client) -> None:
    twice = b'{"model": "a", "model": "b", "metadata": {"k": "1", "k": "2"}}'
    made = http.post("/v1/assistants", content=twice).json()
    assert (made["model"], made["metadata"]) == ("b", {"k": "2"})
    assert flaw(http.post("/v1/assistants", content=b'{"model": "a", "model": 5}')) is None


def test_what_was_refused_left_nothing_behind(
    http: httpx2.Client, bodies: Bodies, database: Database
) -> None:
    def rows() -> list[tuple[Any, ...]]:
        tables = ("assistants", "threads", "messages", "runs")
        with database.autocommit() as tx:
            return [tx.values(f"SELECT t::text FROM {t} AS t ORDER BY id") for t in tables]  # noqa: S608

    before = rows()
    for _, path, body in bodies:
        for where, good in _declared(body):
            bad = 5 if isinstance(good, str) else "x\0"
            assert flaw(http.post(path, json=with_value(body, where, bad))) is None
    assert rows() == before


def _declared(body: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Whatever has a declared type. In a JSON schema, or as an attribute's value, anything may stand."""
    for path, value in nodes(body):
        free = {"schema", "parameters", "attributes"} & set(path[:-1])
        if not free and path[-2:] != ("filters", "value"):
            yield path, value


def _names(answer: httpx2.Response, where: Path, kind: type) -> bool:
    """Whether the refusal names the argument; of an object it may name one inside."""
    param = answer.json()["error"]["param"] or ""
    inside = kind in (dict, list) and param.startswith(spelled(where))
    return param == spelled(where) or inside


def _written(body: dict[str, Any], value: bytes) -> bytes:
    """The body as JSON, with these bytes where the mark stands."""
    return orjson.dumps(body).replace(orjson.dumps(MARK), value)
