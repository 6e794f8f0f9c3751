"""What a bell makes this worker do: it claims runs while it has room, and works on each in a
thread.

Celery's one thread hears the bells and claims, some runs at once, until none waits or none more may
be held. So a bell costs the same however many runs wait, and while the worker is full the bells
that hang are for others.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from shared.db import Database
from shared.errors import Unavailable
from shared.settings import Settings
from shared.store import claims
from shared.store.runs import ClaimedRun
from worker.execution import Execution
from worker.lease import Lease
from worker.turns import Rooms, Turns

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 8
_LOOK_SECONDS = 0.5

Start = Callable[[Callable[[ClaimedRun], None], ClaimedRun], object]


class Bell:
    """One per process. `start` begins a run's work, in a thread of its own if need be."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        lease: Lease,
        execution: Execution,
        start: Start | None = None,
        most_at_once: int = _MOST_AT_ONCE,
    ) -> None:
        self._database = database
        self._lease = lease
        self._execution = execution
        self._most_at_once = most_at_once
        self._start = start or ThreadPoolExecutor(settings.concurrency, "run").submit
        self._turns = Turns(settings.concurrency)
        self._rooms = Rooms(settings, database)
        self._free = settings.concurrency
        self._changed = threading.Condition()
        # Some may wait only for the end of what is held. Then whoever ends a run looks again; and
        # who claimed does so for what ended before it said so.
        self._look_again = False
        self._ended = 0

    def answer(self, patience: float | None = None) -> None:
        """Waits for room without end, or for so many seconds."""
        more = True
        while more and (most := self._reserve(patience)):
            claimed: list[ClaimedRun] = []
            try:
                claimed, more = self._claim(most)
            finally:
                self._free_again(most - len(claimed))
            for run in claimed:
                self._start(self._work, run)

    def _reserve(self, patience: float | None) -> int:
        """0 if there is no room in time, or when this worker is to end."""
        with self._changed:
            while not self._lease.draining:
                seconds = _LOOK_SECONDS if patience is None else patience
                if self._changed.wait_for(lambda: self._free, timeout=seconds):
                    most = min(self._free, self._most_at_once)
                    self._free -= most
                    return most
                if patience is not None:
                    break
        return 0

    def _claim(self, most: int) -> tuple[list[ClaimedRun], bool]:
        """And whether more may wait than were taken."""
        room = self._rooms.now()
        begin = self._database.transaction if room.is_bounded else self._database.autocommit
        ended = self._ended
        turn = self._turns.next(1 if room.is_bounded else most)
        claimed: list[ClaimedRun] = []
        try:
            with begin() as tx:
                claimed = claims.claim(tx, self._lease.worker_id, turn, room)
        finally:
            left = self._turns.took(turn, claimed)
        more = len(claimed) == turn.most
        if left or (room.is_bounded and not more):
            self._look_again = True
            more = self._ended != ended
        return claimed, more

    def _work(self, run: ClaimedRun) -> None:
        try:
            self._execution.execute(run)
        except Exception:
            # Nobody asks this thread what came of it. The run is ours still; its lease tells.
            log.exception("run given up", extra={"run_id": run.id})
        finally:
            self._turns.gave_back(run)
            self._free_again(1, ended=1)
        if self._look_again:
            self._look_again = False
            self._answer_again()

    def _answer_again(self) -> None:
        try:
            self.answer(patience=0)
        except Unavailable:
            # The sweep rings again once PostgreSQL answers.
            log.warning("bell unanswered: no database")
        except Exception:
            log.exception("bell failed")

    def _free_again(self, places: int, ended: int = 0) -> None:
        with self._changed:
            self._ended += ended
            self._free += places
            self._changed.notify()
