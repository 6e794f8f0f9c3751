"""`python -m tests.bench.workers`: runs a second with one worker and with two, where workers are the limit.

On a machine with few cores two whole workers would fight with PostgreSQL and the model for them,
and show what the machine has and not what a worker adds. So each worker gets a share of a core,
0.35 by default, as `cpu.max` of cgroups or a CPU limit of Kubernetes would give it: in each period of
100 ms it is let run (SIGCONT) for 35 ms and stopped (SIGSTOP) for the rest, the workers one after the
other, never two at once. All else, PostgreSQL, Redis and the model, has what is left of the machine: more
than one core of two. Nothing is asked of the API meanwhile: all runs are created beforehand, while no
worker runs, and nobody polls. Nothing has to be root's.

Runs a second are those between the first quarter and nine tenths of the ends. Each is played several
times, in turn; the ratio is that of the medians, 1.8 or more is wanted. That the workers were the
limit shows in `CPU of what was given`: near 1, they used all the time that they were let run; where it
is far below, something else was the limit, and the ratio says nothing. More than 2 is no wonder: a
run costs a worker less whose answers are not all there at once, as `CPU ms of a run` shows.
It ends with 1 if a run did not end, or not well.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from statistics import median

from shared.db import Database
from tests.acceptance.conftest import wait_until
from tests.bench import clients, cpu, report
from tests.bench.clients import Asking
from tests.bench.fairness import create_many
from tests.bench.stage import Stage, stage
from tests.bench.workloads import Figures

_PERIOD_SECONDS = 0.1
_LOOK_SECONDS = 0.2
# Of the ends: between these all workers are at work.
_FROM, _TO = 0.25, 0.9
_MOST_SECONDS = 1800


class Shares(threading.Thread):
    """Lets each process run for its share of a period, one after the other."""

    def __init__(self, pids: list[int], share: float) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self._seconds = share * _PERIOD_SECONDS
        self._over = threading.Event()
        self.given = 0.0  # seconds that they were let run, together

    def run(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)
        while not self._over.is_set():
            ends = time.monotonic() + _PERIOD_SECONDS
            for pid in self._pids:
                began = time.monotonic()
                os.kill(pid, signal.SIGCONT)
                time.sleep(self._seconds)
                os.kill(pid, signal.SIGSTOP)
                self.given += time.monotonic() - began
            time.sleep(max(0.0, ends - time.monotonic()))

    def end(self) -> None:
        """From now they run as they like."""
        self._over.set()
        self.join()
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)


def drain(stage: Stage, asking: Asking, count: int, workers: int, share: float) -> Figures:
    """So many runs by so many workers. Raises AssertionError where they do not all end well."""
    before = completed(stage)
    asyncio.run(create_many(asking, count))
    stage.workers += [stage.stack.start_worker() for _ in range(workers)]
    wait_until(lambda: stage.living_workers() == workers, 60, "the workers")
    pids = [process.pid for process in stage.workers]
    shares = Shares(pids, share)
    shares.start()
    try:
        marks = []
        for part in (_FROM, _TO):
            _wait(stage, before + part * count)
            used = cpu.milliseconds({"worker": pids})["worker"] / 1000
            marks.append((completed(stage), time.monotonic(), used, shares.given))
    finally:
        shares.end()
    _wait(stage, before + count)
    stage.end_workers()
    runs, seconds, used, given = (end - begin for begin, end in zip(*marks, strict=True))
    return {
        "runs/s": runs / seconds,
        "CPU ms of a run": used / runs * 1000,
        "share of a core each": given / seconds / workers,
        "CPU of what was given": used / given,
    }


def completed(stage: Stage) -> int:
    with Database(stage.settings.database_url, 2) as database, database.autocommit() as tx:
        return int(tx.value("SELECT count(*) FROM runs WHERE status = 'completed'"))


def _wait(stage: Stage, until: float) -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    while completed(stage) < until:
        assert time.monotonic() < deadline, f"{until:.0f} runs were not completed"
        time.sleep(_LOOK_SECONDS)


def main(arguments: list[str]) -> int:
    parser = report.options("workers", __doc__)
    parser.add_argument("--runs", type=int, default=8000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.35, help="of a core, for each worker")
    asked = parser.parse_args(arguments)
    played: dict[int, list[Figures]] = {1: [], 2: []}
    faults: list[str] = []
    with stage(workers=0, run_seconds=7200) as one:
        port, secret = one.ports[0], one.secrets[0]
        asking = Asking(port, secret, asyncio.run(clients.an_assistant(port, secret, "echo")))
        try:
            for _ in range(asked.times):
                for workers, found in played.items():
                    found.append(drain(one, asking, asked.runs, workers, asked.share))
        except AssertionError as error:
            faults.append(str(error))
    figures = {
        f"{name}, workers: {workers}": median(each[name] for each in found)
        for workers, found in played.items()
        for name in (found[0] if found else ())
    }
    if not faults:
        figures["two / one"] = figures["runs/s, workers: 2"] / figures["runs/s, workers: 1"]
    return report.write(figures, faults, asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
