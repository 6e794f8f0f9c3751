"""gunicorn's settings: read by `gunicorn -c python:api.server "api.app:create_app()"`."""

from typing import Any

from gunicorn.glogging import Logger

from api.counts import Counts
from api.crowd import Crowd
from shared import garbage, log
from shared.settings import Settings

_settings = Settings.from_env()
log.configure_process(_settings.log_level)


class _Log(Logger):
    """gunicorn's own words, through our handler."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


bind = [f"{_settings.host}:{_settings.port}"]
_counts = Counts() if _settings.metrics_port else None
if _counts:
    bind.append(f"{_settings.metrics_host}:{_settings.metrics_port}")
    raw_env = _counts.environment()
workers = _settings.api_processes
# On a reload the new ones are there before the old ones have ended.
_crowd = Crowd(2 * workers)
worker_class = "api.connections.Worker"
# Held polls and streams are connections that wait.
worker_connections = 10_000
keepalive = _settings.idle_seconds
graceful_timeout = 5
# Time without a turn of the event loop, not of a request.
timeout = 30
loglevel = "warning"
logger_class = _Log
# It would leave a directory in the account's home.
control_socket_disable = True


def pre_fork(_: Any, worker: Any) -> None:
    worker.left_by = _counts.next_left() if _counts else None
    worker.place = _crowd.enter()


def post_fork(_: Any, worker: Any) -> None:
    if _counts and worker.left_by:
        _counts.take_over(worker.left_by, worker.pid)


def child_exit(_: Any, worker: Any) -> None:
    worker.place.leave()
    if _counts:
        _counts.leave(worker.pid)


def on_exit(_: Any) -> None:
    if _counts:
        _counts.remove()


# The hooks reach the application through the worker: imported here, it would be loaded before
# gevent has patched anything.


def post_worker_init(worker: Any) -> None:
    """On SIGTERM a worker is not `alive` while its requests end."""
    worker.wsgi.config["IS_DRAINING"] = lambda: not worker.alive
    for work in worker.wsgi.extensions["treadle-background"]:
        work.start()
    garbage.settle()


def worker_exit(_: Any, worker: Any) -> None:
    if worker.booted:
        for work in worker.wsgi.extensions["treadle-background"]:
            work.stop()
        worker.wsgi.extensions["treadle"].close()
