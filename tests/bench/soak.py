"""`python -m tests.bench.soak --runs 100000`: many runs while a worker is killed every 20 s and Redis
forgets everything every 60 s. Every answer is held against its question, and memory is watched.

It ends with 1 if a run was lost, doubled, wrong or left behind.
"""

import argparse
import asyncio
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.bench import clients, cpu, plot
from tests.bench.clients import Asking, Told
from tests.bench.http import Connection
from tests.bench.stage import Stage, stage

KILL_SECONDS = 20
FORGET_SECONDS = 60
SAMPLE_SECONDS = 5
# What a start allocates is no growth: the slope is that of the time after.
_SETTLED_SHARE = 0.25


@dataclass
class Watched:
    """Megabytes over the runs that had ended."""

    api: list[tuple[float, float]] = field(default_factory=list)
    worker: list[tuple[float, float]] = field(default_factory=list)
    killed: int = 0
    forgotten: int = 0


class Trouble(threading.Thread):
    """Kills the second worker; the first lives through all of it, and is watched."""

    def __init__(self, stage: Stage, told: Told, watched: Watched) -> None:
        super().__init__(daemon=True)
        self._stage = stage
        self._told = told
        self._watched = watched
        self.over = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        kill, forget = began + KILL_SECONDS, began + FORGET_SECONDS
        while not self.over.wait(SAMPLE_SECONDS):
            ended = len(self._told.took)
            apis = [process.pid for process in self._stage.apis]
            self._watched.api.append((ended, cpu.megabytes(apis)))
            self._watched.worker.append((ended, cpu.megabytes([self._stage.workers[0].pid])))
            if time.monotonic() > kill:
                kill += KILL_SECONDS
                self._stage.replace_worker()
                self._watched.killed += 1
            if time.monotonic() > forget:
                forget += FORGET_SECONDS
                redis.Redis.from_url(self._stage.valkey.url).flushall()
                self._watched.forgotten += 1


async def ask(asking: Asking, runs: int, at_once: int, told: Told) -> None:
    questions = iter(range(runs))

    async def one_client() -> None:
        async with Connection(asking.port, asking.secret) as http:
            for number in questions:
                began = time.perf_counter()
                try:
                    await clients.converse(asking, f"Question {number}?", http)
                except ValueError as error:
                    told.errors.append(str(error))
                told.took.append(time.perf_counter() - began)

    await asyncio.gather(*(one_client() for _ in range(at_once)))


def slope(points: list[tuple[float, float]]) -> float:
    """Megabytes in ten thousand runs, by least squares over what came after the start."""
    settled = points[int(len(points) * _SETTLED_SHARE) :]
    mean_x = sum(x for x, _ in settled) / len(settled)
    mean_y = sum(y for _, y in settled) / len(settled)
    across = sum((x - mean_x) ** 2 for x, _ in settled)
    return 10_000 * sum((x - mean_x) * (y - mean_y) for x, y in settled) / across if across else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=48)
    parser.add_argument("--plot", type=Path, help="where to draw the memory, as SVG")
    asked = parser.parse_args(arguments)
    told, watched = Told(), Watched()
    with stage(workers=2) as there:
        assistant = asyncio.run(clients.an_assistant(there.ports[0], there.secrets[0], "echo"))
        asking = Asking(there.ports[0], there.secrets[0], assistant)
        trouble = Trouble(there, told, watched)
        trouble.start()
        began = time.monotonic()
        asyncio.run(ask(asking, asked.runs, asked.at_once, told))
        seconds = time.monotonic() - began
        trouble.over.set()
        trouble.join()
        found = there.stored()
    right = found["completed"] == found["answers"] == found["runs"] == asked.runs
    right = right and not told.errors and not found["answered twice"]
    lines = [
        f"{len(told.took)} asked in {seconds:.0f} s ({len(told.took) / seconds:.0f}/s),"
        f" {len(told.errors)} wrong, {watched.killed} workers killed,"
        f" Redis emptied {watched.forgotten} times",
        ", ".join(f"{name} {count}" for name, count in found.items()),
        f"p50 {told.median:.2f} s, p99 {told.percentile(99):.2f} s, longest {max(told.took):.2f} s",
    ]
    for name, points in (("api", watched.api), ("worker", watched.worker)):
        lines.append(
            f"{name}: {points[0][1]:.0f} MB at first, {points[-1][1]:.0f} MB at the end,"
            f" {slope(points):+.2f} MB in 10,000 runs"
        )
    sys.stdout.write("\n".join([*lines, *told.errors[:10], ""]))
    if asked.plot:
        title = f"Memory over {asked.runs} runs, a worker killed every {KILL_SECONDS} s"
        drawn = {"api": watched.api, "worker that lives": watched.worker}
        plot.write(asked.plot, title, "runs that have ended", "MB", drawn)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
