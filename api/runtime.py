"""What a request needs of its process: settings, the database, the listener for stopped runs,
the models that can be asked for, and the one that makes vectors."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from flask import Flask

from api import current
from api.served_models import ServedModels
from api.waiting import Waiting
from shared.blobs import Blobs
from shared.db import Database, Transaction
from shared.embeddings import Embeddings
from shared.events import Listener
from shared.settings import Settings

_KEY = "treadle"


@dataclass(frozen=True)
class Runtime:
    settings: Settings
    database: Database
    blobs: Blobs
    listener: Listener
    served_models: ServedModels
    embeddings: Embeddings
    # Whether this process was told to end: its requests should come to theirs.
    is_draining: Callable[[], bool]
    waiting: Waiting = field(default_factory=Waiting)

    def close(self) -> None:
        """Ends what `create_app` opened."""
        self.listener.stop()
        self.database.close()
        self.embeddings.close()


def attach(app: Flask, runtime: Runtime) -> None:
    app.extensions[_KEY] = runtime


def runtime() -> Runtime:
    return current.app().extensions[_KEY]


def transaction() -> AbstractContextManager[Transaction]:
    return runtime().database.transaction()


def single() -> AbstractContextManager[Transaction]:
    """For a request of one statement: no BEGIN, no COMMIT."""
    return runtime().database.autocommit()
