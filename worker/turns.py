"""Whose turn it is in this worker: lanes, the projects in each, and the newest now and then.

- A conversation is taken before any batch. Batches get one turn in sixteen all the same, so that a
  flood of conversations delays them and does not end them.
- In a lane projects take turns, each for as many claims as its weight, whatever they have queued.
  A claim takes a few runs at once where many wait.
- Of a project with a backlog, about one claim in four is of its newest run: else the backlog would
  stand in the way of the project's own next question.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.db import Database
from shared.settings import Settings
from shared.store import lanes
from shared.store.claims import ClaimedRun
from shared.store.lanes import Room, Turn
from shared.store.runs import BATCH, CONVERSATION, LANES

_BATCH_EVERY = 16
_NEWEST_SHARE = 0.25
# How old may be what is known of the projects' own numbers.
_ROOM_SECONDS = 2.0


@dataclass
class _Round:
    since: str = ""
    project_id: str = ""
    served: int = 0

    def took(self, last: ClaimedRun) -> None:
        self.served = self.served + 1 if last.project_id == self.project_id else 1
        self.project_id = last.project_id
        # A space stands before all letters of an id: behind this project, before the next.
        self.since = last.project_id + (" " if self.served % last.weight == 0 else "")


class Turns:
    """One per process. One thread at a time asks for the next turn and says what it took."""

    def __init__(self) -> None:
        self._rounds = {lane: _Round() for lane in LANES}
        self._given = 0

    def next(self, most: int = 1, most_of_batch: int = 1) -> Turn:
        """What to claim so many runs by."""
        self._given += 1
        batch_first = most_of_batch and self._given % _BATCH_EVERY == 0
        first, second = (BATCH, CONVERSATION) if batch_first else (CONVERSATION, BATCH)
        return Turn(
            most=most,
            lane=first,
            since=self._rounds[first].since,
            most_of_lane=most_of_batch if batch_first else most,
            other=second,
            other_since=self._rounds[second].since,
            most_of_other=most if batch_first else most_of_batch,
            newest=random.random() < _NEWEST_SHARE,
        )

    def took(self, turn: Turn, runs: Sequence[ClaimedRun]) -> None:
        for lane in {run.lane for run in runs}:
            self._rounds[lane].took(_last([run for run in runs if run.lane == lane], turn))


def _last(runs: list[ClaimedRun], turn: Turn) -> ClaimedRun:
    """Of those of one lane, in the order of turns: from `since` on, then from the first project."""
    since = turn.since if runs[0].lane == turn.lane else turn.other_since
    return max(runs, key=lambda run: (run.project_id < since, run.project_id))


class Rooms:
    """The bounds that hold now; one per process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._read_at = -_ROOM_SECONDS
        self._room = Room()

    def now(self) -> Room:
        if time.monotonic() > self._read_at + _ROOM_SECONDS:
            self._read_at = time.monotonic()
            of_model, of_project = self._settings.model_concurrency, self._settings.running_runs
            with self._database.autocommit() as tx:
                some = lanes.some_project_is_bounded(tx)
            self._room = Room(
                of_model=of_model,
                of_project=of_project,
                is_bounded=bool(of_model or of_project or some),
            )
        return self._room
