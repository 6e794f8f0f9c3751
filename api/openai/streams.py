"""A run's stream: a reader of its rows and its events, never its owner. A client that goes away
changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flask import Response

from api import reading, sse
from api.openai.projection import Event, Projection
from api.reading import Delta, Reading
from shared.errors import NotFound
from shared.ids import new_id
from shared.run_state import STOPPED
from shared.store.runs import Run

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
    """Where a stream starts: the run, what is told first, how many steps it does not tell, and
    whether it tells whole what searches found."""

    run: Run
    opening: Callable[[Projection], Iterator[Event]]
    told: int = 0
    whole: bool = False


def respond(
    project_id: str,
    begin: Callable[[str], Beginning],
    *,
    run_id: str | None = None,
    numbered_after: str | None = None,
    numbered: bool = False,
) -> Response:
    """`begin`, given the run's id, does its work, and what it refuses is a plain error. Then the
    stream."""
    run_id = run_id or new_id("run")
    beginning, read = reading.begin(run_id, begin)
    if beginning.run.id != run_id:
        read.hear_of(beginning.run.id)  # asked for again: the stream is the first run's
    told = _tell(project_id, beginning, read)
    frames = sse.numbered_frames(told, numbered_after) if numbered else sse.frames(told)
    return sse.response(frames, read)


def _tell(project_id: str, beginning: Beginning, read: Reading) -> sse.Events:
    run = beginning.run
    projection = Projection(run, beginning.told, whole=beginning.whole)
    with read:
        yield from beginning.opening(projection)
        try:
            while not projection.done:
                if read.is_draining():
                    yield "error", _DRAINING
                    return
                now = read.rows(project_id, run)
                if now.run.status in STOPPED:
                    yield from _catch_up(projection, now.run, read)
                yield from projection.advance(now)
                if not projection.done:
                    yield from _hear(projection, read)
        except NotFound:
            yield "error", _GONE


def _hear(projection: Projection, read: Reading) -> sse.Events:
    for delta in read.deltas():
        if delta is None:
            yield None
        else:
            yield from _tell_more(projection, delta)


def _catch_up(projection: Projection, run: Run, read: Reading) -> sse.Events:
    """A quick model has ended before it is heard: its answer is told in its pieces nevertheless."""
    projection.see(run)
    for delta in read.late_deltas():
        yield from _tell_more(projection, delta)


def _tell_more(projection: Projection, delta: Delta) -> sse.Events:
    told = projection.told_of(delta["message_id"])
    yield from projection.hear(reading.whole(delta, told))
