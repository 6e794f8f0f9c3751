"""Keeps the batches going, in a thread of an API process. Every process has one; they share the
work batch by batch."""

import logging
import random
import threading

from api.openai.batching.steps import Steps
from shared.errors import Unavailable

log = logging.getLogger(__name__)

_SECONDS = 1.0
_STOP_SECONDS = 3.0


class Driver:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(_SECONDS * random.uniform(0.5, 1.0)):
            try:
                while not self._stopping.is_set() and self._steps.advance():
                    pass
            except Unavailable as error:
                log.warning("batches wait", extra={"error": repr(error)})
            except Exception:
                log.exception("batches wait")
