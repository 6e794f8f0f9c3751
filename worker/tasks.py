"""The worker's only task. It carries nothing; the claim decides what is done."""

from shared.errors import Unavailable
from shared.queue import TASK, celery
from worker.runtime import runtime


@celery.task(name=TASK)
def answer_bell() -> None:
    try:
        runtime().execution.answer_bell()
    except Unavailable:
        # The sweep rings again once PostgreSQL answers.
        return
