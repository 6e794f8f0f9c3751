"""`python -m worker`: becomes Celery's own command, which owns signals and the pool."""

import os
import sys

from shared import log, servers
from shared.errors import SettingsError
from shared.settings import Settings

try:
    settings = Settings.from_env().require("database_url", "redis_url", "model_base_url")
    log.configure(settings.log_level)
    servers.require(settings, servers.connections_of_worker(settings), servers.log_warning)
except SettingsError as error:
    sys.stderr.write(f"treadle worker: {error}\n")
    sys.exit(2)

os.execv(
    sys.executable,
    [
        sys.executable,
        # Celery warns root of pickle, which is not accepted here.
        *("-W", "ignore:You're running the worker with superuser"),
        *("-m", "celery", "--quiet", "--app", "worker.app", "worker"),
        # One thread hears the bells; what they make it do has threads of its own.
        *("--pool", "threads", "--concurrency", "1"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ],
)
