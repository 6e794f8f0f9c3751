"""`python -m tests.bench.fairness`: what another project's backlog does to one's own questions.

One project has 20,000 runs queued in the lane of conversations. The other asks ten questions at
once, in several rounds: how long until all ten have their answers, against the same ten while
nobody else asks anything, with the same model. The ratio is that of the medians.

Then both have a backlog, and the second the weight 3 to the first one's 1: the share is that of the
runs which workers took from each while both had some left; 0.75 is wanted.
It ends with 1 if an answer is wrong, or a backlog was too short for what was to be measured.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from shared.db import Database
from shared.store import projects
from tests.bench import clients, report
from tests.bench.clients import Asking
from tests.bench.http import Connection
from tests.bench.stage import Stage, stage

_CREATORS = 16
_QUESTIONS = 10
_WEIGHT = 3
# The second project's own backlog, as a share of the first one's: enough for thrice its claims.
_SECOND_BACKLOG = 0.5
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Taken:
    """Of one project: runs that wait, and runs that a worker took since the weight was given."""

    project_id: str
    waiting: int
    taken: int


async def create_many(asking: Asking, count: int) -> None:
    numbers, show = iter(range(count)), report.Progress()

    async def one_client() -> None:
        async with Connection(asking.port, asking.secret) as http:
            for number in numbers:
                await clients.create(asking, f"Of the backlog: {number}?", http)
                show(f"{number:,}/{count:,} queued")

    await asyncio.gather(*(one_client() for _ in range(_CREATORS)))
    show.end()


async def ask_at_once(asking: Asking) -> float:
    """Seconds until all have their answers. Raises ValueError where one is wrong."""

    async def one(number: int) -> None:
        async with Connection(asking.port, asking.secret) as http:
            await clients.converse(asking, f"{number}, and what then?", http)

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(_QUESTIONS)))
    return time.perf_counter() - began


def rounds(asking: Asking, count: int) -> list[float]:
    asyncio.run(ask_at_once(asking))
    return [asyncio.run(ask_at_once(asking)) for _ in range(count)]


def taken(stage: Stage, since: float) -> list[Taken]:
    """By project, in the order of their ids."""
    with Database(stage.settings.database_url, 2) as database, database.autocommit() as tx:
        return tx.all(
            Taken,
            "SELECT project_id, count(*) FILTER (WHERE status = 'queued') AS waiting,"
            " count(*) FILTER (WHERE started_at > to_timestamp(%(since)s)) AS taken"
            " FROM runs GROUP BY project_id ORDER BY project_id",
            {"since": since},
        )


def share_of(stage: Stage, project_id: str, seconds: float) -> float:
    """Of the runs that were taken while both projects had some waiting; 0 if they never had."""
    since = now(stage)
    stage.start_worker()
    until, share = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        found = taken(stage, since)
        if len(found) < 2 or not all(one.waiting for one in found):
            break
        whole = sum(one.taken for one in found)
        share = sum(one.taken for one in found if one.project_id == project_id) / max(whole, 1)
    return share


def now(stage: Stage) -> float:
    """By PostgreSQL's clock."""
    with Database(stage.settings.database_url, 2) as database, database.autocommit() as tx:
        return float(tx.value("SELECT extract(epoch FROM now())::float8"))


def weigh(stage: Stage, name: str, weight: int) -> str:
    """Returns the project's id."""
    with Database(stage.settings.database_url, 2) as database, database.autocommit() as tx:
        (found,) = (one for one in projects.list_all(tx) if one.name == name)
        return projects.set_share(tx, found.id, weight=weight, running_runs=None).id


def main(arguments: list[str]) -> int:
    parser = report.options("fairness", __doc__)
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--model", default="echo-1000", help="of all runs: it takes 1,000 ms")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--share-seconds", type=float, default=30)
    asked = parser.parse_args(arguments)
    with stage(workers=1, run_seconds=7200) as one:
        first, second = _both(one, asked.model)
        idle = rounds(second, asked.rounds)
        one.end_workers()
        asyncio.run(create_many(first, asked.backlog))
        since = now(one)
        one.start_worker()
        beside = rounds(second, asked.rounds)
        left = max(found.waiting for found in taken(one, since))
        one.end_workers()
        asyncio.run(create_many(second, int(asked.backlog * _SECOND_BACKLOG)))
        share = share_of(one, weigh(one, "two", _WEIGHT), asked.share_seconds)
    figures = {
        "backlog": asked.backlog,
        "left of it after all rounds": left,
        "ten beside it, median ms": median(beside) * 1000,
        "ten beside it, longest ms": max(beside) * 1000,
        "ten on the idle stack, median ms": median(idle) * 1000,
        "ten on the idle stack, longest ms": max(idle) * 1000,
        "beside / idle": median(beside) / median(idle),
        "share of weight 3 beside 1": share,
    }
    faults = [] if left else ["the backlog was worked off before the last round"]
    faults += [] if share else ["the backlogs were worked off before a share showed"]
    return report.write(figures, faults, asked.json)


def _both(stage: Stage, model: str) -> Sequence[Asking]:
    port = stage.ports[0]
    return [
        Asking(port, secret, asyncio.run(clients.an_assistant(port, secret, model)))
        for secret in stage.secrets
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
