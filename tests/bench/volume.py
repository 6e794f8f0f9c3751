"""`python -m tests.bench.volume`: what a past of 10 million messages and 2 million runs costs.

Two databases on one PostgreSQL, an API for each: one with that past, one with next to none. What a
conversation does is done with each in turn, a few thousand times: a poll of an ended run, the list of
a thread's messages, a new message, a new run; and a worker's claim of that run, by the statement
that workers use. The ratio is that of the full to the empty one; 1.3 or less is wanted.

`--among` says where the conversations go on: in so many of the newest runs' threads, 0 for any of
the past, which measures the disk too if the past is larger than memory.
It ends with 1 if a claim did not find the run, or any answer was refused.
"""

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared import events, queue
from shared.db import Database
from shared.schema import migrate
from shared.settings import Settings
from shared.store import callers, claims, workers
from tests.acceptance.conftest import Stack
from tests.bench import clients, filling, report
from tests.bench.filling import Past
from tests.bench.http import Connection
from worker.model import no_usage

_EMPTY = Past(messages=5_000, runs=1_000)
_WARM_ROUNDS = 100
_QUESTION = {"role": "user", "content": "And what of all this is still known tomorrow? " * 4}


@dataclass
class Side:
    """One of the two databases, and what it took: seconds, by what was done."""

    database: Database
    port: int
    secret: str
    assistant_id: str
    threads: list[tuple[str, str]]  # and a run of each that has ended
    megabytes: float
    worker_id: str = ""
    took: dict[str, list[float]] = field(default_factory=dict)

    async def go_round(self, http: Connection) -> None:
        """Everything once, on some thread."""
        thread_id, run_id = random.choice(self.threads)
        path = f"/v1/threads/{thread_id}"
        await self._timed("poll", http.call("GET", f"{path}/runs/{run_id}"))
        await self._timed("list messages", http.call("GET", f"{path}/messages?limit=10"))
        await self._timed("create message", http.call("POST", f"{path}/messages", _QUESTION))
        body = {"assistant_id": self.assistant_id}
        run = await self._timed("create run", http.call("POST", f"{path}/runs", body))
        self._claim(run["id"])

    async def _timed(self, name: str, act: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        answer = await act
        self.took.setdefault(name, []).append(time.perf_counter() - began)
        return answer

    def _claim(self, run_id: str) -> None:
        with self.database.autocommit() as tx:
            self.worker_id = self.worker_id or workers.register(tx)
            began = time.perf_counter()
            claimed = claims.claim(tx, self.worker_id)
            self.took.setdefault("claim", []).append(time.perf_counter() - began)
        if [run.id for run in claimed] != [run_id]:
            raise ValueError(f"claimed {claimed} for {run_id}")
        with self.database.transaction() as tx:
            claims.fail(tx, claimed[0], "server_error", "Not asked.", no_usage())


@contextmanager
def sides(place: Path, past: Past, among: int, shared_buffers: str) -> Iterator[tuple[Side, Side]]:
    """The full one and the empty one."""
    with ExitStack() as stack:
        postgres = Postgres(place / "postgres")
        postgres.settings = {
            **postgres.settings,
            "shared_buffers": shared_buffers,
            "max_wal_size": "8GB",
        }
        stack.enter_context(postgres)
        valkey = stack.enter_context(Valkey(place / "valkey"))
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE small")
        small = postgres.url.replace("/treadle?", "/small?")
        settings = Settings(database_url=postgres.url, redis_url=valkey.url, log_level="WARNING")
        queue.configure(settings)
        events.configure(settings)
        yield (
            _side(stack, place / "full", postgres.url, valkey.url, past, among),
            _side(stack, place / "empty", small, valkey.url.replace("=0", "=1"), _EMPTY, among),
        )


def _side(stack: ExitStack, place: Path, url: str, redis_url: str, past: Past, among: int) -> Side:
    place.mkdir()
    migrate(url)
    database = stack.enter_context(Database(url, 2))
    with database.transaction() as tx:
        key, secret = callers.create(tx, "one")
    settings = Settings(
        database_url=url, redis_url=redis_url, blobs=str(place), log_level="WARNING"
    )
    servers = Stack(settings, secret, place)
    stack.callback(servers.stop)
    port = int(servers.start_api().split(":")[2].removesuffix("/v1"))
    assistant_id = asyncio.run(clients.an_assistant(port, secret, "echo"))
    show = report.Progress()
    filling.fill(url, key.project_id, assistant_id, past, show)
    show.end()
    with psycopg.connect(url) as connection:
        threads = connection.execute(
            "SELECT thread_id, id FROM (SELECT thread_id, id FROM runs ORDER BY id DESC"
            " LIMIT nullif(%s, 0)) AS newest ORDER BY random() LIMIT 10000",
            [among],
        ).fetchall()
    return Side(database, port, secret, assistant_id, threads, filling.size(url) / 1e6)


async def measure(full: Side, empty: Side, rounds: int) -> None:
    async with (
        Connection(full.port, full.secret) as http_full,
        Connection(empty.port, empty.secret) as http_empty,
    ):
        for number in range(_WARM_ROUNDS + rounds):
            if number == _WARM_ROUNDS:
                full.took, empty.took = {}, {}
            pair = [(full, http_full), (empty, http_empty)]
            for side, http in pair if number % 2 else reversed(pair):
                await side.go_round(http)


def figures_of(full: Side, empty: Side) -> dict[str, float]:
    """Of each act p50 and p95 in milliseconds, and full to empty."""
    found: dict[str, float] = {}
    for name, took in full.took.items():
        for percent in (50, 95):
            of_full, of_empty = (_percentile(one, percent) for one in (took, empty.took[name]))
            found[f"{name} p{percent} ms, full"] = of_full * 1000
            found[f"{name} p{percent} ms, empty"] = of_empty * 1000
            found[f"{name} p{percent}, full / empty"] = of_full / of_empty
    return found


def _percentile(took: list[float], percent: int) -> float:
    return median(took) if percent == 50 else quantiles(took, n=100)[percent - 1]


def main(arguments: list[str]) -> int:
    parser = report.options("volume", __doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--among", type=int, default=100_000, help="0: anywhere in the past")
    parser.add_argument("--shared-buffers", default="1GB", help="of PostgreSQL")
    parser.add_argument("--directory", type=Path, help="where the databases are made, and removed")
    asked = parser.parse_args(arguments)
    past = Past(asked.messages, asked.runs)
    with tempfile.TemporaryDirectory(prefix="treadle-volume-", dir=asked.directory) as place:
        free = shutil.disk_usage(place).free
        if free < past.disk_bytes:
            parser.error(f"needs {past.disk_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} are free")
        with sides(Path(place), past, asked.among, asked.shared_buffers) as (full, empty):
            began = time.monotonic()
            asyncio.run(measure(full, empty, asked.rounds))
            seconds = time.monotonic() - began
    sizes = {"MB, full": full.megabytes, "MB, empty": empty.megabytes, "seconds measured": seconds}
    figures = dict(chain(sizes.items(), figures_of(full, empty).items()))
    return report.write(figures, [], asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
