"""Bad input in an address: ids in the path and what stands behind the question mark."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
from flask import Flask

from api.openai.schemas.fields import Whole
from shared.db import Database
from tests.conftest import Caller
from tests.factories import a_thread
from tests.integration.wire import Route, a_world, call, flaw, routes

BAD_LIMITS = [
    "0",
    "-1",
    "1e3",
    "\uff11",
    "1_0",
    "",
    "9" * 30,
    "9" * 5000,
    "-" + "9" * 30,
    "1.0",
]
BAD_LIMITS += [
    "x",
    "0x10",
    "\u0661",
    " 1",
    "1 ",
    "+1",
    "1\0",
    "NaN",
    "true",
    "null",
    "[1]",
    "1,2",
    "²",
]
BAD_ORDERS = ["", "up", "ASC", "Desc", "asc ", "asc\0", "asc,desc", "1", "desc;--", "x" * 10_000]
BAD_CURSORS = [
    "",
    "x",
    "\0",
    "msg_x\0",
    "' OR 1=1 --",
    "x" * 10_000,
    "é",
    "😀",
    "../..",
    "%",
    "null",
]
BAD_CURSORS += ["msg_x\r\nx-evil: 1", "[]", "-1", "0"]

WRONG_PREFIX = [
    "x",
    "undefined",
    "null",
    "0",
    "-1",
    "None",
    "{thread_id}",
    "é",
    "😀",
    "' OR '1'='1",
]
WRONG_PREFIX += [
    "\0",
    "\r\nx-evil: 1",
    "1; DROP TABLE runs",
    " thread_x",
    "x" * 10_000,
    "..",
    "%00",
]
# Behind a good prefix.
NO_ID = ["", "_", "_x", "_x\0", "_x\r\nx-evil: 1", "_é", "_😀", "_x' OR '1'='1", "_" + "x" * 10_000]
NO_ID += ["_x; DELETE FROM runs", "_%", "_x y", "_\ud7ff", "_%00", "_x?", "_x#", "_ⅷ", "_x\\", "_*"]


@pytest.fixture
def ids(database: Database, caller: Caller) -> dict[str, str]:
    return a_world(database, caller.project_id)


@pytest.fixture
def lists(app: Flask, ids: dict[str, str]) -> list[tuple[Route, str]]:
    found = [(route, route.path(ids)) for route in routes(app) if route.query is not None]
    assert len(found) >= 4
    return found


def refusals(
    app: Flask, caller: Caller, lists: list[tuple[Route, str]], name: str, values: list[str]
) -> Iterator[tuple[str, httpx2.Response]]:
    """Each list asked with each value, which must be refused."""
    for route, path in lists:
        assert route.query is not None
        field = route.query.load_fields.get(name)
        beyond = [str(field.most + 1)] if isinstance(field, Whole) and field.most else []
        for value in [*values, *beyond] if field else []:
            query = urlencode({name: value})
            answer = call(app, caller.secret, "GET", f"{path}?{query}")
            case = f"{route} {name}={value[:40]!r}"
            assert flaw(answer) is None, (case, answer.text[:300])
            yield case, answer


def test_a_bad_limit_is_refused_by_every_list(
    app: Flask, caller: Caller, lists: list[tuple[Route, str]]
) -> None:
    for case, answer in refusals(app, caller, lists, "limit", BAD_LIMITS):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit"), case


def test_a_bad_order_is_refused_by_every_list(
    app: Flask, caller: Caller, lists: list[tuple[Route, str]]
) -> None:
    for case, answer in refusals(app, caller, lists, "order", BAD_ORDERS):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "order"), case


def test_a_bad_cursor_is_refused_by_every_list(
    app: Flask, database: Database, caller: Caller, lists: list[tuple[Route, str]]
) -> None:
    others = a_world(database, caller.project_id).values()
    for route, path in lists:
        listed = call(app, caller.secret, "GET", f"{path}?limit=100").json()["data"]
        shown = {one["id"] for one in listed}
        assert shown
        bad = [*BAD_CURSORS, *(one for one in others if one not in shown)]
        for name in ("after", "before"):
            for case, answer in refusals(app, caller, [(route, path)], name, bad):
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, name), case


def test_a_bad_run_in_the_query_of_messages_does_no_harm(
    app: Flask, caller: Caller, ids: dict[str, str]
) -> None:
    for value in BAD_CURSORS:
        query = urlencode({"run_id": value})
        path = f"/v1/threads/{ids['thread_id']}/messages?{query}"
        answer = call(app, caller.secret, "GET", path)
        if answer.status_code == 200:
            assert answer.json()["data"] == [], value
        else:
            assert flaw(answer) is None, value
            assert answer.json()["error"]["param"] == "run_id", value


def test_what_a_list_does_not_know_in_its_query_is_ignored(
    app: Flask, caller: Caller, lists: list[tuple[Route, str]]
) -> None:
    for route, path in lists:
        plain = call(app, caller.secret, "GET", path)
        assert plain.status_code == 200, route
        for query in ("x=1", "Limit=0", "api-version=2024-05-01", "=", "&&&", "limit[]=0", "%00=1"):
            answer = call(app, caller.secret, "GET", f"{path}?{query}")
            assert (answer.status_code, answer.json()) == (200, plain.json()), (route, query)


def test_an_id_of_another_kind_is_refused_by_every_route(
    app: Flask, caller: Caller, ids: dict[str, str]
) -> None:
    for route, name, path, text in _with_bad_ids(app, ids, WRONG_PREFIX):
        answer = call(app, caller.secret, route.method, path)
        assert flaw(answer) is None, (str(route), path[:200], answer.text[:200])
        error = answer.json()["error"]
        if _lacks_a_body(route, answer):
            continue
        if name == "file_id" and "vector_store_id" in route.id_names:
            assert (answer.status_code, error["code"]) == (404, None)
            assert error["message"].startswith(f"No file found with id '{text}' in vector store ")
            continue
        if name == "file_id":  # as recorded
            assert (answer.status_code, error["param"], error["code"]) == (404, "id", None)
            assert error["message"] == f"No such File object: {text}"
            continue
        assert (answer.status_code, error["param"], error["code"]) == (
            400,
            name,
            "invalid_value",
        ), (str(route), path[:200])
        prefix = ids[name].partition("_")[0]
        assert error["message"] == (
            f"Invalid '{name}': '{text}'. Expected an ID that begins with '{prefix}'."
        )


def test_what_no_id_can_look_like_does_not_exist(
    app: Flask, caller: Caller, ids: dict[str, str]
) -> None:
    kinds = {name: re.split("[-_]", id_)[0] for name, id_ in ids.items()}
    for route, name, path, text in _with_bad_ids(app, ids, NO_ID, kinds):
        answer = call(app, caller.secret, route.method, path)
        assert flaw(answer) is None, (str(route), path[:200], answer.text[:200])
        assert answer.status_code == 404 or _lacks_a_body(route, answer), (str(route), path[:200])
        if answer.status_code == 404 and not re.fullmatch(r"[a-z]+_?x?", text):
            told = answer.json()["error"]["message"].partition(" in vector store ")[0]
            assert told.rstrip(".").endswith((f"with id '{text}'", f"File object: {text}")), name


def test_slashes_in_an_id_lead_nowhere(app: Flask, caller: Caller, ids: dict[str, str]) -> None:
    bad = ["a/b", "/x", "x/", "../assistants", "..%2f", "thread_x/..", "asst_x/../..", "%2F%2F"]
    for route, _, path, _ in _with_bad_ids(app, ids, bad):
        answer = call(app, caller.secret, route.method, path)
        assert flaw(answer) is None, (str(route), path, answer.text[:200])


def test_an_object_is_not_found_by_an_id_in_other_capitals_or_with_a_tail(
    app: Flask, database: Database, caller: Caller
) -> None:
    thread = a_thread(database, caller.project_id)
    number = thread.id.removeprefix("thread_")
    for tail in (number.swapcase(), number + "0", number[:-1], f"{number} ", f" {number}"):
        answer = call(app, caller.secret, "GET", f"/v1/threads/{quote(f'thread_{tail}')}")
        assert answer.status_code == 404, tail


def _with_bad_ids(
    app: Flask, ids: dict[str, str], bad: list[str], before: dict[str, str] | None = None
) -> Iterator[tuple[Route, str, str, str]]:
    """Each id of each route made bad, the others being good."""
    for route in routes(app):
        for name in sorted(route.id_names):
            for tail in bad:
                text = (before or {}).get(name, "") + tail
                yield route, name, route.path({**ids, name: text}), text


def _lacks_a_body(route: Route, answer: httpx2.Response) -> bool:
    """Bodies are judged before anything is looked up."""
    error: dict[str, Any] = answer.json()["error"]
    return route.body is not None and error["code"] == "missing_required_parameter"
