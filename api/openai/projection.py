"""A run as a sequence of events, in the wire's order.

PostgreSQL's rows say what is true; deltas, which may be lost, only say it sooner. `advance` is
given the rows and yields what they add to what was told; `hear` is given a delta and yields it with
whatever the wire tells before it. Whatever comes late, twice or never, the order holds, and at the
end all was told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from api import reading
from api.openai import bodies
from api.reading import Snapshot
from shared import citations
from shared.citations import Sources
from shared.run_state import TERMINAL, RunStatus
from shared.store.messages import Message, text_part
from shared.store.run_steps import RunStep
from shared.store.runs import Run

Event = tuple[str, dict[str, Any]]

_LONGEST_PIECE = 65_536
_INCOMPLETE_BY_END = {
    RunStatus.FAILED: "run_failed",
    RunStatus.CANCELLED: "run_cancelled",
    RunStatus.EXPIRED: "run_expired",
}


@dataclass
class _Open:
    """A step that was told of and is not finished: how much of it was told."""

    step: RunStep
    message: Message | None
    text: StringIO = field(default_factory=StringIO)  # of the message, as far as told or held
    held: str = ""  # its end, while that may be the beginning of a marker
    cited: int = 0  # annotations that were told
    begun: bool = False  # its first delta was told
    calls: list[StringIO] = field(default_factory=list)  # their arguments, as far as told
    astray: bool = False  # another worker says it anew: only the end counts


class Projection:
    """Begins after `told` steps: 0 for a new run, all steps so far for one that goes on. `whole`:
    it tells what searches found with its text."""

    def __init__(self, run: Run, told: int = 0, *, whole: bool = False) -> None:
        self._run = run
        self._told = told
        self._whole = whole
        self._sources: Sources = {}
        self._started = False
        self._cancelling = False
        self._open: _Open | None = None
        self._fence = 0
        self._finished: set[str] = set()
        self.done = False

    def begin(self) -> Iterator[Event]:
        queued = bodies.as_queued(self._run)
        yield "thread.run.created", bodies.run(queued)
        yield "thread.run.queued", bodies.run(queued)

    def resume(self, step: RunStep, run: Run) -> Iterator[Event]:
        """After tool outputs: the step that they complete, then the run, queued again."""
        yield "thread.run.step.completed", bodies.step(step, run)
        yield "thread.run.queued", bodies.run(bodies.as_queued_again(run))

    def see(self, run: Run) -> None:
        """The run as it is now, of which more will be heard."""
        self._run = run

    def advance(self, now: Snapshot) -> Iterator[Event]:
        self.see(now.run)
        if now.run.started_at is not None and now.run.status is not RunStatus.QUEUED:
            yield from self._start(now.run)
        for step in now.steps[self._told :]:
            self._learn(now)
            yield from self._tell(step, now)
        self._learn(now)
        yield from self._end(now)

    def _learn(self, now: Snapshot) -> None:
        """What may be cited by whatever comes behind the steps that were told."""
        self._sources = citations.sources(step.step_details for step in now.steps[: self._told])

    def hear(self, delta: dict[str, Any]) -> Iterator[Event]:
        if self._is_stale(delta):
            return
        yield from self._start(self._run)
        if delta["kind"] in ("text", "refusal"):
            yield from self._hear_text(delta)
        else:
            yield from self._hear_call(delta)

    def told_of(self, message_id: str) -> int:
        """How many characters of this message were told."""
        opened = self._open
        named = opened is not None and opened.message is not None and opened.message.id
        return opened.text.tell() if opened is not None and named == message_id else 0

    def _start(self, run: Run) -> Iterator[Event]:
        if not self._started:
            self._started = True
            yield "thread.run.in_progress", bodies.run(bodies.as_in_progress(run))

    def _is_stale(self, delta: dict[str, Any]) -> bool:
        """Of a step that was told to its end, or said by a worker that was replaced; or of one
        before which others come whose rows were not seen yet: it is told with them."""
        if delta["fence"] < self._fence or delta.get("after_steps", 0) > self._told:
            return True
        if delta["fence"] > self._fence:
            if self._fence and self._open is not None:
                self._open.astray = True
            self._fence = delta["fence"]
        return delta["step_id"] in self._finished or (self._open is not None and self._open.astray)

    def _begin_step(self, step: RunStep, message: Message | None) -> Iterator[Event]:
        opened = bodies.as_opened(step)
        self._open = _Open(opened, message)
        yield "thread.run.step.created", bodies.step(opened, self._run)
        yield "thread.run.step.in_progress", bodies.step(opened, self._run)
        if message is not None:
            empty = bodies.message(bodies.as_begun(message))
            yield "thread.message.created", empty
            yield "thread.message.in_progress", empty

    def _hear_text(self, delta: dict[str, Any]) -> Iterator[Event]:
        if self._open is None:
            yield from self._begin_step(*bodies.named(self._run, delta, "message_creation"))
        opened = self._open
        if opened is None or opened.message is None or delta["kind"] != "text":
            return
        if fresh := reading.fresh(delta, opened.text.tell()):
            yield from self._say(opened, fresh)

    def _say(self, opened: _Open, text: str, *, all_of_it: bool = False) -> Iterator[Event]:
        """But for an end that may be the beginning of a marker: a marker is told in one piece, with
        its annotation."""
        at = opened.text.tell() - len(opened.held)
        opened.text.write(text)
        text = opened.held + text
        end = len(text) - (0 if all_of_it else citations.unfinished(text, self._sources))
        opened.held = text[end:]
        for piece, file_id in citations.split(text[:end], self._sources):
            if file_id is None:
                for short in _pieces(piece):
                    yield self._delta(opened, short)
            else:
                yield self._delta(opened, piece, citations.annotation(piece, file_id, at))
            at += len(piece)

    def _delta(self, opened: _Open, text: str, cited: dict[str, Any] | None = None) -> Event:
        assert opened.message is not None
        part: dict[str, Any] = {"value": text}
        if not opened.begun:
            part["annotations"] = []
        if cited is not None:
            part["annotations"] = [bodies.annotation_delta(opened.cited, cited)]
            opened.cited += 1
        opened.begun = True
        content = [{"index": 0, "type": "text", "text": part}]
        return "thread.message.delta", bodies.message_delta(opened.message.id, content)

    def _hear_call(self, delta: dict[str, Any]) -> Iterator[Event]:
        if self._open is not None and self._open.message is not None:
            # The text before the calls is finished, but its rows come with the calls'.
            return
        if self._open is None:
            step, _ = bodies.named(self._run, delta, "tool_calls")
            yield from self._begin_step(step, None)
        opened = self._open
        if opened is None:
            return
        if delta["kind"] == "call" and delta["index"] == len(opened.calls):
            yield from self._begin_call(opened, delta["id"], delta["name"])
        elif delta["kind"] == "arguments" and delta["index"] < len(opened.calls):
            fresh = reading.fresh(delta, opened.calls[delta["index"]].tell())
            if fresh:
                yield from self._add_arguments(opened, delta["index"], fresh)

    def _begin_call(self, opened: _Open, id_: str, name: str) -> Iterator[Event]:
        function = {"name": name, "arguments": "", "output": None}
        call = {"index": len(opened.calls), "id": id_, "type": "function", "function": function}
        opened.calls.append(StringIO())
        yield "thread.run.step.delta", bodies.step_delta(opened.step.id, [call])

    def _add_arguments(self, opened: _Open, index: int, text: str) -> Iterator[Event]:
        for piece in _pieces(text):
            opened.calls[index].write(piece)
            call = {"index": index, "type": "function", "function": {"arguments": piece}}
            yield "thread.run.step.delta", bodies.step_delta(opened.step.id, [call])

    def _tell(self, step: RunStep, now: Snapshot) -> Iterator[Event]:
        """What of a stored step was not told yet, to its end if it has one."""
        if self._open is not None and self._open.step.id != step.id:
            # Of a turn that broke off, and came out otherwise when it was taken again.
            yield from self._abandon(self._open, now.run)
        if self._open is None:
            message_id = step.step_details.get("message_creation", {}).get("message_id")
            yield from self._begin_step(step, now.messages.get(message_id))
        opened = self._open
        assert opened is not None
        if step.type == "message_creation":
            yield from self._finish_message(opened, now)
        else:
            yield from self._finish_calls(opened, step)
        if step.status == "in_progress":
            return
        yield f"thread.run.step.{step.status}", bodies.step(step, now.run, whole=self._whole)
        self._close()

    def _close(self) -> None:
        assert self._open is not None
        self._finished.add(self._open.step.id)
        self._told += 1
        self._open = None

    def _finish_message(self, opened: _Open, now: Snapshot) -> Iterator[Event]:
        message = opened.message and now.messages.get(opened.message.id)
        if message is None:
            return
        yield from self._rest_of(opened, message)
        yield f"thread.message.{message.status}", bodies.message(message)

    def _rest_of(self, opened: _Open, message: Message) -> Iterator[Event]:
        for index, part in enumerate(message.content):
            if part["type"] != "text":
                content = [{"index": index, **part}]
                yield "thread.message.delta", bodies.message_delta(message.id, content)
            else:
                rest = _rest(part["text"]["value"], opened.text)
                yield from self._say(opened, rest, all_of_it=True)

    def _finish_calls(self, opened: _Open, step: RunStep) -> Iterator[Event]:
        for index, call in enumerate(step.step_details["tool_calls"]):
            if call["type"] == "file_search":
                if index >= len(opened.calls):
                    opened.calls.append(StringIO())
                    yield "thread.run.step.delta", bodies.search_delta(opened.step.id, index, call)
                continue
            if index >= len(opened.calls):
                yield from self._begin_call(opened, call["id"], call["function"]["name"])
            if rest := _rest(call["function"]["arguments"], opened.calls[index]):
                yield from self._add_arguments(opened, index, rest)

    def _end(self, now: Snapshot) -> Iterator[Event]:
        run = now.run
        if run.status in (RunStatus.CANCELLING, RunStatus.CANCELLED) and not self._cancelling:
            self._cancelling = True
            yield "thread.run.cancelling", bodies.run(bodies.as_cancelling(run))
        if run.status in TERMINAL and self._open is not None:
            yield from self._abandon(self._open, run)
        if run.status in TERMINAL or run.status is RunStatus.REQUIRES_ACTION:
            self.done = True
            yield f"thread.run.{run.status}", bodies.run(run)

    def _abandon(self, opened: _Open, run: Run) -> Iterator[Event]:
        """An open step that is never stored."""
        at = datetime.now(UTC)
        if opened.message is not None:
            yield from self._say(opened, "", all_of_it=True)
            text = opened.text.getvalue()
            parts = [text_part(text, citations.annotations(text, self._sources))] if text else []
            reason = {"reason": _INCOMPLETE_BY_END.get(run.status, "run_failed")}
            incomplete = replace(
                opened.message,
                status="incomplete",
                content=parts,
                incomplete_at=at,
                incomplete_details=reason,
            )
            yield "thread.message.incomplete", bodies.message(incomplete)
        status = run.status.value if run.status in _INCOMPLETE_BY_END else "failed"
        ended = replace(opened.step, status=status, **{f"{status}_at": at})
        if status == "failed":
            ended = replace(ended, last_error=run.last_error)
        yield f"thread.run.step.{status}", bodies.step(ended, run)
        self._finished.add(opened.step.id)
        self._open = None


def _rest(whole: str, told: StringIO) -> str:
    """What of the whole was not told yet; nothing if it is told otherwise."""
    return whole[told.tell() :] if whole.startswith(told.getvalue()) else ""


def _pieces(text: str) -> Iterator[str]:
    """A stream that lags behind is not handed megabytes at once."""
    for start in range(0, len(text), _LONGEST_PIECE):
        yield text[start : start + _LONGEST_PIECE]
