"""POST /opengpts/runs/stream"""

import itertools
import threading
import time
from dataclasses import replace
from typing import Any

import httpx2
import orjson
import pytest
import redis
from flask import Flask

from api import sse
from api.reading import Reading, Snapshot
from shared import events
from shared.db import Database
from shared.settings import Settings
from shared.store.runs import Run
from tests.conftest import Caller, client_as
from tests.integration.openai.test_function_tools import WEATHER, call
from tests.integration.openai.test_streams import before_each_look, working
from tests.integration.opengpts.conftest import a_thread, an_assistant, human, said_in
from tests.model_server import ModelServer, chunk, fail, pieces, say
from worker.bell import Bell

Event = tuple[str, Any]
INPUT = {"messages": [human("have a good day!")]}
AS_IT_GREW = [
    "You ",
    "You said: ",
    "You said: have ",
    "You said: have a ",
    "You said: have a good ",
    "You said: have a good day!",
    "You said: have a good day!",
]


def parsed(text: str) -> list[Event]:
    assert text.endswith("\r\n\r\n")
    assert "\n" not in text.replace("\r\n", "")
    events: list[Event] = []
    for frame in text.removesuffix("\r\n\r\n").split("\r\n\r\n"):
        if not frame.startswith(":"):
            lines = dict(line.partition(": ")[::2] for line in frame.split("\r\n"))
            events.append((lines["event"], orjson.loads(lines.get("data", "null"))))
    return events


def ask(user: httpx2.Client, *texts: str, **given: Any) -> list[Event]:
    assistant_id = an_assistant(user)["assistant_id"]
    thread_id = a_thread(user, assistant_id, *texts)["thread_id"]
    body = {"assistant_id": assistant_id, "thread_id": thread_id, "input": INPUT, **given}
    answer = user.post("runs/stream", json=body)
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8", answer.text
    return parsed(answer.text)


def last_said(events: list[Event]) -> list[str]:
    return [body["messages"][-1]["content"] for name, body in events if name == "data"]


def test_the_whole_thread_is_told_with_every_piece_of_the_answer(
    foo: httpx2.Client, worker: Bell, database: Database, model_server: ModelServer
) -> None:
    model_server.script(say("You too! If you"))
    with working(worker, database):
        events = ask(foo, "first")
    names = [name for name, _ in events]
    assert names[0] == "metadata"
    assert names[1:] == ["data"] * (len(names) - 2) + ["end"]
    assert events[0][1].keys() == {"run_id"}
    assert last_said(events) == [
        "You ",
        "You too! ",
        "You too! If ",
        "You too! If you",
        "You too! If you",
    ]
    for _, body in events[1:-1]:
        assert body.keys() == {"messages"}
        assert [one["content"] for one in body["messages"][:2]] == ["first", "have a good day!"]
        assert [one["type"] for one in body["messages"]] == ["human", "human", "ai"]
    growing, ended = events[1][1]["messages"][-1], events[-2][1]["messages"][-1]
    assert growing["additional_kwargs"] == {}
    assert ended["additional_kwargs"]["agent"]["return_values"] == {"output": "You too! If you"}
    (thread,) = foo.get("threads/").json()
    assert said_in(foo, thread["thread_id"]) == events[-2][1]["messages"]


def test_an_answer_that_was_there_before_it_was_heard_is_told_as_it_grew(
    foo: httpx2.Client, worker: Bell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_each_look(monkeypatch, worker.answer)
    assert last_said(ask(foo)) == AS_IT_GREW


def test_an_answer_whose_rows_are_there_before_it_is_heard_is_told_as_it_grew(
    foo: httpx2.Client, worker: Bell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's row is read, then it ends, then its messages are read: at each look there is from
    the first to the one that the run's claim asks for."""
    rows, looks = Reading.rows, itertools.count()

    def torn(read: Reading, project_id: str, run: Run) -> Snapshot:
        worker.answer()
        now = rows(read, project_id, run)
        return replace(now, run=run) if next(looks) < 2 else now

    monkeypatch.setattr(Reading, "rows", torn)
    assert last_said(ask(foo)) == AS_IT_GREW


def test_an_answer_that_is_heard_late_is_told_as_it_grew(
    foo: httpx2.Client, worker: Bell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = events._deliver
    run_is_over = threading.Event()

    def late(gathered: list[tuple[str, events.Event]]) -> None:
        run_is_over.wait(10)
        time.sleep(0.5)
        deliver(gathered)

    def answer() -> None:
        worker.answer()
        run_is_over.set()

    monkeypatch.setattr(events._outbox, "_deliver", late)
    before_each_look(monkeypatch, answer)
    assert last_said(ask(foo)) == AS_IT_GREW


def test_the_run_it_names_is_the_one_on_the_other_wire(
    foo: httpx2.Client, worker: Bell, database: Database, app: Flask, caller: Caller
) -> None:
    with working(worker, database):
        events = ask(foo)
    with database.autocommit() as tx:
        thread_id = tx.value("SELECT thread_id FROM opengpts_threads")
    run = client_as(app, caller.secret).beta.threads.runs.retrieve(
        events[0][1]["run_id"], thread_id=thread_id
    )
    assert run.status == "completed"


def test_a_run_that_fails_ends_in_an_error(
    foo: httpx2.Client, worker: Bell, database: Database, model_server: ModelServer
) -> None:
    model_server.script(fail(400))
    with working(worker, database):
        events = ask(foo)
    assert events[1:] == [
        ("error", {"status_code": 500, "message": "Internal Server Error"}),
        ("end", None),
    ]


def test_an_answer_that_is_cut_short_is_an_answer(
    foo: httpx2.Client, worker: Bell, database: Database, model_server: ModelServer
) -> None:
    model_server.script(say("You too", finish="length"))
    with working(worker, database):
        events = ask(foo)
    assert last_said(events)[-1] == "You too"
    assert events[-1] == ("end", None)


def test_another_worker_says_a_lost_answer_anew(
    foo: httpx2.Client, worker: Bell, database: Database, model_server: ModelServer
) -> None:
    """What broke off in the middle is told from its beginning again, and ends whole."""
    model_server.script(
        pieces(chunk({"content": "Half "}), chunk({"content": "an answer"})), say("The whole.")
    )
    with working(worker, database):
        events = ask(foo)
    assert last_said(events)[-1] == "The whole."
    assert all(
        "Half an answer".startswith(said) or "The whole.".startswith(said)
        for said in last_said(events)
    )


def test_an_answer_that_is_not_heard_is_told_whole(
    foo: httpx2.Client, worker: Bell, database: Database, settings: Settings
) -> None:
    with redis.Redis.from_url(settings.redis_url) as connection:
        connection.client_kill_filter(_type="pubsub")
    with working(worker, database):
        events = ask(foo)
    assert last_said(events)[-1] == "You said: have a good day!"
    assert events[-1] == ("end", None)


def test_a_run_that_waits_for_tool_outputs_cannot_go_on_here(
    foo: httpx2.Client,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
    app: Flask,
    caller: Caller,
) -> None:
    assistant_id = an_assistant(foo)["assistant_id"]
    client = client_as(app, caller.secret)
    (assistant,) = client.beta.assistants.list().data
    client.beta.assistants.update(assistant.id, tools=[WEATHER])
    thread_id = a_thread(foo, assistant_id)["thread_id"]
    model_server.script(say(None, finish="tool_calls", tool_calls=[call("weather", "{}")]))
    with working(worker, database):
        events = ask(foo, assistant_id=assistant_id, thread_id=thread_id)
    assert [name for name, _ in events] == ["metadata", "error", "end"]


def test_a_thread_that_is_deleted_meanwhile_ends_the_stream(
    foo: httpx2.Client, app: Flask, database: Database
) -> None:
    def delete() -> None:
        while True:
            with database.transaction() as tx:
                if tx.execute("DELETE FROM threads WHERE id IN (SELECT thread_id FROM runs)"):
                    return

    deleting = threading.Thread(target=delete)
    deleting.start()
    events = ask(foo)
    deleting.join()
    assert events[1:] == [
        ("error", {"status_code": 404, "message": "Thread not found"}),
        ("end", None),
    ]


def test_a_quiet_stream_is_filled_with_pings(
    foo: httpx2.Client,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "_QUIET_SECONDS", 0.0)
    gate = threading.Event()
    model_server.script(pieces(chunk({"content": "a"}), chunk({}, "stop"), "[DONE]", until=gate))
    assistant_id = an_assistant(foo)["assistant_id"]
    thread_id = a_thread(foo, assistant_id, "Why?")["thread_id"]
    body = {"assistant_id": assistant_id, "thread_id": thread_id, "input": {}}
    threading.Timer(2.5, gate.set).start()
    with working(worker, database):
        text = foo.post("runs/stream", json=body).text
    assert "\r\n\r\n: ping - " in text
    assert last_said(parsed(text))[-1] == "a"


@pytest.mark.parametrize("heard", [1, 2])
def test_a_client_that_leaves_changes_nothing(
    foo: httpx2.Client, app: Flask, worker: Bell, model_server: ModelServer, heard: int
) -> None:
    assistant_id = an_assistant(foo)["assistant_id"]
    thread_id = a_thread(foo, assistant_id, "Why?")["thread_id"]
    body = {"assistant_id": assistant_id, "thread_id": thread_id, "input": {}}
    client = app.test_client()
    client.set_cookie("opengpts_user_id", "foo")
    answer = client.post("/opengpts/runs/stream", json=body, buffered=False)
    frames = answer.iter_encoded()
    if heard == 2:
        worker.answer()
    assert [next(frames).decode().partition("\r\n")[0] for _ in range(heard)] == [
        "event: metadata",
        "event: data",
    ][:heard]
    answer.close()
    assert not app.extensions["treadle"].listener._streams
    worker.answer()
    assert said_in(foo, thread_id)[-1]["content"] == "You said: Why?"
