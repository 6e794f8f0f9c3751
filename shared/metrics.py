"""What is counted of runs, of calls of the model and of PostgreSQL's connections, in whichever
process it happens. What only an API or only a worker knows is in `api.metrics` and
`worker.metrics`; all of it is described in docs/metrics.md.

A label has few values, known beforehand: no project, no key, no name that a caller chose.
"""

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from shared.errors import ModelError
from shared.run_state import TERMINAL, RunStatus
from shared.settings import Settings

REGISTRY = CollectorRegistry()

OTHER = "other"
# Of a run's `last_error`; none for one that did not fail.
CODES = ("none", "server_error", "rate_limit_exceeded", "invalid_prompt")
_WAITS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

RUNS_ENDED = Counter(
    "treadle_runs_ended",
    "Runs that ended, by their status and by what a failed one failed of.",
    ("status", "code"),
    registry=REGISTRY,
)
QUEUE_SECONDS = Histogram(
    "treadle_run_queue_seconds",
    "Of a run that ended, from its creation until a worker first took it.",
    ("lane",),
    buckets=_WAITS,
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "treadle_run_seconds",
    "Of a run that ended, from its creation to its end.",
    ("lane",),
    buckets=_WAITS,
    registry=REGISTRY,
)
MODEL_SECONDS = Histogram(
    "treadle_model_seconds",
    "One call of the model, however it ended.",
    ("model",),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600),
    registry=REGISTRY,
)
TOKENS = Counter(
    "treadle_model_tokens",
    "Tokens that the model server counted: prompt or completion.",
    ("model", "kind"),
    registry=REGISTRY,
)
MODEL_ERRORS = Counter(
    "treadle_model_errors",
    "Calls of the model that failed, by what went wrong.",
    ("kind",),
    registry=REGISTRY,
)
HELD_BACK = Counter(
    "treadle_model_held_back",
    "Calls of the model that had to wait for the minute's limit, by what was used up.",
    ("model", "kind"),
    registry=REGISTRY,
)
CONNECTIONS_IN_USE = Gauge(
    "treadle_database_connections_in_use",
    "Connections to PostgreSQL of the pool that somebody uses now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
CONNECTIONS_MOST = Gauge(
    "treadle_database_connections_most",
    "Connections to PostgreSQL that the pool may have.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
CONNECTIONS_WAITING = Gauge(
    "treadle_database_waiting",
    "Requests or runs that wait for a connection of the pool now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)

# So that a rate has something to begin from.
for _status in sorted(TERMINAL):
    for _code in CODES[1:] if _status is RunStatus.FAILED else CODES[:1]:
        RUNS_ENDED.labels(_status.value, _code)
for _kind in ModelError.KINDS:
    MODEL_ERRORS.labels(_kind)


def run_ended(
    status: RunStatus,
    code: str | None,
    lane: str,
    waited_ms: int | None,
    total_ms: int | None,
) -> None:
    """`waited_ms` is None for a run that no worker ever took."""
    known = code if code in CODES else OTHER
    RUNS_ENDED.labels(status.value, known if code else "none").inc()
    if waited_ms is not None:
        QUEUE_SECONDS.labels(lane).observe(waited_ms / 1000)
    if total_ms is not None:
        RUN_SECONDS.labels(lane).observe(total_ms / 1000)


def model_label(settings: Settings, served: str) -> str:
    """Models are named by the settings; any other name is a caller's."""
    known = served == settings.embedding_model or served in settings.models.values()
    return served if known else OTHER


@contextmanager
def model_call(model: str) -> Generator[None]:
    began = time.monotonic()
    try:
        yield
    except ModelError as error:
        MODEL_ERRORS.labels(error.kind).inc()
        raise
    finally:
        MODEL_SECONDS.labels(model).observe(time.monotonic() - began)


def model_answered(model: str, usage: Mapping[str, int]) -> None:
    for kind in ("prompt", "completion"):
        TOKENS.labels(model, kind).inc(usage[f"{kind}_tokens"])


def tell(registry: CollectorRegistry, start_response: Any) -> Iterable[bytes]:
    """The answer to GET /metrics, for WSGI."""
    told = generate_latest(registry)
    headers = [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(told)))]
    start_response("200 OK", headers)
    return [told]
