"""What the worker process is made of: built when Celery starts, taken down when it stops."""

import logging
import os
import threading
from dataclasses import dataclass

from shared import events, queue
from shared.db import Database, Session
from shared.errors import Unavailable
from shared.settings import Settings
from worker import watch
from worker.bell import Bell
from worker.execution import Execution
from worker.ingestion import Ingestions
from worker.lease import Lease
from worker.model import Model
from worker.places import Places
from worker.sweep import Sweep

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0


@dataclass(frozen=True)
class Runtime:
    settings: Settings
    database: Database
    lease: Lease
    sweep: Sweep
    bell: Bell
    ingestions: Ingestions


_runtime: Runtime | None = None


def runtime() -> Runtime:
    if _runtime is None:
        raise RuntimeError("worker.runtime.start() comes first")
    return _runtime


def start(settings: Settings) -> None:
    global _runtime
    database = Database(settings.database_url, settings.database_pool).open()
    # A frozen session must not take the lease with it: there is time for another one.
    lease = Lease(Session(settings.database_url, answer_seconds=settings.lease_seconds / 3))
    sweep = Sweep(settings, Session(settings.database_url))
    model = Model(settings)
    execution = Execution(settings, database, lease, model)
    ingestions = Ingestions(settings, database, lease, model.embeddings)
    places = Places(settings)
    bell = Bell(settings, database, lease, execution, places)
    _runtime = Runtime(settings, database, lease, sweep, bell, ingestions)
    watch.start(settings, database, lease, sweep, places)
    lease.start()
    sweep.start()
    ingestions.start()
    bell.start()
    log.info("worker started", extra={"worker_id": lease.worker_id})


def begin_stop() -> None:
    """SIGTERM: claims end now. Celery waits for its threads for ever; after the time that runs are
    given, what they hold is released and the process ends under them."""
    threading.Thread(target=_stop, name="stop", daemon=False).start()


def _stop() -> None:
    stopping = runtime()
    stopping.sweep.stop()
    stopping.ingestions.stop()
    ended = stopping.lease.drain(stopping.settings.shutdown_seconds)
    try:
        stopping.lease.give_back(Session(stopping.settings.database_url))
    except Unavailable:
        log.warning("leases not released: no database")
    queue.flush(_FLUSH_SECONDS)
    events.flush(_FLUSH_SECONDS)
    if not ended:
        os._exit(0)
    stopping.bell.close()
    stopping.database.close()
