"""The worker's two tasks. They carry nothing; the claim decides what is done."""

import logging

from shared.errors import Unavailable
from shared.queue import FILES_TASK, TASK, celery
from worker.runtime import runtime

log = logging.getLogger(__name__)


@celery.task(name=TASK)
def answer_bell() -> None:
    try:
        runtime().bell.answer()
    except Unavailable:
        # The sweep rings again once PostgreSQL answers.
        return
    except Exception:
        # Not left to Celery, which would log the error's words.
        log.exception("bell failed")


@celery.task(name=FILES_TASK)
def answer_files_bell() -> None:
    runtime().ingestions.wake()
