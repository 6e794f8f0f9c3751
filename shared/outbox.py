"""What a commit implies beyond PostgreSQL goes to a thread, so that no request waits for Redis.

A frozen Redis holds a publish for many seconds, a dead one for several (kombu and redis-py retry by
themselves). The thread bears that; callers only append to a list. What cannot be delivered is
dropped and logged: the row is the truth, and the sweep rings again for what it finds.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Outbox(Generic[T]):
    """`deliver` gets what has gathered since its last call, oldest first, at most `batch` items.
    After so many items were delivered it rests for the seconds that `rest` says, and what comes
    meanwhile gathers."""

    def __init__(
        self,
        name: str,
        deliver: Callable[[list[T]], None],
        *,
        size: int = 10_000,
        batch: int = 500,
        rest: Callable[[int], float] | None = None,
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._batch = batch
        self._rest = rest
        self._waiting: deque[T] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._delivering = False
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        with self._changed:
            # Started by the first use: a thread does not survive the fork of a server's workers.
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._waiting.append(item)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Whether everything was delivered or dropped within that time."""
        until = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._delivering,
                timeout=max(0.0, until - time.monotonic()),
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._delivering = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                items = [
                    self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))
                ]
                self._delivering = True
            try:
                self._deliver(items)
            except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the thread lives
                log.warning(
                    "outbox dropped items",
                    extra={"outbox": self._name, "items": len(items), "error": repr(error)},
                )
            if self._rest:
                time.sleep(self._rest(len(items)))
