"""Real servers for every test: an embedded PostgreSQL and Valkey per test process, a database of
its own per test (a copy of a migrated template), and a scripted model server."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import psycopg
import pytest
import redis
from flask import Flask
from openai import OpenAI

from api.app import create_app
from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared import events, queue, rates
from shared.db import Database, Session
from shared.embeddings import Embeddings
from shared.ids import random_text
from shared.schema import migrate
from shared.settings import Settings
from shared.store import callers
from tests.model_server import ModelServer
from tests.published.plugin import Published
from tests.published.recording import recorded
from tests.s3_server import S3Server
from worker.bell import Bell
from worker.execution import Execution
from worker.ingestion import Ingestions
from worker.lease import Lease
from worker.model import Model
from worker.places import Places


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Published(config))


@dataclass(frozen=True)
class Caller:
    project_id: str
    secret: str


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(_home(tmp_path_factory) / "postgres", fast=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE template")
        migrate(with_database(server.url, "template"))
        yield server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(_home(tmp_path_factory) / "valkey") as server:
        yield server


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    with a_database(postgres) as url:
        yield url


@contextmanager
def a_database(postgres: Postgres) -> Iterator[str]:
    name = f"test_{random_text(16)}".lower()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template".encode())
    yield with_database(postgres.url, name)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def redis_url(valkey: Valkey) -> Iterator[str]:
    with an_empty_redis(valkey) as url:
        yield url


@contextmanager
def an_empty_redis(valkey: Valkey) -> Iterator[str]:
    """Empty for whoever comes next."""
    yield valkey.url
    with redis.Redis.from_url(valkey.url) as connection:
        connection.flushall()


@pytest.fixture(scope="session")
def session_model_server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def model_server(session_model_server: ModelServer) -> ModelServer:
    session_model_server.reset()
    return session_model_server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(_home(tmp_path_factory) / "s3") as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty one, as TREADLE_BLOBS names it. Every process of the test can reach it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{random_text(16)}".lower()
    s3_server.client().create_bucket(Bucket=name)
    return f"s3://{name}/some/files"


@pytest.fixture
def blob_place(request: pytest.FixtureRequest) -> str:
    """TREADLE_BLOBS: the default, a directory, but where a test asks for a bucket, as those do that
    are marked with `tests.places.in_both`."""
    asked = getattr(request, "param", "directory")
    return request.getfixturevalue("bucket") if asked == "bucket" else ""


@pytest.fixture
def settings(
    database_url: str, redis_url: str, model_server: ModelServer, tmp_path: Path, blob_place: str
) -> Settings:
    return replace(settings_for(database_url, redis_url, model_server, tmp_path), blobs=blob_place)


def settings_for(
    database_url: str, redis_url: str, model_server: ModelServer, home: Path
) -> Settings:
    return Settings(
        home=home,
        database_url=database_url,
        redis_url=redis_url,
        model_base_url=model_server.base_url,
        concurrency=8,
        database_pool=4,
        unsafe_database=True,  # the `postgres` above is fast
        log_level="WARNING",
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    queue.configure(settings)
    events.configure(settings)
    rates.configure(settings)
    with Database(settings.database_url, settings.database_pool) as database:
        yield database


@pytest.fixture
def caller(database: Database) -> Caller:
    return a_caller(database, "tests")


def a_caller(database: Database, name: str) -> Caller:
    with database.transaction() as tx:
        key, secret = callers.create(tx, name)
    return Caller(key.project_id, secret)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with an_app(settings) as app:
        yield app


@contextmanager
def an_app(settings: Settings, **changes: Any) -> Iterator[Flask]:
    """Once it hears events, so that no test depends on how soon. What it answers is recorded."""
    app = recorded(create_app(replace(settings, **changes)))
    until = time.monotonic() + 5
    while not app.extensions["treadle"].listener.connected and time.monotonic() < until:
        threading.Event().wait(0.005)
    yield app
    app.extensions["treadle"].close()


@pytest.fixture
def http(app: Flask, caller: Caller) -> Iterator[httpx2.Client]:
    """Plain HTTP in the caller's name, against the application in this process."""
    with http_as(app, caller.secret) as client:
        yield client


def http_as(app: Flask, secret: str) -> httpx2.Client:
    return httpx2.Client(
        transport=httpx2.WSGITransport(app=app, raise_app_exceptions=False),
        base_url="http://treadle/v1/",
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
    )


@pytest.fixture
def client(app: Flask, caller: Caller) -> Iterator[OpenAI]:
    """The official client, which refuses answers that do not fit its types."""
    with client_as(app, caller.secret) as client:
        yield client


def client_as(app: Flask, secret: str) -> OpenAI:
    return OpenAI(
        base_url="http://treadle/v1",
        api_key=secret,
        max_retries=0,
        _strict_response_validation=True,
        http_client=httpx2.Client(transport=httpx2.WSGITransport(app=app)),
    )


@pytest.fixture
def lease(settings: Settings, database: Database) -> Iterator[Lease]:
    """A worker's lease in this process, without its heartbeat."""
    session = Session(settings.database_url)
    yield Lease(session)
    session.close()


@pytest.fixture
def worker(settings: Settings, database: Database, lease: Lease) -> Iterator[Bell]:
    """A worker without Celery: `worker.answer()` works off all runs that wait."""
    with a_worker(settings, database, lease) as worker:
        yield worker


@contextmanager
def a_worker(settings: Settings, database: Database, lease: Lease) -> Iterator[Bell]:
    with closing(Model(settings)) as model:
        execution = Execution(settings, database, lease, model)
        with closing(ABell(settings, database, lease, execution)) as bell:
            yield bell


@pytest.fixture
def ingestions(settings: Settings, database: Database, lease: Lease) -> Iterator[Ingestions]:
    """A worker's, without its threads: `ingestions.work_one()` reads the next file that waits."""
    with an_ingester(settings, database, lease) as ingestions:
        yield ingestions


@contextmanager
def an_ingester(
    settings: Settings, database: Database, lease: Lease, **changes: Any
) -> Iterator[Ingestions]:
    changed = replace(settings, **changes)
    with closing(Embeddings(changed)) as embeddings:
        yield Ingestions(changed, database, lease, embeddings)


class ABell(Bell):
    """Runs are worked on one by one, in the thread that answers."""

    def __init__(
        self, settings: Settings, database: Database, lease: Lease, execution: Execution
    ) -> None:
        super().__init__(
            settings,
            database,
            lease,
            execution,
            Places(settings),
            lambda work, run: work(run),
            most_at_once=1,
        )


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


def with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    query = urlencode({key: values[0] for key, values in parse_qs(parts.query).items()})
    return urlunsplit(parts._replace(path=f"/{name}", query=query))
