"""The worker's only task. It carries nothing; the claim decides what is done."""

import logging

from shared.errors import Unavailable
from shared.queue import TASK, celery
from worker.runtime import runtime

log = logging.getLogger(__name__)


@celery.task(name=TASK)
def answer_bell() -> None:
    try:
        runtime().ingestions.wake()
        runtime().bell.answer()
    except Unavailable:
        # The sweep rings again once PostgreSQL answers.
        return
    except Exception:
        # Not left to Celery, which would log the error's words.
        log.exception("bell failed")
