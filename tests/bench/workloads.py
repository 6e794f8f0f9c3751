"""The workloads: each gives figures by name. Seconds are of the wall, CPU is milliseconds for each
run by group of processes. All answers are held against their questions."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import LiteralString

from shared.db import Database
from tests.bench import clients, cpu, floors
from tests.bench.clients import Asking, Told
from tests.bench.http import Connection
from tests.bench.stage import Stage

Figures = dict[str, float]

_SERVERS = ("api", "worker", "postgresql", "redis")
_IDLE_SECONDS = 6.0
_DRAINED = 16 * 312  # by sixteen clients
# Runs of the batch that have not ended, held or not.
_COUNT_LEFT: LiteralString = (
    "SELECT count(*) FROM runs WHERE lane = 'batch' AND status IN ('queued', 'in_progress')"
)
_SOME_LEFT: LiteralString = (
    "SELECT EXISTS (SELECT FROM runs WHERE lane = 'batch' AND status IN ('queued', 'in_progress'))"
)


@dataclass(frozen=True)
class Workload:
    name: str
    play: Callable[[Stage], Figures]


def crowd(count: int, model: str, *, at_once: bool = False) -> Callable[[Stage], Figures]:
    """So many clients, each asking one question after the other, in four requests or, where thread
    and run are made in one, in three."""

    def play(stage: Stage) -> Figures:
        asking = replace(_asking(stage, model), at_once=at_once)

        async def keep_on(number: int, until: float, told: Told) -> None:
            await clients.keep_asking(asking, str(number), until, told)

        def look() -> dict[str, float]:
            used = cpu.milliseconds(stage.groups)
            return {f"CPU ms {name}": value for name, value in used.items()} | stage.written()

        seen = asyncio.run(clients.watched(keep_on, count, look))
        _require_right(seen.told)
        each = {name: seen.each(name) for name in seen.after}
        return {
            "runs/s": len(seen.told.took) / seen.seconds,
            "p50 ms": seen.told.median * 1000,
            "p95 ms": seen.told.percentile(95) * 1000,
            "CPU ms": sum(each[f"CPU ms {name}"] for name in _SERVERS),
            **each,
        }

    return play


def streams(model: str, model_seconds: float) -> Callable[[Stage], Figures]:
    """64 clients, one stream after the other: the first word, above what the model itself takes."""

    def play(stage: Stage) -> Figures:
        asking = _asking(stage, model)

        async def keep_on(number: int, until: float, told: Told) -> None:
            async with Connection(asking.port, asking.secret) as http:
                turn = 0
                while time.monotonic() < until:
                    turn += 1
                    await clients.stream(asking, f"{number}.{turn}, and what then?", http, told)

        seen = asyncio.run(clients.watched(keep_on, 64, dict[str, float]))
        _require_right(seen.told)
        return {
            "streams/s": len(seen.told.took) / seen.seconds,
            "first word ms": (median(seen.told.first_words) - model_seconds) * 1000,
        }

    return play


def herd_of_streams(stage: Stage) -> Figures:
    """64 streams that all begin in one moment, by clients that were idle: the first word, above the
    two seconds that the model itself takes."""
    asking, told = _asking(stage, "echo-2000"), Told()

    async def one(number: int) -> None:
        async with Connection(asking.port, asking.secret) as http:
            await clients.stream(asking, f"{number}, and what then?", http, told)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(64)))

    asyncio.run(all_of_them())
    _require_right(told)
    return {"first word ms": (median(told.first_words) - 2.0) * 1000}


def drain(stage: Stage) -> Figures:
    """5,000 runs of a batch that wait when the worker comes: the first half of them alone, and
    beside the others a conversation of the same key, as long as some of them wait."""
    asking = _asking(stage, "echo")
    idle = asyncio.run(clients.alone(asking, _IDLE_SECONDS))
    stage.end_workers()
    began = time.perf_counter()
    asyncio.run(_create_all(replace(asking, fields="Treadle-Lane: batch\r\n")))
    creating = time.perf_counter() - began
    stage.start_worker()
    told = Told()
    with Database(stage.settings.database_url, 2) as database:
        alone = _drained_alone(database)
        beside = asyncio.run(_drained_beside(database, asking, told))
    _require_right(told)
    return {
        "created/s": _DRAINED / creating,
        "drained/s": alone,
        "drained/s beside": beside,
        "beside p50 ms": told.median * 1000,
        "beside p95 ms": told.percentile(95) * 1000,
        "idle p50 ms": idle.median * 1000,
        "idle p95 ms": idle.percentile(95) * 1000,
        "beside / idle": told.median / idle.median,
    }


def _drained_alone(database: Database) -> float:
    """In a second, from the first that ended to half of them."""
    while (left := _value(database, _COUNT_LEFT)) == _DRAINED:
        time.sleep(0.1)
    began = time.perf_counter()
    while (rest := _value(database, _COUNT_LEFT)) > _DRAINED // 2:
        time.sleep(0.2)
    return (left - rest) / (time.perf_counter() - began)


async def _drained_beside(database: Database, asking: Asking, told: Told) -> float:
    """In a second. To look costs little, and the conversation does not wait for it."""
    waited = await asyncio.to_thread(_value, database, _COUNT_LEFT)
    began = time.perf_counter()
    conversation = asyncio.create_task(clients.keep_asking(asking, "beside", _never(), told))
    while await asyncio.to_thread(_value, database, _SOME_LEFT):
        await asyncio.sleep(0.1)
    conversation.cancel()
    return waited / (time.perf_counter() - began)


def _value(database: Database, query: LiteralString) -> int:
    with database.autocommit() as tx:
        return int(tx.value(query))


async def _create_all(asking: Asking) -> None:
    await asyncio.gather(*(_create(asking, _DRAINED // 16, n) for n in range(16)))


def in_flight(stage: Stage) -> Figures:
    """1,000 runs whose model takes 10 s, in one worker."""
    asking = _asking(stage, "echo-10000")

    async def play() -> list[tuple[str, str]]:
        parts = await asyncio.gather(*(_create(asking, 100, n) for n in range(10)))
        return [run for part in parts for run in part]

    began = time.perf_counter()
    runs = asyncio.run(play())
    time.sleep(max(0.0, 9.0 - (time.perf_counter() - began)))
    megabytes = cpu.megabytes([stage.workers[0].pid])
    asyncio.run(_until_ended(asking, runs))
    return {"seconds": time.perf_counter() - began, "worker MB": megabytes}


def polls(stage: Stage) -> Figures:
    """GET of an ended run."""
    asking = _asking(stage, "echo")

    async def an_ended_run() -> str:
        async with Connection(asking.port, asking.secret) as http:
            thread_id, run_id = await clients.create(asking, "Done?", http)
        await _until_ended(asking, [(thread_id, run_id)])
        return f"/v1/threads/{thread_id}/runs/{run_id}"

    return _gets(stage, asyncio.run(an_ended_run()))


def bare_request(stage: Stage) -> Figures:
    """The floor of each request: gunicorn, gevent and Flask, with nothing asked of PostgreSQL."""
    return _gets(stage, "/healthz")


def _gets(stage: Stage, path: str) -> Figures:
    """By 32 connections."""

    async def play() -> tuple[int, float]:
        until, count = time.monotonic() + 4, 0

        async def one() -> None:
            nonlocal count
            async with Connection(stage.ports[0], stage.secrets[0]) as http:
                while time.monotonic() < until:
                    await http.call("GET", path)
                    count += 1

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(32)))
        return count, time.perf_counter() - began

    before = cpu.milliseconds(stage.groups)
    count, seconds = asyncio.run(play())
    used = cpu.milliseconds(stage.groups)
    return {"GET/s": count / seconds, "CPU ms api": (used["api"] - before["api"]) / count}


WORKLOADS = (
    Workload("floor: a model call", floors.model_call),
    Workload("floor: the SQL of a run", floors.statements),
    Workload("floor: a Celery task", floors.task),
    Workload("1 client, model 0 ms", crowd(1, "echo")),
    Workload("64 clients, model 0 ms", crowd(64, "echo")),
    Workload("64 clients, model 0 ms, thread and run at once", crowd(64, "echo", at_once=True)),
    Workload("256 clients, model 0 ms", crowd(256, "echo")),
    Workload("64 clients, model 500 ms", crowd(64, "echo-500")),
    Workload("64 streams, model 100 ms", streams("echo-100", 0.1)),
    Workload("64 streams, model 2 s", streams("echo-2000", 2.0)),
    Workload("64 streams, model 2 s, begun in one moment", herd_of_streams),
    Workload("5,000 runs at once", drain),
)
ONE_PROCESS = (Workload("floor: a request", bare_request), Workload("GET of a run", polls))
LARGE = Workload("1,000 runs in flight, model 10 s", in_flight)


async def _create(asking: Asking, count: int, number: int) -> list[tuple[str, str]]:
    async with Connection(asking.port, asking.secret) as http:
        return [await clients.create(asking, f"{number}.{n}?", http) for n in range(count)]


async def _until_ended(asking: Asking, runs: list[tuple[str, str]]) -> None:
    async with Connection(asking.port, asking.secret) as http:
        for thread_id, run_id in runs:
            path, status = f"/v1/threads/{thread_id}/runs/{run_id}", "queued"
            while status in ("queued", "in_progress"):
                run = await http.call("GET", path, fields=clients.HELD)
                status = run["status"]
            if status != "completed":
                raise ValueError(f"{run_id} {status}")


def _asking(stage: Stage, model: str) -> Asking:
    port, secret = stage.ports[0], stage.secrets[0]
    return Asking(port, secret, asyncio.run(clients.an_assistant(port, secret, model)))


def _never() -> float:
    return time.monotonic() + 3600


def _require_right(told: Told) -> None:
    if told.errors:
        raise ValueError(f"{len(told.errors)} wrong: {told.errors[:3]}")
