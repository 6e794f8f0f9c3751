"""A whole Treadle of its own, with a proxy in front of each server, so that any part can be hurt."""

import os
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString, Self

import httpx2
import psycopg
import redis

from cli.embedded.postgres import SOCKET, Postgres
from cli.embedded.valkey import Valkey
from shared.db import Database
from shared.schema import migrate
from shared.settings import Settings
from shared.store import callers
from tests.acceptance.conftest import Stack, children, wait_until
from tests.faults.model import MoodyModel
from tests.faults.proxy import Proxy

WORKERS = 2
# On a machine that has other work, a start takes its time.
START_SECONDS = 120
UNFINISHED = "status NOT IN ('completed', 'incomplete', 'failed', 'cancelled', 'expired')"


class Stage:
    """Two workers and an API of two processes. What is read here is read by HTTP and SQL only."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self._exits = ExitStack()
        self.postgres = Postgres(directory / "postgres")
        self.valkey = Valkey(directory / "valkey")
        self.model = MoodyModel()
        self.to_postgres = Proxy(str(self.postgres.sockets / SOCKET))
        self.to_redis = Proxy(str(self.valkey.socket))
        self.to_model = Proxy(int(self.model.base_url.rpartition(":")[2].partition("/")[0]))
        self.to_api = Proxy(0)
        self.settings = replace(
            settings,
            database_url=f"postgresql://treadle@127.0.0.1:{self.to_postgres.port}/treadle",
            redis_url=f"redis://127.0.0.1:{self.to_redis.port}/0",
            model_base_url=f"http://127.0.0.1:{self.to_model.port}/v1",
            concurrency=24,
            database_pool=4,
            api_processes=2,
        )
        self.stack = Stack(self.settings, "", directory)
        self.secrets: list[str] = []  # of two projects
        self.workers: list[subprocess.Popen[bytes]] = []
        self.api: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.to_api.port}/v1"

    def __enter__(self) -> Self:
        for part in (
            *(self.postgres, self.valkey, self.model),
            *(self.to_postgres, self.to_redis, self.to_model, self.to_api),
        ):
            self._exits.enter_context(part)
        self._exits.callback(self.stack.stop)
        self.sql("CREATE ROLE treadle LOGIN")
        self.sql("ALTER DATABASE treadle OWNER TO treadle")
        self.sql("CREATE EXTENSION vector")
        migrate(self.settings.database_url)
        with Database(self.settings.database_url, 2) as database, database.transaction() as tx:
            self.secrets = [callers.create(tx, name)[1] for name in ("one", "another")]
        self.start_api()
        self.mend_workers()
        wait_until(lambda: self.living_workers() == WORKERS, START_SECONDS, "the workers")
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def start_api(self) -> None:
        url = self.stack.start_api(START_SECONDS)
        self.api = self.stack.running[-1]
        self.to_api.target = int(url.rpartition(":")[2].partition("/")[0])

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        self.workers.append(self.stack.start_worker(**environment))
        return self.workers[-1]

    def mend_workers(self) -> None:
        """Starts as many as are missing."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < WORKERS:
            self.start_worker()

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)

    def api_children(self) -> list[int]:
        """The processes that serve, below the one that listens."""
        assert self.api is not None
        return children(self.api.pid)

    def is_ready(self) -> bool:
        try:
            answer = httpx2.get(self.base_url.replace("/v1", "/readyz"), timeout=2)
        except httpx2.TransportError:
            return False
        return answer.status_code == 200

    def redis(self) -> redis.Redis:
        """Straight to the server, past the proxy."""
        return redis.Redis.from_url(self.valkey.url, socket_timeout=5)

    def connection(self) -> psycopg.Connection[Any]:
        """Straight to the server, as its superuser."""
        return psycopg.connect(self.postgres.url, autocommit=True)

    def sql(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def living_workers(self) -> int:
        return self.sql(
            "SELECT count(*) FROM workers WHERE lost_at IS NULL AND seen_at > now() - interval '3 s'"
        )[0][0]

    def unfinished(self) -> set[str]:
        """The runs that still need something from Treadle."""
        rows = self.sql(
            f"SELECT id FROM runs WHERE {UNFINISHED} AND status <> 'requires_action'"  # noqa: S608
        )
        return {row[0] for row in rows}

    def held_by(self, worker: subprocess.Popen[bytes]) -> set[str]:
        rows = self.sql(
            "SELECT runs.id FROM runs JOIN workers ON workers.id = worker_id"
            " WHERE pid = %s AND status = 'in_progress'",
            worker.pid,
        )
        return {row[0] for row in rows}


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
