"""Rates: how much of something a minute takes, counted in Redis over all processes that count it.

The last sixty seconds are weighed from two counters, the window that runs and the one before it, so
a name costs two small keys however large its limit is. What is refused is not counted.

Redis may be away or frozen. Then every process counts for itself, from nothing: n processes let
through at most n times the limit, never everything and never nothing. Who finds Redis away waits
for it a moment; for some seconds nobody asks it after that, and then one does.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.settings import Settings

log = logging.getLogger(__name__)

_WINDOW_SECONDS = 60
# The longest that Redis may take to connect, or to answer one command.
_PATIENCE_SECONDS = 0.5
# How long a Redis that failed is left alone.
_REST_SECONDS = 5.0
_MOST_CONNECTIONS = 16
_SHORTEST_WAIT = 0.001
_NO_LIMIT = 2**53

T = TypeVar("T")
Storage = RedisStorage | MemoryStorage
# The count of the window before and the seconds it still weighs, then those of the one that runs;
# the latter are counted to where it no longer weighs, so they begin at twice the window.
Windows = tuple[int, float, int, float]


@dataclass(frozen=True)
class Standing:
    """`wait_seconds`: 0 if it was taken, else when the same may be taken. `reset_seconds`: when
    `remaining` is the whole limit again."""

    wait_seconds: float
    remaining: int
    reset_seconds: float


def configure(settings: Settings) -> None:
    """Once per process, before the first `take`. Connects to nothing yet."""
    global _counters
    _counters = _Counters(settings.redis_url)


def take(name: str, cost: int, per_minute: int) -> float:
    """Seconds to wait before asking again, or 0: `cost` was taken from what `name` may use.

    `name` says what is counted, for all processes alike, such as `model:gpt-4o:tokens`. A cost
    above the limit counts as the limit, or it could never be taken. A `per_minute` of 0 is no limit
    and asks nobody. Waits about a second at most whatever Redis does, and does not raise.
    """
    if not per_minute:
        return 0.0
    return _counters.use(_Taking(name, min(cost, per_minute), per_minute).wait_seconds)


def charge(name: str, cost: int, per_minute: int) -> None:
    """Counts what was used already, also beyond the limit; else as `take`."""
    if cost > 0 and per_minute:
        _counters.use(_Taking(name, cost, per_minute).charge)


def take_and_tell(name: str, cost: int, per_minute: int) -> Standing:
    """As `take`, for a limit that there is, and what is left of it: one question more to Redis."""
    return _counters.use(_Taking(name, min(cost, per_minute), per_minute).standing)


def weighed(windows: Windows) -> int:
    before, before_seconds, now, _ = windows
    return int(before * before_seconds / _WINDOW_SECONDS) + now


def seconds_until_free(windows: Windows, cost: int, limit: int) -> float:
    """Until the weighed count leaves room for `cost`, if nothing else is taken meanwhile. Both
    windows move on together: when the one before has no weight, the one that runs becomes it."""
    before, before_seconds, now, now_seconds = windows
    room = limit - cost
    if now > room:
        return max(0.0, now_seconds - _WINDOW_SECONDS * (room + 1) / now)
    if before:
        return max(0.0, before_seconds - _WINDOW_SECONDS * (room - now + 1) / before)
    return 0.0


@dataclass(frozen=True)
class _Taking:
    name: str
    cost: int
    limit: int

    def wait_seconds(self, storage: Storage) -> float:
        return 0.0 if self._took(storage) else self._until_free(self._windows(storage))

    def standing(self, storage: Storage) -> Standing:
        took = self._took(storage)
        windows = self._windows(storage)
        return Standing(
            0.0 if took else self._until_free(windows),
            max(0, self.limit - weighed(windows)),
            seconds_until_free(windows, self.limit, self.limit),
        )

    def charge(self, storage: Storage) -> None:
        key = self._item().key_for(self.name)
        storage.acquire_sliding_window_entry(key, _NO_LIMIT, _WINDOW_SECONDS, self.cost)

    def _took(self, storage: Storage) -> bool:
        limiter = SlidingWindowCounterRateLimiter(storage)
        return limiter.hit(self._item(), self.name, cost=self.cost)

    def _windows(self, storage: Storage) -> Windows:
        return storage.get_sliding_window(self._item().key_for(self.name), _WINDOW_SECONDS)

    def _until_free(self, windows: Windows) -> float:
        """Never 0, also where a window has ended since."""
        return _SHORTEST_WAIT + seconds_until_free(windows, self.cost, self.limit)

    def _item(self) -> RateLimitItemPerMinute:
        return RateLimitItemPerMinute(self.limit, namespace="minute")


class _Counters:
    """Redis, or this process's memory while Redis is away."""

    def __init__(self, redis_url: str) -> None:
        pool: Any = redis.BlockingConnectionPool
        self._redis = RedisStorage(
            redis_url,
            key_prefix="treadle:rate",
            connection_pool=pool.from_url(
                redis_url,
                max_connections=_MOST_CONNECTIONS,
                timeout=_PATIENCE_SECONDS,
                socket_timeout=_PATIENCE_SECONDS,
                socket_connect_timeout=_PATIENCE_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ),
        )
        self._memory: MemoryStorage | None = None
        self._lock = threading.Lock()
        # By the monotonic clock; 0 while Redis is not known to be away.
        self._asked_again_at = 0.0

    def use(self, count: Callable[[Storage], T]) -> T:
        if self._may_ask_redis():
            try:
                counted = count(self._redis)
            except redis.RedisError as error:
                self._leave_alone(error)
            else:
                self._asked_again_at = 0.0
                return counted
        return count(self._in_memory())

    def _may_ask_redis(self) -> bool:
        """While it is away, one asks when its rest is over, and the others go on without."""
        with self._lock:
            now = time.monotonic()
            if self._asked_again_at > now:
                return False
            if self._asked_again_at:
                self._asked_again_at = now + _REST_SECONDS
            return True

    def _leave_alone(self, error: Exception) -> None:
        with self._lock:
            known = self._asked_again_at
            self._asked_again_at = time.monotonic() + _REST_SECONDS
        if not known:
            log.warning("rates counted without redis", extra={"error": repr(error)})

    def _in_memory(self) -> MemoryStorage:
        """Not before it is needed: it keeps a thread."""
        with self._lock:
            self._memory = self._memory or MemoryStorage()
            return self._memory


_counters: _Counters
