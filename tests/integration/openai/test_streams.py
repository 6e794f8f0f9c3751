"""Streams: the wire's events, in the wire's order, whatever is heard of the deltas."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import orjson
import pytest
import redis
from flask import Flask
from openai import OpenAI

from api import reading
from api.reading import Reading, Snapshot
from shared import events, queue
from shared.db import Database
from shared.settings import Settings
from shared.store import run_steps
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.integration.openai.test_function_tools import WEATHER, call
from tests.model_server import ModelServer, chunk, fail, pieces, say, stall
from worker.bell import Bell
from worker.lease import Lease
from worker.sweep import sweep

Event = tuple[str, Any]

BEGINNING = [
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
]
MESSAGE = ["thread.message.created", "thread.message.in_progress"]
END = ["thread.message.completed", "thread.run.step.completed", "thread.run.completed", "done"]


def parsed(text: str) -> list[Event]:
    events: list[Event] = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in frame.split("\n"))
        data = lines["data"]
        events.append((lines["event"], data if data == "[DONE]" else orjson.loads(data)))
    return events


def names(events: list[Event]) -> list[str]:
    """Deltas that follow each other counted as one."""
    told: list[str] = []
    for name, _ in events:
        if not (name.endswith(".delta") and told and told[-1] == name):
            told.append(name)
    return told


def text_of(events: list[Event]) -> str:
    parts = [body["delta"]["content"] for name, body in events if name == "thread.message.delta"]
    return "".join(part["text"]["value"] for content in parts for part in content)


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id, tools=[WEATHER]).id


@contextmanager
def working(worker: Bell, database: Database) -> Iterator[None]:
    """A worker in a thread of its own, that takes every run as it comes; one that is streamed when
    its stream listens, if it does so within a second."""
    stopping = threading.Event()
    since: dict[str, float] = {}

    def listens(run_id: str) -> bool:
        waited = time.monotonic() - since.setdefault(run_id, time.monotonic())
        return waited > 1.0 or events.has_streams(run_id)

    def work() -> None:
        while not stopping.wait(0.01):
            with database.autocommit() as tx:
                tx.execute("UPDATE runs SET run_after = now() WHERE run_after > now()")
                waiting = tx.values("SELECT id FROM runs WHERE streamed AND status = 'queued'")
            if all(listens(run_id) for run_id in waiting):
                worker.answer()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def before_each_look(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    rows = Reading.rows

    def after_it(read: Reading, project_id: str, run: Run) -> Snapshot:
        act()
        return rows(read, project_id, run)

    monkeypatch.setattr(Reading, "rows", after_it)


def stream(http: httpx2.Client, url: str, **body: Any) -> list[Event]:
    answer = http.post(url, json={"stream": True, **body})
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8", answer.text
    assert "\r" not in answer.text
    return parsed(answer.text)


def ask(http: httpx2.Client, assistant_id: str, **options: Any) -> list[Event]:
    thread = {"messages": [{"role": "user", "content": "Why?"}]}
    return stream(http, "threads/runs", assistant_id=assistant_id, thread=thread, **options)


def test_a_text_is_told_in_the_recorded_order(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(say("Because it is so."))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events) == ["thread.created", *BEGINNING, *MESSAGE, "thread.message.delta", *END]
    by_name = dict(reversed(events))
    created, queued = by_name["thread.run.created"], by_name["thread.run.queued"]
    assert created == queued
    assert (created["status"], created["started_at"], created["usage"]) == ("queued", None, None)
    in_progress = by_name["thread.run.in_progress"]
    assert in_progress["started_at"] is not None
    step = by_name["thread.run.step.created"]
    assert step == by_name["thread.run.step.in_progress"]
    message = by_name["thread.message.created"]
    assert step["step_details"]["message_creation"]["message_id"] == message["id"]
    assert (message["status"], message["content"], message["attachments"]) == (
        "in_progress",
        [],
        [],
    )
    deltas = [body for name, body in events if name == "thread.message.delta"]
    assert len(deltas) == 4
    assert deltas[0] == {
        "id": message["id"],
        "object": "thread.message.delta",
        "delta": {
            "content": [
                {"index": 0, "type": "text", "text": {"value": "Because ", "annotations": []}}
            ]
        },
    }
    assert deltas[1]["delta"]["content"][0]["text"] == {"value": "it "}
    completed = by_name["thread.message.completed"]
    assert completed["content"][0]["text"]["value"] == text_of(events) == "Because it is so."
    assert completed["created_at"] == message["created_at"]
    ended = by_name["thread.run.step.completed"]
    assert ended["usage"]["total_tokens"] == 18
    assert ended["expires_at"] == created["expires_at"]
    assert by_name["thread.run.completed"]["expires_at"] is None
    assert by_name["done"] == "[DONE]"
    listed = http.get(f"threads/{created['thread_id']}/messages").json()["data"][0]
    assert listed == completed


def test_an_answer_that_was_there_before_it_was_heard_is_told_in_its_pieces(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before_each_look(monkeypatch, worker.answer)
    model_server.script(say("Because it is so."))
    events = ask(http, assistant_id)
    assert names(events) == ["thread.created", *BEGINNING, *MESSAGE, "thread.message.delta", *END]
    assert len([name for name, _ in events if name == "thread.message.delta"]) == 4
    in_progress = dict(reversed(events))["thread.run.in_progress"]
    assert (in_progress["status"], in_progress["completed_at"]) == ("in_progress", None)
    assert in_progress["started_at"] is not None


def test_a_new_run_that_is_streamed_is_read_once_when_it_has_ended(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    see_run, seen = run_steps.see_run, []

    def noted(*given: Any) -> run_steps.SeenRun:
        seen.append(see_run(*given))
        return seen[-1]

    monkeypatch.setattr(run_steps, "see_run", noted)
    monkeypatch.setattr(reading, "_SOON_LOOK_SECONDS", 60.0)
    model_server.script(say("Because it is so."))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert [run.status for run in seen] == ["completed"]
    started_at = dict(events)["thread.run.in_progress"]["started_at"]
    assert started_at == int(seen[0].started_at.timestamp())


def test_a_function_call_is_told_up_to_where_the_caller_acts_and_goes_on_from_there(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(
        say(None, tool_calls=[call("call_a", "Paris"), call("call_b", "Rome")]), say("Sun.")
    )
    with working(worker, database):
        events = ask(http, assistant_id)
        assert names(events) == [
            "thread.created",
            *BEGINNING,
            "thread.run.step.delta",
            "thread.run.requires_action",
            "done",
        ]
        deltas = [
            one
            for name, body in events
            if name == "thread.run.step.delta"
            for one in body["delta"]["step_details"]["tool_calls"]
        ]
        assert deltas[0] == {
            "index": 0,
            "id": "call_a",
            "type": "function",
            "function": {"name": "get_weather", "arguments": "", "output": None},
        }
        for index, city in enumerate(("Paris", "Rome")):
            pieces_of = [one["function"] for one in deltas if one["index"] == index]
            told = "".join(one["arguments"] for one in pieces_of)
            assert told == call("", city)["function"]["arguments"]
            assert all(set(one) == {"arguments"} for one in pieces_of[1:])
        run = events[-2][1]
        assert (run["status"], run["usage"]) == ("requires_action", None)
        outputs = [{"tool_call_id": one, "output": "sun"} for one in ("call_a", "call_b")]
        url = f"threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
        after = stream(http, url, tool_outputs=outputs)
    assert names(after) == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        *MESSAGE,
        "thread.message.delta",
        *END,
    ]
    completed_step, queued = after[0][1], after[1][1]
    assert completed_step["step_details"]["tool_calls"][0]["function"]["output"] == "sun"
    assert completed_step["usage"]["total_tokens"] == 18
    assert queued["started_at"] == run["started_at"]


def test_a_worker_that_is_quicker_than_the_stream_is_told_of_all_the_same(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next turn has ended before the stream's first look at the rows."""
    monkeypatch.setattr(queue, "ring", lambda: worker.answer())
    model_server.script(
        say(None, tool_calls=[call("call_a", "Paris")]),
        say(None, tool_calls=[call("call_b", "Rome")]),
    )
    run = ask(http, assistant_id)[-2][1]
    url = f"threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
    body = {"tool_outputs": [{"tool_call_id": "call_a", "output": "sun"}], "stream": True}
    headers = {"Idempotency-Key": "twice"}
    first = parsed(http.post(url, json=body, headers=headers).text)
    assert names(first) == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
        "thread.run.requires_action",
        "done",
    ]
    assert first[0][1]["step_details"]["tool_calls"][0]["id"] == "call_a"
    assert first[1][1]["status"] == "queued"
    again = parsed(http.post(url, json=body, headers=headers).text)
    assert names(again) == names(first)
    assert again[0] == first[0]


def test_text_before_calls_is_a_message_of_its_own(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(say("Let me see.", tool_calls=[call("call_a", "Paris")]))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events) == [
        "thread.created",
        *BEGINNING,
        *MESSAGE,
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
        "thread.run.requires_action",
        "done",
    ]


def test_a_token_limit_ends_incomplete(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(say("Because it", finish="length"))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events)[-5:] == [
        "thread.message.delta",
        "thread.message.incomplete",
        "thread.run.step.completed",
        "thread.run.incomplete",
        "done",
    ]


def test_a_model_error_ends_failed(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(fail(400, "no"))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events) == [
        "thread.created",
        *BEGINNING[:3],
        "thread.run.failed",
        "done",
    ]
    assert events[-2][1]["last_error"]["code"] == "invalid_prompt"


def test_a_cancelled_run_ends_with_the_partial_message_kept(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    lease: Lease,
    database: Database,
    model_server: ModelServer,
    redis_url: str,
) -> None:
    never = threading.Event()
    model_server.script(
        pieces(chunk({"content": "Because "}), chunk({"content": "?"}), until=never)
    )
    cancelled: list[int] = []

    def cancel() -> None:
        with redis.Redis.from_url(redis_url) as connection:
            while not connection.keys("treadle:text:*"):
                threading.Event().wait(0.01)
        with database.autocommit() as tx:
            thread_id, run_id = tx.value("SELECT thread_id || ' ' || id FROM runs").split()
        cancelled.append(http.post(f"threads/{thread_id}/runs/{run_id}/cancel").status_code)
        lease.beat()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with working(worker, database):
        events = ask(http, assistant_id)
    canceller.join()
    never.set()
    assert cancelled == [200]
    assert names(events)[-4:] == [
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "done",
    ]
    assert "thread.run.cancelling" in names(events)
    run = events[-2][1]
    kept = http.get(f"threads/{run['thread_id']}/messages").json()["data"][0]
    assert kept["incomplete_details"] == {"reason": "run_cancelled"}


def test_an_expired_run_ends_expired(
    http: httpx2.Client, assistant_id: str, database: Database, settings: Settings
) -> None:
    def expire() -> None:
        for _ in range(500):
            with database.autocommit() as tx:
                if tx.execute("UPDATE runs SET expires_at = now() WHERE status = 'queued'"):
                    sweep(tx, settings)
                    return
            threading.Event().wait(0.01)

    expirer = threading.Thread(target=expire)
    expirer.start()
    events = ask(http, assistant_id)
    expirer.join()
    assert names(events) == [
        "thread.created",
        "thread.run.created",
        "thread.run.queued",
        "thread.run.expired",
        "done",
    ]


def test_without_redis_the_stream_tells_all_from_the_rows(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.events._redis", redis.Redis(port=9))
    model_server.script(say("Because it is so."))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events) == ["thread.created", *BEGINNING, *MESSAGE, "thread.message.delta", *END]
    assert text_of(events) == "Because it is so."
    assert "stream" not in model_server.requests[0]


def test_nothing_is_published_while_nobody_listens(
    client: OpenAI, assistant_id: str, worker: Bell, model_server: ModelServer
) -> None:
    thread = {"messages": [{"role": "user", "content": "Why?"}]}
    client.beta.threads.create_and_run(assistant_id=assistant_id, thread=thread)  # type: ignore[arg-type]
    worker.answer()
    assert "stream" not in model_server.requests[0]


def test_an_error_before_the_stream_is_a_plain_one(http: httpx2.Client, assistant_id: str) -> None:
    answer = http.post("threads/thread_x/runs", json={"assistant_id": assistant_id, "stream": True})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"


def test_a_broken_stream_of_the_model_is_asked_again_and_only_the_end_counts(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    model_server.script(pieces(chunk({"content": "Once "})), say("Because it is so."))
    with working(worker, database):
        events = ask(http, assistant_id)
    assert names(events) == ["thread.created", *BEGINNING, *MESSAGE, "thread.message.delta", *END]
    completed = next(body for name, body in events if name == "thread.message.completed")
    assert completed["content"][0]["text"]["value"] == "Because it is so."


def test_a_stream_that_joins_late_hears_all(
    app: Flask,
    client: OpenAI,
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    thread: Any = {"messages": [{"role": "user", "content": "Why?"}]}
    run = client.beta.threads.create_and_run(assistant_id=assistant_id, thread=thread)
    url = f"threads/{run.thread_id}/runs/{run.id}/events"
    model_server.script(say("Because it is so."))
    with working(worker, database):
        first = http.get(url).text
    again = http.get(url).text
    whole = [frame for frame in again.split("\n\n") if "event: done" not in frame and frame]
    assert names(parsed(first)) == names(parsed(again))
    for number, frame in enumerate(whole):
        seen = frame.split("\n")[0].removeprefix("id: ")
        rest = http.get(url, headers={"Last-Event-ID": seen}).text
        assert (
            rest
            == "".join(one + "\n\n" for one in whole[number + 1 :])
            + "event: done\ndata: [DONE]\n\n"
        )
    cut = http.get(url, headers={"Last-Event-ID": "7.8"}).text
    assert text_of(parsed(cut)) == "it is so."


def test_a_client_that_leaves_changes_nothing(
    http: httpx2.Client,
    assistant_id: str,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
    app: Flask,
) -> None:
    gate = threading.Event()
    model_server.script(stall(gate))
    body = {
        "assistant_id": assistant_id,
        "thread": {"messages": [{"role": "user", "content": "Why?"}]},
        "stream": True,
    }
    with working(worker, database):
        with http.stream("POST", "threads/runs", json=body) as answer:
            lines = answer.iter_lines()
            while "thread.run.in_progress" not in next(lines):
                continue
        gate.set()
        with database.autocommit() as tx:
            for _ in range(500):
                if tx.value("SELECT status FROM runs") == "completed":
                    break
                threading.Event().wait(0.01)
            assert tx.value("SELECT status FROM runs") == "completed"


def test_a_stream_that_nobody_begins_to_read_is_not_listened_for(
    app: Flask, caller: Caller, assistant_id: str
) -> None:
    listener = app.extensions["treadle"].listener
    answer = app.test_client().post(
        "/v1/threads/runs",
        json={"assistant_id": assistant_id, "stream": True},
        headers={"Authorization": f"Bearer {caller.secret}"},
    )
    assert len(listener._streams) == 1
    answer.close()
    assert listener._streams == {}
