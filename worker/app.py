"""The Celery process. Its pool is threads: a run waits for the model most of its life, and a thread
that waits costs little. `python -m worker` starts it."""

import logging
import sys
from typing import Any

from celery import signals

from shared import events, garbage, log, queue, rates
from shared.queue import celery
from shared.settings import Settings
from worker import runtime, tasks

settings = Settings.from_env().require("database_url", "redis_url", "model_base_url")
queue.configure(settings)
events.configure(settings)
rates.configure(settings)

app = celery
logger = logging.getLogger(__name__)

__all__ = ["app", "tasks"]


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    log.configure_process(settings.log_level)


@signals.worker_init.connect
def _start(**_: Any) -> None:
    """Celery goes on after whatever its signals raise; a worker that cannot work ends."""
    try:
        runtime.start(settings)
        garbage.settle()
    except Exception:
        logger.exception("worker cannot start")
        sys.exit(1)


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:
    runtime.begin_stop()
