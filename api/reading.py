"""A run read while it goes on: its rows, which say what is true, and what is heard of it meanwhile.
Whoever tells a client of a run as it happens, in whatever dialect, reads it here."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from api import metrics
from api.runtime import Runtime, runtime
from shared import events
from shared.errors import Unavailable
from shared.events import Heard
from shared.run_state import STOPPED, RunStatus
from shared.store import messages, run_steps
from shared.store.messages import Message
from shared.store.run_steps import RunStep
from shared.store.runs import Run

# Seconds until a reader looks at the rows by itself; sooner while nothing can be heard, and where
# it has read none yet, as there may be none any more.
_LOOK_SECONDS = 5.0
_SOON_LOOK_SECONDS = 0.3
_TICK_SECONDS = 1.0
_LATE_SECONDS = 2.0

Delta = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """The rows at one moment: a run, its steps from the oldest, and the messages they name."""

    run: Run
    steps: list[RunStep]
    messages: dict[str, Message]


class Reading:
    """Hears of one run until it is left."""

    def __init__(self, of: Runtime, run_id: str, heard: Heard, listening: ExitStack) -> None:
        self._of = of
        self._run_id = run_id
        self._heard = heard
        self._listening = listening
        self._hears_of_it = False
        self._heard_all = False
        self._begun_at: float | None = None  # while that is all that is new
        self._has_read = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """A second time changes nothing."""
        self._listening.close()

    def hear_of(self, run_id: str) -> None:
        """Of another run than before."""
        self._heard = self._listening.enter_context(self._of.listener.stream(run_id))

    def is_draining(self) -> bool:
        """Whether this process was told to end, and this reading with it."""
        return self._of.is_draining()

    def rows(self, project_id: str, run: Run) -> Snapshot:
        """The rows as they are; waits while PostgreSQL is away. They need not be read at first, if
        `run` was made to be streamed and nobody had taken it: whatever came after is heard; nor
        when it is heard that a worker took it."""
        is_untouched = run.streamed and run.status is RunStatus.QUEUED and not run.fence
        if is_untouched and run.id == self._run_id and not self._has_read:
            if self._begun_at is not None:
                at, self._begun_at = datetime.fromtimestamp(self._begun_at, UTC), None
                run = replace(run, status=RunStatus.IN_PROGRESS, started_at=at)
                return Snapshot(run, [], {})
            if not self._hears_of_it:
                self._hears_of_it = True
                return Snapshot(run, [], {})
        while True:
            try:
                with self._of.database.autocommit() as tx:
                    now = run_steps.see_run(tx, project_id, run.thread_id, run.id)
                    steps = run_steps.of_run(tx, run.id) if now.has_steps else []
                    said = messages.of_run(tx, run.thread_id, run.id) if steps else []
                self._has_read = True
                return Snapshot(now, steps, {message.id: message for message in said})
            except Unavailable:
                time.sleep(_SOON_LOOK_SECONDS)

    def late_deltas(self) -> Iterator[Delta]:
        """After the run's end: what was said shortly before it may come after its rows. Nothing
        is waited for that may have been over before this was there to hear it."""
        may_come = self._hears_of_it and self._of.listener.connected
        until = time.monotonic() + (_LATE_SECONDS if may_come else 0)
        while not self._heard_all and (left := until - time.monotonic()) > 0:
            event = self._hear(left)
            if event is None:
                return
            if event["kind"] != "changed":
                yield event

    def deltas(self) -> Iterator[Delta | None]:
        """Until the rows changed or it is time for a look at them; None where all is quiet."""
        has_time = self._has_read and self._of.listener.connected
        look = _LOOK_SECONDS if has_time else _SOON_LOOK_SECONDS
        until = time.monotonic() + self._of.waiting.look_seconds(look)
        while (left := until - time.monotonic()) > 0 and not self.is_draining():
            event = self._hear(min(left, _TICK_SECONDS))
            if event is not None and event["kind"] == "changed":
                return
            yield event

    def _hear(self, seconds: float) -> Delta | None:
        event = self._heard.get(seconds)
        self._hears_of_it = self._hears_of_it or event is not None
        # Events of one worker come in their order, and its last is that of the run's end.
        self._heard_all = event is not None and event.get("status") in STOPPED
        self._begun_at = event.get("begun_at") if event is not None else None
        return event


def begin(run_id: str, start: Callable[[str], T]) -> tuple[T, Reading]:
    """Listens first, so that nothing is missed; then `start`, given the run's id, does its work,
    and what it refuses is refused before anything was told. Unavailable where as many wait as
    may."""
    if not runtime().waiting.enter():
        raise Unavailable("As many streams are open here as can be.")
    with ExitStack() as until_started:
        until_started.callback(runtime().waiting.leave)
        until_started.enter_context(metrics.OPEN_STREAMS.track_inprogress())
        heard = until_started.enter_context(runtime().listener.stream(run_id))
        started = start(run_id)
        return started, Reading(runtime(), run_id, heard, until_started.pop_all())


def whole(delta: Delta, told: int) -> Delta:
    """A reader that joins late hears the middle of a text; its beginning was kept. `told` counts
    the characters that are known of it already."""
    if delta["kind"] != "text" or delta["at"] <= told:
        return delta
    so_far = events.text_so_far(delta["message_id"])
    return {**delta, "at": 0, "text": so_far} if so_far else delta


def fresh(delta: Delta, told: int) -> str:
    """What a delta adds to the `told` characters; nothing if it repeats them or leaves a gap."""
    return delta["text"][told - delta["at"] :] if delta["at"] <= told else ""
