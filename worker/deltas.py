"""What the model says, told to the run's streams while it says it.

Names the step and the message that the end of the turn will store: their ids are derived from the
run, so that whoever takes the run over names them again. Also keeps what was told, for a turn that
ends without an answer.
"""

import time
from dataclasses import dataclass
from io import StringIO
from typing import Any

from shared import events
from shared.citations import Sources
from shared.ids import derived_id
from shared.store.claims import ClaimedRun


@dataclass(frozen=True)
class Place:
    """Where in its run something is said: the ids of its step and message, and when it began."""

    step_id: str
    message_id: str
    created_at: float  # Unix seconds, by the database's clock


class Deltas:
    """`first_step` is the number of steps that the run has so far, `sources` are what the text may
    cite. Calls of the tool `hidden` are not told: on the wire they are no functions."""

    def __init__(
        self,
        run: ClaimedRun,
        first_step: int,
        *,
        heard: bool,
        sources: Sources | None = None,
        hidden: str | None = None,
    ) -> None:
        self.heard = heard
        self.sources = sources or {}
        self._hidden = hidden
        self._hidden_calls: set[int] = set()
        self._run = run
        self._first_step = first_step
        self._began = time.monotonic()
        self._message: Place | None = None
        self._calls: Place | None = None
        self._said = {"text": StringIO(), "refusal": StringIO()}
        self._bytes = {"text": 0, "refusal": 0}

    def said(self, part: str = "text") -> str:
        """All of it so far: the `text`, or the `refusal`."""
        return self._said[part].getvalue()

    def message(self) -> Place:
        """Where the turn's text goes."""
        if self._message is None:
            self._message = self._place(f"{self._first_step}")
        return self._message

    def calls(self) -> Place:
        """Where the turn's tool calls go: after its text, if there is any."""
        if self._calls is None:
            ordinal = self._first_step + (self._message is not None)
            # Never a step of another kind: a turn that is taken again may come out otherwise.
            self._calls = self._place(f"{ordinal} calls")
        return self._calls

    def say(self, text: str, part: str = "text") -> None:
        said = self._said[part]
        if self.heard and text:
            at, at_byte = said.tell(), self._bytes[part]
            self._publish(self.message(), kind=part, at=at, at_byte=at_byte, text=text)
            self._bytes[part] += len(text.encode())
        said.write(text)

    def call(self, index: int, id_: str, name: str) -> None:
        if name == self._hidden:
            self._hidden_calls.add(index)
        elif self.heard:
            self._publish(self.calls(), kind="call", index=index, id=id_, name=name)

    def arguments(self, index: int, at: int, text: str) -> None:
        if self.heard and text and index not in self._hidden_calls:
            self._publish(self.calls(), kind="arguments", index=index, at=at, text=text)

    def _place(self, place: str) -> Place:
        return Place(
            derived_id("step", self._run.id, place),
            derived_id("msg", self._run.id, place),
            self._run.claimed_at + time.monotonic() - self._began,
        )

    def _publish(self, place: Place, **delta: Any) -> None:
        told = {**vars(place), "fence": self._run.fence, "after_steps": self._first_step}
        events.publish_delta(self._run.id, {**told, **delta})
