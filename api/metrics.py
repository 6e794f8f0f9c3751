"""What an API counts: requests, and who waits in it."""

from functools import cache

from prometheus_client import Gauge, Histogram

from shared.metrics import OTHER, REGISTRY

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

REQUEST_SECONDS = Histogram(
    "treadle_http_request_seconds",
    "Requests that were answered, by route template, method and class of status. Of a held poll"
    " without the time that it was held, of a stream until it began.",
    ("route", "method", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=REGISTRY,
)
HELD_POLLS = Gauge(
    "treadle_held_polls",
    "Polls that are held open now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
OPEN_STREAMS = Gauge(
    "treadle_open_streams",
    "Streams that are open now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)


def answered(route: str | None, method: str, status: int, seconds: float) -> None:
    """`route` is the template that was met, None where none was: a path is what a caller says."""
    known = method if method in METHODS else OTHER
    _of(route or "none", known, status // 100).observe(seconds)


@cache
def _of(route: str, method: str, hundreds: int) -> Histogram:
    """Every poll comes here: found in less than `labels` takes."""
    return REQUEST_SECONDS.labels(route, method, f"{hundreds}xx")
