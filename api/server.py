"""gunicorn's settings: read by `gunicorn -c python:api.server "api.app:create_app()"`."""

from typing import Any

from gunicorn.glogging import Logger

from shared import log
from shared.settings import Settings

_settings = Settings.from_env()
log.configure_process(_settings.log_level)


class _Log(Logger):
    """gunicorn's own words, through our handler."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


bind = f"{_settings.host}:{_settings.port}"
workers = _settings.api_processes
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


# The hooks reach the application through the worker: imported here, it would be loaded before
# gevent has patched anything.


def post_worker_init(worker: Any) -> None:
    """On SIGTERM a worker is not `alive` while its requests end."""
    worker.wsgi.config["IS_DRAINING"] = lambda: not worker.alive


def worker_exit(_: Any, worker: Any) -> None:
    if worker.booted:
        worker.wsgi.extensions["treadle"].close()
