"""What a bell makes this worker do: it claims runs while it has room, and works on each in a
thread.

Celery's one thread hears the bells and claims, some runs at once, until none waits or no more may
be taken up. So a bell costs the same however many runs wait, and while the worker is full the bells
that hang are for others. What a claim had to leave, as only so many of a batch, of a model or of a
project may be held, a second thread claims once there may be room.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from shared.db import Database, Session
from shared.errors import Unavailable
from shared.settings import Settings
from shared.store import claims
from shared.store.claims import ClaimedRun
from shared.store.lanes import Room, Turn
from worker.execution import Execution
from worker.lease import Lease
from worker.places import Free, Places
from worker.turns import Rooms, Turns

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 8

Start = Callable[[Callable[[ClaimedRun], None], ClaimedRun], object]


class Bell:
    """One per process. `start` begins a run's work, in a thread of its own if need be."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        lease: Lease,
        execution: Execution,
        places: Places,
        start: Start | None = None,
        most_at_once: int = _MOST_AT_ONCE,
    ) -> None:
        self._database = database
        self._lease = lease
        self._execution = execution
        self._most_at_once = most_at_once
        self._start = start or ThreadPoolExecutor(settings.concurrency, "run").submit
        self._turns = Turns()
        self._rooms = Rooms(settings, database)
        self._places = places
        self._session = Session(settings.database_url, answer_seconds=settings.lease_seconds / 3)
        self._session.on_connect = claims.plan_once
        self._claiming = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._look_for_left, name="left", daemon=True).start()

    def close(self) -> None:
        with self._claiming:
            self._session.close()

    def answer(self) -> None:
        """Waits until there is room, or this worker is to end."""
        more = True
        while more:
            with self._claiming:
                free = self._places.wait_for_some(lambda: self._lease.draining)
                claimed, more = self._claim(free) if free else ([], False)
            for run in claimed:
                self._start(self._work, run)

    def _claim(self, free: Free) -> tuple[list[ClaimedRun], bool]:
        """And whether more may wait than were taken."""
        room = self._rooms.now()
        ended = self._places.ended
        most = min(free.most, 1 if room.is_bounded else self._most_at_once)
        of_batch = min(free.most_of_batch, most)
        turn = self._turns.next(most, of_batch)
        try:
            claimed = self._take(turn, room)
        except Unavailable:
            # The session may have died while it was not used. What it claimed, should its answer
            # have been lost, the lease gives back.
            claimed = self._take(turn, room)
        self._turns.took(turn, claimed)
        self._places.took(claimed, most, of_batch)
        more = len(claimed) == most
        if room.is_bounded and not more:
            self._places.left_by_bounds(ended)
        return claimed, more

    def _take(self, turn: Turn, room: Room) -> list[ClaimedRun]:
        with self._session.autocommit() as tx, tx.atomic() if room.is_bounded else nullcontext():
            return claims.claim(tx, self._lease.worker_id, turn, room)

    def _work(self, run: ClaimedRun) -> None:
        with self._places.working(run):
            try:
                self._execution.execute(run)
            except Exception:
                # Nobody asks this thread what came of it. The run is ours still; its lease tells.
                log.exception("run given up", extra={"run_id": run.id})

    def _look_for_left(self) -> None:
        while self._places.wait_for_left(lambda: self._lease.draining):
            try:
                self.answer()
            except Unavailable:
                # The sweep rings again once PostgreSQL answers.
                log.warning("bell unanswered: no database")
            except Exception:
                log.exception("bell failed")
