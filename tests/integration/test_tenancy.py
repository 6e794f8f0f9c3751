"""What belongs to another project is answered exactly as what never existed.

The requests are made from the application's own routes, so a new one is tried as soon as it is
there.
"""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2
import pytest
from flask import Flask

from shared.db import Database
from shared.ids import random_text
from tests.conftest import Caller, a_caller, http_as
from tests.factories import a_run
from tests.integration.samples import a_body, nodes, with_value
from tests.integration.wire import Route, a_world, routes

Ids = dict[str, str]


@pytest.fixture
def stranger(app: Flask, database: Database) -> Iterator[tuple[httpx2.Client, Ids]]:
    """A caller of another project, and objects of that project."""
    caller = a_caller(database, "stranger")
    with closing(http_as(app, caller.secret)) as http:
        http.base_url = "http://treadle"
        yield http, a_world(database, caller.project_id)


@pytest.fixture
def theirs(database: Database, caller: Caller) -> Ids:
    return a_world(database, caller.project_id)


@pytest.fixture
def never(theirs: Ids) -> Ids:
    """Ids of the same shape that name nothing."""
    return {
        name: f"{re.split('[-_]', id_)[0]}{id_[-25]}{random_text(24)}"
        for name, id_ in theirs.items()
    }


def with_ids(app: Flask) -> list[Route]:
    found = [route for route in routes(app) if route.id_names]
    assert len(found) >= 17
    return found


def seen_by(
    http: httpx2.Client, route: Route, ids: Ids, own: Ids, headers: dict[str, str] | None = None
) -> tuple[Any, ...]:
    """All that an answer tells, with the ids taken out of it. The path holds `ids`, the body those
    of `own`."""
    body = None if route.body is None else a_body(route.body, own)
    answer = http.request(route.method, route.path(ids), json=body, headers=headers)
    text = answer.text
    for name, id_ in ids.items():
        text = text.replace(id_, f"<{name}>")
    return answer.status_code, sorted(answer.headers), text


def everything(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables."""
    with database.autocommit() as tx:
        tables = tx.values("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            table: tx.values(f"SELECT t::text FROM {table} AS t ORDER BY 1")  # noqa: S608
            for table in tables
        }


def test_the_owner_can_use_every_route_with_these_ids(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller
) -> None:
    """Else the refusals below would say nothing."""
    for route in with_ids(app):
        ids = a_world(database, caller.project_id, route)
        body = None if route.body is None else a_body(route.body, ids)
        answer = http.request(route.method, f"http://treadle{route.path(ids)}", json=body)
        assert answer.status_code == 200, (str(route), answer.text)


def test_every_id_of_a_path_must_be_the_callers_own(
    app: Flask,
    database: Database,
    stranger: tuple[httpx2.Client, Ids],
    theirs: Ids,
    never: Ids,
) -> None:
    http, own = stranger
    before = everything(database)
    for route in with_ids(app):
        # The others in the path are their owner's, or the stranger's.
        for others in (theirs, own):
            for name in route.id_names:
                at_theirs = seen_by(http, route, {**others, name: theirs[name]}, own)
                at_none = seen_by(http, route, {**others, name: never[name]}, own)
                assert at_theirs == at_none, (str(route), name)
                assert at_theirs[0] == 404, (str(route), name)
    assert everything(database) == before


def test_every_id_of_a_body_must_be_the_callers_own(
    app: Flask, database: Database, stranger: tuple[httpx2.Client, Ids], theirs: Ids, never: Ids
) -> None:
    http, own = stranger
    before = everything(database)
    tried = 0
    for route in routes(app):
        if route.body is None:
            continue
        body = a_body(route.body, own)
        for where, value in nodes(body):
            # A message's files are kept as they are said, and never looked up.
            kept = {"attachments", "image_file"} & set(where)
            if value not in own.values() or kept:
                continue
            name = next(name for name, id_ in own.items() if id_ == value)
            answers = []
            for ids in (theirs, never):
                answer = http.post(route.path(own), json=with_value(body, where, ids[name]))
                answers.append((answer.status_code, answer.text.replace(ids[name], "<id>")))
            assert answers[0] == answers[1], (str(route), where)
            assert answers[0][0] == 404, (str(route), where)
            tried += 1
    assert tried >= 2
    assert everything(database) == before


def with_resources(
    resources: dict[str, Any], *, where_it_is_made: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each body that may bring tool resources, and where it is sent."""
    given = {"tool_resources": resources}
    yield "/v1/assistants", {"model": "m", **given}
    yield "/v1/threads", given
    yield "/v1/threads/runs", {"assistant_id": "{assistant_id}", "thread": given}
    if not where_it_is_made:
        yield "/v1/assistants/{assistant_id}", given
        yield "/v1/threads/{thread_id}", given
        yield "/v1/threads/runs", {"assistant_id": "{assistant_id}", **given}


def with_attachment(file_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    attached = [{"file_id": file_id, "tools": [{"type": "file_search"}]}]
    message = {"role": "user", "content": "x", "attachments": attached}
    yield "/v1/threads/{thread_id}/messages", message
    yield "/v1/threads", {"messages": [message]}
    yield (
        "/v1/threads/{thread_id}/runs",
        {"assistant_id": "{assistant_id}", "additional_messages": [message]},
    )
    yield (
        "/v1/threads/runs",
        {"assistant_id": "{assistant_id}", "thread": {"messages": [message]}},
    )


def of_tools(file_id: str, store_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place where a tool's file or store is named below what a route declares."""
    for named in (
        {"file_search": {"vector_store_ids": [store_id]}},
        {"code_interpreter": {"file_ids": [file_id]}},
    ):
        yield from with_resources(named, where_it_is_made=False)
    made = {"file_search": {"vector_stores": [{"file_ids": [file_id]}]}}
    yield from with_resources(made, where_it_is_made=True)
    yield from with_attachment(file_id)
    batches = "/v1/vector_stores/{vector_store_id}/file_batches"
    yield batches, {"files": [{"file_id": file_id}]}


def test_every_file_and_store_of_a_tool_must_be_the_callers_own(
    database: Database, stranger: tuple[httpx2.Client, Ids], theirs: Ids, never: Ids
) -> None:
    http, own = stranger
    before = everything(database)

    def answered(ids: Ids) -> list[tuple[int, str]]:
        told: list[tuple[int, str]] = []
        for path, body in of_tools(ids["file_id"], ids["vector_store_id"]):
            if "assistant_id" in body:
                body["assistant_id"] = own["assistant_id"]
            answer = http.post(path.format(**own), json=body)
            text = answer.text
            for name in ("file_id", "vector_store_id"):
                text = text.replace(ids[name], f"<{name}>")
            told.append((answer.status_code, text))
        return told

    at_theirs = answered(theirs)
    assert [told for told in at_theirs if told[0] != 404] == []
    assert at_theirs == answered(never)
    assert everything(database) == before
    assert [told for told in answered(own) if told[0] != 200] == []


def test_every_cursor_and_filter_must_be_the_callers_own(
    app: Flask, stranger: tuple[httpx2.Client, Ids], theirs: Ids, never: Ids
) -> None:
    http, own = stranger
    for route in routes(app):
        if route.query is None:
            continue
        for parameter in set(route.query.load_fields) - {"limit", "order"}:
            for name in theirs:
                answers = []
                for ids in (theirs, never):
                    answer = http.get(route.path(own), params={parameter: ids[name]})
                    answers.append((answer.status_code, answer.text.replace(ids[name], "<id>")))
                assert answers[0] == answers[1], (str(route), parameter, name)


def test_lists_show_the_callers_own_only(
    app: Flask, stranger: tuple[httpx2.Client, Ids], theirs: Ids
) -> None:
    http, own = stranger
    lists = [route for route in routes(app) if route.query is not None]
    for route in lists:
        shown = http.get(route.path(own), params={"limit": 100})
        assert shown.json()["data"], route
        assert not [id_ for id_ in theirs.values() if id_ in shown.text], route


def test_what_was_kept_for_an_idempotency_key_is_shown_to_its_own_project_only(
    app: Flask,
    database: Database,
    http: httpx2.Client,
    caller: Caller,
    stranger: tuple[httpx2.Client, Ids],
    never: Ids,
) -> None:
    """The very request, with the very key, once it is answered."""
    other, own = stranger
    tried = 0
    for number, route in enumerate(routes(app)):
        if route.body is None:
            continue
        ids = a_world(database, caller.project_id, route)
        key = {"Idempotency-Key": f"key-{number}"}
        body = a_body(route.body, ids)
        kept = http.post(f"http://treadle{route.path(ids)}", json=body, headers=key)
        assert kept.status_code == 200, (str(route), kept.text)
        if route.id_names:
            at_theirs, at_none = (seen_by(other, route, at, at, key) for at in (ids, never))
            assert at_theirs == at_none, str(route)
            assert at_theirs[0] == 404, str(route)
        else:
            made = other.post(route.path(own), json=a_body(route.body, own), headers=key)
            assert made.status_code == 200, (str(route), made.text)
            assert made.json()["id"] != kept.json()["id"], str(route)
        tried += 1
    assert tried >= 9


def test_every_route_of_the_application_is_among_those_tried(app: Flask) -> None:
    """Another mount is the same view; the other dialect has its own test; the rest shows nothing
    of any project."""
    tried = {
        app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        if rule.rule in {route.rule for route in routes(app)}
    }
    others = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if app.view_functions[rule.endpoint] not in tried and not rule.rule.startswith("/opengpts/")
    }
    mounts = ("", "/v1", "/openai", "/openai/v1")
    models = {f"{mount}/models{rest}" for mount in mounts for rest in ("", "/<path:model>")}
    assert others - models == {"/healthz", "/readyz", "/docs", "/openapi.json"}


def test_a_stranger_is_not_held_until_a_run_stops(
    database: Database, caller: Caller, stranger: tuple[httpx2.Client, Ids]
) -> None:
    """The wait would tell that the run exists."""
    http, _ = stranger
    run = a_run(database, caller.project_id)
    path = f"/v1/threads/{run.thread_id}/runs/{run.id}"
    began = time.monotonic()
    assert http.get(path, headers={"Prefer": "wait=20"}).status_code == 404
    assert time.monotonic() - began < 10
