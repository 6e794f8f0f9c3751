"""A whole Treadle to be measured: PostgreSQL that keeps what it confirms, Valkey, the cheap model,
an API and workers, all as their own processes."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared.db import Database
from shared.schema import migrate
from shared.settings import Settings
from shared.store import callers
from tests.acceptance.conftest import ROOT, Stack, wait_until


@dataclass
class Stage:
    settings: Settings
    stack: Stack
    postgres: Postgres
    valkey: Valkey
    model: subprocess.Popen[str]
    model_port: int
    secrets: list[str]  # of two projects
    ports: list[int] = field(default_factory=list)
    apis: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def groups(self) -> dict[str, list[int]]:
        """The processes of the servers, by part."""
        return {
            "api": [process.pid for process in self.apis],
            "worker": [process.pid for process in self.workers],
            "postgresql": [self.postgres.process.pid],
            "redis": [self.valkey.process.pid],
            "model": [self.model.pid],
        }

    def start_worker(self, **environment: str) -> None:
        self.workers.append(self.stack.start_worker(**environment))
        wait_until(lambda: self.living_workers() == len(self.workers), 60, "the worker")

    def end_workers(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Runs that wait go on waiting."""
        for process in self.workers:
            process.send_signal(how)
        while self.workers:
            self.workers.pop().wait(30)

    def replace_worker(self) -> None:
        """The last one is killed, and a new one started, which is not waited for."""
        victim = self.workers.pop()
        victim.kill()
        victim.wait()
        self.workers.append(self.stack.start_worker())

    def model_calls(self) -> int:
        """How often the model was called so far."""
        return httpx2.get(f"http://127.0.0.1:{self.model_port}/calls").json()["calls"]

    def written(self) -> dict[str, float]:
        """What PostgreSQL has written so far. A transaction has a number only if it writes, and then
        its commit waits for the disk."""
        with Database(self.settings.database_url, 2) as database, database.autocommit() as tx:
            count = {
                "WAL bytes": "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn",
                "commits": "SELECT pg_snapshot_xmax(pg_current_snapshot())::text",
            }
            return {name: float(tx.value(query)) for name, query in count.items()}

    def stored(self) -> dict[str, int]:
        """What PostgreSQL holds."""
        with Database(self.settings.database_url, 2) as database, database.autocommit() as tx:
            count = {
                "runs": "SELECT count(*) FROM runs",
                "completed": "SELECT count(*) FROM runs WHERE status = 'completed'",
                "answers": "SELECT count(*) FROM messages WHERE role = 'assistant'",
                "answered twice": "SELECT count(*) FROM (SELECT FROM messages WHERE role ="
                " 'assistant' GROUP BY run_id HAVING count(*) > 1) AS doubled",
                "taken over": "SELECT count(*) FROM runs WHERE lapses > 0",
            }
            return {name: int(tx.value(query)) for name, query in count.items()}

    def living_workers(self) -> int:
        with Database(self.settings.database_url, 2) as database, database.autocommit() as tx:
            return int(
                tx.value(
                    "SELECT count(*) FROM workers"
                    " WHERE lost_at IS NULL AND seen_at > now() - interval '3 s'"
                )
            )


@contextmanager
def stage(workers: int = 1, **settings: Any) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="treadle-bench-") as home:
        place = Path(home)
        with (
            Postgres(place / "postgres") as postgres,
            Valkey(place / "valkey") as valkey,
            _model() as (model, model_port),
        ):
            migrate(postgres.url)
            with Database(postgres.url, 2) as database, database.transaction() as tx:
                secrets = [callers.create(tx, name)[1] for name in ("one", "two")]
            given = Settings(
                **{
                    "database_url": postgres.url,
                    "redis_url": valkey.url,
                    "model_base_url": f"http://127.0.0.1:{model_port}/v1",
                    "blobs": str(place / "files"),
                    **settings,
                }
            )
            stack = Stack(given, secrets[0], place)
            made = Stage(given, stack, postgres, valkey, model, model_port, secrets)
            try:
                made.ports.append(int(stack.start_api().split(":")[2].removesuffix("/v1")))
                made.apis.append(stack.running[-1])
                for _ in range(workers):
                    made.start_worker()
                yield made
            finally:
                stack.stop()


@contextmanager
def _model() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "tests.bench.model"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()
