"""Requests that come again: the first answer once more, and nothing done twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from flask import Flask

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller, a_caller, http_as
from tests.factories import a_run, a_thread, an_assistant
from tests.integration.openai.test_streams import names, parsed

KEY = {"Idempotency-Key": "order-66"}
RETRY = {"x-stainless-retry-count": "1"}


def count(database: Database, table: str) -> int:
    with database.autocommit() as tx:
        return tx.value(f"SELECT count(*) FROM {table}")  # type: ignore[arg-type]  # noqa: S608


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id).id


def requests(database: Database, caller: Caller, assistant_id: str) -> list[tuple[str, Any, str]]:
    """Every POST that makes something, with the table it adds to."""
    threads = [a_thread(database, caller.project_id, "Why?").id for _ in range(2)]
    waiting = a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    outputs = [{"tool_call_id": "call_1", "output": "x"}]
    submit = f"threads/{waiting.thread_id}/runs/{waiting.id}/submit_tool_outputs"
    return [
        ("threads", {}, "threads"),
        (f"threads/{threads[0]}/messages", {"role": "user", "content": "And?"}, "messages"),
        (f"threads/{threads[1]}/runs", {"assistant_id": assistant_id}, "runs"),
        ("threads/runs", {"assistant_id": assistant_id, "thread": {"messages": [{"role": "user", "content": "Why?"}]}}, "runs"),
        (submit, {"tool_outputs": outputs}, "runs"),
    ]  # fmt: skip


def test_the_same_key_gets_the_first_answer_again(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str
) -> None:
    for number, (url, body, table) in enumerate(requests(database, caller, assistant_id)):
        key = {"Idempotency-Key": f"key-{number}"}
        first = http.post(url, json=body, headers=key)
        assert first.status_code == 200, first.text
        before = count(database, table)
        again = http.post(url, json=body, headers=key)
        assert (again.status_code, again.json()) == (200, first.json()), url
        assert count(database, table) == before


def test_the_same_key_with_another_request_is_refused(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str
) -> None:
    assert http.post("threads", json={}, headers=KEY).status_code == 200
    for url, body, _ in requests(database, caller, assistant_id)[1:]:
        answer = http.post(url, json=body, headers=KEY)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "idempotency_key_reused"
    other = http.post("threads", json={"metadata": {"a": "b"}}, headers=KEY)
    assert other.status_code == 400


def test_a_key_is_one_projects_own(app: Flask, http: httpx2.Client, database: Database) -> None:
    other = a_caller(database, "other")
    with http_as(app, other.secret) as stranger:
        first = http.post("threads", json={}, headers=KEY).json()
        assert stranger.post("threads", json={}, headers=KEY).json()["id"] != first["id"]


def test_of_requests_with_one_key_at_once_one_acts(http: httpx2.Client, database: Database) -> None:
    barrier = threading.Barrier(5)

    def create(_: int) -> str:
        barrier.wait()
        return http.post("threads", json={}, headers=KEY).json()["id"]

    with ThreadPoolExecutor(5) as pool:
        assert len(set(pool.map(create, range(5)))) == 1
    assert count(database, "threads") == 1


def test_a_refused_request_does_not_use_up_its_key(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str
) -> None:
    url = f"threads/{a_run(database, caller.project_id).thread_id}/messages"
    body = {"role": "user", "content": "And?"}
    assert http.post(url, json=body, headers=KEY).status_code == 400
    with database.autocommit() as tx:
        tx.execute("DELETE FROM runs")
    assert http.post(url, json=body, headers=KEY).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
def test_a_key_that_is_none_is_refused(http: httpx2.Client, key: str) -> None:
    answer = http.post("threads", json={}, headers={"Idempotency-Key": key.encode()})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "Idempotency-Key"


def test_a_clients_retry_of_a_run_or_a_message_finds_what_its_first_try_made(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str
) -> None:
    for url, body, table in requests(database, caller, assistant_id):
        if url in ("threads", "threads/runs"):
            continue
        first = http.post(url, json=body, headers={"x-stainless-retry-count": "0"})
        before = count(database, table)
        again = http.post(url, json=body, headers=RETRY)
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"]), url
        assert count(database, table) == before


def test_a_clients_retry_whose_first_try_never_arrived_acts(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str
) -> None:
    for url, body, _ in requests(database, caller, assistant_id):
        assert http.post(url, json=body, headers=RETRY).status_code == 200, url


def test_two_equal_requests_for_a_new_thread_are_two(http: httpx2.Client) -> None:
    first = http.post("threads", json={}, headers={"x-stainless-retry-count": "0"})
    again = http.post("threads", json={}, headers=RETRY)
    assert first.json()["id"] != again.json()["id"]


@pytest.mark.parametrize("repeat", ["retry", "key"])
def test_a_stream_that_is_asked_for_again_tells_the_first_run(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str, repeat: str
) -> None:
    headers = [{}, RETRY] if repeat == "retry" else [KEY, KEY]
    thread = a_thread(database, caller.project_id, "Why?")
    url, body = f"threads/{thread.id}/runs", {"assistant_id": assistant_id, "stream": True}

    def expire() -> None:
        for _ in range(500):
            with database.autocommit() as tx:
                if tx.execute("UPDATE runs SET status = 'expired' WHERE status = 'queued'"):
                    return
            threading.Event().wait(0.01)

    expiring = threading.Thread(target=expire)
    expiring.start()
    first = parsed(http.post(url, json=body, headers=headers[0]).text)
    expiring.join()
    again = parsed(http.post(url, json=body, headers=headers[1]).text)
    assert names(again) == names(first)
    assert again[0][1]["id"] == first[0][1]["id"]
