"""A run's stream: a reader of its rows and its events, never its owner. A client that goes away
changes nothing."""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Response

from api import sse
from api.openai.projection import Event, Projection, Snapshot
from api.runtime import Runtime, runtime
from shared import events
from shared.errors import NotFound, Unavailable
from shared.ids import new_id
from shared.store import messages, run_steps, runs
from shared.store.runs import Run

# Seconds until a stream looks at the rows by itself; more often while nothing can be heard.
_LOOK_SECONDS = 5.0
_DEAF_LOOK_SECONDS = 0.3
_TICK_SECONDS = 1.0

_GONE = {
    "error": {
        "message": "The run does not exist any more.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
}
_DRAINING = {
    "error": {
        "message": "The server is restarting. The run goes on: poll it, or stream its events.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


@dataclass(frozen=True)
class Beginning:
    """Where a stream starts: the run, what is told first, and how many steps it does not tell."""

    run: Run
    opening: Callable[[Projection], Iterator[Event]]
    told: int = 0


def respond(
    project_id: str,
    begin: Callable[[str], Beginning],
    *,
    run_id: str | None = None,
    numbered_after: str | None = None,
    numbered: bool = False,
) -> Response:
    """Listens first, so that nothing is missed; then `begin`, given the run's id, does its work,
    and what it refuses is a plain error. Then the stream."""
    run_id = run_id or new_id("run")
    with ExitStack() as until_begun:
        heard = until_begun.enter_context(runtime().listener.stream(run_id))
        beginning = begin(run_id)
        if beginning.run.id != run_id:  # asked for again: the stream is the first run's
            heard = until_begun.enter_context(runtime().listener.stream(beginning.run.id))
        listening = until_begun.pop_all()
    told = _tell(runtime(), project_id, beginning, heard, listening)
    frames = sse.numbered_frames(told, numbered_after) if numbered else sse.frames(told)
    return sse.response(frames)


def _tell(
    of: Runtime,
    project_id: str,
    beginning: Beginning,
    heard: "queue.SimpleQueue[dict[str, Any]]",
    listening: ExitStack,
) -> sse.Events:
    run = beginning.run
    projection = Projection(run, beginning.told)
    with listening:
        yield from beginning.opening(projection)
        try:
            while not projection.done:
                if of.is_draining():
                    yield "error", _DRAINING
                    return
                yield from projection.advance(_read(of, project_id, run))
                if not projection.done:
                    yield from _hear(of, projection, heard)
        except NotFound:
            yield "error", _GONE


def _read(of: Runtime, project_id: str, run: Run) -> Snapshot:
    """The rows as they are; waits while PostgreSQL is away."""
    while True:
        try:
            with of.database.autocommit() as tx:
                now = runs.get(tx, project_id, run.thread_id, run.id)
                steps = run_steps.of_run(tx, run.id)
                said = messages.of_run(tx, run.thread_id, run.id) if steps else []
            return Snapshot(now, steps, {message.id: message for message in said})
        except Unavailable:
            time.sleep(_DEAF_LOOK_SECONDS)


def _hear(
    of: Runtime, projection: Projection, heard: "queue.SimpleQueue[dict[str, Any]]"
) -> sse.Events:
    """Deltas, until something changed or it is time for a look."""
    until = time.monotonic() + (_LOOK_SECONDS if of.listener.connected else _DEAF_LOOK_SECONDS)
    while (left := until - time.monotonic()) > 0 and not of.is_draining():
        try:
            event = heard.get(timeout=min(left, _TICK_SECONDS))
        except queue.Empty:
            yield None
            continue
        if event["kind"] == "changed":
            return
        yield from projection.hear(_whole(projection, event))


def _whole(projection: Projection, delta: dict[str, Any]) -> dict[str, Any]:
    """A stream that joins late hears the middle of a text; its beginning was kept."""
    if delta["kind"] != "text" or delta["at"] <= projection.told_of(delta["message_id"]):
        return delta
    so_far = events.text_so_far(delta["message_id"])
    return {**delta, "at": 0, "text": so_far} if so_far else delta
