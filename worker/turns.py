"""Whose turn it is in this worker: lanes, the projects in each, and the newest now and then.

- A conversation is taken before any batch. Batches get one turn in sixteen all the same, so that a
  flood of conversations delays them and does not end them; and they never hold all of a worker, so
  that a conversation finds room however long a batch's answers take.
- In a lane projects take turns, each for as many claims as its weight, whatever they have queued.
  A claim takes a few runs at once where many wait.
- Of a project with a backlog, about one claim in four is of its newest run: else the backlog would
  stand in the way of the project's own next question.
"""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.db import Database
from shared.settings import Settings
from shared.store import lanes
from shared.store.lanes import Room, Turn
from shared.store.runs import BATCH, CONVERSATION, LANES, ClaimedRun

_BATCH_EVERY = 16
_NEWEST_SHARE = 0.25
# An eighth of what a worker holds is kept for conversations.
_KEPT = 8
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
    """One per process, used by all its threads."""

    def __init__(self, concurrency: int) -> None:
        self._most_of_batch = max(1, concurrency - -(-concurrency // _KEPT))
        self._rounds = {lane: _Round() for lane in LANES}
        self._lock = threading.Lock()
        self._given = 0
        # Held, or perhaps about to be.
        self._of_batch = 0

    def next(self, most: int = 1) -> Turn:
        """What to claim so many runs by. Whatever comes of it, `took` follows."""
        with self._lock:
            self._given += 1
            room = min(most, self._most_of_batch - self._of_batch)
            self._of_batch += room
            batch_first = room and self._given % _BATCH_EVERY == 0
            first, second = (BATCH, CONVERSATION) if batch_first else (CONVERSATION, BATCH)
            return Turn(
                most=most,
                lane=first,
                since=self._rounds[first].since,
                most_of_lane=room if batch_first else most,
                other=second,
                other_since=self._rounds[second].since,
                most_of_other=most if batch_first else room,
                newest=random.random() < _NEWEST_SHARE,
            )

    def took(self, turn: Turn, runs: Sequence[ClaimedRun]) -> bool:
        """Whether runs of a batch may have been left only because enough of them are held."""
        reserved = turn.most_of_lane if turn.lane == BATCH else turn.most_of_other
        of_batch = sum(run.lane == BATCH for run in runs)
        with self._lock:
            self._of_batch -= reserved - of_batch
            for lane in {run.lane for run in runs}:
                self._rounds[lane].took(_last([run for run in runs if run.lane == lane], turn))
        # One more than was reserved, if the newest was asked for.
        return of_batch >= reserved and reserved < turn.most

    def gave_back(self, run: ClaimedRun) -> None:
        """It ended, or is not this worker's any more."""
        if run.lane == BATCH:
            with self._lock:
                self._of_batch -= 1


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
