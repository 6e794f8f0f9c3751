"""/metrics, on an address of its own: TREADLE_METRICS_HOST and TREADLE_METRICS_PORT.

Whoever reads it has no key, and it tells how much all projects together do; so it stands beside
the API and not on it, where every client comes, and on this machine alone unless it is asked for
elsewhere. Any process of the API can answer: what they counted is added up (`api.counts`).

What PostgreSQL and Redis say of all processes is read here only, not by every worker: when somebody
asks, on a connection of its own so that a crowded pool can be seen too, and not again for a while.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shared import metrics, queue
from shared.db import Database, Session
from shared.errors import Unavailable
from shared.settings import Settings
from shared.store import figures

log = logging.getLogger(__name__)

Application = Callable[..., Iterable[bytes]]

# What was read is told for so long, or for so many times as long as reading it took.
_KEPT_SECONDS = 5.0
_KEPT_TIMES = 20
_MOST_KEPT_SECONDS = 30.0
_PATIENCE_SECONDS = 3.0
_ANSWER_SECONDS = 4.0
_POOL_SECONDS = 1.0


def beside(serves: Application, settings: Settings, database: Database) -> Application:
    """`serves`, and on the other port what is to be watched. In a process of gunicorn's."""
    registry = CollectorRegistry()
    registry.register(_Processes(None))
    registry.register(Standing(settings))
    threading.Thread(target=_watch_pool, args=(database,), name="pool", daemon=True).start()
    port = str(settings.metrics_port)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # The port of the socket that was connected to, whatever the request says.
        if environ["SERVER_PORT"] != port:
            return serves(environ, start_response)
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        return metrics.tell(registry, start_response)

    return answer


class _Processes(MultiProcessCollector):
    def collect(self) -> Iterable[Metric]:
        try:
            return super().collect()
        except FileNotFoundError:
            # A process took over another's files just now.
            return super().collect()


class Standing(Collector):
    """What holds for all processes, whoever tells it."""

    def __init__(self, settings: Settings) -> None:
        self._session = Session(settings.database_url, answer_seconds=_ANSWER_SECONDS)
        self._kept = Kept(self._of_postgresql), Kept(_of_redis)

    def collect(self) -> Iterable[Metric]:
        return [metric for kept in self._kept for metric in kept.told()]

    def close(self) -> None:
        self._session.close()

    def describe(self) -> Iterable[Metric]:
        return [_up(True), *_waiting([]), *_figured(figures.Figures(0, 0, 0.0)), _bells(0)]

    def _of_postgresql(self) -> Iterator[Metric]:
        try:
            with self._session.autocommit() as tx:
                waiting, figured = figures.waiting(tx), figures.read(tx)
        except Unavailable:
            yield _up(False)
            return
        yield _up(True)
        yield from _waiting(waiting)
        yield from _figured(figured)


class Kept:
    """What was read last, told again for a while. Reading has a thread of its own: whoever asks
    waits a little for it, and is told what was read before where it takes longer."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read
        self._changed = threading.Condition()
        self._reading = False
        self._told: list[Metric] = []
        self._until = 0.0

    def told(self) -> list[Metric]:
        with self._changed:
            if not self._reading and time.monotonic() >= self._until:
                self._reading = True
                threading.Thread(target=self._read_anew, name="watch", daemon=True).start()
            self._changed.wait_for(lambda: not self._reading, timeout=_PATIENCE_SECONDS)
            return self._told

    def _read_anew(self) -> None:
        began = time.monotonic()
        try:
            told = list(self._read())
        except Exception:
            log.exception("not read for metrics")
            told = []
        took = time.monotonic() - began
        with self._changed:
            self._told, self._reading = told, False
            kept = min(max(_KEPT_SECONDS, _KEPT_TIMES * took), _MOST_KEPT_SECONDS)
            self._until = time.monotonic() + kept
            self._changed.notify_all()


def _of_redis() -> Iterator[Metric]:
    bells = queue.waiting()
    if bells is not None:
        yield _bells(bells)


def _up(up: bool) -> Metric:
    about = "1 while PostgreSQL answers; 0, and all that it would tell is missing, while not."
    return GaugeMetricFamily("treadle_postgresql_up", about, value=int(up))


def _waiting(waiting: list[figures.Waiting]) -> Iterator[Metric]:
    runs = GaugeMetricFamily(
        "treadle_queue_runs", "Runs that wait for a worker now.", labels=("lane",)
    )
    oldest = GaugeMetricFamily(
        "treadle_queue_oldest_seconds",
        "How long the run has waited for a worker that waits longest; 0 if none does.",
        labels=("lane",),
    )
    for one in waiting:
        runs.add_metric([one.lane], one.runs)
        oldest.add_metric([one.lane], one.oldest_seconds)
    yield runs
    yield oldest


def _figured(figured: figures.Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "treadle_workers", "Workers whose heartbeat was heard lately.", value=figured.workers
    )
    yield GaugeMetricFamily(
        "treadle_paused_models",
        "Models that their server wants to be left alone now.",
        value=figured.paused_models,
    )
    if figured.sweep_seconds is not None:
        yield GaugeMetricFamily(
            "treadle_sweep_age_seconds", "Since the last sweep began.", value=figured.sweep_seconds
        )


def _bells(bells: int) -> Metric:
    about = "Bells that no worker has taken yet; missing while Redis does not say."
    return GaugeMetricFamily("treadle_bells", about, value=bells)


def _watch_pool(database: Database) -> None:
    """Looked at now and then, since whoever is asked knows only its own."""
    while True:
        load = database.load()
        metrics.CONNECTIONS_IN_USE.set(load.in_use)
        metrics.CONNECTIONS_MOST.set(load.most)
        metrics.CONNECTIONS_WAITING.set(load.waiting)
        time.sleep(_POOL_SECONDS)
