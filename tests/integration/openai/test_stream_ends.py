"""Streams of runs that end in the middle of a step which nothing has stored."""

import threading

import httpx2
import orjson
import pytest
import redis

from api import reading
from shared.db import Database
from shared.settings import Settings
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.integration.openai.test_streams import ask, names, parsed, working
from tests.model_server import ModelServer, chunk, fail, pieces
from worker.bell import Bell
from worker.sweep import sweep

BEGUN = pieces(chunk({"content": "Once "}), chunk({"content": "upon "}))


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id).id


def test_a_step_that_fails_says_so_with_a_code_that_steps_have(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(BEGUN, fail(400, "no"))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events)[-5:] == [
        "thread.message.delta",
        "thread.message.incomplete",
        "thread.run.step.failed",
        "thread.run.failed",
        "done",
    ]
    step, run = events[-3][1], events[-2][1]
    assert run["last_error"]["code"] == "invalid_prompt"
    assert step["last_error"] == {**run["last_error"], "code": "server_error"}


def test_a_run_that_expires_while_it_is_told_ends_its_step_expired(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    settings: Settings,
    model_server: ModelServer,
    redis_url: str,
) -> None:
    never = threading.Event()
    model_server.script(pieces(chunk({"content": "Once "}), chunk({"content": "?"}), until=never))

    def expire() -> None:
        with redis.Redis.from_url(redis_url) as connection:
            while not connection.keys("treadle:text:*"):
                threading.Event().wait(0.01)
        with database.autocommit() as tx:
            tx.execute("UPDATE runs SET expires_at = now()")
            sweep(tx, settings)

    with working(worker, database):
        expiring = threading.Thread(target=expire)
        expiring.start()
        events = ask(http, assistant_id)
        expiring.join()
        never.set()
    assert names(events)[-4:] == [
        "thread.message.incomplete",
        "thread.run.step.expired",
        "thread.run.expired",
        "done",
    ]
    assert events[-4][1]["incomplete_details"] == {"reason": "run_expired"}


def test_a_thread_that_is_deleted_ends_the_streams_of_its_run_with_an_error(
    http: httpx2.Client, assistant_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SOON_LOOK_SECONDS", 600.0)
    thread = {"messages": [{"role": "user", "content": "Why?"}]}
    body = {"assistant_id": assistant_id, "thread": thread, "stream": True}
    with http.stream("POST", "threads/runs", json=body) as answer:
        lines = answer.iter_lines()
        while "thread.run.queued" not in next(lines):
            continue
        run = orjson.loads(next(lines).removeprefix("data: "))
        assert http.delete(f"threads/{run['thread_id']}").json()["deleted"]
        events = parsed("\n".join(lines).lstrip())
    assert names(events) == ["error", "done"]
    assert events[0][1]["error"]["message"] == "The run does not exist any more."
