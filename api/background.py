"""Work of an API process beside its requests, each kind in a thread of its own. Every process does
it; they share it in PostgreSQL, row by row."""

import logging
import random
import threading
from collections.abc import Callable

from shared.errors import Unavailable

log = logging.getLogger(__name__)

_STOP_SECONDS = 1.0


class Background:
    """Does `act` about every so many seconds, and again at once while it says that there is more.
    One time of it is short, and harms nothing if it breaks off."""

    def __init__(self, name: str, seconds: float, act: Callable[[], bool]) -> None:
        self._name = name
        self._seconds = seconds
        self._act = act
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds * random.uniform(0.5, 1.0)):
            try:
                while self._act() and not self._stopping.is_set():
                    pass
            except Unavailable as error:
                more = {"work": self._name, "error": repr(error)}
                log.warning("background work waits", extra=more)
            except Exception:
                log.exception("background work waits", extra={"work": self._name})
