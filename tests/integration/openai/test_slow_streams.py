"""Streams whose reader lags behind: what waits for it is bounded, and it misses nothing."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest
import redis
from flask import Flask

from shared import events
from shared.db import Database
from shared.ids import new_id
from shared.settings import Settings
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.integration.openai.test_streams import ask, text_of, working
from tests.model_server import Handler, ModelServer, chunk, framed, say
from worker.bell import Bell

MEGABYTE = 1024 * 1024
PIECE = "All work and no play. " * 10
FLOOD = 30_000 * PIECE


def test_what_waits_for_a_stream_that_is_not_read_is_bounded(app: Flask) -> None:
    listener = app.extensions["treadle"].listener
    run_id = new_id("run")
    with listener.stream(run_id) as heard, listener.stream(run_id) as quick:
        told = 0
        while told < 8 * MEGABYTE:
            delta = {**_text("msg_1", told), "text": PIECE * 100}
            events.publish_delta(run_id, delta)
            told += len(delta["text"])
            while (event := quick.get(5)) != delta:
                assert event is not None
        waiting = list(iter(lambda: heard.get(0), None))
    assert sum(len(event.get("text", "")) for event in waiting) < 1.5 * MEGABYTE
    # It is told to look at what was kept.
    assert waiting[0] == {"kind": "changed"}
    assert waiting[-1] == delta


def test_a_stream_that_lags_behind_catches_up_while_the_model_goes_on(
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    reader_is_there, reader_caught_up = threading.Event(), threading.Event()

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin_events()
        handler.wfile.write(framed(chunk({"content": "First. "})))
        handler.wfile.flush()
        reader_is_there.wait(30)
        for _ in range(len(FLOOD) // len(PIECE) // 100):
            handler.wfile.write(framed(chunk({"content": PIECE})) * 100)
        handler.wfile.flush()
        reader_caught_up.wait(30)
        handler.wfile.write(framed(chunk({"content": "Last."}, "stop")) + framed("[DONE]"))

    model_server.script(reply)
    body = {
        "assistant_id": an_assistant(database, caller.project_id).id,
        "thread": {"messages": [{"role": "user", "content": "Why?"}]},
        "stream": True,
    }
    with working(worker, database), http.stream("POST", "threads/runs", json=body) as answer:
        told = _told(answer.iter_lines())
        text = _text_of(next(told))
        assert text == "First. "
        reader_is_there.set()
        deltas = 0
        while len(text) < len("First. " + FLOOD):
            text += _text_of(next(told))
            deltas += 1
        assert text == "First. " + FLOOD
        assert deltas < 30_000
        reader_caught_up.set()
        (last, completed) = told
    assert _text_of(last) == "Last."
    assert completed["content"][0]["text"]["value"] == text + "Last."


def test_a_text_of_which_a_piece_was_lost_is_not_taken_for_the_whole(database: Database) -> None:
    for lost in (False, True):
        message_id = new_id("msg")
        for at, text in ((0, "Öne, "), (5, "two, "), (10, "three")):
            if not (lost and at == 5):
                events.publish_delta("run_1", {**_text(message_id, at, at + 1), "text": text})
        assert events.flush(5)
        assert events.text_so_far(message_id) == ("" if lost else "Öne, two, three")


def test_a_stream_of_which_pieces_were_lost_tells_the_text_as_it_is(
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published: list[Any] = []
    publish = events.publish_delta

    def publish_some(run_id: str, delta: events.Event) -> None:
        published.append(delta)
        if len(published) % 3:
            publish(run_id, delta)

    monkeypatch.setattr(events, "publish_delta", publish_some)
    said = " ".join(f"Wörd{number}" for number in range(60))
    model_server.script(say(said))
    with working(worker, database):
        told = ask(http, an_assistant(database, caller.project_id).id)
    completed = next(body for name, body in told if name == "thread.message.completed")
    assert completed["content"][0]["text"]["value"] == text_of(told) == said
    assert len(published) == 60


def test_what_was_said_so_far_is_kept_as_long_as_the_model_goes_on(
    app: Flask, settings: Settings
) -> None:
    message_id = new_id("msg")
    with redis.Redis.from_url(settings.redis_url) as connection:
        for at in range(0, 60 * len(PIECE), len(PIECE)):
            events.publish_delta("run_1", {**_text(message_id, at), "text": PIECE})
            assert events.flush(5)
            (key,) = connection.keys(f"treadle:text:{message_id}")
            if at % (10 * len(PIECE)) == 0:
                assert connection.ttl(key) > 800
                connection.expire(key, 60)
    assert events.text_so_far(message_id) == 60 * PIECE


def _text(message_id: str, at: int, at_byte: int | None = None) -> dict[str, Any]:
    place = {"message_id": message_id, "step_id": "step_1", "fence": 1}
    return {**place, "kind": "text", "at": at, "at_byte": at if at_byte is None else at_byte}


def _told(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The bodies of what is told of messages' texts."""
    for line in lines:
        name = line.removeprefix("event: ")
        if name in ("thread.message.delta", "thread.message.completed"):
            yield orjson.loads(next(lines).removeprefix("data: "))


def _text_of(delta: dict[str, Any]) -> str:
    return "".join(part["text"]["value"] for part in delta["delta"]["content"])
