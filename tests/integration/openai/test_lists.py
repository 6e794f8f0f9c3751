"""Lists: order, limit, cursors. What holds for one holds for all."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from flask import Flask
from openai import OpenAI

from api import operations
from api.run_requests import RunRequest
from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller, a_caller, http_as
from tests.factories import a_run, a_thread, an_assistant, bring_to
from tests.integration.wire import answer, error_of

HOW_MANY = 7


def _assistants(database: Database, project_id: str) -> str:
    for number in range(HOW_MANY):
        an_assistant(database, project_id, name=str(number))
    return "assistants"


def _messages(database: Database, project_id: str) -> str:
    thread = a_thread(database, project_id, *map(str, range(HOW_MANY)))
    return f"threads/{thread.id}/messages"


def _runs(database: Database, project_id: str) -> str:
    run = a_run(database, project_id, status=RunStatus.COMPLETED)
    again = RunRequest(assistant_id=run.assistant_id)
    with database.transaction() as tx:
        for _ in range(HOW_MANY - 1):
            bring_to(
                tx,
                operations.start_run(tx, project_id, run.thread_id, again, 600),
                RunStatus.COMPLETED,
            )
    return f"threads/{run.thread_id}/runs"


def _run_steps(database: Database, project_id: str) -> str:
    run = a_run(database, project_id)
    answer(database, run, *map(str, range(HOW_MANY)))
    return f"threads/{run.thread_id}/runs/{run.id}/steps"


LISTS: dict[str, Callable[[Database, str], str]] = {
    "assistants": _assistants,
    "messages": _messages,
    "runs": _runs,
    "run_steps": _run_steps,
}


@dataclass(frozen=True)
class Filled:
    kind: str
    path: str
    ids: list[str]  # in the order of creation
    http: httpx2.Client

    def get(self, **query: Any) -> httpx2.Response:
        return self.http.get(self.path, params=query)


@pytest.fixture
def lists(app: Flask, database: Database) -> Iterator[list[Filled]]:
    """Each kind of list, filled in a project of its own, with items of the same instant: only the
    order of creation is left to sort by."""
    with ExitStack() as clients:
        filled: list[Filled] = []
        for table, fill in LISTS.items():
            owner = a_caller(database, table)
            path = fill(database, owner.project_id)
            with database.transaction() as tx:
                tx.execute(f"UPDATE {table} SET created_at = now()")  # noqa: S608
                of_owner = f"SELECT id FROM {table} WHERE project_id = %(id)s ORDER BY sequence"  # noqa: S608
                ids = tx.values(of_owner, {"id": owner.project_id})
            assert len(ids) == HOW_MANY
            http = clients.enter_context(closing(http_as(app, owner.secret)))
            filled.append(Filled(table, path, ids, http))
        yield filled


def test_every_list_is_paged_in_both_orders_by_either_cursor(lists: list[Filled]) -> None:
    for one in lists:
        a, b, c, d, e, f, g = one.ids
        expected: list[tuple[dict[str, Any], list[str], bool]] = [
            ({}, [g, f, e, d, c, b, a], False),
            ({"order": "desc"}, [g, f, e, d, c, b, a], False),
            ({"order": "asc"}, [a, b, c, d, e, f, g], False),
            ({"limit": 7}, [g, f, e, d, c, b, a], False),
            ({"limit": 6}, [g, f, e, d, c, b], True),
            ({"limit": 1}, [g], True),
            ({"limit": 100}, [g, f, e, d, c, b, a], False),
            ({"limit": 2, "after": f}, [e, d], True),
            ({"limit": 2, "after": c}, [b, a], False),
            ({"after": a}, [], False),
            ({"order": "asc", "limit": 3, "after": b}, [c, d, e], True),
            ({"order": "asc", "after": g}, [], False),
            ({"before": e}, [g, f], False),
            ({"before": g}, [], False),
            ({"order": "asc", "before": c}, [a, b], False),
            ({"order": "asc", "before": f, "limit": 2}, [d, e], True),
            ({"order": "desc", "before": b, "limit": 2}, [d, c], True),
            ({"order": "asc", "before": c, "limit": 2}, [a, b], False),
            ({"order": "asc", "after": b, "before": f}, [c, d, e], False),
            ({"order": "desc", "after": f, "before": b}, [e, d, c], False),
            ({"order": "asc", "after": b, "before": f, "limit": 2}, [c, d], True),
            ({"order": "asc", "after": f, "before": b}, [], False),
            ({"order": "asc", "after": c, "before": c}, [], False),
            ({"limit": 2, "unknown": "ignored"}, [g, f], True),
        ]
        for query, ids, has_more in expected:
            page = one.get(**query).json()
            assert [item["id"] for item in page.pop("data")] == ids, (one.kind, query)
            assert page == {
                "object": "list",
                "first_id": ids[0] if ids else None,
                "last_id": ids[-1] if ids else None,
                "has_more": has_more,
            }, (one.kind, query)


def test_walking_a_list_by_its_last_id_sees_everything_once(lists: list[Filled]) -> None:
    for one in lists:
        for size in (1, 2, 3):
            seen: list[str] = []
            query: dict[str, Any] = {"limit": size, "order": "asc"}
            while len(seen) <= HOW_MANY:
                page = one.get(**query).json()
                seen += [item["id"] for item in page["data"]]
                if not page["has_more"]:
                    break
                query["after"] = page["last_id"]
            assert seen == one.ids, (one.kind, size)


def test_an_item_of_a_list_is_shown_as_when_it_is_retrieved(lists: list[Filled]) -> None:
    for one in lists:
        for item in one.get().json()["data"]:
            assert one.http.get(f"{one.path}/{item['id']}").json() == item


def test_a_cursor_that_is_not_in_the_list_is_a_bad_argument(lists: list[Filled]) -> None:
    for number, one in enumerate(lists):
        of_another_list = lists[number - 1].ids[0]
        some = one.ids[0]
        for name in ("after", "before"):
            for cursor in ("", "x", f"{some}x", some.swapcase(), of_another_list):
                error = error_of(one.get(**{name: cursor}))
                assert (error["param"], error["code"]) == (name, "invalid_value"), cursor


def test_a_bad_limit_or_order_is_refused_in_the_wires_words(lists: list[Filled]) -> None:
    for one in lists:
        assert error_of(one.get(limit=101)) == {
            "message": "Invalid 'limit': integer above maximum value. Expected a value <= 100, but"
            " got 101 instead.",
            "type": "invalid_request_error",
            "param": "limit",
            "code": "integer_above_max_value",
        }
        assert error_of(one.get(limit=0))["code"] == "integer_below_min_value"
        assert error_of(one.get(order="up")) == {
            "message": "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.",
            "type": "invalid_request_error",
            "param": "order",
            "code": "invalid_value",
        }


def test_an_empty_list_has_neither_first_nor_last(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    nothing = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert http.get("assistants").json() == nothing
    thread = a_thread(database, caller.project_id)
    assert http.get(f"threads/{thread.id}/messages").json() == nothing
    assert http.get(f"threads/{thread.id}/runs").json() == nothing
    run = a_run(database, caller.project_id)
    assert http.get(f"threads/{run.thread_id}/runs/{run.id}/steps").json() == nothing


def test_twenty_items_are_a_page_where_nothing_is_said(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    thread = a_thread(database, caller.project_id, *map(str, range(21)))
    page = http.get(f"threads/{thread.id}/messages").json()
    assert (len(page["data"]), page["has_more"]) == (20, True)


def test_the_client_iterates_over_all_pages_by_itself(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    texts = [str(number) for number in range(25)]
    thread = a_thread(database, caller.project_id, *texts)
    for order, expected in (("asc", texts), ("desc", texts[::-1])):
        listed = client.beta.threads.messages.list(thread.id, limit=10, order=order)
        said = [message.to_dict()["content"][0]["text"]["value"] for message in listed]
        assert said == expected


def test_messages_can_be_asked_for_by_their_run(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    first = a_run(database, caller.project_id)
    answer(database, first, "one", "two")
    with database.transaction() as tx:
        request = RunRequest(assistant_id=first.assistant_id)
        second = operations.start_run(tx, caller.project_id, first.thread_id, request, 600)
    answer(database, second, "three")
    messages = client.beta.threads.messages
    for run, expected in ((first, ["one", "two"]), (second, ["three"])):
        listed = messages.list(first.thread_id, run_id=run.id, order="asc").data
        assert [message.to_dict()["content"][0]["text"]["value"] for message in listed] == expected
        assert {message.run_id for message in listed} == {run.id}
    page = messages.list(first.thread_id, run_id=first.id, order="asc", limit=1)
    assert page.has_more
    assert [len(page.data) for page in page.iter_pages()] == [1, 1]
    elsewhere = a_run(database, caller.project_id)
    for run_id in ("run_x", elsewhere.id):
        assert messages.list(first.thread_id, run_id=run_id).data == []
