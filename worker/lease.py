"""The worker's lease on the runs it holds: one heartbeat for all of them, and what happens when
this process has to let go."""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from shared.db import Session, Transaction
from shared.errors import Unavailable
from shared.run_state import RunStatus
from shared.store import claims, ingestions, runs, workers
from shared.store.runs import Held, Run
from worker.connections import Call

log = logging.getLogger(__name__)

_AFTER_FAILURE_SECONDS = 0.2


class Lease:
    """One per process. `worker_id` changes when the process was given up for dead and returns."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held: dict[str, tuple[Run, Call]] = {}
        self._strays: set[str] = set()
        self._gone: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self.draining = False
        self.turned_at = time.monotonic()
        with session.autocommit() as tx:
            self.worker_id = workers.register(tx)
        # The lock goes with its session.
        self._locked = True
        session.on_connect = self._lock

    def start(self) -> None:
        threading.Thread(target=self._run, name="lease", daemon=True).start()

    @property
    def number_held(self) -> int:
        return len(self._held)

    @contextmanager
    def holding(self, run: Run) -> Generator[Call]:
        """The call is cut when the run is cancelled, ends otherwise or goes to another worker."""
        call = Call()
        with self._changed:
            self._held[run.id] = run, call
        try:
            yield call
        finally:
            with self._changed:
                # A later claim of the same run by this process has a call of its own.
                if self._held.get(run.id) == (run, call):
                    del self._held[run.id]
                self._changed.notify_all()

    def is_one_too_many(self, run: Run) -> bool:
        """Whether this held run and one held before it are both on their last chance: claims of
        the same moment do not see each other."""
        if not claims.is_last_chance(run):
            return False
        with self._changed:
            held = [one.id for one, _ in self._held.values() if claims.is_last_chance(one)]
        return held[0] != run.id

    def drain(self, seconds: float) -> bool:
        """Waits until nothing is held, for so long at most; then gives back what still is.

        Returns whether all of it ended by itself.
        """
        with self._changed:
            self.draining = True
            ended = self._changed.wait_for(lambda: not self._held, timeout=seconds)
        self._stopping.set()
        return ended

    def give_back(self, session: Session) -> None:
        """On another session, for the heartbeat may be using its own."""
        with session.autocommit() as tx:
            released = claims.release(tx, self.worker_id)
            ingestions.release(tx, self.worker_id)
            workers.unregister(tx, self.worker_id)
        log.info("worker stopped", extra={"worker_id": self.worker_id, "released": len(released)})

    def _run(self) -> None:
        pause = workers.HEARTBEAT_SECONDS
        while not self._stopping.wait(pause):
            self.turned_at = time.monotonic()
            try:
                self.beat()
                pause = workers.HEARTBEAT_SECONDS
            except Unavailable as error:
                log.warning("heartbeat failed", extra={"error": repr(error.__cause__)})
                pause = _AFTER_FAILURE_SECONDS
            except Exception:
                log.exception("heartbeat failed")

    def beat(self) -> None:
        with self._session.autocommit() as tx:
            if not workers.heartbeat(tx, self.worker_id):
                lost, self.worker_id = self.worker_id, workers.register(tx)
                self._locked = True
                log.warning("worker was given up", extra={"was": lost, "is": self.worker_id})
            if not self._locked:
                self._lock(tx)
            held = runs.held_by(tx, self.worker_id)
            self._release_strays(tx, {run.id for run in held if run.id not in self._held})
        self._cut_calls(held)

    def _lock(self, tx: Transaction) -> None:
        self._locked = workers.lock(tx, self.worker_id)

    def _release_strays(self, tx: Transaction, strays: set[str]) -> None:
        """A claim whose answer got lost: committed, yet nobody here works on it. Twice seen, so
        that a claim on its way to `holding` is left alone."""
        twice = sorted(strays & self._strays)
        if twice:
            claims.release(tx, self.worker_id, twice)
            log.warning("stray runs released", extra={"run_ids": twice})
        self._strays = strays

    def _cut_calls(self, held: list[Held]) -> None:
        with self._changed:
            working = dict(self._held)
        for run in held:
            if run.status == RunStatus.CANCELLING and run.id in working:
                working[run.id][1].cut()
        # Not ours any more by the row; twice seen, so that a run just claimed is left alone.
        gone = working.keys() - {run.id for run in held}
        for run_id in gone & self._gone:
            working[run_id][1].cut()
        self._gone = gone


def pause(attempt: int) -> None:
    """Between two attempts to reach PostgreSQL."""
    time.sleep(min(0.1 * 2**attempt, 2.0))
