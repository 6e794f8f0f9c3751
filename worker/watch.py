"""/metrics and /healthz of a worker, on TREADLE_METRICS_HOST and TREADLE_METRICS_PORT: it has no
other address, and nobody who uses the API has a reason to reach this one.

/healthz says that the threads go round which tell others that this worker lives, and which look
for what was lost. It does not ask PostgreSQL or Redis: a worker that cannot reach them keeps what
the model answered, and would lose it if it were restarted.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from shared import metrics
from shared.db import Database
from shared.errors import SettingsError
from shared.settings import Settings
from worker.lease import Lease
from worker.metrics import CONCURRENCY, CROWD, RUNS_AT_WORK, RUNS_HELD
from worker.places import Places
from worker.sweep import Sweep

# More than a round can take where PostgreSQL crawls and every statement meets its limit.
STUCK_SECONDS = 180.0
_IDLE_SECONDS = 10


def start(
    settings: Settings, database: Database, lease: Lease, sweep: Sweep, places: Places
) -> None:
    """Raises SettingsError where the address cannot be had."""
    CONCURRENCY.set(settings.concurrency)
    RUNS_HELD.set_function(lambda: lease.number_held)
    CROWD.set(places.crowd)
    RUNS_AT_WORK.set_function(lambda: places.at_work)
    metrics.CONNECTIONS_MOST.set(settings.database_pool)
    metrics.CONNECTIONS_IN_USE.set_function(lambda: database.load().in_use)
    metrics.CONNECTIONS_WAITING.set_function(lambda: database.load().waiting)
    if settings.metrics_port:
        server = _listen(settings)
        server.set_app(application(lambda: [lease.turned_at, sweep.turned_at]))
        threading.Thread(target=server.serve_forever, name="watch", daemon=True).start()


def application(turned_at: Callable[[], Iterable[float]]) -> Any:
    """`turned_at`: when each thread last began a round, by time.monotonic()."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return metrics.tell(metrics.REGISTRY, start_response)
        if environ["PATH_INFO"] != "/healthz":
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        stuck = min(turned_at()) < time.monotonic() - STUCK_SECONDS
        status = "503 Service Unavailable" if stuck else "200 OK"
        start_response(status, [("Content-Type", "application/json")])
        return [b'{"status": "stuck"}' if stuck else b'{"status": "ok"}']

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerIPv6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    timeout = _IDLE_SECONDS

    def log_message(self, *_: object, **__: object) -> None:
        """Nothing: the log has a worker's own words only."""


def _listen(settings: Settings) -> _Server:
    kind = _ServerIPv6 if ":" in settings.metrics_host else _Server
    try:
        return kind((settings.metrics_host, settings.metrics_port), _Quiet)
    except OSError as error:
        raise SettingsError(
            f"TREADLE_METRICS_PORT {settings.metrics_port} on {settings.metrics_host} cannot be had"
            f" ({error.strerror}): every process on a machine needs one of its own."
        ) from None
