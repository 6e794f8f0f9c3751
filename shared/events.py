"""Events of runs, over Redis publish/subscribe: who waits for a run hears that it stopped.

Nothing depends on an event: a reader that hears none looks again by itself.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import redis

from shared.outbox import Outbox
from shared.settings import Settings

log = logging.getLogger(__name__)

CHANNEL = "treadle:stopped"

# Seconds between two attempts to subscribe.
_RETRY_SECONDS = 1.0


def configure(settings: Settings) -> None:
    """Once per process, before the first publish."""
    global _redis
    _redis = _connect(settings, socket_timeout=5)


def publish_stopped(run_id: str) -> None:
    """Returns at once: the run needs nothing more from a worker for now."""
    _outbox.put(run_id)


def flush(seconds: float) -> bool:
    return _outbox.flush(seconds)


def _deliver(run_ids: list[str]) -> None:
    if _redis is None:
        raise RuntimeError("events.configure() comes first")
    _redis.publish(CHANNEL, " ".join(run_ids))


def _connect(settings: Settings, **options: float) -> Any:
    """redis-py's own types know little of what they return."""
    client: Any = redis.Redis
    return client.from_url(settings.redis_url, socket_connect_timeout=2, **options)


_redis: Any = None
_outbox: Outbox[str] = Outbox("events", _deliver)


class Listener:
    """One subscription per process, fanned out in memory to whoever waits for a run."""

    def __init__(self, settings: Settings) -> None:
        # The health check notices a connection that only seems open.
        self._redis = _connect(settings, socket_timeout=20, health_check_interval=5)
        self._waiting: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.connected = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread within a second."""
        self._stopping.set()

    @contextmanager
    def stopped(self, run_id: str) -> Generator[threading.Event]:
        """An event that is set when the run stops. Look at the run after entering, not before."""
        event = threading.Event()
        with self._lock:
            self._waiting[run_id].add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[run_id].discard(event)
                if not self._waiting[run_id]:
                    del self._waiting[run_id]

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                log.warning("event subscription lost", extra={"error": repr(error)})
            self.connected = False
            self._stopping.wait(_RETRY_SECONDS)

    def _listen(self) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe(CHANNEL)
            self.connected = True
            while not self._stopping.is_set():
                # The wait ends each second so that the health check gets its turn.
                message = subscription.get_message(timeout=1.0)
                if message is not None:
                    self._wake(message["data"].decode().split())

    def _wake(self, run_ids: list[str]) -> None:
        with self._lock:
            for run_id in run_ids:
                for event in self._waiting.get(run_id, ()):
                    event.set()
