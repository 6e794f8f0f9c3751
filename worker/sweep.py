"""The sweep: finds what was lost. Every worker can do it, one does in each period, nobody leads."""

import logging
import random
import threading
import time

from shared import queue
from shared.db import Session, Transaction
from shared.errors import Unavailable
from shared.settings import Settings
from shared.store import answers, ingestions, losses, model_pauses, runs, workers
from worker import metrics
from worker.model import no_usage

log = logging.getLogger(__name__)

# Rows per round: a large loss is mended over several rounds, not in one long statement.
_MOST = 500
_MOST_WAITING = 2000


class Sweep:
    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._stopping = threading.Event()
        self.turned_at = time.monotonic()

    def start(self) -> None:
        threading.Thread(target=self._run, name="sweep", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        broken = False
        while not self._stopping.wait(self._settings.sweep_seconds * random.uniform(0.5, 1.0)):
            self.turned_at = time.monotonic()
            try:
                with self._session.autocommit() as tx:
                    if broken:
                        workers.resume_sweeps(tx)
                        broken = False
                    if workers.take_sweep(tx, self._settings.sweep_seconds * 0.9):
                        sweep(tx, self._settings)
            except Unavailable as error:
                broken = True
                log.warning("sweep failed", extra={"error": repr(error.__cause__)})
            except Exception:
                # The next round may do better; a thread that ended would do nothing for ever.
                log.exception("sweep failed")


def sweep(tx: Transaction, settings: Settings) -> None:
    """One round. Each statement stands by itself, so a round that breaks off harms nothing."""
    lost = workers.mark_lost(tx, settings.lease_seconds)
    poisonous = losses.fail_poisonous(tx, _MOST, no_usage())
    released = losses.release_lost(tx, _MOST)
    unread = ingestions.fail_poisonous(tx, _MOST)
    unheld = ingestions.release_lost(tx, _MOST)
    cancelled = losses.end_cancelled(tx, _MOST)
    expired = losses.expire(tx, _MOST)
    workers.forget_lost(tx)
    answers.forget_old(tx, _MOST)
    model_pauses.forget_over(tx)
    rung = _ring_for_the_forgotten(tx)
    found = {
        "lost_workers": len(lost),
        "failed": len(poisonous),
        "released": len(released),
        "files_failed": unread,
        "files_released": unheld,
        "cancelled": len(cancelled),
        "expired": len(expired),
        "rung": rung,
    }
    metrics.swept(found)
    if any(found.values()):
        log.info("sweep", extra=found)


def _ring_for_the_forgotten(tx: Transaction) -> int:
    """Bells are alike: it is rung for as many runs as wait beyond the bells that still hang."""
    runs_waiting = runs.count_claimable(tx, _MOST_WAITING)
    if not runs_waiting:
        return 0
    bells_waiting = queue.waiting()
    if bells_waiting is None:
        return 0
    missing = max(0, runs_waiting - queue.RUNS_PER_BELL * bells_waiting)
    if missing:
        tx.after_commit(queue.ring, missing)
    return missing
