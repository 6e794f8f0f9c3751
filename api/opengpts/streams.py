"""A run's stream: after each piece, the whole thread with the message as far as it is said."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import orjson
from flask import Response

from api import reading, sse
from api.opengpts import shapes
from api.reading import Delta, Reading, Snapshot
from shared.errors import NotFound
from shared.ids import new_id
from shared.run_state import STOPPED, RunStatus
from shared.store.history import Said
from shared.store.runs import Run

# The run, and what was said in its thread before it.
Beginning = tuple[Run, list[Said]]

_ANSWERED = (RunStatus.COMPLETED, RunStatus.INCOMPLETE)
_FAILED = {"status_code": 500, "message": "Internal Server Error"}
_GONE = {"status_code": 404, "message": "Thread not found"}
_DRAINING = {"status_code": 503, "message": "The server is restarting. The run goes on."}


def respond(begin: Callable[[str], Beginning]) -> Response:
    """`begin` is given the run's id; what it refuses is a plain error."""
    (run, before), read = reading.begin(new_id("run"), begin)
    return sse.response(sse.kept_alive(_framed(_tell(run, before, read)), _ping), read)


class _Growing:
    """The message that is being said, as far as heard."""

    def __init__(self) -> None:
        self.message_id = ""
        self.text = ""
        self._fence = 0

    def hear(self, delta: Delta) -> bool:
        """Whether there is more of it now. Another worker that says it anew begins it anew."""
        if delta["kind"] != "text" or delta["fence"] < self._fence:
            return False
        if (delta["fence"], delta["message_id"]) != (self._fence, self.message_id):
            self._fence, self.message_id, self.text = delta["fence"], delta["message_id"], ""
        delta = reading.whole(delta, len(self.text))
        fresh = reading.fresh(delta, len(self.text))
        self.text += fresh
        return bool(fresh)

    def length_of(self, message_id: str) -> int:
        return len(self.text) if message_id == self.message_id else 0

    def among(self, said: list[orjson.Fragment]) -> sse.Event:
        return "data", {"messages": [*said, shapes.partial(self.text)]}


def _tell(run: Run, before: list[Said], read: Reading) -> sse.Events:
    with read:
        yield "metadata", {"run_id": run.id}
        # Repeated with every piece, so put into JSON once.
        history = [_encoded(said) for said in before]
        try:
            yield from _follow(run, history, read)
        except NotFound:
            yield "error", _GONE


def _follow(run: Run, history: list[orjson.Fragment], read: Reading) -> sse.Events:
    growing = _Growing()
    while True:
        now = read.rows(run.project_id, run)
        answers = _answers(now)
        if now.run.status in STOPPED:
            said = [*history, *map(_encoded, answers)]
            if answers:
                yield from _catch_up(answers[-1], said[:-1], growing, read)
            yield _end(now.run, said)
            return
        for delta in read.deltas():
            if delta is None:
                yield None
            elif growing.hear(delta):
                # Its rows may be there before its pieces are heard.
                before = takewhile(lambda one: one.id != growing.message_id, answers)
                yield growing.among([*history, *map(_encoded, before)])
        if read.is_draining():
            yield "error", _DRAINING
            return


def _catch_up(
    answer: Said, before: list[orjson.Fragment], growing: _Growing, read: Reading
) -> sse.Events:
    """A quick model has ended before it is heard: its answer is told as it grew nevertheless."""
    whole = sum(len(part["text"]["value"]) for part in answer.content if part["type"] == "text")
    if growing.length_of(answer.id) >= whole:
        return
    for delta in read.late_deltas():
        if growing.hear(delta) and growing.message_id == answer.id:
            yield growing.among(before)
        if growing.length_of(answer.id) >= whole:
            return


def _answers(now: Snapshot) -> list[Said]:
    """What the run has said, in its steps' order."""
    named = (step.step_details.get("message_creation", {}).get("message_id") for step in now.steps)
    stored = [now.messages[id_] for id_ in named if id_ in now.messages]
    return [Said(one.role, one.content, one.id, one.run_id) for one in stored]


def _end(run: Run, said: list[orjson.Fragment]) -> sse.Event:
    """Nothing of this dialect can go on with a run that waits for tool outputs."""
    return ("data", {"messages": said}) if run.status in _ANSWERED else ("error", _FAILED)


def _encoded(said: Said) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(shapes.message(said)))


def _framed(events: sse.Events) -> Iterator[str | None]:
    for event in events:
        yield None if event is None else _frame(*event)
    yield "event: end\r\n\r\n"


def _frame(name: str, body: Any) -> str:
    return f"event: {name}\r\ndata: {orjson.dumps(body).decode()}\r\n\r\n"


def _ping() -> str:
    return f": ping - {datetime.now(UTC)}\r\n\r\n"
